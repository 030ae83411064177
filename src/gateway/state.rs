//! What every request shares.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use shapegate_core::coding::Coding;
use shapegate_core::policy::Facts;
use tokio::sync::watch;

use super::body::BodyLimits;
use super::decisions::Decisions;
use super::drain::Drain;
use super::request_id::RequestIds;
use super::tls::Certificates;
use crate::admin::Metrics;
use crate::admin::decisions::{Asked, RouteCounts};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::ClusterSettings;
use crate::hub::fetch::SharedFetch;
use crate::hub::{Fetch, Hub, LoadSettings, Upstream};
use crate::journal::Journal;
use crate::limits::{LimitSettings, Limits};
use crate::process::Pulse;
use crate::reload::Standing;
use crate::revocation::{Operators, Revocations};
use crate::tenant::{Snapshot, Tenant};
use crate::traces::Traces;

/// Bounds on a request's head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// All header names and values together, in bytes.
    pub header_bytes_max: usize,
    /// Header lines.
    pub headers_max: usize,
}

/// A snapshot in use, with the decisions made.
pub struct Loaded {
    /// The tenants.
    pub snapshot: Snapshot,
    /// What was decided, for tenants that are served.
    pub decisions: Arc<Decisions>,
    no_facts: Facts,
}

impl Loaded {
    fn new(snapshot: Snapshot, decisions: Arc<Decisions>) -> Arc<Self> {
        Arc::new(Self {
            snapshot,
            decisions,
            no_facts: Facts::none(),
        })
    }

    /// What is known from outside where no authoriser is asked.
    pub fn no_facts(&self) -> &Facts {
        &self.no_facts
    }

    /// Lets go of those who wait for a tenant that is another one in `next`, or not there, and of what was decided
    /// for it.
    fn end_all_but(&self, next: &Snapshot) {
        let stays = |tenant: &Arc<Tenant>| {
            let same = next.tenant(tenant.id());
            same.is_some_and(|same| Arc::ptr_eq(same, tenant))
        };
        let ended = || self.snapshot.tenants().filter(|tenant| !stays(tenant));
        ended().for_each(|tenant| tenant.lease().end());
        self.decisions.forget(ended());
    }

    /// Every tenant's upstream.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.snapshot.tenants().map(|tenant| tenant.upstream())
    }
}

/// What the gateway is made of, besides its tenants.
pub struct Parts {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The registry.
    pub metrics: Arc<Metrics>,
    /// Connections to upstreams.
    pub fetch: Fetch,
    /// Ids for requests.
    pub request_ids: RequestIds,
    /// Bounds on bodies.
    pub body_limits: BodyLimits,
    /// Bounds on heads.
    pub head_limits: HeadLimits,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// What operators revoke.
    pub operators: Arc<Operators>,
    /// The logs of requests.
    pub journal: Journal,
    /// The traces of requests.
    pub traces: Traces,
    /// What is shared with other gateways.
    pub cluster: Option<ClusterSettings>,
    /// Bytes of answers that are kept.
    pub hub_bytes_max: usize,
    /// How much each may ask for.
    pub limits: LimitSettings,
    /// How much upstreams are asked for.
    pub loads: LoadSettings,
    /// Whether answers say where they come from.
    pub tells_source: bool,
    /// The codings that kept answers are sent in, of equals the first.
    pub codings: Vec<Coding>,
}

/// What every request shares.
pub struct State {
    loaded: ArcSwap<Loaded>,
    changes: watch::Sender<u64>,
    /// What TLS is served with.
    pub certificates: Arc<Certificates>,
    replacements: watch::Sender<()>,
    standing: Mutex<Standing>,
    /// Whether the process is going away.
    pub drain: Drain,
    /// Whether connections are still served.
    pub pulse: Pulse,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The registry.
    pub metrics: Arc<Metrics>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// The logs of requests.
    pub journal: Journal,
    /// The traces of requests.
    pub traces: Traces,
    /// Where requests are counted that are for nobody here.
    pub nowhere: Arc<RouteCounts>,
    /// What is shared with other gateways.
    pub cluster: Cluster,
    /// Connections to upstreams.
    pub fetch: SharedFetch,
    /// What is shared.
    pub hub: Arc<Hub>,
    /// How much each may ask for.
    pub limits: Limits,
    /// What authorisers are asked with, and what they said.
    pub authorizers: crate::authorizer::Asking,
    /// Ids for requests.
    pub request_ids: RequestIds,
    /// Bounds on bodies.
    pub body_limits: BodyLimits,
    /// Bounds on heads.
    pub head_limits: HeadLimits,
    /// Whether answers say where they come from.
    pub tells_source: bool,
}

impl State {
    /// A gateway that serves `snapshot`.
    pub fn new(snapshot: Snapshot, parts: Parts) -> Arc<Self> {
        let Parts {
            clock,
            metrics,
            fetch,
            request_ids,
            body_limits,
            head_limits,
            revocations,
            operators,
            journal,
            traces,
            cluster,
            hub_bytes_max,
            limits,
            loads,
            tells_source,
            codings,
        } = parts;
        let fetch = Arc::new(fetch);
        let (hub_fetch, hub_clock) = (Arc::clone(&fetch), Arc::clone(&clock));
        let hub_metrics = metrics.hub.clone();
        let hub = Hub::new(hub_fetch, hub_clock, hub_metrics, hub_bytes_max, loads, codings);
        let (deny, counted) = (Arc::clone(&revocations), metrics.cluster.clone());
        let cluster = Cluster::new(cluster, deny, operators, Arc::clone(&clock), counted);
        let limits = Limits::new(limits, Arc::clone(&clock), metrics.limits.clone());
        let limits = limits.shared_by(cluster.rates());
        let authorizers = crate::authorizer::Asking::new(Arc::clone(&clock), metrics.authorizers.clone());
        Arc::new(Self {
            authorizers,
            loaded: ArcSwap::new(Loaded::new(snapshot, Arc::default())),
            changes: watch::Sender::new(0),
            certificates: Arc::default(),
            replacements: watch::Sender::new(()),
            standing: Mutex::default(),
            drain: Drain::default(),
            pulse: Pulse::default(),
            clock,
            nowhere: metrics.decisions.route(None, Asked::Nothing, &"".into()),
            metrics,
            revocations,
            journal,
            traces,
            cluster,
            fetch,
            hub,
            limits,
            request_ids,
            body_limits,
            head_limits,
            tells_source,
        })
    }

    /// The snapshot in use, for as long as a request lasts.
    pub fn loaded(&self) -> Guard<Arc<Loaded>> {
        self.loaded.load()
    }

    /// Serves another snapshot from now on; whatever waits for a tenant that is no longer the same is judged anew.
    pub fn replace(&self, snapshot: Snapshot) {
        snapshot.inherit_keys(&self.loaded().snapshot);
        let next = Loaded::new(snapshot, Arc::clone(&self.loaded.load().decisions));
        let before = self.loaded.swap(Arc::clone(&next));
        before.end_all_but(&next.snapshot);
        self.replacements.send_replace(());
    }

    /// How what is served stands to the files that it is made from.
    pub fn standing(&self) -> Standing {
        self.standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes over how it stands now.
    pub fn note_standing(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Has everybody who waits judged anew: what was permitted may be permitted no longer.
    pub fn judge_anew(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells of every snapshot that is served instead of another.
    pub fn replacements(&self) -> watch::Receiver<()> {
        self.replacements.subscribe()
    }

    /// Tells of every change after which all waits must be judged anew, besides those of their tenant.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
