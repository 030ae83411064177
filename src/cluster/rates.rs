//! Rates that gateways share, asked for within a time limit; whoever does not answer is left alone for a while.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use tokio::sync::Semaphore;

use super::connection::within;
use super::metrics::{ClusterMetrics, RateOutcome};
use super::record::digest_of;
use super::store;
use crate::breaker::Breaker;
use crate::clock::Clock;

/// Questions at once; further ones are not asked.
const QUESTIONS_MAX: usize = 512;

/// The rates that gateways share, while there is somebody to ask for them.
pub struct SharedRates {
    link: ArcSwapOption<Link>,
    breaker: Arc<Breaker>,
    turns: Semaphore,
    clock: Arc<dyn Clock>,
    metrics: ClusterMetrics,
}

/// Whom to ask, and how.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    /// What keys begin with.
    pub(super) prefix: String,
    /// How long a question may take.
    pub(super) timeout: Duration,
}

/// What was said to a question for some of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// So many, one at least.
    Granted(u32),
    /// None, and how long to stay away.
    Refused(Duration),
}

impl SharedRates {
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: ClusterMetrics) -> Self {
        Self {
            link: ArcSwapOption::empty(),
            breaker: Arc::default(),
            turns: Semaphore::new(QUESTIONS_MAX),
            clock,
            metrics,
        }
    }

    pub(super) fn set(&self, link: Option<Link>) {
        self.link.store(link.map(Arc::new));
    }

    /// Whether there is anybody to ask.
    pub fn is_reachable(&self) -> bool {
        self.link.load().is_some()
    }

    /// What keeps Redis from being asked while it fails again and again, where there is one.
    pub fn breaker(&self) -> Option<&Arc<Breaker>> {
        self.is_reachable().then_some(&self.breaker)
    }

    /// Takes up to `wanted` of a rate; none where nobody answers in time.
    pub async fn take(&self, name: &[&str], per_minute: u32, wanted: u32) -> Option<Grant> {
        let link = self.link.load_full()?;
        let (Ok(_turn), Some(trial)) = (self.turns.try_acquire(), self.trial()) else {
            self.metrics.rate(RateOutcome::LeftAlone);
            return None;
        };
        let key = format!("{}{}", link.prefix, digest_of(name));
        let taking = store::take(link.connection.clone(), &key, per_minute, wanted);
        let taken = within(link.timeout, &*self.clock, taking).await;
        trial.end(&*self.clock, taken.as_ref().err());
        let (outcome, grant) = match taken {
            Ok((0, pause)) => (RateOutcome::Refused, Some(Grant::Refused(pause))),
            Ok((granted, _)) => (RateOutcome::Granted, Some(Grant::Granted(granted))),
            Err(_) => (RateOutcome::Unanswered, None),
        };
        self.metrics.rate(outcome);
        grant
    }

    fn trial(&self) -> Option<Trial<'_>> {
        self.breaker.pass(self.clock.now().monotonic).ok()?;
        Some(Trial(Some(&self.breaker)))
    }
}

/// A question that the breaker let pass, which may be given up at any time.
struct Trial<'a>(Option<&'a Breaker>);

impl Trial<'_> {
    fn end(mut self, clock: &dyn Clock, fault: Option<&super::Fault>) {
        let Some(breaker) = self.0.take() else { return };
        match fault {
            None if breaker.succeeded() => log::info!("the cluster's Redis answers for rates again"),
            None => {}
            Some(fault) if breaker.failed(clock.now().monotonic) => {
                log::warn!(
                    "the cluster's Redis is not asked for rates for a while, which are of this process alone: {fault}"
                );
            }
            Some(_) => {}
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.0 {
            breaker.abandoned();
        }
    }
}
