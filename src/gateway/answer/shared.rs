//! Answers that several clients get: labelled for each of them.

use std::sync::Arc;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use shapegate_core::answer::HeaderRule;
use shapegate_core::coding::Coding;
use shapegate_core::request::Verb;
use shapegate_core::time::Now;

use super::{
    HEADERS_ROOM, Reply, Written, is_bodyless, is_bodyless_status, label, rebind, value_of, weak, with_status,
};
use crate::gateway::admit::{Admitted, is_revoked};
use crate::gateway::state::State;
use crate::hub::cache::Stored;
use crate::hub::{Coded, Head, Source};

static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The header that a client gets for an answer that is shared, whose body has `length` bytes if all of it
/// has come. A condition of the client's that names the answer makes it 304.
pub fn shared(
    shared: &Head,
    length: Option<usize>,
    source: Source,
    admitted: &Admitted,
    reply: &Reply<'_>,
) -> ResponseHeader {
    reply.told.hub(outcome(source));
    if source != Source::Kept {
        reply.told.upstream_said(shared.status().as_u16());
    }
    let condition = admitted.along.if_none_match.as_ref();
    let not_modified = shared.status() == StatusCode::OK && shared.is_named_by(condition);
    let status = if not_modified {
        StatusCode::NOT_MODIFIED
    } else {
        shared.status()
    };
    let mut headers = passed(shared, not_modified, admitted);
    if !is_bodyless_status(status) && !headers.contains_key(header::CONTENT_LENGTH) {
        match length.filter(|_| admitted.expected.verb != Verb::Head) {
            Some(length) => headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length)),
            None => headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        };
    }
    if let Some(told) = cache_status(source).filter(|_| reply.tells_source) {
        headers.insert(&CACHE_STATUS, told);
    }
    label(
        &mut headers,
        status.as_u16(),
        admitted,
        shared.cache_control(),
        reply,
    );
    with_status(status.as_u16(), headers)
}

/// What a client gets of a shared header; of a 304 there is no body to frame.
fn passed(shared: &Head, not_modified: bool, admitted: &Admitted) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    for (name, value, rule) in shared.fields() {
        match rule {
            HeaderRule::Framing if not_modified => {}
            HeaderRule::Pass | HeaderRule::Framing => {
                headers.append(name, value.clone());
            }
            HeaderRule::Rebind => {
                if let Some(value) = rebind(name, value, admitted.permit.handles()) {
                    headers.insert(name, value);
                }
            }
            HeaderRule::Drop => {}
        }
    }
    headers
}

/// As metrics and logs name it.
fn outcome(source: Source) -> &'static str {
    match source {
        Source::Kept => "hit",
        Source::Joined => "joined",
        Source::Fetched => "miss",
        Source::Revalidated => "stale",
        Source::Alone => "alone",
    }
}

/// RFC 9211.
fn cache_status(source: Source) -> Option<HeaderValue> {
    let told = match source {
        Source::Kept => return None,
        Source::Joined => "shapegate; fwd=uri-miss; collapsed",
        Source::Fetched => "shapegate; fwd=uri-miss",
        Source::Revalidated => "shapegate; fwd=stale",
        Source::Alone => "shapegate; fwd=bypass",
    };
    Some(HeaderValue::from_static(told))
}

/// Answers with what was kept, and is as old as it is `now`.
///
/// # Errors
/// When the client is gone, or what it came with is revoked while it reads.
pub async fn kept(
    state: &State,
    session: &mut ServerSession,
    stored: &Arc<Stored>,
    admitted: &Admitted,
    now: Now,
    reply: &Reply<'_>,
) -> Written {
    let mut head = shared(&stored.head, Some(stored.length), Source::Kept, admitted, reply);
    let age = HeaderValue::from(stored.head.age(now.monotonic).as_secs());
    head.insert_header(header::AGE, age)?;
    if reply.tells_source {
        let told = format!("shapegate; hit; ttl={}", stored.left(now.monotonic).as_secs());
        head.insert_header(&CACHE_STATUS, value_of(told.into()))?;
    }
    whole(state, session, stored, (admitted, now), head).await
}

/// Answers with what was kept and has just been confirmed.
///
/// # Errors
/// As [`kept()`].
pub async fn confirmed(
    state: &State,
    session: &mut ServerSession,
    stored: &Arc<Stored>,
    admitted: &Admitted,
    source: Source,
    reply: &Reply<'_>,
) -> Written {
    let head = shared(&stored.head, Some(stored.length), source, admitted, reply);
    whole(state, session, stored, (admitted, state.clock.now()), head).await
}

/// Sends all of what was kept, in the coding that the client likes best if it is made.
async fn whole(
    state: &State,
    session: &mut ServerSession,
    stored: &Arc<Stored>,
    (admitted, now): (&Admitted, Now),
    mut head: ResponseHeader,
) -> Written {
    let mut body = &stored.body;
    if head.status == StatusCode::OK {
        let headers = &session.req_header().headers;
        if let Some((coding, coded)) = state.hub.coded(&admitted.wanted(now), headers, stored) {
            label_coded(&mut head, coding, coded)?;
            body = &coded.body;
        }
    }
    let bodyless = is_bodyless(session, &head) || body.is_empty();
    session.write_response_header(Box::new(head)).await?;
    if bodyless {
        return Ok(());
    }
    let last = body.len().saturating_sub(1);
    for (index, piece) in body.iter().enumerate() {
        if is_revoked(state, admitted) {
            return Err(revoked());
        }
        session.write_response_body(piece.clone(), index == last).await?;
    }
    Ok(())
}

/// Says what its body is encoded in.
fn label_coded(head: &mut ResponseHeader, coding: Coding, coded: &Coded) -> Written {
    let name = HeaderValue::from_static(coding.as_str());
    head.insert_header(header::CONTENT_ENCODING, name)?;
    head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(coded.length))?;
    let etag = head.headers.get(header::ETAG).and_then(weak);
    if let Some(etag) = etag {
        head.insert_header(header::ETAG, etag)?;
    }
    Ok(())
}

/// What ends an answer under way once what its client came with was revoked.
pub fn revoked() -> Box<pingora_core::Error> {
    let kind = pingora_core::ErrorType::ConnectionClosed;
    pingora_core::Error::explain(kind, "the credential was revoked").into_up()
}
