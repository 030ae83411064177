//! The only writer of headers to a client: answers passed on, answers made here, errors.

mod gatekeeper;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use serde::Serialize;
use shapegate_core::answer::{
    self, HeaderRule, MUST_REFETCH_BODY, Passed, Varies, cache_control, etag_for_client, header_rule,
    next_cursor,
};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::handle::{HandleBinding, UpstreamHandle};

use super::admit::Admitted;
use super::context::RequestContext;
use super::cors::CorsGrant;
use super::held::Early;
use super::state::State;
use crate::admin::Metrics;
use crate::hub::health::Health;
use crate::identity::challenge;

pub use gatekeeper::{minted, public_keys};

/// What a 429 or 503 says when its cause says nothing, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

type Written = pingora_core::Result<()>;

/// What every answer to one request has in common.
pub struct Reply<'a> {
    request_id: &'a HeaderValue,
    cors: &'a CorsGrant,
    metrics: &'a Metrics,
}

impl<'a> Reply<'a> {
    /// Answers to the request of `ctx`.
    pub fn to(ctx: &'a RequestContext, state: &'a State) -> Self {
        Self {
            request_id: &ctx.request_id,
            cors: &ctx.cors,
            metrics: &state.metrics,
        }
    }

    /// Writes what is on every answer: the request's id and the page's grant.
    fn finish(&self, head: &mut ResponseHeader) -> Written {
        head.insert_header(HeaderName::from_static("x-request-id"), self.request_id)?;
        self.cors.write(head)
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
    let text = |name: &'static str| upstream.headers.get(name).and_then(|value| value.to_str().ok());
    let passed = answer::judge(admitted.expected, status, text)?;
    let mut head = ResponseHeader::build_no_case(status, Some(24)).map_err(|error| internal(&error))?;
    copy_headers(upstream, &mut head, &passed, admitted)
        .and_then(|()| label(&mut head, admitted, text("cache-control"), reply))
        .map_err(|error| internal(&error))?;
    Ok(head)
}

fn copy_headers(
    upstream: &ResponseHeader,
    head: &mut ResponseHeader,
    passed: &Passed,
    admitted: &Admitted,
) -> Written {
    for (name, value) in &upstream.headers {
        match header_rule(name.as_str()) {
            HeaderRule::Pass | HeaderRule::Framing => head.append_header(name, value).map(drop)?,
            HeaderRule::Rebind => {
                if let Some(value) = rebind(name, value, admitted.permit.handles()) {
                    head.insert_header(name, value)?;
                }
            }
            HeaderRule::Drop => {}
        }
    }
    let bodyless = matches!(passed, Passed::NotModified) || is_bodyless_status(head.status);
    if !bodyless && !head.headers.contains_key(header::CONTENT_LENGTH) {
        head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    Ok(())
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
    head: &mut ResponseHeader,
    admitted: &Admitted,
    upstream_cache_control: Option<&str>,
    reply: &Reply<'_>,
) -> Written {
    let live = admitted.request.live();
    let cached = cache_control(
        admitted.audience,
        admitted.expected.verb,
        head.status.as_u16(),
        live,
        upstream_cache_control,
    );
    head.insert_header(header::CACHE_CONTROL, cached.as_ref())?;
    let varies = Varies {
        authorization: admitted.audience == answer::Audience::Private,
        origin: reply.cors.varies(),
        ..Varies::default()
    };
    if let Some(vary) = varies.header() {
        head.insert_header(header::VARY, vary)?;
    }
    if admitted.request.is_sse() {
        head.insert_header(
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        )?;
    }
    reply.finish(head)
}

/// Whether an answer ends with its header.
pub fn is_bodyless(session: &Session, head: &ResponseHeader) -> bool {
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

/// The header of an error answer, its body's framing aside.
///
/// # Errors
/// When a value is not a header value: a fault of this file.
pub fn refusal_head(refusal: &Refusal, reply: &Reply<'_>) -> pingora_core::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(refusal.code.status(), Some(12))?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    if let Some(challenge) = challenge(refusal.code) {
        head.insert_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))?;
    }
    if let Some(seconds) = retry_after(refusal) {
        head.insert_header(header::RETRY_AFTER, HeaderValue::from(seconds))?;
    }
    if reply.cors.varies() {
        head.insert_header(header::VARY, HeaderValue::from_static("origin"))?;
    }
    reply.finish(&mut head)?;
    Ok(head)
}

/// The header of an error answer whose body is not known yet.
///
/// # Errors
/// As [`refusal_head`].
pub fn refusal_head_chunked(refusal: &Refusal, reply: &Reply<'_>) -> pingora_core::Result<ResponseHeader> {
    let mut head = refusal_head(refusal, reply)?;
    head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    Ok(head)
}

fn retry_after(refusal: &Refusal) -> Option<u64> {
    let waits = matches!(refusal.code.status(), 429 | 503);
    let asked = refusal.retry_after.map(|pause| pause.as_secs().max(1));
    asked.or(waits.then_some(RETRY_AFTER_SECONDS))
}

