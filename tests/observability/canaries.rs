//! A canary in every secret that a configuration can have: each reaches whom it is for, and nothing else that
//! comes out of the process.
//!
//! Which secrets there are is read off the code, so that a new one without a canary fails.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use shapegate::gatekeeper::{SigningAlgorithm, generate_private_key};

use crate::fake::{Fake, Question, Say};
use crate::program::{Program, Setup};
use crate::support::gateway::{ELECTRIC_SECRET, JWT_SECRET, request};
use crate::support::patience::{soon, until};
use crate::support::token::{IDENTITY, token};

/// A secret: where the code reads it (the file below `src/config` and the key; a file of keys by how its mode is
/// looked at), the variable that holds it here, and its text.
struct Secret {
    read: (&'static str, &'static str),
    variable: &'static str,
    text: &'static str,
}

const fn secret(file: &'static str, key: &'static str, variable: &'static str, text: &'static str) -> Secret {
    Secret {
        read: (file, key),
        variable,
        text,
    }
}

/// Those in variables. All of them are long enough for a shared secret.
const SECRETS: [Secret; 14] = [
    secret("electric.rs", "secret", "ELECTRIC_SECRET", ELECTRIC_SECRET),
    secret("keys.rs", "secret", "JWT_SECRET", JWT_SECRET),
    secret(
        "server.rs",
        "token",
        "ADMIN_TOKEN",
        "canary-admin-0123456789abcdef012345",
    ),
    secret(
        "providers.rs",
        "client_secret",
        "CLIENT_SECRET",
        "canary-client-0123456789abcdef0123",
    ),
    secret(
        "providers.rs",
        "url",
        "SESSIONS_URL",
        "postgres://app:canary-sessions-0123456789@127.0.0.1:1/app",
    ),
    secret(
        "providers.rs",
        "url",
        "DATABASE_URL",
        "postgres://app:canary-database-0123456789@127.0.0.1:1/app",
    ),
    secret(
        "cluster.rs",
        "url",
        "REDIS_URL",
        "redis://canary-redis-user@127.0.0.1:1",
    ),
    secret(
        "cluster.rs",
        "password",
        "REDIS_PASSWORD",
        "canary-redis-0123456789abcdef01234",
    ),
    secret(
        "authorize/service.rs",
        "token",
        "HTTP_TOKEN",
        "canary-http-0123456789abcdef01234567",
    ),
    secret(
        "authorize/service.rs",
        "token",
        "SPICEDB_TOKEN",
        "canary-spicedb-0123456789abcdef0123",
    ),
    secret(
        "authorize/service.rs",
        "token",
        "OPENFGA_TOKEN",
        "canary-openfga-0123456789abcdef0123",
    ),
    secret(
        "authorize/service.rs",
        "token",
        "OPA_TOKEN",
        "canary-opa-0123456789abcdef012345678",
    ),
    secret(
        "traces.rs",
        "headers",
        "OTLP_TOKEN",
        "canary-otlp-0123456789abcdef0123456",
    ),
    secret(
        "gatekeeper/keys.rs",
        "secret",
        "GATEKEEPER_SECRET",
        "canary-gatekeeper-0123456789abcdef",
    ),
];

/// Files that hold keys. What is in them is made anew for each run.
const FILES: [(&str, &str); 4] = [
    ("server.rs", "refuse_world_readable"),
    ("keys.rs", "warn_if_world_readable"),
    ("gatekeeper/keys.rs", "refuse_world_readable"),
    ("gatekeeper/keys.rs", "credential_file"),
];

/// What tells a secret that is read in a line of code.
const READS: [&str; 4] = [
    "reading.secret(",
    "reading.credential_file(",
    "reading.warn_if_world_readable(",
    "reading.refuse_world_readable(",
];

fn reads(folder: &Path, below: &str, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            reads(&entry.path(), &format!("{name}/"), found);
            continue;
        }
        for line in fs::read_to_string(entry.path()).unwrap().lines() {
            let Some(read) = READS.iter().find(|read| line.contains(*read)) else {
                continue;
            };
            let key = match *read {
                "reading.secret(" => line
                    .split('"')
                    .nth(1)
                    .unwrap_or("a name that is not written there"),
                other => other.trim_start_matches("reading.").trim_end_matches('('),
            };
            found.insert((name.clone(), key.to_owned()));
        }
    }
}

#[test]
fn every_secret_that_the_configuration_reads_has_a_canary_here() {
    let mut found = BTreeSet::new();
    reads(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config"),
        "",
        &mut found,
    );
    let known = SECRETS.iter().map(|secret| secret.read).chain(FILES);
    let known: BTreeSet<_> = known
        .map(|(file, key)| (file.to_owned(), key.to_owned()))
        .collect();
    assert_eq!(found, known, "each has a canary, in a configuration below");
}

