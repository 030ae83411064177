//! The public keys, for whoever verifies tokens without us (RFC 7517).

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use shapegate_core::time::UnixMillis;

use super::keys::SigningKeys;

/// Where the keys are published.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";
/// How long a copy of the set may be used: the next key must be published for longer before it signs.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);

/// The set as it is published at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// `{"keys": […]}`.
    pub body: Bytes,
    /// Its entity tag, quotes included.
    pub etag: String,
}

impl KeySet {
    /// The public halves of the keys whose tokens are taken at that moment. Shared secrets are never in it.
    pub(super) fn at(keys: &SigningKeys, now: UnixMillis) -> Self {
        let public: Vec<&str> = keys.taken(now).filter_map(|key| key.public()).collect();
        let body = format!(r#"{{"keys":[{}]}}"#, public.join(","));
        let hash = digest::digest(&digest::SHA256, body.as_bytes());
        let short = hash.as_ref().get(..12).unwrap_or_default();
        Self {
            etag: format!("\"{}\"", URL_SAFE_NO_PAD.encode(short)),
            body: body.into(),
        }
    }
}