/// Faults that an operator must see are warnings; what clients do wrong is for those who look closely.
fn note(refusal: &Refusal, reply: &Reply<'_>) {
    reply.metrics.refused(refusal.code);
    let detail = refusal.detail.as_deref().unwrap_or("-");
    let id = reply.request_id.to_str().unwrap_or_default();
    let level = if refusal.code.status() >= 500 {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    log::log!(level, "request {id}: {}: {detail}", refusal.code);
}

/// Answers with an error, and keeps the connection.
///
/// # Errors
/// When the client is gone.
pub async fn refuse(session: &mut Session, refusal: &Refusal, reply: &Reply<'_>) -> Written {
    let body = refusal_body(refusal, reply);
    let head = refusal_head(refusal, reply)?;
    send(session, head, body).await
}

/// Answers that the method is not taken here.
///
/// # Errors
/// When the client is gone.
pub async fn method_not_allowed(session: &mut Session, allowed: &str, reply: &Reply<'_>) -> Written {
    let refusal = Refusal::new(Code::MethodNotAllowed, format!("This route takes {allowed}."));
    let body = refusal_body(&refusal, reply);
    let mut head = refusal_head(&refusal, reply)?;
    head.insert_header(header::ALLOW, allowed)?;
    send(session, head, body).await
}

/// Answers a preflight.
///
/// # Errors
/// When the client is gone.
pub async fn preflight(session: &mut Session, methods: &str, reply: &Reply<'_>) -> Written {
    let mut head = ResponseHeader::build_no_case(StatusCode::NO_CONTENT, Some(8))?;
    reply
        .cors
        .write_preflight(&mut head, &session.req_header().headers, methods)?;
    head.insert_header(HeaderName::from_static("x-request-id"), reply.request_id)?;
    if reply.cors.varies() {
        head.insert_header(header::VARY, HeaderValue::from_static("origin"))?;
    }
    session.write_response_header(Box::new(head), true).await
}

/// Answers with an upstream's health, in Electric's form.
///
/// # Errors
/// When the client is gone.
pub async fn health(session: &mut Session, health: Health, reply: &Reply<'_>) -> Written {
    let mut head = ResponseHeader::build_no_case(health.status(), Some(8))?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    head.insert_header(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    )?;
    reply.finish(&mut head)?;
    let body = format!(r#"{{"status":"{}"}}"#, health.as_str());
    send(session, head, Bytes::from(body)).await
}

/// Answers that the client starts again, as Electric does when it knows no newer handle.
///
/// # Errors
/// When the client is gone.
pub async fn must_refetch(session: &mut Session, reply: &Reply<'_>) -> Written {
    let mut head = ResponseHeader::build_no_case(StatusCode::CONFLICT, Some(8))?;
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    head.insert_header(header::CONTENT_TYPE, content_type)?;
    head.insert_header(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    )?;
    reply.finish(&mut head)?;
    send(session, head, Bytes::from_static(MUST_REFETCH_BODY.as_bytes())).await
}

/// Ends a wait as Electric ends one that timed out; the next request is judged anew.
///
/// # Errors
/// When the client is gone.
pub async fn nothing_new(
    state: &State,
    session: &mut Session,
    admitted: &Admitted,
    early: Early,
    reply: &Reply<'_>,
) -> Written {
    let position = admitted.permit.position();
    let Some(handle) = position.handle.as_ref().filter(|_| admitted.request.waits()) else {
        return refuse(session, &cut_short(early), reply).await;
    };
    let cursor = next_cursor(
        state.clock.now().wall,
        position.cursor,
        state.request_ids.random(),
    );
    let handle = admitted.permit.handles().tag(handle);
    let made = answer::nothing_new(position.live, &handle, position.offset, cursor);
    let mut head = ResponseHeader::build_no_case(StatusCode::OK, Some(16))?;
    label(&mut head, admitted, None, reply)?;
    // Its own `cache-control` wins: nobody may keep an answer that was made up here.
    for (name, value) in made.headers {
        head.insert_header(name, value)?;
    }
    send(session, head, Bytes::from(made.body)).await
}

/// A finite answer that was cut short cannot be told as "nothing new".
fn cut_short(early: Early) -> Refusal {
    match early {
        Early::Permission => Refusal::new(
            Code::TokenExpired,
            "The credential ended while the answer was awaited.",
        ),
        Early::Drain => Refusal::new(Code::Draining, "The gateway is going away."),
    }
}

/// Sends a whole answer.
async fn send(session: &mut Session, mut head: ResponseHeader, body: Bytes) -> Written {
    head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    let bodyless = session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(head), bodyless).await?;
    if bodyless {
        Ok(())
    } else {
        session.write_response_body(Some(body), true).await
    }
}

fn internal(error: &pingora_core::Error) -> Refusal {
    Refusal::new(Code::Internal, "The gateway failed.").with_detail(error.to_string())
}
