//! What upstreams answer, and how soon: counted.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
use shapegate_core::code::Code;

/// The classes of a status that an upstream may have, by its first digit less two.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// Why there was no answer that could be used.
const FAULTS: [&str; 4] = ["unreachable", "timed_out", "encoded", "failed"];
/// Bounds of the histogram, in seconds: a piece of a log comes at once, and a new shape takes Electric a while.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// What upstreams answer. Clones count into the same.
#[derive(Clone, Debug)]
pub struct AnswerMetrics {
    answers: IntCounterVec,
    /// Those of `answers`, looked up once.
    by_class: [IntCounter; CLASSES.len()],
    seconds: Histogram,
}

impl AnswerMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "upstream_answers_total",
            "Requests to upstreams, by what came of them.",
        );
        let answers = IntCounterVec::new(opts.namespace("shapegate"), &["outcome"])?;
        // From the beginning, so that the first one is an increase.
        for fault in FAULTS {
            answers.with_label_values(&[fault]);
        }
        let seconds = HistogramOpts::new(
            "upstream_head_seconds",
            "From a request to an upstream to the head of its answer, those aside that wait for news.",
        );
        Ok(Self {
            by_class: CLASSES.map(|class| answers.with_label_values(&[class])),
            answers,
            seconds: Histogram::with_opts(seconds.namespace("shapegate").buckets(BUCKETS.to_vec()))?,
        })
    }

    /// Shows all of it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.answers.clone()))?;
        registry.register(Box::new(self.seconds.clone()))
    }

    /// An upstream answered with `status`.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(2);
        match class.and_then(|class| self.by_class.get(class)) {
            Some(counter) => counter.inc(),
            None => self.fault("failed"),
        }
    }

    /// There was no answer, or none that could be used.
    pub fn failed(&self, code: Code) {
        self.fault(match code {
            Code::UpstreamUnreachable => "unreachable",
            Code::UpstreamTimeout => "timed_out",
            Code::UpstreamEncoding => "encoded",
            _ => "failed",
        });
    }

    /// An answer's head took so long.
    pub fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }

    fn fault(&self, fault: &str) {
        self.answers.with_label_values(&[fault]).inc();
    }
}
