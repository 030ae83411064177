//! An upstream's health, asked when somebody wants to know and remembered for a moment.

use std::time::Duration;

use pingora_http::RequestHeader;
use shapegate_core::time::Monotonic;
use tokio::sync::Mutex;

use super::fetch::Fetch;
use super::upstream::Upstream;
use crate::clock::Clock;

/// How long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(1);
/// How long an upstream may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The states of `/v1/health` (`packages/sync-service/lib/electric/plug/health_check_plug.ex`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Serves everything.
    Active,
    /// Serves the shapes that it has.
    Waiting,
    /// Serves nothing yet, or cannot be reached.
    Starting,
}

impl Health {
    /// The word in the body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
        }
    }

    /// The HTTP status: only `active` is 200.
    pub fn status(self) -> u16 {
        if self == Self::Active { 200 } else { 202 }
    }
}

/// What an upstream last said of its health.
#[derive(Debug, Default)]
pub struct HealthMemory(Mutex<Option<(Monotonic, Health)>>);

impl HealthMemory {
    /// The health of `upstream`: one question at a time, and at most one a second.
    pub async fn ask(&self, upstream: &Upstream, fetch: &Fetch, clock: &dyn Clock) -> Health {
        let mut last = self.0.lock().await;
        let now = clock.now().monotonic;
        if let Some((at, health)) = *last {
            if now.0.saturating_sub(at.0) < REMEMBERED {
                return health;
            }
        }
        let health = tokio::select! {
            health = probe(upstream, fetch) => health,
            () = clock.sleep_until(Monotonic(now.0 + TIMEOUT)) => Health::Starting,
        };
        *last = Some((now, health));
        health
    }
}

async fn probe(upstream: &Upstream, fetch: &Fetch) -> Health {
    match fetch.status_of(upstream, probe_head(upstream), TIMEOUT).await {
        Some((200, body)) if body.contains("active") => Health::Active,
        Some((_, body)) if body.contains("waiting") => Health::Waiting,
        _ => Health::Starting,
    }
}

fn probe_head(upstream: &Upstream) -> pingora_core::Result<RequestHeader> {
    let target = upstream.health_path();
    let mut head = RequestHeader::build_no_case("GET", target.as_bytes(), Some(2))?;
    head.insert_header(http::header::HOST, upstream.host())?;
    Ok(head)
}
