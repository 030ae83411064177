//! What is counted of revocations.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{Kind, Source};

/// What is counted of revocations. Clones count into the same.
#[derive(Clone, Debug)]
pub struct RevocationMetrics {
    entries: IntGaugeVec,
    denied: IntCounterVec,
    by_kind: [IntCounter; Kind::ALL.len()],
    /// Changes that were refused because there are too many entries.
    pub full: IntCounter,
    /// 1 while the file cannot be read and the list of before is in use.
    pub file_failed: IntGauge,
    /// 1 while what operators revoked is in force and not in the state file.
    pub state_failed: IntGauge,
}

impl RevocationMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("shapegate");
        let denied = IntCounterVec::new(
            opts(
                "revoked_total",
                "Requests and waits that a revocation refused or ended, by what it names.",
            ),
            &["by"],
        )?;
        let entries = IntGaugeVec::new(
            opts("revocations", "Revocations in force, by where they come from."),
            &["source"],
        )?;
        for source in Source::ALL {
            entries.with_label_values(&[source.as_str()]).set(0);
        }
        Ok(Self {
            entries,
            by_kind: Kind::ALL.map(|kind| denied.with_label_values(&[kind.as_str()])),
            denied,
            full: IntCounter::with_opts(opts(
                "revocations_full_total",
                "Changes that were refused because there are too many revocations.",
            ))?,
            file_failed: IntGauge::with_opts(opts(
                "revocations_file_failed",
                "1 while the file of revocations cannot be read and an older list is in force.",
            ))?,
            state_failed: IntGauge::with_opts(opts(
                "revocations_state_failed",
                "1 while revocations of operators are in force and not kept in the state file: a restart forgets them.",
            ))?,
        })
    }

    /// Makes all of it known.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.entries.clone()))?;
        registry.register(Box::new(self.denied.clone()))?;
        registry.register(Box::new(self.full.clone()))?;
        registry.register(Box::new(self.file_failed.clone()))?;
        registry.register(Box::new(self.state_failed.clone()))
    }

    pub(super) fn denied(&self, kind: Kind) {
        let [token_id, subject, key_id, tenant] = &self.by_kind;
        match kind {
            Kind::TokenId => token_id.inc(),
            Kind::Subject => subject.inc(),
            Kind::KeyId => key_id.inc(),
            Kind::Tenant => tenant.inc(),
        }
    }

    pub(super) fn count(&self, source: Source, entries: usize) {
        let entries = i64::try_from(entries).unwrap_or(i64::MAX);
        self.entries.with_label_values(&[source.as_str()]).set(entries);
    }
}
