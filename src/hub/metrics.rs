//! What the hub counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use shapegate_core::coding::Coding;

use super::answers::AnswerMetrics;

/// What the hub counts. Clones count into the same.
#[derive(Clone, Debug)]
pub struct HubMetrics {
    asked: IntCounterVec,
    /// Those who joined a fetch that was under way.
    pub joined: IntCounter,
    /// Those who got an answer that was kept.
    pub hits: IntCounter,
    /// Those for whom a fetch was started that others can join.
    pub misses: IntCounter,
    /// Those for whom what was kept is asked for again, because it is no longer fresh.
    pub stale: IntCounter,
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
    /// Bytes of answers that are kept.
    pub bytes: IntGauge,
    /// Answers that had to go for others.
    pub evictions: IntCounter,
    /// Requests refused because an upstream is asked for too much.
    pub shed: IntCounterVec,
    /// 409s of upstreams.
    pub must_refetch: IntCounter,
    /// What upstreams answer.
    pub answers: AnswerMetrics,
    encodings: ByCoding,
    encoded: ByCoding,
}

/// A counter for each coding.
#[derive(Clone, Debug)]
struct ByCoding {
    all: IntCounterVec,
    zstd: IntCounter,
    br: IntCounter,
    gzip: IntCounter,
}

impl ByCoding {
    fn new(opts: Opts) -> Result<Self, prometheus::Error> {
        let all = IntCounterVec::new(opts, &["coding"])?;
        let counter = |coding: Coding| all.with_label_values(&[coding.as_str()]);
        Ok(Self {
            zstd: counter(Coding::Zstd),
            br: counter(Coding::Br),
            gzip: counter(Coding::Gzip),
            all,
        })
    }

    fn of(&self, coding: Coding) -> &IntCounter {
        match coding {
            Coding::Zstd => &self.zstd,
            Coding::Br => &self.br,
            Coding::Gzip => &self.gzip,
        }
    }
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
        let shed = IntCounterVec::new(
            opts(
                "shed_total",
                "Requests refused because an upstream is asked for too much.",
            ),
            &["effort"],
        )?;
        // From the beginning, so that the first one is an increase.
        for effort in ["follow", "new_shape", "subset"] {
            shed.with_label_values(&[effort]);
        }
        Ok(Self {
            answers: AnswerMetrics::new()?,
            shed,
            joined: asked.with_label_values(&["joined"]),
            hits: asked.with_label_values(&["hit"]),
            misses: asked.with_label_values(&["miss"]),
            stale: asked.with_label_values(&["stale"]),
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
            bytes: IntGauge::with_opts(opts("hub_bytes", "Bytes of answers that are kept."))?,
            evictions: IntCounter::with_opts(opts(
                "hub_evictions_total",
                "Answers that had to go for others.",
            ))?,
            must_refetch: IntCounter::with_opts(opts(
                "hub_must_refetch_total",
                "409s of upstreams: shapes that were rotated, clients that stood in old ones.",
            ))?,
            encodings: ByCoding::new(opts("hub_encodings_total", "Kept bodies that were encoded."))?,
            encoded: ByCoding::new(opts(
                "hub_encoded_total",
                "Answers whose body was sent in a coding.",
            ))?,
        })
    }

    /// Bodies that were encoded so.
    pub fn encodings(&self, coding: Coding) -> &IntCounter {
        self.encodings.of(coding)
    }

    /// Answers that were sent so.
    pub fn encoded(&self, coding: Coding) -> &IntCounter {
        self.encoded.of(coding)
    }

    /// Shows all of it in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.answers.register(registry)?;
        registry.register(Box::new(self.asked.clone()))?;
        registry.register(Box::new(self.fetches_total.clone()))?;
        registry.register(Box::new(self.fetches.clone()))?;
        registry.register(Box::new(self.underway_bytes.clone()))?;
        registry.register(Box::new(self.behind.clone()))?;
        registry.register(Box::new(self.bytes.clone()))?;
        registry.register(Box::new(self.shed.clone()))?;
        registry.register(Box::new(self.evictions.clone()))?;
        registry.register(Box::new(self.encodings.all.clone()))?;
        registry.register(Box::new(self.encoded.all.clone()))?;
        registry.register(Box::new(self.must_refetch.clone()))
    }
}
