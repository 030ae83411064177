//! What is counted of those who are asked about users.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use shapegate_core::code::{Code, Refusal};

/// Bounds of the histogram, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// What is counted of requests that waited until somebody said who sends them. Whoever is remembered waits for
/// nobody, and costs nothing here.
#[derive(Debug)]
pub struct IdentityMetrics {
    waits: IntCounterVec,
    seconds: HistogramVec,
}

impl IdentityMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let waits = Opts::new(
            "identity_waits_total",
            "Requests for which somebody was asked who sends them, by outcome.",
        );
        let seconds = HistogramOpts::new("identity_wait_seconds", "How long these requests waited.");
        let seconds = seconds.namespace("shapegate").buckets(BUCKETS.to_vec());
        Ok(Self {
            waits: IntCounterVec::new(waits.namespace("shapegate"), &["method", "outcome"])?,
            seconds: HistogramVec::new(seconds, &["method"])?,
        })
    }

    /// Shows all of it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.waits.clone()))?;
        registry.register(Box::new(self.seconds.clone()))
    }

    /// A request waited this long for a method's answer. Names of methods are the gateway's own.
    pub fn waited<T>(&self, method: &str, answer: &Result<T, Refusal>, took: Duration) {
        let outcome = match answer {
            Ok(_) => "known",
            Err(refusal) if refusal.code == Code::IdentityUnavailable => "unavailable",
            Err(_) => "refused",
        };
        self.waits.with_label_values(&[method, outcome]).inc();
        let seconds = self.seconds.with_label_values(&[method]);
        seconds.observe(took.as_secs_f64());
    }
}
