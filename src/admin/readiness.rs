//! Which tenants can be served, and how old the keys of their issuers are.

use http::StatusCode;
use prometheus::{GaugeVec, Opts, Registry};

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
    let waits = |tenant: &Tenant| tenant.identity().awaits_first_keys(now);
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

/// How old the keys of each issuer are.
#[derive(Debug)]
pub struct KeyAges(GaugeVec);

impl KeyAges {
    /// The metric, without a value.
    ///
    /// # Errors
    /// When its name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let help = "Seconds since the keys of an issuer were last fetched; +Inf before the first time.";
        let options = Opts::new("jwks_age_seconds", help).namespace("shapegate");
        GaugeVec::new(options, &["tenant", "issuer"]).map(Self)
    }

    /// # Errors
    /// When the name is taken.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.clone()))
    }

    /// Takes the ages of this moment. An age is of the moment at which it is asked for, so nobody keeps it.
    pub fn take(&self, state: &State) {
        self.0.reset();
        let now = state.clock.now();
        for tenant in state.loaded().snapshot.tenants() {
            for (issuer, age) in tenant.identity().key_ages(now) {
                let seconds = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
                self.0.with_label_values(&[tenant.id(), issuer]).set(seconds);
            }
        }
    }
}
