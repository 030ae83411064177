//! The pages that are only looked at.

use http::StatusCode;
use pingora_http::RequestHeader;

use super::page::{Page, Reply};
use crate::gateway::State;

pub(super) fn answer(state: &State, page: Page, _head: &RequestHeader) -> Reply {
    match page {
        Page::Healthz => Reply::text(StatusCode::OK, "ok\n"),
        Page::Readyz if state.drain.has_begun() => Reply::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Page::Readyz => Reply::text(StatusCode::OK, "ready\n"),
        Page::Metrics => match state.metrics.render() {
            Ok(text) => Reply::text(StatusCode::OK, text),
            Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        Page::Revocations => Reply::text(StatusCode::NOT_FOUND, "elsewhere\n"),
    }
}
