//! The only writer of headers to a client: answers passed on, answers made here, errors.

mod gatekeeper;
mod refusals;
mod shared;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora_core::protocols::http::ServerSession;
use pingora_http::{RequestHeader, ResponseHeader};
use shapegate_core::answer::{
    self, HeaderRule, MUST_REFETCH_BODY, Passed, Varies, cache_control, etag_for_client, header_rule,
    next_cursor,
};
use shapegate_core::code::Refusal;
use shapegate_core::handle::{HandleBinding, UpstreamHandle};
use shapegate_core::request::Verb;

use super::admit::Admitted;
use super::context::RequestContext;
use super::cors::CorsGrant;
use super::state::State;
use super::told::Told;
use crate::admin::Metrics;
use crate::clock::Clock;
use crate::hub::health::Health;
use crate::journal::Throttle;

pub use gatekeeper::{minted, public_keys};
pub use refusals::{method_not_allowed, refusal_body, refusal_head_chunked, refuse};
pub use shared::{confirmed, kept, revoked, shared};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Room for the headers of any answer, so that adding one never moves the others.
const HEADERS_ROOM: usize = 24;

type Written = pingora_core::Result<()>;

/// A response's header. Pingora's own ways to add to one read every name anew and copy it.
fn with_status(status: u16, headers: HeaderMap) -> ResponseHeader {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    // Every status here is the upstream's or one of ours, and so is one.
    parts.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    parts.headers = headers;
    ResponseHeader::from(parts)
}

/// What every answer to one request has in common.
pub struct Reply<'a> {
    request_id: &'a HeaderValue,
    cors: &'a CorsGrant,
    metrics: &'a Metrics,
    clock: &'a dyn Clock,
    told: &'a Told,
    throttle: &'a Throttle,
    tells_source: bool,
    encodes: bool,
}

impl<'a> Reply<'a> {
    /// Answers to the request of `ctx`.
    pub fn to(ctx: &'a RequestContext, state: &'a State) -> Self {
        Self {
            request_id: &ctx.request_id,
            cors: &ctx.cors,
            metrics: &state.metrics,
            clock: &*state.clock,
            told: &ctx.told,
            throttle: &state.journal.refusals,
            tells_source: state.tells_source,
            encodes: state.hub.encodes(),
        }
    }

    /// What is told of the request.
    pub fn told(&self) -> &Told {
        self.told
    }

    /// An upstream's answer is passed on, and begins now.
    fn passes_on(&self, status: u16) {
        let now = || self.clock.now().monotonic;
        self.told.passes_on(status, self.metrics, now);
    }

    /// Writes what is on every answer: the request's id and the page's grant.
    fn finish(&self, headers: &mut HeaderMap) {
        headers.insert(&X_REQUEST_ID, self.request_id.clone());
        self.cors.write(headers);
        self.told.answers(self.clock);
    }
}

/// The header that a client gets for an upstream's.
///
/// # Errors
/// What the client is told instead, when the answer is not one to pass on.
pub fn relabel(
    upstream: &ResponseHeader,
    admitted: &Admitted,
    reply: &Reply<'_>,
) -> Result<ResponseHeader, Refusal> {
    let status = upstream.status.as_u16();
    reply.told.upstream_said(status);
    let text = |name: &'static str| text_of(&upstream.headers, name);
    let passed = answer::judge(admitted.expected, status, text)?;
    let mut headers = passed_headers(upstream, admitted.permit.handles());
    let bodyless = matches!(passed, Passed::NotModified) || is_bodyless_status(upstream.status);
    if !bodyless && !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    reply.passes_on(status);
    label(&mut headers, status, admitted, text("cache-control"), reply);
    Ok(with_status(status, headers))
}

/// The first value under a name in lower case, if it is a text. Of so few headers, looking at each is quicker
/// than making the name one to look up by.
fn text_of<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let mut headers = headers.iter();
    let (_, value) = headers.find(|(name, _)| name.as_str() == wanted)?;
    value.to_str().ok()
}

/// What a client gets of an upstream's headers.
fn passed_headers(upstream: &ResponseHeader, handles: &HandleBinding) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    for (name, value) in &upstream.headers {
        match header_rule(name.as_str()) {
            HeaderRule::Pass | HeaderRule::Framing => {
                headers.append(name, value.clone());
            }
            HeaderRule::Rebind => {
                if let Some(value) = rebind(name, value, handles) {
                    headers.insert(name, value);
                }
            }
            HeaderRule::Drop => {}
        }
    }
    headers
}

/// A header with a handle in it, as the client knows the handle.
fn rebind(name: &HeaderName, value: &HeaderValue, handles: &HandleBinding) -> Option<HeaderValue> {
    if !handles.is_tagged() {
        return Some(value.clone());
    }
    let text = value.to_str().ok()?;
    let rebound = if name == header::ETAG {
        etag_for_client(text, handles)?
    } else {
        handles.tag(&UpstreamHandle::parse(text)?).as_str().to_owned()
    };
    HeaderValue::try_from(rebound).ok()
}

