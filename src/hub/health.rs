//! An upstream's health and version, asked when somebody wants to know and remembered for a moment.

use std::time::Duration;

use shapegate_core::code::Refusal;
use shapegate_core::time::Monotonic;
use tokio::sync::Mutex;

use super::fetch::{Fetch, unreachable_upstream};
use super::upstream::Upstream;
use super::version::ServerVersion;
use crate::clock::Clock;

/// How long a state is remembered.
const STATE_REMEMBERED: Duration = Duration::from_secs(1);
/// How long a version is remembered: Electric changes it only by restarting.
const VERSION_REMEMBERED: Duration = Duration::from_secs(30);
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

/// What an upstream said of itself, if it said anything.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// When the answer was there.
    at: Monotonic,
    answer: Option<(Health, Option<ServerVersion>)>,
}

impl Said {
    fn version(self) -> Option<ServerVersion> {
        self.answer.and_then(|(_, version)| version)
    }

    /// Whether it may still be told; who does not know the version asks again soon.
    fn holds(self, now: Monotonic, remembered: Duration) -> bool {
        let remembered = if self.version().is_some() {
            remembered
        } else {
            STATE_REMEMBERED
        };
        now.0.saturating_sub(self.at.0) < remembered
    }
}

/// What an upstream last said of itself.
#[derive(Debug, Default)]
pub struct HealthMemory(Mutex<Option<Said>>);

impl HealthMemory {
    /// The state of `upstream`: one question at a time, and at most one a second.
    pub async fn state(&self, upstream: &Upstream, fetch: &Fetch, clock: &dyn Clock) -> Health {
        self.said(upstream, fetch, clock)
            .await
            .unwrap_or(Health::Starting)
    }

    /// The state of `upstream` as far as it tells one.
    pub async fn said(&self, upstream: &Upstream, fetch: &Fetch, clock: &dyn Clock) -> Option<Health> {
        let said = self.ask(upstream, fetch, clock, STATE_REMEMBERED).await;
        said.answer.map(|(health, _)| health)
    }

    /// The version of `upstream`; `None` when it does not say.
    ///
    /// # Errors
    /// `upstream_unreachable` when it does not answer at all.
    pub async fn version(
        &self,
        upstream: &Upstream,
        fetch: &Fetch,
        clock: &dyn Clock,
    ) -> Result<Option<ServerVersion>, Refusal> {
        let said = self.ask(upstream, fetch, clock, VERSION_REMEMBERED).await;
        match said.answer {
            Some((_, version)) => Ok(version),
            None => Err(unreachable_upstream("no answer to the question for its version")),
        }
    }

    async fn ask(&self, upstream: &Upstream, fetch: &Fetch, clock: &dyn Clock, remembered: Duration) -> Said {
        let mut last = self.0.lock().await;
        let now = clock.now().monotonic;
        if let Some(said) = last.filter(|said| said.holds(now, remembered)) {
            return said;
        }
        let answer = tokio::select! {
            answer = probe(upstream, fetch) => answer,
            () = clock.sleep_until(now.plus(TIMEOUT)) => None,
        };
        // Remembered from now on: those who queued for an upstream that says nothing must not each wait for it.
        let at = clock.now().monotonic;
        *last.insert(Said { at, answer })
    }
}

async fn probe(upstream: &Upstream, fetch: &Fetch) -> Option<(Health, Option<ServerVersion>)> {
    let (head, body) = fetch.probe(upstream, &upstream.health_path(), TIMEOUT).await?;
    let server = head
        .headers
        .get("electric-server")
        .and_then(|value| value.to_str().ok());
    let health = match head.status.as_u16() {
        200 if body.contains("active") => Health::Active,
        _ if body.contains("waiting") => Health::Waiting,
        _ => Health::Starting,
    };
    Some((health, server.and_then(ServerVersion::of_header)))
}
