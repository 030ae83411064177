//! What was decided, by route and reason.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use shapegate_core::code::Code;

use super::series::{MetricsSettings, OTHER, Series};

/// What kind of route was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// None that is known.
    Nothing,
    /// A shape by its rules.
    Shape,
    /// A token for one.
    Mint,
    /// A shape that a token signs.
    Signed,
}

impl Asked {
    fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Shape => "shape",
            Self::Mint => "mint",
            Self::Signed => "signed",
        }
    }
}

/// How it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided<'a> {
    /// By this rule.
    Allowed(&'a str),
    /// Refused, or not decided at all for a fault that is not the client's.
    Refused(Code),
    /// Allowed, for a handle that belongs to another shape: the client starts again.
    MustRefetch,
}

impl<'a> Decided<'a> {
    /// What was decided, and why.
    pub fn labels(self) -> (&'static str, &'a str) {
        match self {
            Self::Allowed(rule) => ("allow", rule),
            Self::Refused(code) if code.status() >= 500 => ("error", code.as_str()),
            Self::Refused(code) => ("deny", code.as_str()),
            Self::MustRefetch => ("deny", "must_refetch"),
        }
    }
}

/// Counts decisions. Clones count into the same.
#[derive(Clone, Debug)]
pub struct DecisionMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    counters: IntCounterVec,
    series: Series,
    tenant_label: bool,
    routes: Mutex<HashMap<Route, Arc<RouteCounts>>>,
}

/// A tenant, where one is known, the kind of route, and the shape's name.
type Route = (Option<Arc<str>>, Asked, Arc<str>);

impl DecisionMetrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new(settings: MetricsSettings) -> Result<Self, prometheus::Error> {
        let opts = Opts::new(
            "decisions_total",
            "Requests decided, by route, decision and reason.",
        );
        let labels = ["tenant", "endpoint", "route", "decision", "reason"];
        let shown = labels
            .get(usize::from(!settings.tenant_label)..)
            .unwrap_or_default();
        Ok(Self(Arc::new(Inner {
            counters: IntCounterVec::new(opts.namespace("shapegate"), shown)?,
            series: Series::new(settings.series_max),
            tenant_label: settings.tenant_label,
            routes: Mutex::default(),
        })))
    }

    /// Shows them in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.counters.clone()))
    }

    /// The counters of one route, to be kept by whoever counts there often.
    pub fn route(&self, tenant: Option<&Arc<str>>, asked: Asked, name: &Arc<str>) -> Arc<RouteCounts> {
        let key = (tenant.cloned(), asked, Arc::clone(name));
        let mut routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = routes.entry(key).or_insert_with(|| {
            Arc::new(RouteCounts {
                metrics: self.clone(),
                tenant: tenant.cloned(),
                asked,
                name: Arc::clone(name),
                first: OnceLock::new(),
            })
        });
        Arc::clone(counts)
    }

    /// Lets go of routes that nobody serves any more.
    pub fn forget_unserved(&self) {
        let mut routes = self.0.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.retain(|_, counts| Arc::strong_count(counts) > 1);
    }

    fn counter(&self, tenant: Option<&str>, asked: Asked, name: &str, decided: Decided<'_>) -> IntCounter {
        let (decision, reason) = decided.labels();
        let all = [tenant.unwrap_or_default(), asked.as_str(), name, decision, reason];
        // Which codes there are is known, and which rules there are is not.
        let known = if matches!(decided, Decided::Allowed(_)) {
            OTHER
        } else {
            reason
        };
        let other = [OTHER, asked.as_str(), OTHER, decision, known];
        let labels = if self.0.series.has_room_for(&all) {
            all
        } else {
            other
        };
        let shown = labels
            .get(usize::from(!self.0.tenant_label)..)
            .unwrap_or_default();
        self.0.counters.with_label_values(shown)
    }
}

/// The counters of one route: found without a lock, and made when they are first needed.
#[derive(Debug)]
pub struct RouteCounts {
    metrics: DecisionMetrics,
    tenant: Option<Arc<str>>,
    asked: Asked,
    name: Arc<str>,
    first: OnceLock<Box<Counted>>,
}

#[derive(Debug)]
struct Counted {
    decision: &'static str,
    reason: Box<str>,
    counter: IntCounter,
    next: OnceLock<Box<Counted>>,
}

