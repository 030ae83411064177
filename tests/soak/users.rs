//! Who asks, with which credentials.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::json;
use shapegate::identity::Algorithm;

use crate::provider::{Keys, NamedKey, Provider, key};
use crate::signing::hmac_signer;
use crate::support::token::{AUDIENCE, ISSUER, now};

/// The first half belongs to `acme`, the other to `beta`.
pub const ORGS: std::ops::Range<i64> = 1..9;

/// Secrets that tokens are signed with, one after the other.
pub const SECRETS: [&str; 2] = [
    "the-first-secret-of-32-bytes-or-more-canary",
    "the-second-secret-of-32-bytes-or-more-canary",
];

/// A user of an organisation.
#[derive(Clone, Debug)]
pub struct User {
    pub org: i64,
    pub subject: String,
}

/// So many users of each organisation.
pub fn followers(each: u64) -> impl Iterator<Item = User> {
    ORGS.flat_map(move |org| (0..each).map(move |number| User::new(org, &number.to_string())))
}

impl User {
    pub fn new(org: i64, name: &str) -> Self {
        Self {
            org,
            subject: format!("user_{org}_{name}"),
        }
    }

    pub fn tenant(&self) -> &'static str {
        if self.org < 5 { "acme" } else { "beta" }
    }

    pub fn host(&self) -> String {
        format!("{}.test", self.tenant())
    }

    /// Half of the users have tokens of an issuer that publishes its keys; the others' secret is in a file.
    pub fn is_of_publisher(&self) -> bool {
        self.org % 2 == 0
    }

    /// A token signed with the secret of this number.
    pub fn token_by_secret(&self, number: u64) -> String {
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "iat": now(), "exp": now() + 36_000,
            "sub": self.subject, "org_id": self.org, "tenant": self.tenant(),
        });
        hmac_signer(Algorithm::HS256, secret(number).as_bytes()).token(&claims)
    }
}

pub fn secret(number: u64) -> &'static str {
    SECRETS[usize::try_from(number % 2).unwrap()]
}

/// An issuer that publishes two of its keys: the one that it signs with, and the one before.
pub struct Publisher {
    pub provider: Provider,
    keys: [NamedKey; 4],
    /// Signatures differ every time; the same tokens are to be seen again and again.
    tokens: Mutex<HashMap<(String, u64), String>>,
}

impl Publisher {
    pub async fn start() -> Self {
        let keys = ["a", "b", "c", "d"].map(key);
        let provider = Provider::start(published(&keys, 0)).await;
        Self {
            provider,
            keys,
            tokens: Mutex::default(),
        }
    }

    pub fn publish(&self, number: u64) {
        self.provider.publish(published(&self.keys, number));
    }

    pub fn token(&self, user: &User, number: u64) -> String {
        let mut tokens = self.tokens.lock().unwrap();
        let known = tokens.entry((user.subject.clone(), number % 4));
        let token = known.or_insert_with(|| {
            let claims = json!({ "sub": user.subject, "org_id": user.org, "tenant": user.tenant() });
            at(&self.keys, number).token(&self.provider.issuer(), &claims)
        });
        token.clone()
    }
}

fn at(keys: &[NamedKey; 4], number: u64) -> &NamedKey {
    &keys[usize::try_from(number % 4).unwrap()]
}

/// The keys, on a connection that is not kept: what is left open can be counted then.
fn published(keys: &[NamedKey; 4], number: u64) -> Keys {
    let set = json!({ "keys": [at(keys, number).jwk(), at(keys, number + 3).jwk()] }).to_string();
    let length = set.len();
    Keys::Bytes(
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{set}").into_bytes(),
    )
}
