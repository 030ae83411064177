//! What is counted of a cluster.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// What is counted of a cluster. Clones count into the same.
#[derive(Clone, Debug)]
pub struct ClusterMetrics {
    /// Without a value where there is no cluster.
    up: IntGaugeVec,
    /// Revocations that Redis does not have yet.
    pub unwritten: IntGauge,
    /// Records in Redis that cannot be read.
    pub unreadable: IntGauge,
    rates: IntCounterVec,
    by_outcome: [IntCounter; RateOutcome::ALL.len()],
}

/// What came of asking for a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateOutcome {
    /// There was some left.
    Granted,
    /// There was none left.
    Refused,
    /// No answer in time.
    Unanswered,
    /// Nobody was asked, after failures in a row or for too many questions.
    LeftAlone,
}

impl RateOutcome {
    const ALL: [Self; 4] = [Self::Granted, Self::Refused, Self::Unanswered, Self::LeftAlone];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::LeftAlone => "left_alone",
        }
    }
}

impl ClusterMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("shapegate");
        let rates = IntCounterVec::new(
            opts(
                "cluster_rates_total",
                "Questions for rates that gateways share, by what came of them.",
            ),
            &["outcome"],
        )?;
        Ok(Self {
            up: IntGaugeVec::new(
                opts(
                    "cluster_up",
                    "1 while what gateways share is shared, 0 while it is not.",
                ),
                &[],
            )?,
            unwritten: IntGauge::with_opts(opts(
                "cluster_unwritten",
                "Revocations made or taken back here that the cluster does not know yet.",
            ))?,
            unreadable: IntGauge::with_opts(opts(
                "cluster_unreadable",
                "Records in the cluster's list of revocations that are none.",
            ))?,
            by_outcome: RateOutcome::ALL.map(|outcome| rates.with_label_values(&[outcome.as_str()])),
            rates,
        })
    }

    /// Makes all of it known.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.up.clone()))?;
        registry.register(Box::new(self.unwritten.clone()))?;
        registry.register(Box::new(self.unreadable.clone()))?;
        registry.register(Box::new(self.rates.clone()))
    }

    /// Whether what is shared is shared; none where there is no cluster.
    pub(super) fn set_up(&self, up: Option<bool>) {
        match up {
            Some(up) => self.up.with_label_values::<&str>(&[]).set(i64::from(up)),
            None => self.up.reset(),
        }
    }

    pub(super) fn rate(&self, outcome: RateOutcome) {
        let [granted, refused, unanswered, left_alone] = &self.by_outcome;
        match outcome {
            RateOutcome::Granted => granted.inc(),
            RateOutcome::Refused => refused.inc(),
            RateOutcome::Unanswered => unanswered.inc(),
            RateOutcome::LeftAlone => left_alone.inc(),
        }
    }
}
