//! What a credential goes by: the names under which it can be revoked and found in logs.

use std::sync::Arc;

use crate::time::UnixMillis;

/// The names of a verified credential. None of them is a secret, and none is enough to make another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// Whose it is: `sub`.
    pub subject: Option<Arc<str>>,
    /// Who vouches: a token's `iss`, or the name of another method.
    pub issuer: Option<Arc<str>>,
    /// Its own id and those of what it was made from: `jti` (RFC 7519 §4.1.7) and `origin_jti`.
    pub token_ids: Vec<Arc<str>>,
    /// The key that it was signed with: by the token's header (RFC 7515 §4.1.4) and by the key's own name, which
    /// differ where one of them has none.
    pub key_ids: Vec<Arc<str>>,
    /// When it was issued: `iat`.
    pub issued_at: Option<UnixMillis>,
}