/// The secrets in files, and the forms in which any of them may show itself.
struct Canaries(Vec<(String, String)>);

impl Canaries {
    fn of_variables() -> Self {
        let mut canaries = Self(Vec::new());
        for secret in &SECRETS {
            // Of a URL the user and the password are secret, and not where it leads.
            let text = secret
                .text
                .split_once("://")
                .map_or(secret.text, |(_, rest)| rest);
            let text = text.split_once('@').map_or(text, |(user, _)| user);
            canaries.add(secret.variable, text.trim_start_matches("app:"));
        }
        canaries
    }

    /// As it is, and as a part of anything in base64.
    fn add(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
        for shift in 0..3 {
            let padded = STANDARD.encode(format!("{}{text}", &"___"[..shift]));
            // The ends depend on what is beside it.
            let inside = &padded[4..padded.len() - 4];
            self.0.push((format!("{name} in base64"), inside.to_owned()));
        }
    }

    fn assert_clean(&self, what: &str, text: &str) {
        for (name, canary) in &self.0 {
            let line = text.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "{name} is in {what}: {}", line.unwrap());
        }
    }
}

/// A private key in a file that nobody else may read, and what of it must not be seen.
fn private_key(setup: &Setup, name: &str) -> String {
    let key = generate_private_key(SigningAlgorithm::Es256).unwrap();
    write_secret(
        setup,
        name,
        &format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(&key)
        ),
    );
    STANDARD.encode(key)
}

