//! What reloading counts.

use super::fleet::Counts;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use shapegate_core::time::UnixMillis;

/// What reloading counts.
#[derive(Clone, Debug)]
pub struct ReloadMetrics {
    looks: IntCounterVec,
    last_success: IntGauge,
    current: IntGauge,
    tenants: IntGaugeVec,
}

impl ReloadMetrics {
    /// All at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("shapegate");
        let looks = IntCounterVec::new(
            opts(
                "reloads_total",
                "Changes of files that were noticed, by what became of them.",
            ),
            &["outcome"],
        )?;
        // From the beginning, so that the first one is an increase.
        for outcome in ["taken", "refused"] {
            looks.with_label_values(&[outcome]);
        }
        Ok(Self {
            looks,
            last_success: IntGauge::with_opts(opts(
                "reload_last_success_timestamp_seconds",
                "When files were last taken over, at start or later.",
            ))?,
            current: IntGauge::with_opts(opts(
                "reload_current",
                "1 while everything is served as the files say, 0 while some of them are refused.",
            ))?,
            tenants: IntGaugeVec::new(
                opts(
                    "tenants",
                    "Tenants, by whether they are served as their files say.",
                ),
                &["state"],
            )?,
        })
    }

    /// Puts them into a registry.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.looks.clone()))?;
        registry.register(Box::new(self.last_success.clone()))?;
        registry.register(Box::new(self.current.clone()))?;
        registry.register(Box::new(self.tenants.clone()))
    }

    /// Files were taken over.
    pub fn taken(&self, now: UnixMillis) {
        self.looks.with_label_values(&["taken"]).inc();
        self.last_success.set(now.0 / 1000);
    }

    /// Files were refused.
    pub fn refused(&self) {
        self.looks.with_label_values(&["refused"]).inc();
    }

    /// What is served now.
    pub fn serves(&self, counts: Counts, is_current: bool) {
        self.current.set(i64::from(is_current));
        let states = [
            ("served", counts.served),
            ("stale", counts.stale),
            ("unserved", counts.unserved),
        ];
        for (state, count) in states {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.tenants.with_label_values(&[state]).set(count);
        }
    }
}
