//! Whether and where the answer to one fetch is kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use pingora_http::ResponseHeader;
use prometheus::IntCounter;
use shapegate_core::answer::Passed;
use shapegate_core::handle::UpstreamHandle;
use shapegate_core::request::Position;
use shapegate_core::time::Monotonic;

use super::cache::{AnswerCache, Stored};
use super::freshness::fresh_for;
use super::head::Head;
use super::key::Key;
use super::lineage::Lineage;

/// Where an answer is kept.
pub struct Keeping {
    /// In which cache.
    pub cache: Arc<AnswerCache>,
    /// Under which key.
    pub key: Key,
    /// Where in the log was asked.
    pub position: Position<UpstreamHandle>,
    /// Of which shape.
    pub lineage: Arc<Lineage>,
    /// What was known of that shape when it was asked for.
    pub moment: u64,
    /// What was kept before and may still be right.
    pub stale: Option<Arc<Stored>>,
    /// Counts 409s.
    pub must_refetch: IntCounter,
}

/// That an answer is kept once it is whole: of which generation, and for how long.
#[derive(Clone, Copy)]
pub struct Plan {
    generation: u64,
    fresh_for: Duration,
}

impl Keeping {
    /// The condition under which nothing need be sent: that it is what was kept.
    ///
    /// A live request has none: whoever waits for news is not asking whether old ones are right.
    pub fn condition(&self) -> Option<HeaderValue> {
        let stale = self.stale.as_ref().filter(|_| !self.position.live.waits())?;
        let content = stale.head.status() == StatusCode::OK;
        stale.head.etag().filter(|_| content).cloned()
    }

    /// Learns from an answer which incarnation of the shape is alive, and says of which generation the answer is;
    /// none if it is of none that may be kept.
    pub fn learn(&self, passed: &Passed) -> Option<u64> {
        match passed {
            Passed::Content { handle, .. } => self.lineage.seen(handle, self.moment),
            Passed::MustRefetch { handle } => {
                self.must_refetch.inc();
                let asked = self.position.handle.as_ref();
                self.lineage.rotated(asked, handle.as_ref(), self.moment)
            }
            Passed::NotModified | Passed::Deleted => None,
        }
    }

    /// Whether to keep an answer of this generation, and for how long.
    pub fn plan(&self, generation: u64, head: &ResponseHeader) -> Option<Plan> {
        let fresh_for = fresh_for(&self.position, head)?;
        Some(Plan {
            generation,
            fresh_for,
        })
    }

    /// Keeps a whole answer.
    pub fn keep(&self, head: Arc<Head>, body: Vec<Bytes>, plan: Plan) {
        let Plan {
            generation,
            fresh_for,
        } = plan;
        let lineage = Arc::clone(&self.lineage);
        self.put(&Arc::new(Stored::new(head, body, fresh_for, lineage, generation)));
    }

    /// What was kept, now that a 304 says that it is right; none when nothing was.
    pub fn confirm(&self, head: &ResponseHeader, now: Monotonic) -> Option<Arc<Stored>> {
        let stale = self.stale.as_ref()?;
        let fresh_for = fresh_for(&self.position, head).unwrap_or_default();
        let confirmed = Arc::new(stale.confirmed(stale.head.confirmed(head, now), fresh_for));
        if !fresh_for.is_zero() {
            self.put(&confirmed);
        }
        Some(confirmed)
    }

    fn put(&self, stored: &Arc<Stored>) {
        if stored.is_alive() {
            self.cache.put(self.key.clone(), Arc::clone(stored));
        }
    }
}

#[cfg(test)]
mod model;
