//! Reading a client's body: bounded in bytes and time, and only of those who got that far.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use pingora_core::protocols::http::ServerSession;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::time::Monotonic;

use crate::clock::Clock;

/// How much of a body is taken, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// From the first read to the last byte.
    pub body_timeout: Duration,
}

/// Refuses a body that is not plain JSON before a byte of it is read.
///
/// # Errors
/// 413 by its declared length, 415 by its type or coding.
pub fn check_head(headers: &HeaderMap, limits: BodyLimits) -> Result<(), Refusal> {
    check_length_and_coding(headers, limits)?;
    if is_json(media_type(headers)) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::MediaTypeUnsupported,
        "The body must be sent as content-type: application/json.",
    ))
}

fn check_length_and_coding(headers: &HeaderMap, limits: BodyLimits) -> Result<(), Refusal> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > limits.body_bytes_max) {
        return Err(too_large(limits));
    }
    let coded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| coding != "identity");
    if coded {
        return Err(Refusal::new(
            Code::MediaTypeUnsupported,
            "The body must be sent without a content coding.",
        ));
    }
    Ok(())
}

/// The only content type; of two, neither counts.
fn media_type(headers: &HeaderMap) -> &[u8] {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let only = types.next().filter(|_| types.next().is_none());
    only.map_or(&[], HeaderValue::as_bytes)
}

/// What a body that describes a shape may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `application/x-www-form-urlencoded`
    Form,
    /// `application/json`
    Json,
}

/// What a body is by its head, or none where none is declared, before a byte of it is read.
///
/// # Errors
/// As [`check_head`].
pub fn form_or_json(headers: &HeaderMap, limits: BodyLimits) -> Result<Option<Kind>, Refusal> {
    if !is_declared(headers) {
        return Ok(None);
    }
    check_length_and_coding(headers, limits)?;
    let media_type = media_type(headers);
    if is_json(media_type) {
        Ok(Some(Kind::Json))
    } else if is_of_type(media_type, "application/x-www-form-urlencoded") {
        Ok(Some(Kind::Form))
    } else {
        Err(Refusal::new(
            Code::MediaTypeUnsupported,
            "The body must be sent as content-type: application/json, or as a form.",
        ))
    }
}

fn is_json(media_type: &[u8]) -> bool {
    is_of_type(media_type, "application/json")
}

/// This type, alone or with `charset=utf-8`.
fn is_of_type(media_type: &[u8], wanted: &str) -> bool {
    let Ok(text) = std::str::from_utf8(media_type) else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case(wanted))
        && parts.all(|parameter| {
            parameter.eq_ignore_ascii_case("charset=utf-8")
                || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
        })
}

/// Whether a request declares a body, by its framing alone.
pub fn is_declared(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0")
}

/// Reads the whole body.
///
/// # Errors
/// 413 over the limit, 408 over the time, 400 when it breaks off.
pub async fn read(
    session: &mut ServerSession,
    limits: BodyLimits,
    clock: &dyn Clock,
) -> Result<Bytes, Refusal> {
    let end = Monotonic(clock.now().monotonic.0 + limits.body_timeout);
    let overdue = clock.sleep_until(end);
    let body = tokio::select! {
        body = read_all(session, limits) => body,
        () = overdue => Err(Refusal::new(Code::RequestTimeout, "The body did not arrive in time.")),
    };
    if body.is_err() {
        // Where it ends is not known, so neither is where another request would begin.
        session.set_keepalive(None);
    }
    body
}

async fn read_all(session: &mut ServerSession, limits: BodyLimits) -> Result<Bytes, Refusal> {
    if expects_continue(&session.req_header().headers) {
        session
            .write_continue_response()
            .await
            .map_err(|error| broken(&error))?;
    }
    let mut body = BytesMut::new();
    while let Some(piece) = session
        .read_request_body()
        .await
        .map_err(|error| broken(&error))?
    {
        if body.len() + piece.len() > limits.body_bytes_max {
            return Err(too_large(limits));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn too_large(limits: BodyLimits) -> Refusal {
    let message = format!("The body is larger than {} bytes.", limits.body_bytes_max);
    Refusal::new(Code::BodyTooLarge, message)
}

fn broken(error: &pingora_core::Error) -> Refusal {
    Refusal::new(Code::MalformedRequest, "The body broke off.").with_detail(error.to_string())
}
