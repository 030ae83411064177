//! Who is left alone after failures, of those whom the gateway asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use shapegate_core::time::Monotonic;

use super::series::{MetricsSettings, OTHER, Series};
use crate::breaker::{BreakerState, Watched};
use crate::gateway::State;

/// The states, as the label spells them.
const STATES: [(BreakerState, &str); 3] = [
    (BreakerState::Closed, "closed"),
    (BreakerState::Open, "open"),
    (BreakerState::HalfOpen, "half_open"),
];
const LABELS: [&str; 3] = ["tenant", "service", "name"];

/// A tenant, where one is named, the kind of service, and its name.
type Labels = [Box<str>; LABELS.len()];
/// How many breakers are in each of [`STATES`].
type Counts = [i64; STATES.len()];

/// How breakers stand, and how often they have opened.
///
/// A breaker is looked at when somebody asks: its state depends on the time. What of it nobody has asked about
/// when its service is configured otherwise is lost, and nothing else is.
#[derive(Debug)]
pub struct BreakerMetrics {
    states: IntGaugeVec,
    openings: IntCounterVec,
    series: Series,
    tenant_label: bool,
    shown: Mutex<BTreeMap<Labels, Counts>>,
}

impl BreakerMetrics {
    /// The metrics, without a value.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new(settings: MetricsSettings) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("shapegate");
        let states = opts(
            "breakers",
            "Services that are asked, by whether they are left alone after failures.",
        );
        let openings = opts(
            "breaker_openings_total",
            "How often services began to be left alone after failures.",
        );
        let labels = shown(&LABELS, settings.tenant_label);
        Ok(Self {
            states: IntGaugeVec::new(states, &[labels, &["state"]].concat())?,
            openings: IntCounterVec::new(openings, labels)?,
            series: Series::new(settings.series_max / STATES.len()),
            tenant_label: settings.tenant_label,
            shown: Mutex::default(),
        })
    }

    /// Shows them in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.states.clone()))?;
        registry.register(Box::new(self.openings.clone()))
    }

    /// Takes how breakers stand at this moment.
    pub fn take(&self, state: &State) {
        let now = state.clock.now().monotonic;
        let rates = state.cluster.rates();
        let of_cluster = rates.breaker().map(|breaker| Watched {
            service: "cluster",
            name: "rates".into(),
            breaker: breaker.clone(),
        });
        let loaded = state.loaded();
        let of_tenants = loaded.snapshot.tenants().flat_map(|tenant| {
            let id = &**tenant.id();
            tenant.breakers().iter().map(move |watched| (id, watched))
        });
        self.take_of(of_tenants.chain(of_cluster.iter().map(|one| ("", one))), now);
    }

    fn take_of<'b>(&self, breakers: impl Iterator<Item = (&'b str, &'b Watched)>, now: Monotonic) {
        // A panic while the lock was held left nothing half done.
        let mut known = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        known.values_mut().for_each(|counts| *counts = Counts::default());
        for (tenant, watched) in breakers {
            let labels = self.labels(tenant, watched);
            self.count_openings(&labels, watched);
            let stands = watched.breaker.state(now);
            let counts = known.entry(labels).or_default();
            for (count, (state, _)) in counts.iter_mut().zip(STATES) {
                *count += i64::from(state == stands);
            }
        }
        known.iter().for_each(|(labels, counts)| self.set(labels, counts));
    }

    fn labels(&self, tenant: &str, watched: &Watched) -> Labels {
        let tenant = if self.tenant_label { tenant } else { "" };
        let own = [tenant, watched.service, &watched.name];
        let labels = if self.series.has_room_for(&own) {
            own
        } else {
            [OTHER, watched.service, OTHER]
        };
        labels.map(Box::from)
    }

    fn count_openings(&self, labels: &Labels, watched: &Watched) {
        let labels = labels.each_ref().map(|label| &**label);
        let counter = self.openings.with_label_values(shown(&labels, self.tenant_label));
        counter.inc_by(watched.breaker.take_openings());
    }

    fn set(&self, labels: &Labels, counts: &Counts) {
        let labels = labels.each_ref().map(|label| &**label);
        let labels = shown(&labels, self.tenant_label);
        for (count, (_, state)) in counts.iter().zip(STATES) {
            let labels = [labels, &[state]].concat();
            self.states.with_label_values(&labels).set(*count);
        }
    }
}

