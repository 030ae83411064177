//! Tokens for the demo's users, as an application's login would give them.

use crate::clock::Clock;
use crate::identity::install_crypto;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use std::sync::Arc;

/// How long a token of the demo is good, in seconds.
const TOKEN_TTL_SECONDS: i64 = 600;

/// The demo's users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// A member of the first organisation.
    Org1,
    /// A member of the second.
    Org2,
    /// One who may see all rows.
    Admin,
}

impl User {
    /// All of them, by the names that the page uses.
    pub(super) const ALL: [(&'static str, Self); 3] =
        [("org1", Self::Org1), ("org2", Self::Org2), ("admin", Self::Admin)];

    fn claims(self, now: i64) -> Claims {
        let (sub, org_id, roles) = match self {
            Self::Org1 => ("ann", Some(1), vec![]),
            Self::Org2 => ("cem", Some(2), vec![]),
            Self::Admin => ("root", None, vec!["admin"]),
        };
        Claims {
            iss: "shapegate-demo",
            aud: "demo",
            sub,
            iat: now,
            exp: now + TOKEN_TTL_SECONDS,
            org_id,
            roles,
        }
    }
}

#[derive(Serialize)]
struct Claims {
    iss: &'static str,
    aud: &'static str,
    sub: &'static str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'static str>,
}

/// Signs tokens.
pub(super) struct Tokens {
    key: EncodingKey,
    clock: Arc<dyn Clock>,
}

impl Tokens {
    /// Signs with `secret`.
    pub(super) fn new(secret: &str, clock: Arc<dyn Clock>) -> Self {
        install_crypto();
        Self {
            key: EncodingKey::from_secret(secret.as_bytes()),
            clock,
        }
    }

    /// A fresh token.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub(super) fn sign(&self, user: User) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = user.claims(self.clock.now().wall.seconds());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)
    }
}
