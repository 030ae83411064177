//! The metrics registry: every name, its labels bounded.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use shapegate_core::code::Code;

use super::breakers::BreakerMetrics;
use super::decisions::DecisionMetrics;
use super::loops::UnauthorizedLoops;
use super::readiness::KeyAges;
use super::series::MetricsSettings;
use crate::authorizer::AuthorizerMetrics;
use crate::cluster::ClusterMetrics;
use crate::hub::HubMetrics;
use crate::identity::IdentityMetrics;
use crate::journal::JournalMetrics;
use crate::limits::LimitMetrics;
use crate::reload::ReloadMetrics;
use crate::revocation::RevocationMetrics;
use crate::traces::TraceMetrics;

/// The classes of a status, by its first digit less one.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Bounds of the histogram of snapshots, in seconds: kept ones come at once, and new shapes take Electric a while.
const SNAPSHOT_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0,
];

/// What the gateway counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    /// Those of `requests`, looked up once: every request counts in one of them.
    by_class: [IntCounter; CLASSES.len()],
    refusals: IntCounterVec,
    connections_refused: IntCounterVec,
    dropped_parameters: IntCounterVec,
    /// What was decided.
    pub decisions: DecisionMetrics,
    /// Who is told 401 over and over.
    pub unauthorized_loops: UnauthorizedLoops,
    /// How long snapshots let wait for their first byte.
    pub snapshot_first_byte: Histogram,
    /// What is counted of the logs.
    pub journal: JournalMetrics,
    /// What is counted of traces.
    pub traces: TraceMetrics,
    /// Long polls and streams that wait now.
    pub held: IntGauge,
    /// Requests being served now.
    pub in_flight: IntGauge,
    /// What was refused for a limit.
    pub limits: LimitMetrics,
    /// How old issuers' keys are.
    pub key_ages: KeyAges,
    /// What the hub counts.
    pub hub: HubMetrics,
    /// What reloading counts.
    pub reload: ReloadMetrics,
    /// What is counted of those who are asked about users.
    pub identity: IdentityMetrics,
    /// Who is left alone after failures.
    pub breakers: BreakerMetrics,
    /// What authorisers are counted by.
    pub authorizers: AuthorizerMetrics,
    /// What is counted of revocations.
    pub revocations: RevocationMetrics,
    /// What is counted of a cluster.
    pub cluster: ClusterMetrics,
}

impl Metrics {
    /// An empty registry with every metric in it.
    ///
    /// # Errors
    /// When a metric's name is malformed or given twice: a fault of this file, caught by its test.
    pub fn new(settings: MetricsSettings) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help).namespace("shapegate"), labels)
        };
        let gauge =
            |name: &str, help: &str| IntGauge::with_opts(Opts::new(name, help).namespace("shapegate"));
        let requests = counters(
            "requests_total",
            "Requests answered, by class of status.",
            &["class"],
        )?;
        let first_byte = HistogramOpts::new(
            "snapshot_first_byte_seconds",
            "From a request for a snapshot to the first byte of its answer.",
        );
        let metrics = Self {
            registry: Registry::new(),
            by_class: CLASSES.map(|class| requests.with_label_values(&[class])),
            requests,
            refusals: counters("refusals_total", "Requests refused, by public code.", &["code"])?,
            connections_refused: counters(
                "connections_refused_total",
                "Connections closed by a limit.",
                &["limit"],
            )?,
            dropped_parameters: counters(
                "dropped_parameters_total",
                "Unknown query parameters that were dropped.",
                &[],
            )?,
            decisions: DecisionMetrics::new(settings)?,
            unauthorized_loops: UnauthorizedLoops::new()?,
            snapshot_first_byte: Histogram::with_opts(
                first_byte
                    .namespace("shapegate")
                    .buckets(SNAPSHOT_BUCKETS.to_vec()),
            )?,
            journal: JournalMetrics::new()?,
            traces: TraceMetrics::new()?,
            held: gauge("held_polls", "Long polls and streams that wait now.")?,
            in_flight: gauge("requests_in_flight", "Requests being served now.")?,
            limits: LimitMetrics::new()?,
            key_ages: KeyAges::new(settings)?,
            hub: HubMetrics::new()?,
            reload: ReloadMetrics::new()?,
            identity: IdentityMetrics::new()?,
            breakers: BreakerMetrics::new(settings)?,
            authorizers: AuthorizerMetrics::new()?,
            revocations: RevocationMetrics::new()?,
            cluster: ClusterMetrics::new()?,
        };
        // From the beginning, so that the first one is an increase.
        for limit in ["connections_max", "connections_per_address_max", "head_timeout"] {
            metrics.connections_refused.with_label_values(&[limit]);
        }
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.requests.clone()))?;
        self.registry.register(Box::new(self.refusals.clone()))?;
        self.registry
            .register(Box::new(self.connections_refused.clone()))?;
        self.registry
            .register(Box::new(self.dropped_parameters.clone()))?;
        self.decisions.register(&self.registry)?;
        self.unauthorized_loops.register(&self.registry)?;
        self.registry
            .register(Box::new(self.snapshot_first_byte.clone()))?;
        self.journal.register(&self.registry)?;
        self.traces.register(&self.registry)?;
        self.registry.register(Box::new(self.held.clone()))?;
        self.registry.register(Box::new(self.in_flight.clone()))?;
        self.reload.register(&self.registry)?;
        self.limits.register(&self.registry)?;
        self.key_ages.register(&self.registry)?;
        self.identity.register(&self.registry)?;
        self.breakers.register(&self.registry)?;
        self.authorizers.register(&self.registry)?;
        self.hub.register(&self.registry)?;
        self.cluster.register(&self.registry)?;
        self.revocations.register(&self.registry)
    }

    /// A request was answered with `status`.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(counter) = class.and_then(|class| self.by_class.get(class)) {
            counter.inc();
        }
    }

    /// A request was refused.
    pub fn refused(&self, code: Code) {
        self.refusals.with_label_values(&[code.as_str()]).inc();
    }

    /// A connection was closed by `limit`.
    pub fn connection_refused(&self, limit: &str) {
        self.connections_refused.with_label_values(&[limit]).inc();
    }

    /// `count` unknown parameters of a request were dropped.
    pub fn dropped(&self, count: u32) {
        if count > 0 {
            self.dropped_parameters
                .with_label_values::<&str>(&[])
                .inc_by(u64::from(count));
        }
    }

    /// All of it in Prometheus' text format.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
