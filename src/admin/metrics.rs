//! The metrics registry: every name, its labels bounded.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use shapegate_core::code::Code;

use super::readiness::KeyAges;
use crate::authorizer::AuthorizerMetrics;
use crate::cluster::ClusterMetrics;
use crate::hub::HubMetrics;
use crate::limits::LimitMetrics;
use crate::reload::ReloadMetrics;
use crate::revocation::RevocationMetrics;

/// The classes of a status, by its first digit less one.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

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
    pub fn new() -> Result<Self, prometheus::Error> {
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
            held: gauge("held_polls", "Long polls and streams that wait now.")?,
            in_flight: gauge("requests_in_flight", "Requests being served now.")?,
            limits: LimitMetrics::new()?,
            key_ages: KeyAges::new()?,
            hub: HubMetrics::new()?,
            reload: ReloadMetrics::new()?,
            authorizers: AuthorizerMetrics::new()?,
            revocations: RevocationMetrics::new()?,
            cluster: ClusterMetrics::new()?,
        };
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
        self.registry.register(Box::new(self.held.clone()))?;
        self.registry.register(Box::new(self.in_flight.clone()))?;
        self.reload.register(&self.registry)?;
        self.limits.register(&self.registry)?;
        self.key_ages.register(&self.registry)?;
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
