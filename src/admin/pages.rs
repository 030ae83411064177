//! The pages that are only looked at.

use http::StatusCode;
use pingora_http::RequestHeader;

use super::page::{Page, Reply};
use super::readiness::readiness;
use crate::gateway::State;

pub(super) fn answer(state: &State, page: Page, head: &RequestHeader) -> Reply {
    match page {
        Page::Healthz => Reply::text(StatusCode::OK, "ok\n"),
        Page::Readyz => {
            let (status, text) = readiness(state, asked_tenant(head));
            Reply::text(status, text)
        }
        Page::Metrics => match rendered(state) {
            Ok(text) => Reply::metrics(text),
            Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        Page::Status | Page::Revocations => Reply::text(StatusCode::NOT_FOUND, "elsewhere\n"),
    }
}

/// `?tenant=` of a question for readiness.
fn asked_tenant(head: &RequestHeader) -> Option<&str> {
    head.uri.query()?.strip_prefix("tenant=")
}

fn rendered(state: &State) -> Result<String, prometheus::Error> {
    state.metrics.key_ages.take(state);
    state.metrics.breakers.take(state);
    state.metrics.unauthorized_loops.take(state.clock.now().monotonic);
    state.metrics.decisions.forget_unserved();
    state.metrics.render()
}
