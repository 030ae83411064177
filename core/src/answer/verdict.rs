//! Whether an answer is one of Electric's, and what its status means to a client.

use std::time::Duration;

use crate::code::{Code, Refusal};
use crate::handle::UpstreamHandle;
use crate::json::{self, JsonLimits};
use crate::limits::{ERROR_BODY_BYTES_MAX, RETRY_AFTER_SECONDS_MAX};
use crate::request::{Live, Offset, Verb};
use crate::upstream::UpstreamRequest;
use crate::value::Value;

/// How long a client should stay away when the upstream is busy and does not say, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// What was asked of the upstream, as far as the answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The method.
    pub verb: Verb,
    /// How it was waited for.
    pub live: Live,
    /// Whether an `if-none-match` was sent.
    pub conditional: bool,
}

impl Expected {
    /// What the answer to this request must be like.
    #[must_use]
    pub const fn of(request: &UpstreamRequest, conditional: bool) -> Self {
        Self {
            verb: request.verb(),
            live: request.live(),
            conditional,
        }
    }
}

/// An answer that goes to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// 200: rows, changes or a subset.
    Content {
        /// Of which incarnation of the shape.
        handle: UpstreamHandle,
        /// Up to where.
        offset: Offset,
    },
    /// 304: what the client has is right.
    NotModified,
    /// 409: the client starts again, from this handle if there is one. The body goes along.
    MustRefetch {
        /// The shape's new handle.
        handle: Option<UpstreamHandle>,
    },
    /// 2xx of a deletion.
    Deleted,
}

/// Judges status and headers of an upstream's answer. `header` looks up by name in lower case; a value that
/// is no text counts as missing.
///
/// # Errors
///
/// What the client is told instead. Of a 400, the body can still be read for [`rejected`].
pub fn judge<'h>(
    expected: Expected,
    status: u16,
    header: impl Fn(&'static str) -> Option<&'h str>,
) -> Result<Passed, Refusal> {
    match status {
        200 | 202 | 204 if expected.verb == Verb::Delete => Ok(Passed::Deleted),
        200 => content(expected, header),
        304 if expected.conditional && expected.verb != Verb::Delete => Ok(Passed::NotModified),
        409 if expected.verb != Verb::Delete => must_refetch(header),
        400 => Err(rejected(&[])),
        404 if expected.verb == Verb::Delete => Err(Refusal::new(Code::NotFound, "There is no such shape.")),
        405 if expected.verb == Verb::Delete => Err(Refusal::new(
            Code::MethodNotAllowed,
            "The upstream does not allow the deletion of shapes.",
        )),
        401 | 403..=405 => Err(misconfigured(status)),
        429 => Err(busy(
            Code::RateLimited,
            "The upstream asks for fewer requests.",
            header,
        )),
        503 => Err(busy(
            Code::UpstreamUnavailable,
            "The upstream cannot answer now.",
            header,
        )),
        504 => Err(Refusal::new(
            Code::UpstreamTimeout,
            "The upstream did not answer in time.",
        )),
        500.. => Err(Refusal::new(Code::UpstreamFailed, "The upstream failed.")
            .with_detail(format!("the upstream answered {status}"))),
        _ => Err(invalid(format!("the upstream answered {status}"))),
    }
}

/// 400: the client's request, or the rule's, does not fit the table. Electric's words name columns and repeat
/// filters, so they go to the log alone; the client is told which parameters it speaks of.
#[must_use]
pub fn rejected(body: &[u8]) -> Refusal {
    let mut text = String::from("Electric refused the request as invalid");
    let fields = rejected_fields(body);
    if !fields.is_empty() {
        text.push_str(": ");
        text.push_str(&fields.join(", "));
    }
    text.push('.');
    let refusal = Refusal::new(Code::UpstreamRejected, text);
    let body = body.get(..ERROR_BODY_BYTES_MAX).unwrap_or(body);
    if body.is_empty() {
        refusal
    } else {
        refusal.with_detail(String::from_utf8_lossy(body))
    }
}

/// The parameters that Electric's errors are listed under, as far as they are names of its protocol.
fn rejected_fields(body: &[u8]) -> Vec<&'static str> {
    const NAMES: [&str; 12] = [
        "table",
        "where",
        "params",
        "columns",
        "replica",
        "log",
        "offset",
        "handle",
        "live",
        "live_sse",
        "subset",
        "queryable_columns",
    ];
    let limits = JsonLimits {
        bytes_max: ERROR_BODY_BYTES_MAX,
        depth_max: 6,
        values_max: 256,
    };
    let Ok(value) = json::parse(body, limits) else {
        return Vec::new();
    };
    let errors = value.get("errors").and_then(Value::as_map);
    NAMES
        .into_iter()
        .filter(|name| errors.is_some_and(|errors| errors.contains_key(*name)))
        .collect()
}

fn content<'h>(
    expected: Expected,
    header: impl Fn(&'static str) -> Option<&'h str>,
) -> Result<Passed, Refusal> {
    let handle = header("electric-handle").and_then(UpstreamHandle::parse);
    let offset = header("electric-offset").and_then(Offset::parse);
    let (Some(handle), Some(offset)) = (handle, offset) else {
        return Err(invalid("a 200 without electric-handle or electric-offset"));
    };
    // Clients look for one or the other; a subset's schema they may do without.
    let described = match (expected.verb, expected.live) {
        (Verb::Post, _) => true,
        (_, Live::No) => header("electric-schema").is_some(),
        (_, Live::Poll | Live::Sse) => header("electric-cursor").is_some(),
    };
    if !described {
        return Err(invalid(
            "a 200 without electric-schema, or, live, without electric-cursor",
        ));
    }
    let media_type = if expected.live == Live::Sse {
        "text/event-stream"
    } else {
        "application/json"
    };
    let content_type = header("content-type").unwrap_or_default();
    let sent = content_type.split(';').next().unwrap_or_default().trim();
    if !sent.eq_ignore_ascii_case(media_type) {
        return Err(invalid(format!("a 200 that is not {media_type}")));
    }
    Ok(Passed::Content { handle, offset })
}

fn must_refetch<'h>(header: impl Fn(&'static str) -> Option<&'h str>) -> Result<Passed, Refusal> {
    let handle = match header("electric-handle") {
        None => None,
        Some(text) => Some(
            UpstreamHandle::parse(text).ok_or_else(|| invalid("a 409 with a malformed electric-handle"))?,
        ),
    };
    Ok(Passed::MustRefetch { handle })
}

fn busy<'h>(code: Code, text: &'static str, header: impl Fn(&'static str) -> Option<&'h str>) -> Refusal {
    let asked = header("retry-after").and_then(|value| value.trim().parse().ok());
    let seconds = asked
        .unwrap_or(RETRY_AFTER_SECONDS)
        .clamp(1, RETRY_AFTER_SECONDS_MAX);
    Refusal::new(code, text).with_retry_after(Duration::from_secs(seconds))
}

fn misconfigured(status: u16) -> Refusal {
    Refusal::new(
        Code::UpstreamMisconfigured,
        "The gateway cannot use its upstream.",
    )
    .with_detail(format!(
        "the upstream answered {status}: check electric.url and electric.secret"
    ))
}

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::UpstreamInvalid,
        "The upstream's answer is not one of Electric's.",
    )
    .with_detail(detail)
}
