//! The hub: whoever is permitted asks here, and shares what others ask for, too.

use std::sync::Arc;

use shapegate_core::upstream::UpstreamRequest;

use super::fetch::SharedFetch;
use super::fill::Errand;
use super::key::KeyRef;
use super::metrics::HubMetrics;
use super::shared::{Filler, Reader, Sort};
use super::underway::{Turn, UNDERWAY_BYTES_MAX, Underway};
use super::upstream::{Along, Upstream};
use crate::clock::Clock;

/// A request that was permitted.
pub struct Wanted<'a> {
    /// The tenant's id.
    pub tenant: &'a Arc<str>,
    /// Its Electric.
    pub upstream: &'a Arc<Upstream>,
    /// The only request that may go there for it.
    pub request: &'a UpstreamRequest,
    /// Headers that go along if it does.
    pub along: &'a Along,
    /// Whether others may have the same answer.
    pub shares: bool,
}

impl<'a> Wanted<'a> {
    /// What this request has in common with others; none when nothing is shared.
    fn key(&self) -> Option<KeyRef<'a>> {
        Some(KeyRef {
            tenant: self.tenant,
            place: self.upstream.place(),
            line: self.request.key().filter(|_| self.shares)?,
        })
    }

    fn sort(&self) -> Sort {
        if self.request.is_sse() {
            Sort::Events
        } else {
            Sort::Log
        }
    }

    fn errand(&self) -> Errand {
        Errand {
            upstream: Arc::clone(self.upstream),
            request: self.request.clone(),
            along: Along {
                if_none_match: None,
                ..self.along.clone()
            },
        }
    }
}

/// Answers shared by those who wait for them.
pub struct Hub {
    underway: Arc<Underway>,
    fetch: SharedFetch,
    clock: Arc<dyn Clock>,
    metrics: HubMetrics,
}

impl Hub {
    /// A hub that asks over `fetch`.
    pub fn new(fetch: SharedFetch, clock: Arc<dyn Clock>, metrics: HubMetrics) -> Arc<Self> {
        Arc::new(Self {
            underway: Underway::new(UNDERWAY_BYTES_MAX, metrics.underway_bytes.clone()),
            fetch,
            clock,
            metrics,
        })
    }

    /// Joins those who ask for the same, or asks the upstream, in a task that belongs to nobody who waits.
    pub fn ask(self: &Arc<Self>, wanted: &Wanted<'_>) -> Reader {
        let Some(key) = wanted.key() else {
            let (reader, filler) = self.underway.alone(wanted.sort());
            self.metrics.alone.inc();
            self.send_out(wanted.errand(), filler);
            return reader;
        };
        match self.underway.join(key.to_key(), wanted.sort(), || None::<Reader>) {
            Turn::Answered(reader) => reader,
            Turn::Later(reader) => {
                self.metrics.joined.inc();
                reader
            }
            Turn::First(reader, filler) => {
                self.metrics.missed.inc();
                self.send_out(wanted.errand(), filler);
                reader
            }
        }
    }

    /// How many fetches can be joined now.
    pub fn underway(&self) -> usize {
        self.underway.len()
    }

    fn send_out(self: &Arc<Self>, errand: Errand, filler: Filler) {
        let hub = Arc::clone(self);
        tokio::spawn(async move {
            let _fetching = Fetching::new(&hub.metrics);
            tokio::select! {
                biased;
                () = filler.abandoned() => {}
                () = errand.run(&hub.fetch, &*hub.clock, filler) => {}
            }
        });
    }
}

/// Counts a fetch for as long as it lasts.
struct Fetching<'a>(&'a HubMetrics);

impl<'a> Fetching<'a> {
    fn new(metrics: &'a HubMetrics) -> Self {
        metrics.fetches_total.inc();
        metrics.fetches.inc();
        Self(metrics)
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.0.fetches.dec();
    }
}
