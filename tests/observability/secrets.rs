//! No secret is in anything that comes out: the logs, standard error at its most talkative, metrics, the status
//! page, what `check` prints, and what clients are told.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shapegate::gatekeeper::{SigningAlgorithm, generate_private_key};
use shapegate_origin::{Fault, Misbehaviour};

use crate::fake::{Fake, Say};
use crate::journal::lines;
use crate::program::{Program, Setup};
use crate::support::gateway::{ELECTRIC_SECRET, JWT_SECRET, request};
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::token::{IDENTITY, now, sign, token};

/// What is secret, by what it is.
type Canaries = BTreeMap<&'static str, String>;

const USERS: &str = "/api/shapes/users?offset=-1";
const ADMIN_TOKEN: &str = "canary-of-the-admin-token-0123456789";
const WRITTEN: &str = "canary-written-in-the-configuration-0123456789";
const AUTHORIZER_TOKEN: &str = "canary-of-the-authoriser-0123456789";

fn setup(authorizer: &Fake) -> Setup {
    let mut setup = Setup::new();
    let key = generate_private_key(SigningAlgorithm::Es256).unwrap();
    let path = setup.path("gatekeeper.pem");
    let pem = STANDARD.encode(key);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
    fs::write(&path, pem).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    setup.admin_more = ", token: { env: ADMIN_TOKEN }".to_owned();
    setup.variables = vec![
        ("RUST_LOG", "trace".to_owned()),
        ("ADMIN_TOKEN", ADMIN_TOKEN.to_owned()),
        ("AUTHORIZER_TOKEN", AUTHORIZER_TOKEN.to_owned()),
    ];
    setup.rest = format!(
        "logs: {{ access: {{ file: access.log }}, decisions: {{ file: decisions.log }} }}
metrics: {{ tenant_label: true }}
cors: {{ origins: ['https://app.example'], credentials: true }}
{}
  - jwt:
      issuer: https://second.test
      audience: sync
      keys: [ {{ alg: HS256, secret: {{ insecure_value: {WRITTEN} }} }} ]
      from: {{ cookie: session }}
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    client: {{ where: narrow, subset: {{ limit_max: 100 }} }}
    rules:
      - {{ when: has(user.org_id) && has(user.email), rows: {{ where: '\"org_id\" = $1 AND \"name\" <> $2', params: [user.org_id, user.email] }} }}
  items:
    table: items
    columns: all
    authorize: {{ http: {{ url: '{}', token: {{ env: AUTHORIZER_TOKEN }}, defaults: {{ ok: false }}, ttl: 30s }} }}
    rules: [ {{ when: decision.ok, rows: all }} ]
gatekeeper:
  mint: {{ path: '/gatekeeper/{{table}}', url: https://sync.example.com/proxy/v1/shape, keys: [ {{ alg: ES256, file: gatekeeper.pem, kid: one }} ] }}
  verify: {{ paths: [/proxy/v1/shape] }}
  shapes: [users]
",
        IDENTITY.trim_end(),
        authorizer.url()
    );
    setup
}

/// The parts of a token that make it one; its header is nobody's secret.
fn parts(canaries: &mut Canaries, names: [&'static str; 2], token: &str) {
    let mut parts = token.split('.').skip(1);
    for name in names {
        canaries.insert(name, parts.next().unwrap().to_owned());
    }
}

struct World {
    program: Program,
    canaries: Canaries,
    answers: Vec<Answer>,
}

impl World {
    async fn ask(
        &mut self,
        method: &str,
        target: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut client = self.program.connect().await;
        client.send(request(method, target, token, headers, body)).await;
        let answer = soon(client.answer()).await.unwrap();
        self.answers.push(answer.clone());
        answer
    }

    async fn get(&mut self, target: &str, token: Option<&str>) {
        self.ask("GET", target, token, &[], "").await;
    }

    /// Requests of every kind, most of them refused.
    async fn traffic(&mut self) {
        let user = token(json!({ "org_id": 1, "email": "canary-claim@example.test", "jti": "id" }));
        let expired = token(json!({ "org_id": 1, "exp": now() - 600, "iat": now() - 1200 }));
        let numbers = token(json!({ "org_id": 1, "email": ["canary-claim-in-a-list"] }));
        let canaries = &mut self.canaries;
        parts(canaries, ["claims of a user", "signature of a user"], &user);
        parts(canaries, ["expired claims", "expired signature"], &expired);
        for more in [
            "&where=name%20%3D%20'canary-value'&x=canary-unknown",
            "&where=name%20%3D%3D%20'canary-value'",
            "&secret=canary-guessed",
            "&table=canary_table'",
        ] {
            self.get(&format!("{USERS}{more}"), Some(&user)).await;
        }
        for bad in [&expired, &numbers, "canary-opaque-token", "canary.no.token"] {
            self.get(USERS, Some(bad)).await;
        }
        self.get("/api/shapes/items?offset=-1", Some(&user)).await;
        self.bodies(&user).await;
        self.other_carriers().await;
        self.mint(&user).await;
        let wrong = Misbehaviour::always(Fault::Unauthorized);
        self.program.origin.misbehave(wrong);
        self.get(&format!("{USERS}&where=id%20%3D%201"), Some(&user))
            .await;
        self.program.origin.behave();
    }

    async fn bodies(&mut self, user: &str) {
        let json = [("content-type", "application/json")];
        for body in [
            r#"{"where":"name = 'canary-value'","limit":5}"#,
            r#"{"where":"canary-value'"}"#,
        ] {
            self.ask("POST", USERS, Some(user), &json, body).await;
        }
    }

    async fn other_carriers(&mut self) {
        let claims = json!({ "iss": "https://second.test", "aud": "sync", "sub": "u" });
        let cookie = sign(&json!({ "alg": "HS256", "typ": "JWT" }), &claims);
        parts(
            &mut self.canaries,
            ["cookie's claims", "cookie's signature"],
            &cookie,
        );
        let cookie = format!("session={cookie}");
        for header in [
            ("cookie", &*cookie),
            ("authorization", "Basic Y2FuYXJ5OmNhbmFyeQ=="),
        ] {
            self.ask("GET", USERS, None, &[header], "").await;
        }
    }

    async fn mint(&mut self, user: &str) {
        let json = [("content-type", "application/json")];
        let minted = self
            .ask("POST", "/gatekeeper/users", Some(user), &json, "{}")
            .await;
        assert_eq!(minted.status, 200, "{}", minted.text());
        // It is told to whom it is for, and to nobody else.
        self.answers.pop();
        let minted: Value = minted.json();
        let header = minted["headers"]["Authorization"].as_str().unwrap().to_owned();
        let shape = header.strip_prefix("Bearer ").unwrap().to_owned();
        parts(
            &mut self.canaries,
            ["signed claims", "signature of a shape"],
            &shape,
        );
        self.ask(
            "GET",
            "/proxy/v1/shape?offset=-1&table=users",
            Some(&shape),
            &[],
            "",
        )
        .await;
        let tampered = format!("{shape}A");
        self.ask(
            "GET",
            "/proxy/v1/shape?offset=-1&table=users",
            Some(&tampered),
            &[],
            "",
        )
        .await;
    }

    async fn operators(&mut self) {
        let admin = self.program.setup.admin;
        for (path, token) in [
            ("/revocations", ADMIN_TOKEN),
            ("/revocations", "canary-guessed-by-somebody"),
        ] {
            let asking =
                format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {token}\r\n\r\n");
            let answer = soon(Raw::connect(admin).await.ask(asking)).await;
            self.answers.push(answer);
        }
        for path in ["/metrics", "/status", "/readyz", "/nowhere?canary-guessed"] {
            let answer = self.program.admin(path).await;
            self.answers.push(answer);
        }
    }
}

fn canaries(setup: &Setup) -> Canaries {
    let key = fs::read_to_string(setup.path("gatekeeper.pem")).unwrap();
    let key = key.lines().nth(1).unwrap().to_owned();
    let mut canaries = Canaries::from([
        ("Electric's secret", ELECTRIC_SECRET.to_owned()),
        ("the issuer's secret", JWT_SECRET.to_owned()),
        ("the key that signs shapes", key),
    ]);
    for (what, text) in [
        ("everything that a test calls so", "canary"),
        ("what a client guessed", "Y2FuYXJ5OmNhbmFyeQ"),
    ] {
        canaries.insert(what, text.to_owned());
    }
    canaries
}

fn assert_clean(what: &str, text: &str, canaries: &Canaries) {
    for (name, canary) in canaries {
        let line = text.lines().find(|line| line.contains(canary));
        assert!(
            line.is_none(),
            "{name} is in {what}: {}",
            line.unwrap_or_default()
        );
    }
}

#[tokio::test]
async fn s4_no_secret_is_in_anything_that_comes_out() {
    let authorizer = Fake::saying(Say::Json(
        json!({ "allow": true, "facts": { "ok": "canary-fact" } }),
    ))
    .await;
    let setup = setup(&authorizer);
    let canaries = canaries(&setup);
    let (access, decisions) = (setup.path("access.log"), setup.path("decisions.log"));
    let config = setup.path("shapegate.yaml");
    let program = setup.start().await;
    let mut world = World {
        program,
        canaries,
        answers: Vec::new(),
    };
    world.traffic().await;
    world.operators().await;
    // A reload that is refused quotes what it refuses.
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("logs:", "loggs:")).unwrap();
    world.program.signal("HUP");
    world.program.until_metric("shapegate_reload_current", 0.0).await;
    let World {
        program,
        canaries,
        answers,
    } = world;
    let asked = answers.len() - 6;
    lines(&access, asked).await;
    let (access, decisions) = (
        fs::read_to_string(&access).unwrap(),
        fs::read_to_string(&decisions).unwrap(),
    );
    assert!(decisions.lines().count() > asked / 2, "{decisions}");
    until("it talks", || {
        program.output().contains("TRACE") || program.output().contains("DEBUG")
    })
    .await;
    assert_clean("the access log", &access, &canaries);
    assert_clean("the decision log", &decisions, &canaries);
    assert_clean("standard error", &program.output(), &canaries);
    let mut codes = std::collections::BTreeSet::new();
    for answer in &answers {
        let text = String::from_utf8_lossy(&answer.body);
        let headers: String = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        assert_clean("an answer", &format!("{headers}{text}"), &canaries);
        codes.insert(answer.status);
    }
    assert!(
        codes.is_superset(&[200, 400, 401, 403, 404, 502].into()),
        "{codes:?}"
    );
    fs::write(&config, text).unwrap();
    let printed = soon(tokio::task::spawn_blocking(move || printed(&config)))
        .await
        .unwrap();
    assert_clean("what `check --print` prints", &printed, &canaries);
}

fn printed(config: &Path) -> String {
    let mut command = crate::program::command("check", config);
    command
        .arg("--print")
        .env("ADMIN_TOKEN", ADMIN_TOKEN)
        .env("AUTHORIZER_TOKEN", AUTHORIZER_TOKEN);
    let output = command.output().unwrap();
    let (out, err) = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .into();
    assert!(output.status.success(), "{err}");
    out + &err
}