/// Says who may keep the answer, and for whom it is.
fn label(
    headers: &mut HeaderMap,
    status: u16,
    admitted: &Admitted,
    upstream_cache_control: Option<&str>,
    reply: &Reply<'_>,
) {
    let live = admitted.request.live();
    let cached = cache_control(
        admitted.audience,
        admitted.expected.verb,
        status,
        live,
        upstream_cache_control,
    );
    headers.insert(header::CACHE_CONTROL, value_of(cached));
    let varies = Varies {
        authorization: admitted.audience == answer::Audience::Private,
        cookie: admitted.audience == answer::Audience::Private && admitted.reads_cookies,
        origin: reply.cors.varies(),
        accept_encoding: reply.encodes && may_be_coded(status, admitted),
    };
    if let Some(vary) = varies.header() {
        headers.insert(header::VARY, HeaderValue::from_static(vary));
    }
    // A cache applies a 304 to those of its answers alone whose tag is as strong (RFC 9111 §4.3.4).
    let weakened = headers
        .get(header::ETAG)
        .filter(|_| status == 304 && admitted.asks_weakly);
    if let Some(etag) = weakened.and_then(weak) {
        headers.insert(header::ETAG, etag);
    }
    if admitted.request.is_sse() {
        headers.insert(&X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    reply.finish(headers);
}

/// Whether the same request may be answered in a coding, now or another time: it reads a log that is shared.
fn may_be_coded(status: u16, admitted: &Admitted) -> bool {
    matches!(status, 200 | 304)
        && admitted.shares
        && matches!(admitted.expected.verb, Verb::Get | Verb::Head)
        && !admitted.request.is_sse()
        && admitted.permit.subset().is_none()
}

/// An entity tag as a weak one: the body means the same, byte by byte it is another.
fn weak(etag: &HeaderValue) -> Option<HeaderValue> {
    let strong = etag.to_str().ok().filter(|etag| !etag.starts_with("W/"))?;
    HeaderValue::try_from(format!("W/{strong}")).ok()
}

/// A text that is a header's value; what is not, of which there is none, forbids what it might have allowed.
fn value_of(text: Cow<'static, str>) -> HeaderValue {
    match text {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-store")),
    }
}

/// Whether an answer ends with its header.
pub fn is_bodyless(session: &ServerSession, head: &ResponseHeader) -> bool {
    session.req_header().method == Method::HEAD || is_bodyless_status(head.status)
}

fn is_bodyless_status(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether an upstream's answer to `request` has a body that another can be put in the place of.
pub fn has_body(upstream: &ResponseHeader, request: &RequestHeader) -> bool {
    let length = upstream.headers.get(header::CONTENT_LENGTH);
    request.method != Method::HEAD
        && !is_bodyless_status(upstream.status)
        && length.map_or_else(
            || upstream.headers.contains_key(header::TRANSFER_ENCODING),
            |length| length != "0",
        )
}

/// Answers a preflight.
///
/// # Errors
/// When the client is gone.
pub async fn preflight(session: &mut ServerSession, methods: &'static str, reply: &Reply<'_>) -> Written {
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    let asked = &session.req_header().headers;
    reply.cors.write_preflight(&mut headers, asked, methods);
    headers.insert(&X_REQUEST_ID, reply.request_id.clone());
    if reply.cors.varies() {
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    let head = with_status(204, headers);
    session.write_response_header(Box::new(head)).await
}

/// Answers with an upstream's health, in Electric's form.
///
/// # Errors
/// When the client is gone.
pub async fn health(session: &mut ServerSession, health: Health, reply: &Reply<'_>) -> Written {
    let cache_control = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, cache_control);
    reply.finish(&mut headers);
    let body = format!(r#"{{"status":"{}"}}"#, health.as_str());
    send(session, health.status(), headers, Bytes::from(body)).await
}

/// Answers that the client starts again, as Electric does when it knows no newer handle.
///
/// # Errors
/// When the client is gone.
pub async fn must_refetch(session: &mut ServerSession, reply: &Reply<'_>) -> Written {
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    let cache_control = HeaderValue::from_static("private, no-store");
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, cache_control);
    reply.finish(&mut headers);
    let body = Bytes::from_static(MUST_REFETCH_BODY.as_bytes());
    send(session, 409, headers, body).await
}

/// Ends a wait as Electric ends one that timed out; the next request is judged anew. What is finite cannot be told
/// as "nothing new", and is refused as that next request will be.
///
/// # Errors
/// When the client is gone.
pub async fn nothing_new(
    state: &State,
    session: &mut ServerSession,
    admitted: &Admitted,
    refusal: &Refusal,
    reply: &Reply<'_>,
) -> Written {
    let position = admitted.permit.position();
    let Some(handle) = position.handle.as_ref().filter(|_| admitted.request.waits()) else {
        return refuse(session, refusal, reply).await;
    };
    let cursor = next_cursor(
        state.clock.now().wall,
        position.cursor,
        state.request_ids.random(),
    );
    let handle = admitted.permit.handles().tag(handle);
    reply.told.hub("ended");
    let made = answer::nothing_new(position.live, &handle, position.offset, cursor);
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    label(&mut headers, 200, admitted, None, reply);
    // Its own `cache-control` wins: nobody may keep an answer that was made up here.
    for (name, value) in made.headers {
        headers.insert(name, value_of(value.into()));
    }
    send(session, 200, headers, Bytes::from(made.body)).await
}

/// Sends a whole answer.
async fn send(session: &mut ServerSession, status: u16, mut headers: HeaderMap, body: Bytes) -> Written {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let head = Box::new(with_status(status, headers));
    let bodyless = session.req_header().method == Method::HEAD;
    session.write_response_header(head).await?;
    if bodyless {
        Ok(())
    } else {
        session.write_response_body(body, true).await
    }
}
