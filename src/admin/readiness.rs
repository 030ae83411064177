//! Which tenants can be served, and how old the keys of their issuers are.

use http::StatusCode;
use prometheus::{Gauge, GaugeVec, Opts, Registry};

use super::series::{MetricsSettings, OTHER, Series};
use crate::cluster::Standing;
use crate::gateway::State;
use crate::tenant::Tenant;

/// The answer to `/readyz` and `/readyz?tenant=<id>`.
///
/// A tenant is not ready while nobody can be known because none of its issuers' keys have come yet; a process is not
/// while none of its tenants is. Issuers that go away later change nothing: their keys are there.
pub fn readiness(state: &State, of_tenant: Option<&str>) -> (StatusCode, String) {
    if state.drain.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    let now = state.clock.now();
    let waits = |tenant: &Tenant| tenant.awaits_first_keys(now);
    let loaded = state.loaded();
    let mut asked = loaded
        .snapshot
        .tenants()
        .filter(|tenant| of_tenant.is_none_or(|id| **tenant.id() == *id))
        .peekable();
    if asked.peek().is_none() {
        return (StatusCode::NOT_FOUND, "there is no such tenant\n".to_owned());
    }
    let (waiting, ready): (Vec<_>, Vec<_>) = asked.partition(|tenant| waits(tenant));
    let mut text = match waiting.len() {
        0 => "ready\n".to_owned(),
        // Probes see no names.
        count => format!(
            "{count} of {} tenants wait for their issuers' keys\n",
            count + ready.len()
        ),
    };
    // It serves all the same: what is known of revocations holds, and limits are its own.
    if state.cluster.standing() == Standing::Apart {
        text.push_str(
            "the cluster cannot be reached: limits and new revocations are of this process alone\n",
        );
    }
    let status = if waiting.is_empty() || !ready.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, text)
}

/// How old the keys of issuers are: of each where they may be named, of the oldest where not.
#[derive(Debug)]
pub struct KeyAges {
    ages: GaugeVec,
    series: Series,
    named: bool,
}

impl KeyAges {
    /// The metric, without a value.
    ///
    /// # Errors
    /// When its name is malformed: a fault of this file.
    pub fn new(settings: MetricsSettings) -> Result<Self, prometheus::Error> {
        let help = "Seconds since the keys of an issuer were last fetched; +Inf before the first time.";
        let options = Opts::new("jwks_age_seconds", help).namespace("shapegate");
        let labels: &[&str] = if settings.tenant_label {
            &["tenant", "issuer"]
        } else {
            &[]
        };
        Ok(Self {
            ages: GaugeVec::new(options, labels)?,
            series: Series::new(settings.series_max),
            named: settings.tenant_label,
        })
    }

    /// # Errors
    /// When the name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.ages.clone()))
    }

    /// Takes the ages of this moment. An age is of the moment at which it is asked for, so nobody keeps it.
    pub fn take(&self, state: &State) {
        self.ages.reset();
        self.series.clear();
        let now = state.clock.now();
        for tenant in state.loaded().snapshot.tenants() {
            for (issuer, age) in tenant.key_ages(now) {
                let seconds = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
                let gauge = self.gauge(tenant.id(), issuer);
                gauge.set(gauge.get().max(seconds));
            }
        }
    }

    fn gauge(&self, tenant: &str, issuer: &str) -> Gauge {
        let own = [tenant, issuer];
        match self.named {
            false => self.ages.with_label_values::<&str>(&[]),
            true if self.series.has_room_for(&own) => self.ages.with_label_values(&own),
            true => self.ages.with_label_values(&[OTHER, OTHER]),
        }
    }
}
