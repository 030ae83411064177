//! A gateway that mints and verifies, and a client that does as it is told.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use shapegate::clock::ManualClock;
use shapegate::gatekeeper::{SigningAlgorithm, generate_private_key};
use shapegate_core::time::UnixMillis;
use tempfile::TempDir;

use crate::support::gateway::{Gateway, origin, request};
use crate::support::raw::Answer;
use crate::support::token::{self, IDENTITY};

pub const PATH: &str = "/proxy/v1/shape";
pub const URL: &str = "https://sync.example.com/proxy/v1/shape";
/// What `verify` takes besides our own tokens, signed as the tests' users are.
pub const PARTNER: &str = "https://partner.test";

/// Nothing is kept, so that every read is seen upstream.
pub const SHAPES: &str = r#"
limits: { hub_bytes_max: 0KiB }
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    client: { where: narrow, columns: subset, replica: [default, full] }
    rules:
      - { when: '"admin" in user.roles', rows: all, ttl: 10m }
      - { when: user.org_id != 0, rows: { where: '"org_id" = $1', params: [user.org_id] } }
  items: { table: items, columns: all, access: public, client: { where: narrow }, rules: [{ rows: all }] }
  sink:
    table: app."Kitchen Sink"
    columns: [id, '"Mixed Case"', '"a,b"']
    rules: [{ when: '"admin" in user.roles', rows: all }]
  memberships:
    path: /api/orgs/{org:int}/memberships
    query: { role: text }
    table: memberships
    columns: all
    rules:
      - when: request.path.org == user.org_id && has(request.query.role)
        rows: { where: '"org_id" = $1 AND "role" = $2', params: [request.path.org, request.query.role] }
  hidden: { table: hidden, columns: all, rules: [{ rows: all }] }
"#;

/// A world in which time stands still until it is told to move.
pub struct World {
    pub gateway: Gateway,
    pub clock: ManualClock,
    folder: TempDir,
}

/// A private key in a file.
pub fn key_file(folder: &Path, name: &str, algorithm: SigningAlgorithm) -> String {
    let der = generate_private_key(algorithm).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    let path = folder.join(name);
    if !path.exists() {
        std::fs::write(&path, pem).unwrap();
        private(&path);
    }
    path.display().to_string()
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl World {
    /// The usual one: an ES256 key, subsets allowed, a partner's tokens taken.
    pub async fn new() -> Self {
        Self::with(|folder| usual(folder, "")).await
    }

    /// With more under `mint`.
    pub async fn minting(more: &str) -> Self {
        Self::with(|folder| usual(folder, more)).await
    }

    /// With another configuration after `electric`.
    pub async fn with(text: impl FnOnce(&Path) -> String) -> Self {
        let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::before(origin(), &text(folder.path()), Arc::new(clock.clone())).await;
        Self {
            gateway,
            clock,
            folder,
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks for a token for `table`, which is a path segment, with a JSON body if there is one.
    pub async fn ask(&self, table: &str, user: Option<&str>, body: Option<Value>) -> Answer {
        let text = body.map_or_else(String::new, |body| body.to_string());
        let headers: &[_] = if text.is_empty() {
            &[]
        } else {
            &[("content-type", "application/json")]
        };
        let bytes = request("POST", &format!("/gatekeeper/{table}"), user, headers, &text);
        self.gateway.connect().await.ask(bytes).await
    }

    /// Asks, and must get one.
    pub async fn mint(&self, table: &str, user: &str, body: Option<Value>) -> Config {
        let answer = self.ask(table, Some(user), body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Config(answer.json())
    }

    /// A GET at the path of the proxy.
    pub async fn get(&self, query: &str, token: Option<&str>) -> Answer {
        self.gateway.get(&format!("{PATH}?{query}"), token).await
    }
}

pub fn usual(folder: &Path, more: &str) -> String {
    let key = key_file(folder, "one.pem", SigningAlgorithm::Es256);
    format!(
        "{IDENTITY}{SHAPES}
gatekeeper:
  mint:
    url: {URL}
    keys: [ {{ alg: ES256, file: {key}, kid: one }} ]
    {more}
  verify:
    paths: [{PATH}, /v1/shape]
    issuers: [ {{ issuer: {PARTNER}, audience: shapes, keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }} }} ] }} ]
    unsigned: {{ subset: {{ limit_max: 100 }} }}
  shapes: [users, items, sink, memberships]
"
    )
}

/// What minting answered, used as a client does that spreads it into its options.
#[derive(Clone, Debug)]
pub struct Config(pub Value);

impl Config {
    pub fn token(&self) -> &str {
        let header = self.0["headers"]["Authorization"].as_str().unwrap();
        header.strip_prefix("Bearer ").unwrap()
    }

    /// The definition's part of a query, as Electric's client writes it.
    pub fn query(&self) -> String {
        query_of(&self.0["params"])
    }

    pub fn header(&self) -> Value {
        part(self.token(), 0)
    }

    pub fn claims(&self) -> Value {
        part(self.token(), 1)
    }
}

pub fn query_of(params: &Value) -> String {
    let mut pairs = Vec::new();
    for (name, value) in params.as_object().unwrap() {
        match value {
            Value::Object(values) => {
                for (number, value) in values {
                    pairs.push((format!("params[{number}]"), value.as_str().unwrap().to_owned()));
                }
            }
            value => pairs.push((name.clone(), value.as_str().unwrap().to_owned())),
        }
    }
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}

/// A part of a token, decoded and not verified.
pub fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A token of the partner with this `shape`; `Value::Null` in `claims` removes one of the others.
pub fn partner(shape: Option<Value>, claims: &Value) -> String {
    let mut all = json!({ "iss": PARTNER, "aud": "shapes", "iat": token::now(), "exp": token::now() + 600 });
    if let Some(shape) = shape {
        all["shape"] = shape;
    }
    for (name, value) in claims.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    token::sign(&json!({ "alg": "HS256", "typ": "JWT" }), &all)
}

/// The published form of a claim for all of a table.
pub fn published(table: &str) -> Value {
    json!({ "namespace": null, "table": table, "where": null, "columns": null })
}
