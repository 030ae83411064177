//! Answers of the gatekeeper: a token, and the keys that verify it.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use pingora_core::protocols::http::ServerSession;

use super::{HEADERS_ROOM, Reply, Written, send, value_of, with_status};
use crate::gatekeeper::{JWKS_MAX_AGE, KeySet};

/// Answers with a token, which nobody keeps but the client.
///
/// # Errors
/// When the client is gone.
pub async fn minted(session: &mut ServerSession, body: Bytes, reply: &Reply<'_>) -> Written {
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.finish(&mut headers);
    send(session, 200, headers, body).await
}

/// Answers with the public keys, which anybody may keep for a while.
///
/// # Errors
/// When the client is gone.
pub async fn public_keys(session: &mut ServerSession, keys: KeySet, reply: &Reply<'_>) -> Written {
    let known = is_known(&session.req_header().headers, &keys.etag);
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    let cached = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    headers.insert(header::CACHE_CONTROL, value_of(cached.into()));
    headers.insert(header::ETAG, value_of(keys.etag.into()));
    if reply.cors.varies() {
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    reply.finish(&mut headers);
    if known {
        return session
            .write_response_header(Box::new(with_status(304, headers)))
            .await;
    }
    let media_type = HeaderValue::from_static("application/jwk-set+json");
    headers.insert(header::CONTENT_TYPE, media_type);
    send(session, 200, headers, keys.body).await
}

/// Whether the client has the set already. A weak tag is as good as a strong one (RFC 9110 §13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let condition = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    condition.is_some_and(|condition| {
        let mut tags = condition.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}
