//! Answers of the gatekeeper: a token, and the keys that verify it.

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::{Reply, Written, send};
use crate::gatekeeper::{JWKS_MAX_AGE, KeySet};

/// Answers with a token, which nobody keeps but the client.
///
/// # Errors
/// When the client is gone.
pub async fn minted(session: &mut Session, body: Bytes, reply: &Reply<'_>) -> Written {
    let mut head = ResponseHeader::build_no_case(StatusCode::OK, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    reply.finish(&mut head)?;
    send(session, head, body).await
}

/// Answers with the public keys, which anybody may keep for a while.
///
/// # Errors
/// When the client is gone.
pub async fn public_keys(session: &mut Session, keys: KeySet, reply: &Reply<'_>) -> Written {
    let known = is_known(&session.req_header().headers, &keys.etag);
    let status = if known {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    };
    let mut head = ResponseHeader::build_no_case(status, Some(8))?;
    let cached = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    head.insert_header(header::CACHE_CONTROL, cached)?;
    head.insert_header(header::ETAG, keys.etag)?;
    if reply.cors.varies() {
        head.insert_header(header::VARY, HeaderValue::from_static("origin"))?;
    }
    reply.finish(&mut head)?;
    if known {
        return session.write_response_header(Box::new(head), true).await;
    }
    let media_type = HeaderValue::from_static("application/jwk-set+json");
    head.insert_header(header::CONTENT_TYPE, media_type)?;
    send(session, head, keys.body).await
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
