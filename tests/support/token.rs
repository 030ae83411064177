//! Tokens as an issuer of users would sign them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::gateway::JWT_SECRET;

pub const ISSUER: &str = "https://issuer.test";
pub const AUDIENCE: &str = "sync";

/// The configuration of the issuer.
pub const IDENTITY: &str = "
identity:
  - jwt:
      issuer: https://issuer.test
      audience: sync
      keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ]
      claims: { roles: { from: roles, type: list, default: [] }, org_id: { from: org_id, type: int, default: 0 } }
";

/// The moment at which tokens are signed, in seconds: one a process, so that a clock that a test starts at it
/// stands where its tokens do, however slow the machine.
#[allow(
    clippy::disallowed_methods,
    reason = "an issuer outside the gateway has a clock of its own"
)]
pub fn now() -> i64 {
    static NOW: std::sync::LazyLock<i64> = std::sync::LazyLock::new(|| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        i64::try_from(since.as_secs()).expect("before the end of time")
    });
    *NOW
}

/// A token with these claims over the usual ones, valid for ten minutes.
pub fn token(claims: Value) -> String {
    let mut all =
        json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "user_1", "iat": now(), "exp": now() + 600 });
    merge(&mut all, claims);
    sign(&json!({ "alg": "HS256", "typ": "JWT" }), &all)
}

fn merge(all: &mut Value, more: Value) {
    let (Value::Object(all), Value::Object(more)) = (all, more) else {
        panic!("claims are an object")
    };
    for (name, value) in more {
        if value.is_null() {
            all.remove(&name)
        } else {
            all.insert(name, value)
        };
    }
}

pub fn sign(header: &Value, claims: &Value) -> String {
    shapegate::identity::install_crypto();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    format!("{signed}.{signature}")
}

/// A user of an organisation.
pub fn member(org: i64) -> String {
    token(json!({ "sub": format!("user_of_{org}"), "org_id": org }))
}

/// A user who may see everything.
pub fn admin() -> String {
    token(json!({ "sub": "admin", "roles": ["admin"] }))
}
