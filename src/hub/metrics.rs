//! What the hub counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What the hub counts. Clones count into the same.
#[derive(Clone, Debug)]
pub struct HubMetrics {
    asked: IntCounterVec,
    /// Those who joined a fetch that was under way.
    pub joined: IntCounter,
    /// Those for whom a fetch was started that others can join.
    pub missed: IntCounter,
    /// Those for whom a fetch was started that nobody can join.
    pub alone: IntCounter,
    /// Fetches started.
    pub fetches_total: IntCounter,
    /// Fetches under way now.
    pub fetches: IntGauge,
    /// Bytes kept for those who read answers under way.
    pub underway_bytes: IntGauge,
    /// Readers that were cut because they were too far behind.
    pub behind: IntCounter,
}

impl HubMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("shapegate");
        let asked = IntCounterVec::new(
            opts(
                "hub_asked_total",
                "Requests that came to the hub, by what became of them.",
            ),
            &["outcome"],
        )?;
        Ok(Self {
            joined: asked.with_label_values(&["joined"]),
            missed: asked.with_label_values(&["miss"]),
            alone: asked.with_label_values(&["alone"]),
            asked,
            fetches_total: IntCounter::with_opts(opts("hub_fetches_total", "Requests to upstreams."))?,
            fetches: IntGauge::with_opts(opts("hub_fetches", "Requests to upstreams under way now."))?,
            underway_bytes: IntGauge::with_opts(opts(
                "hub_underway_bytes",
                "Bytes kept for those who read answers under way.",
            ))?,
            behind: IntCounter::with_opts(opts(
                "hub_behind_total",
                "Readers that were cut because they were too far behind the others.",
            ))?,
        })
    }

    /// Shows all of it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.asked.clone()))?;
        registry.register(Box::new(self.fetches_total.clone()))?;
        registry.register(Box::new(self.fetches.clone()))?;
        registry.register(Box::new(self.underway_bytes.clone()))?;
        registry.register(Box::new(self.behind.clone()))
    }
}
