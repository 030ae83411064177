//! What is counted about authorisers.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::Reply;
use crate::questions::Unanswered;

/// Names of authorisers that are told apart; those beyond it count as `other`.
const NAMES_MAX: usize = 64;
/// What names beyond the limit count as.
const OTHER: &str = "other";
/// Bounds of the histogram, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    Denied,
    Failed,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// What is counted about authorisers. Clones count into the same.
#[derive(Clone, Debug)]
pub struct AuthorizerMetrics {
    answers: IntCounterVec,
    unanswered: IntCounterVec,
    lookups: IntCounterVec,
    seconds: HistogramVec,
    names: Arc<Mutex<HashSet<Box<str>>>>,
}

/// The same for one authoriser.
#[derive(Clone)]
pub(super) struct Counted {
    metrics: AuthorizerMetrics,
    name: Box<str>,
}

impl AuthorizerMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, label: &str| {
            let opts = Opts::new(name, help).namespace("shapegate");
            IntCounterVec::new(opts, &["authorizer", label])
        };
        let seconds = HistogramOpts::new("authorizer_seconds", "How long authorisers took to answer.")
            .namespace("shapegate")
            .buckets(BUCKETS.to_vec());
        Ok(Self {
            answers: counters(
                "authorizer_answers_total",
                "What authorisers answered, by outcome.",
                "outcome",
            )?,
            unanswered: counters(
                "authorizer_unanswered_total",
                "Requests refused because an authoriser gave no answer, by reason.",
                "reason",
            )?,
            lookups: counters(
                "authorizer_lookups_total",
                "Whether an authoriser's answer was remembered (hit) or had to be asked for (miss).",
                "result",
            )?,
            seconds: HistogramVec::new(seconds, &["authorizer"])?,
            names: Arc::default(),
        })
    }

    /// Shows all of it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.answers.clone()))?;
        registry.register(Box::new(self.unanswered.clone()))?;
        registry.register(Box::new(self.lookups.clone()))?;
        registry.register(Box::new(self.seconds.clone()))
    }

    /// What is counted about the authoriser of that name.
    pub(super) fn of(&self, name: &str) -> Counted {
        // A panic while the lock was held left nothing half done.
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.contains(name) || (names.len() < NAMES_MAX && names.insert(name.into()));
        Counted {
            metrics: self.clone(),
            name: if known { name.into() } else { OTHER.into() },
        }
    }
}

impl Counted {
    pub(super) fn hit(&self) {
        self.metrics
            .lookups
            .with_label_values(&[&*self.name, "hit"])
            .inc();
    }

    pub(super) fn miss(&self) {
        self.metrics
            .lookups
            .with_label_values(&[&*self.name, "miss"])
            .inc();
    }

    pub(super) fn answered(&self, reply: &Result<Reply, String>, took: Duration) {
        let outcome = Outcome::of(reply).as_str();
        self.metrics
            .answers
            .with_label_values(&[&*self.name, outcome])
            .inc();
        let seconds = self.metrics.seconds.with_label_values(&[&*self.name]);
        seconds.observe(took.as_secs_f64());
    }

    pub(super) fn unanswered(&self, reason: &Unanswered) {
        let reason = match reason {
            Unanswered::Busy => "busy",
            Unanswered::LeftAlone(_) => "left_alone",
            Unanswered::TimedOut(_) => "timed_out",
            Unanswered::Failed(_) => "failed",
        };
        self.metrics
            .unanswered
            .with_label_values(&[&*self.name, reason])
            .inc();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_beyond_the_limit_count_as_one() {
        let metrics = AuthorizerMetrics::new().unwrap();
        (0..NAMES_MAX + 10).for_each(|n| metrics.of(&format!("a{n}")).hit());
        metrics.of("a0").hit();
        let count = |name: &str| metrics.lookups.with_label_values(&[name, "hit"]).get();
        assert_eq!((count("a0"), count("a63"), count(OTHER)), (2, 1, 10));
    }
}