impl RouteCounts {
    /// Whose route it is.
    pub fn tenant(&self) -> Option<&Arc<str>> {
        self.tenant.as_ref()
    }

    /// The shape's name, where one was asked for.
    pub fn shape(&self) -> Option<&Arc<str>> {
        Some(&self.name).filter(|name| !name.is_empty())
    }

    /// Counts a decision. Rules and codes are few, so that looking at each is quick.
    pub fn count(&self, decided: Decided<'_>) {
        let (decision, reason) = decided.labels();
        let mut place = &self.first;
        loop {
            let counted = place.get_or_init(|| self.counted(decided));
            if counted.decision == decision && *counted.reason == *reason {
                return counted.counter.inc();
            }
            place = &counted.next;
        }
    }

    fn counted(&self, decided: Decided<'_>) -> Box<Counted> {
        let (decision, reason) = decided.labels();
        Box::new(Counted {
            decision,
            reason: reason.into(),
            counter: self
                .metrics
                .counter(self.tenant.as_deref(), self.asked, &self.name, decided),
            next: OnceLock::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::TextEncoder;

    fn metrics(tenant_label: bool, series_max: usize) -> DecisionMetrics {
        DecisionMetrics::new(MetricsSettings {
            tenant_label,
            series_max,
        })
        .unwrap()
    }

    fn shown(metrics: &DecisionMetrics) -> Vec<String> {
        let registry = Registry::new();
        metrics.register(&registry).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.replace("shapegate_decisions_total", ""))
            .collect()
    }

    fn at(metrics: &DecisionMetrics, tenant: &str, name: &str) -> Arc<RouteCounts> {
        metrics.route(Some(&tenant.into()), Asked::Shape, &name.into())
    }

    #[test]
    fn decisions_are_counted_by_route_and_reason_and_tenants_are_named_on_demand_alone() {
        let count = |metrics: &DecisionMetrics| {
            for tenant in ["acme", "other"] {
                let route = at(metrics, tenant, "users");
                route.count(Decided::Allowed("rules[1]"));
                route.count(Decided::Refused(Code::Forbidden));
                route.count(Decided::Refused(Code::IdentityUnavailable));
                route.count(Decided::Allowed("rules[1]"));
            }
        };
        let anonymous = metrics(false, 100);
        count(&anonymous);
        assert_eq!(
            shown(&anonymous),
            [
                r#"{decision="allow",endpoint="shape",reason="rules[1]",route="users"} 4"#,
                r#"{decision="deny",endpoint="shape",reason="forbidden",route="users"} 2"#,
                r#"{decision="error",endpoint="shape",reason="identity_unavailable",route="users"} 2"#,
            ]
        );
        let named = metrics(true, 100);
        count(&named);
        assert_eq!(shown(&named).len(), 6);
        assert!(shown(&named).iter().any(|line| line.contains(r#"tenant="acme""#)));
    }

    #[test]
    fn series_beyond_the_limit_count_as_other() {
        let metrics = metrics(true, 10);
        for number in 0..1_000 {
            let route = at(&metrics, &format!("t{number}"), &format!("r{number}"));
            route.count(Decided::Allowed("rules[0]"));
            route.count(Decided::Refused(Code::Forbidden));
        }
        let lines = shown(&metrics);
        assert_eq!(lines.len(), 12, "{lines:#?}");
        let other = r#"{decision="allow",endpoint="shape",reason="other",route="other",tenant="other"} 995"#;
        assert!(lines.iter().any(|line| line == other), "{lines:#?}");
        let denied =
            r#"{decision="deny",endpoint="shape",reason="forbidden",route="other",tenant="other"} 995"#;
        assert!(lines.iter().any(|line| line == denied), "{lines:#?}");
    }

    #[test]
    fn a_route_that_nobody_keeps_is_let_go_of_and_counts_on_where_it_was() {
        let metrics = metrics(false, 100);
        let kept = at(&metrics, "acme", "kept");
        at(&metrics, "acme", "gone").count(Decided::MustRefetch);
        metrics.forget_unserved();
        assert_eq!(metrics.0.routes.lock().unwrap().len(), 1);
        at(&metrics, "acme", "gone").count(Decided::MustRefetch);
        assert!(Arc::ptr_eq(&kept, &at(&metrics, "acme", "kept")));
        assert_eq!(
            shown(&metrics),
            [r#"{decision="deny",endpoint="shape",reason="must_refetch",route="gone"} 2"#]
        );
    }
}
