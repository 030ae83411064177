//! A request's head before anything is decided: how large it is, what it asks for.

use http::Method;
use pingora_http::RequestHeader;
use shapegate_core::code::{Code, Refusal};

use crate::gateway::body;
use crate::gateway::state::State;

/// The longest path that is looked at, in bytes: above that of any route, its captures filled.
const PATH_BYTES_MAX: usize = 4 * 1024;

/// Refuses heads that are too large, or that speak of a body where none is taken.
pub(super) fn check_head(head: &RequestHeader, state: &State) -> Result<(), Refusal> {
    let limits = state.head_limits;
    let bytes: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > limits.header_bytes_max || head.headers.len() > limits.headers_max {
        return Err(Refusal::new(
            Code::HeadersTooLarge,
            format!(
                "The headers are larger than {} bytes or more than {}.",
                limits.header_bytes_max, limits.headers_max
            ),
        ));
    }
    if head.method != Method::POST && body::is_declared(&head.headers) {
        return Err(Refusal::new(
            Code::MalformedRequest,
            "Only a POST may have a body here.",
        ));
    }
    Ok(())
}

/// Path and query, exactly as they came. An absolute target is none of ours.
pub(in crate::gateway) fn target(head: &RequestHeader) -> Result<(&str, &str), Refusal> {
    let raw = std::str::from_utf8(head.raw_path())
        .map_err(|_| Refusal::new(Code::MalformedRequest, "The request target is not ASCII."))?;
    let origin_form = raw.starts_with('/').then_some(raw).ok_or_else(not_found)?;
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    if path.len() > PATH_BYTES_MAX {
        let text = format!("The path is longer than {PATH_BYTES_MAX} bytes.");
        return Err(Refusal::new(Code::TargetTooLong, text));
    }
    Ok((path, query))
}

pub(in crate::gateway) fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such route.")
}