/// All of these, or without the tenant.
fn shown<'l, 't>(labels: &'l [&'t str; LABELS.len()], tenant_label: bool) -> &'l [&'t str] {
    labels.get(usize::from(!tenant_label)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::{Breaker, FAILURES_MAX};
    use prometheus::TextEncoder;
    use std::sync::Arc;
    use std::time::Duration;

    fn watched(name: &str) -> Watched {
        Watched {
            service: "authorizer",
            name: name.into(),
            breaker: Arc::new(Breaker::default()),
        }
    }

    fn fail(watched: &Watched) {
        (0..FAILURES_MAX).for_each(|_| _ = watched.breaker.failed(at(0)));
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn metrics(tenant_label: bool, series_max: usize) -> BreakerMetrics {
        BreakerMetrics::new(MetricsSettings {
            tenant_label,
            series_max,
        })
        .unwrap()
    }

    /// Every sample that is not zero.
    fn samples(metrics: &BreakerMetrics) -> Vec<String> {
        let registry = Registry::new();
        metrics.register(&registry).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
        lines.map(|line| line.replace("shapegate_", "")).collect()
    }

    #[test]
    fn breakers_of_one_name_are_counted_together_unless_tenants_are_named() {
        let (one, two) = (watched("a"), watched("a"));
        fail(&two);
        let both = || [("acme", &one), ("beta", &two)].into_iter();
        let anonymous = metrics(false, 100);
        anonymous.take_of(both(), at(0));
        assert_eq!(
            samples(&anonymous),
            [
                r#"breaker_openings_total{name="a",service="authorizer"} 1"#,
                r#"breakers{name="a",service="authorizer",state="closed"} 1"#,
                r#"breakers{name="a",service="authorizer",state="open"} 1"#,
            ]
        );
        anonymous.take_of(both(), at(1));
        let again = samples(&anonymous);
        assert!(again.contains(&r#"breakers{name="a",service="authorizer",state="half_open"} 1"#.to_owned()));
        assert!(again.contains(&r#"breaker_openings_total{name="a",service="authorizer"} 1"#.to_owned()));
        let named = metrics(true, 100);
        named.take_of(both(), at(0));
        assert_eq!(
            samples(&named),
            [
                r#"breakers{name="a",service="authorizer",state="closed",tenant="acme"} 1"#,
                r#"breakers{name="a",service="authorizer",state="open",tenant="beta"} 1"#,
            ],
            "each opening is counted once, wherever it is told"
        );
    }

    #[test]
    fn who_is_gone_is_in_no_state_and_keeps_its_count() {
        let metrics = metrics(false, 100);
        let one = watched("a");
        fail(&one);
        metrics.take_of([("", &one)].into_iter(), at(0));
        metrics.take_of(std::iter::empty(), at(0));
        assert_eq!(
            samples(&metrics),
            [r#"breaker_openings_total{name="a",service="authorizer"} 1"#]
        );
    }

    #[test]
    fn names_beyond_the_limit_count_as_other() {
        let metrics = metrics(true, 30);
        let all: Vec<(String, Watched)> = (0..50).map(|n| (format!("t{n}"), watched("a"))).collect();
        for _ in 0..2 {
            let breakers = all.iter().map(|(tenant, watched)| (&**tenant, watched));
            metrics.take_of(breakers, at(0));
        }
        let samples = samples(&metrics);
        assert_eq!(samples.len(), 11, "{samples:#?}");
        let other = r#"breakers{name="other",service="authorizer",state="closed",tenant="other"} 40"#;
        assert!(samples.iter().any(|sample| sample == other), "{samples:#?}");
    }
}