fn write_secret(setup: &Setup, name: &str, text: &str) {
    fs::write(setup.path(name), text).unwrap();
    fs::set_permissions(setup.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Everything that has a secret, before somebody who plays all the services.
fn setup(fake: &Fake, canaries: &mut Canaries) -> Setup {
    let mut setup = Setup::new();
    canaries.add("the key that signs", &private_key(&setup, "gatekeeper.pem"));
    let shared = "canary-shared-0123456789abcdef012345";
    let set = json!({ "keys": [{ "kty": "oct", "alg": "HS256", "kid": "s", "k": URL_SAFE_NO_PAD.encode(shared) }] });
    write_secret(&setup, "shared.json", &set.to_string());
    canaries.add("the shared set", shared);
    setup.admin_more = ", token: { env: ADMIN_TOKEN }".to_owned();
    setup.variables = vec![("RUST_LOG", "trace".to_owned())];
    setup.variables.extend(
        SECRETS
            .iter()
            .map(|secret| (secret.variable, secret.text.to_owned())),
    );
    setup.rest = text(&fake.url());
    setup
}

/// The shapes that ask somebody over HTTP.
const ASKING: [&str; 4] = ["http", "spicedb", "openfga", "opa"];
/// Those and whoever else is asked: a database about a shape, one about sessions, an introspection endpoint.
const ASKED: usize = ASKING.len() + 3;

fn text(url: &str) -> String {
    format!(
        "logs: {{ access: {{ file: access.log }}, decisions: {{ file: decisions.log }} }}
metrics: {{ tenant_label: true }}
traces: {{ otlp: {{ url: '{url}/otlp', headers: {{ authorization: {{ env: OTLP_TOKEN }} }} }}, sample_ratio: 1 }}
cluster: {{ redis: {{ url: {{ env: REDIS_URL }}, password: {{ env: REDIS_PASSWORD }} }} }}
{}
  - jwt: {{ issuer: https://shared.test, audience: sync, keys: [ {{ file: shared.json, symmetric: true }} ] }}
  - introspection: {{ url: '{url}/introspect', from: {{ header: x-opaque }}, client_id: gateway, client_secret: {{ env: CLIENT_SECRET }}, audience: sync }}
  - postgres: {{ url: {{ env: SESSIONS_URL }}, from: {{ header: x-session }}, hash: none, query: select $1 as sub }}
shapes:
  http: {{ table: users, columns: [id], rules: [ {{ rows: all }} ],
    authorize: {{ http: {{ url: '{url}/http', token: {{ env: HTTP_TOKEN }} }} }} }}
  spicedb: {{ table: users, columns: [id], rules: [ {{ when: decision.allowed, rows: all }} ],
    authorize: {{ spicedb: {{ url: '{url}/spicedb', token: {{ env: SPICEDB_TOKEN }}, check: {{ resource: {{ type: project, id: {{ value: p }} }}, permission: view, subject: {{ type: user, id: user.id }} }} }} }} }}
  openfga: {{ table: users, columns: [id], rules: [ {{ when: decision.allowed, rows: all }} ],
    authorize: {{ openfga: {{ url: '{url}/openfga', token: {{ env: OPENFGA_TOKEN }}, store: 01STORE, check: {{ object: {{ type: project, id: {{ value: p }} }}, relation: viewer, user: {{ type: user, id: user.id }} }} }} }} }}
  opa: {{ table: users, columns: [id], rules: [ {{ rows: all }} ],
    authorize: {{ opa: {{ url: '{url}/opa', token: {{ env: OPA_TOKEN }}, path: shapes/allow, input: {{ user: user.id }} }} }} }}
  database: {{ table: users, columns: [id], rules: [ {{ rows: all }} ],
    authorize: {{ postgres: {{ url: {{ env: DATABASE_URL }}, query: select 1, params: [] }} }} }}
gatekeeper:
  mint: {{ path: '/gatekeeper/{{table}}', url: https://sync.example.com/proxy/v1/shape, keys: [ {{ alg: ES256, file: gatekeeper.pem, kid: one }}, {{ alg: HS256, secret: {{ env: GATEKEEPER_SECRET }}, kid: two, from: 2030-01-01T00:00:00Z }} ] }}
  verify: {{ paths: [/proxy/v1/shape] }}
  shapes: [http]
",
        IDENTITY.trim_end()
    )
}

/// What each service answers when all is well.
fn well(asked: &Question) -> Say {
    let path = asked.target.as_str();
    Say::Json(match path {
        "/introspect" => json!({ "active": true, "sub": "ann", "aud": "sync" }),
        "/opa/v1/data/shapes/allow" => json!({ "result": true }),
        _ if path.starts_with("/spicedb") => json!({ "permissionship": "PERMISSIONSHIP_HAS_PERMISSION" }),
        _ if path.starts_with("/openfga") => json!({ "allowed": true }),
        _ => json!({ "allow": true }),
    })
}

/// What they answer when they are as careless as can be: with all that they were sent.
fn careless(asked: &Question) -> Say {
    let told = format!("{:?} {}", asked.headers, asked.body).replace(['\r', '\n'], " ");
    Say::Close(
        format!(
            "HTTP/1.1 500 {told}\r\nx-told: {told}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{told}",
            told.len()
        )
        .into_bytes(),
    )
}

/// Everything that clients and operators are told.
struct Told {
    program: Program,
    text: String,
    statuses: BTreeSet<u16>,
}

impl Told {
    async fn ask(&mut self, target: &str, headers: &[(&str, &str)]) -> u16 {
        let mut client = self.program.connect().await;
        client.send(request("GET", target, None, headers, "")).await;
        let answer = soon(client.answer()).await.unwrap();
        self.text += &format!("{:?}\n{}\n", answer.headers, answer.text());
        self.statuses.insert(answer.status);
        answer.status
    }

    /// One request of every kind.
    async fn everything(&mut self, subject: &str) {
        let bearer = format!("Bearer {}", token(json!({ "sub": subject, "org_id": 1 })));
        for shape in ASKING.iter().chain(&["database"]) {
            let target = format!("/api/shapes/{shape}?offset=-1");
            self.ask(&target, &[("authorization", &bearer)]).await;
        }
        for header in ["x-opaque", "x-session"] {
            self.ask("/api/shapes/http?offset=-1", &[(header, subject)]).await;
        }
    }

    async fn operators(&mut self) {
        for path in ["/metrics", "/status", "/readyz"] {
            let answer = self.program.admin(path).await;
            self.text += answer.text();
        }
    }
}

/// Runs a command that prints, and gives all that it printed.
fn printed(arguments: &[&str], folder: &Path) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_shapegate"));
    command.args(arguments).current_dir(folder);
    command.env("RUST_LOG", "trace");
    command.envs(SECRETS.iter().map(|secret| (secret.variable, secret.text)));
    let Output { stdout, stderr, .. } = command.output().unwrap();
    [stdout, stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat()
}

#[tokio::test]
async fn s4_every_secret_reaches_whom_it_is_for_and_nothing_else_that_comes_out() {
    let mut canaries = Canaries::of_variables();
    let is_careless = Arc::new(AtomicBool::new(false));
    let becomes = Arc::clone(&is_careless);
    let fake = Fake::answering(move |asked| match is_careless.load(Ordering::SeqCst) {
        true => careless(asked),
        false => well(asked),
    })
    .await;
    let setup = setup(&fake, &mut canaries);
    let program = setup.start().await;
    let mut told = Told {
        program,
        text: String::new(),
        statuses: BTreeSet::new(),
    };
    told.everything("ann").await;
    assert_eq!(told.statuses, BTreeSet::from([200, 503]), "{}", told.text);
    becomes.store(true, Ordering::SeqCst);
    // Until each of them is left alone.
    for number in 0..6 {
        told.everything(&format!("user-{number}")).await;
    }
    told.operators().await;
    until("the collector is told", || {
        fake.asked().iter().any(|asked| asked.target.starts_with("/otlp"))
    })
    .await;
    reached(&fake);
    refused_reload(&mut told).await;
    let program = &told.program;
    until("it says that they are left alone", || {
        program.output().matches("left alone for a while").count() >= ASKED
    })
    .await;
    canaries.assert_clean("an answer", &told.text);
    canaries.assert_clean("standard error", &program.output());
    for log in ["access.log", "decisions.log"] {
        let text = fs::read_to_string(program.setup.path(log)).unwrap();
        assert!(!text.is_empty(), "{log}");
        canaries.assert_clean(log, &text);
    }
}

/// Each service got what proves to it who asks, and nobody else's.
fn reached(fake: &Fake) {
    let basic = STANDARD.encode("gateway:canary-client-0123456789abcdef0123");
    let mut expected = vec![("/introspect", format!("Basic {basic}"))];
    expected.push(("/otlp", "canary-otlp-0123456789abcdef0123456".to_owned()));
    for name in ASKING {
        let variable = format!("{}_TOKEN", name.to_uppercase());
        let secret = SECRETS.iter().find(|secret| secret.variable == variable).unwrap();
        expected.push((name, format!("Bearer {}", secret.text)));
    }
    let asked = fake.asked();
    for (path, authorization) in &expected {
        let path = format!("/{}", path.trim_start_matches('/'));
        let mut of_it = asked
            .iter()
            .filter(|asked| asked.target.starts_with(&path))
            .peekable();
        assert!(of_it.peek().is_some(), "{path} was asked");
        for question in of_it {
            assert_eq!(
                question.headers.get("authorization"),
                Some(authorization),
                "{path}"
            );
        }
    }
}

/// A reload that is refused quotes what it refuses.
async fn refused_reload(told: &mut Told) {
    let path = told.program.setup.path("shapegate.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("logs:", "loggs:")
            .replace("env: OPA_TOKEN", "end: OPA_TOKEN"),
    )
    .unwrap();
    told.program.signal("HUP");
    told.program.until_metric("shapegate_reload_current", 0.0).await;
    told.operators().await;
    fs::write(&path, text).unwrap();
}

#[tokio::test]
async fn s4_no_secret_is_in_what_commands_print() {
    let mut canaries = Canaries::of_variables();
    let fake = Fake::answering(careless).await;
    let setup = setup(&fake, &mut canaries);
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write_secret(&setup, "tls.crt", &certified.cert.pem());
    let pem = certified.signing_key.serialize_pem();
    write_secret(&setup, "tls.pem", &pem);
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    lines.for_each(|line| canaries.add("the listener's key", line));
    let electric = "http://127.0.0.1:1";
    let good = setup.config(electric);
    let tls = good.replacen(
        "\" }\nadmin",
        "\", tls: { certificates: [ { certificate: tls.crt, key: tls.pem } ] } }\nadmin",
        1,
    );
    assert_ne!(tls, good, "there is a certificate");
    let token = token(json!({ "sub": "ann" }));
    let folder = setup.folder.path().to_owned();
    let mut all = String::new();
    for (name, text) in [
        ("good.yaml", good.clone()),
        ("tls.yaml", tls),
        ("broken.yaml", good.replace("shapes:", "shape:")),
        ("names.yaml", good.replace("env:", "environment:")),
        (
            "sources.yaml",
            good.replace("{ env: HTTP_TOKEN }", "{ env: HTTP_TOKEN, file: x }"),
        ),
    ] {
        fs::write(setup.path(name), text).unwrap();
        let target = "/api/shapes/spicedb?offset=-1";
        for arguments in [
            vec!["check", "-c", name],
            vec!["check", "-c", name, "--print"],
            vec!["explain", "-c", name, "--token", &token, "--live", target],
            vec!["explain", "-c", name, "--token", &token, "/api/shapes/opa"],
        ] {
            let (folder, arguments) = (
                folder.clone(),
                arguments.iter().map(|&text| text.to_owned()).collect::<Vec<_>>(),
            );
            let printing = tokio::task::spawn_blocking(move || {
                printed(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &folder)
            });
            all += &soon(printing).await.unwrap();
        }
    }
    assert!(all.contains("SPICEDB_TOKEN") && all.contains("identity"), "{all}");
    assert!(fake.count() > 0, "the authoriser was asked");
    canaries.assert_clean("what a command prints", &all);
}
