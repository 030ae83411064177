//! CORS as Electric sends it.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};

use super::Asking;
use crate::answer::Answer;

pub(super) const SHAPE_METHODS: &str = "GET, POST, HEAD, DELETE, OPTIONS";
pub(super) const OTHER_METHODS: &str = "GET, HEAD";

const EXPOSED: &str = "electric-cursor,electric-handle,electric-has-data,electric-offset,\
    electric-schema,electric-up-to-date,electric-internal-known-error,retry-after";

/// The only headers that Electric's preflight grants, each compared with a whole header line.
const GRANTED: [&str; 2] = ["if-none-match", "traceparent"];

pub(super) fn put(answer: Answer, asking: &Asking, methods: &'static str) -> Answer {
    let origin = asking.headers.get(header::ORIGIN).cloned();
    let origin = origin.unwrap_or(HeaderValue::from_static("*"));
    answer
        .with(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
        .with_static(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)
        .with_static(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
}

pub(super) fn preflight(asking: &Asking) -> Answer {
    let answer = put(Answer::text(StatusCode::NO_CONTENT, ""), asking, SHAPE_METHODS)
        .with_static(header::ACCESS_CONTROL_MAX_AGE, "86400")
        .with_static(header::CONNECTION, "keep-alive");
    let asked = asking.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let granted: Vec<&str> = asked
        .iter()
        .filter_map(|line| line.to_str().ok())
        .filter(|line| GRANTED.contains(&line.to_ascii_lowercase().as_str()))
        .collect();
    match granted.as_slice() {
        [] => answer,
        granted => answer.with_text(header::ACCESS_CONTROL_ALLOW_HEADERS, &granted.join(",")),
    }
}
