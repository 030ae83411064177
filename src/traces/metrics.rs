//! What is counted of traces.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// What is counted of traces. Clones count into the same.
#[derive(Clone, Debug)]
pub struct TraceMetrics {
    spans: IntCounterVec,
    exports: IntCounterVec,
    /// Spans that the collector took.
    pub exported: IntCounter,
    /// Spans that did not fit into the queue.
    pub queue_full: IntCounter,
    /// Spans that the collector does not take.
    pub refused: IntCounter,
    /// Spans that were given up after all attempts.
    pub unanswered: IntCounter,
    /// Spans that were left when the process ended.
    pub at_end: IntCounter,
    /// Exports that were taken, in whole or in part.
    pub taken: IntCounter,
    /// Exports that were refused for good.
    pub refusals: IntCounter,
    /// Exports without an answer, or to be tried again.
    pub failures: IntCounter,
}

impl TraceMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help).namespace("shapegate"), &[label])
        };
        let spans = counters(
            "trace_spans_total",
            "Spans of recorded requests, by what became of them.",
            "outcome",
        )?;
        let exports = counters(
            "trace_exports_total",
            "Exports of spans to the collector, by outcome.",
            "outcome",
        )?;
        let (span, export) = (
            |outcome: &str| spans.with_label_values(&[outcome]),
            |outcome: &str| exports.with_label_values(&[outcome]),
        );
        Ok(Self {
            exported: span("exported"),
            queue_full: span("queue_full"),
            refused: span("refused"),
            unanswered: span("unanswered"),
            at_end: span("at_end"),
            taken: export("taken"),
            refusals: export("refused"),
            failures: export("failed"),
            spans,
            exports,
        })
    }

    /// Shows all of it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.spans.clone()))?;
        registry.register(Box::new(self.exports.clone()))
    }
}
