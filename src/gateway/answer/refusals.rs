//! Answers that refuse: their bodies, their headers, and what is noted of them.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use serde::Serialize;
use shapegate_core::code::{Code, Refusal};

use super::{HEADERS_ROOM, Reply, Written, send, with_status};
use crate::identity::challenge;

/// What a 429 or 503 says when its cause says nothing, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The body of an error answer.
#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    request_id: &'a str,
}

/// Notes a refusal, and gives the body that a client gets for it.
pub fn refusal_body(refusal: &Refusal, reply: &Reply<'_>) -> Bytes {
    note(refusal, reply);
    let body = ErrorBody {
        code: refusal.code.as_str(),
        message: &refusal.message,
        request_id: reply.request_id.to_str().unwrap_or_default(),
    };
    // Three strings always serialise.
    Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
}

/// The headers of an error answer, its body's framing aside.
fn refusal_headers(refusal: &Refusal, reply: &Reply<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge(refusal.code) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(seconds) = retry_after(refusal) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if reply.cors.varies() {
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    reply.finish(&mut headers);
    headers
}

/// The header of an error answer whose body is not known yet.
pub fn refusal_head_chunked(refusal: &Refusal, reply: &Reply<'_>) -> ResponseHeader {
    let mut headers = refusal_headers(refusal, reply);
    headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    with_status(refusal.code.status(), headers)
}

fn retry_after(refusal: &Refusal) -> Option<u64> {
    let waits = matches!(refusal.code.status(), 429 | 503);
    let asked = refusal.retry_after.map(|pause| pause.as_secs().max(1));
    asked.or(waits.then_some(RETRY_AFTER_SECONDS))
}

/// Faults that an operator must see are warnings; what clients do wrong is for those who look closely. Of one kind
/// only so many a second are told.
fn note(refusal: &Refusal, reply: &Reply<'_>) {
    reply.metrics.refused(refusal.code);
    reply.told.refused(refusal.code);
    let level = if refusal.code.status() >= 500 {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    if !log::log_enabled!(level) {
        return;
    }
    let now = reply.clock.now().monotonic;
    let Some(suppressed) = reply.throttle.admit(reply.told.tenant(), refusal.code, now) else {
        return;
    };
    if suppressed > 0 {
        log::log!(level, "{suppressed} refusals like the next one were not told");
    }
    let detail = refusal.detail.as_deref().unwrap_or("-");
    let id = reply.request_id.to_str().unwrap_or_default();
    log::log!(level, "request {id}: {}: {detail}", refusal.code);
}

/// Answers with an error, and keeps the connection.
///
/// # Errors
/// When the client is gone.
pub async fn refuse(session: &mut ServerSession, refusal: &Refusal, reply: &Reply<'_>) -> Written {
    let body = refusal_body(refusal, reply);
    let headers = refusal_headers(refusal, reply);
    send(session, refusal.code.status(), headers, body).await
}

/// Answers that the method is not taken here.
///
/// # Errors
/// When the client is gone.
pub async fn method_not_allowed(
    session: &mut ServerSession,
    allowed: &'static str,
    reply: &Reply<'_>,
) -> Written {
    let refusal = Refusal::new(Code::MethodNotAllowed, format!("This route takes {allowed}."));
    let body = refusal_body(&refusal, reply);
    let mut headers = refusal_headers(&refusal, reply);
    headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    send(session, refusal.code.status(), headers, body).await
}
