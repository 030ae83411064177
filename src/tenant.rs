//! A tenant compiled: routes, rules, keys, upstream; and the snapshot that requests are served with.

mod authorizers;
mod compile;
mod directory;
mod gatekeeper;
mod issuers;
mod lease;
mod providers;
mod router;
mod shared;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub use compile::{CompileError, compile, compile_tenant};
pub use directory::{Directory, Entry, Group, Place};
pub use lease::Lease;
pub use router::{Endpoint, Found, Route, Router, ServedShape};
pub use shared::Shared;

use crate::admin::Metrics;
use crate::admin::decisions::{Asked, RouteCounts};
use crate::breaker::Watched;
use crate::config::{Cors, Selection};
use crate::gatekeeper::Gatekeeper;
use crate::hub::Upstream;
use crate::hub::addresses::Addresses;
use crate::identity::IdentityMethods;

/// Everything that requests are served with, swapped as a whole.
#[derive(Clone)]
pub struct Snapshot {
    tenants: Arc<HashMap<Arc<str>, Arc<Tenant>>>,
    directory: Arc<Directory>,
}

impl Snapshot {
    /// A snapshot of tenants no two of which are for the same requests.
    pub fn of(tenants: impl IntoIterator<Item = Arc<Tenant>>) -> Self {
        Self::with_unserved(tenants, [])
    }

    /// As [`Snapshot::of`], with others whose requests are known and cannot be served.
    pub fn with_unserved(
        tenants: impl IntoIterator<Item = Arc<Tenant>>,
        unserved: impl IntoIterator<Item = (Arc<str>, Selection)>,
    ) -> Self {
        let (mut directory, mut by_id) = (Directory::default(), HashMap::new());
        for tenant in tenants {
            directory.add(
                &tenant.id,
                tenant.selection(),
                &Entry::Served(Arc::clone(&tenant)),
            );
            by_id.insert(Arc::clone(&tenant.id), tenant);
        }
        for (id, selection) in unserved {
            directory.add(&id, Some(&selection), &Entry::Unserved(Arc::clone(&id)));
        }
        Self {
            tenants: Arc::new(by_id),
            directory: Arc::new(directory),
        }
    }

    /// All tenants, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.values()
    }

    /// Where their upstreams live, each once.
    pub fn addresses(&self) -> Vec<Arc<Addresses>> {
        let mut all: Vec<_> = self
            .tenants()
            .map(|tenant| Arc::clone(tenant.upstream().addresses()))
            .collect();
        all.sort_by_key(Arc::as_ptr);
        all.dedup_by(|one, other| Arc::ptr_eq(one, other));
        all
    }

    /// Takes over the keys that issuers have published meanwhile, so that nobody waits for them again, and the
    /// tokens that were verified by what is configured as before.
    pub fn inherit_keys(&self, before: &Self) {
        for tenant in self.tenants() {
            let earlier = before.tenant(&tenant.id);
            if let Some(earlier) = earlier.filter(|earlier| !Arc::ptr_eq(earlier, tenant)) {
                tenant.inherit_keys(earlier);
            }
        }
    }

    /// The tenant of an id.
    pub fn tenant(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(id)
    }

    /// Which requests are for whom.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }
}

/// One tenant, ready to serve.
pub struct Tenant {
    id: Arc<str>,
    selection: Option<Selection>,
    lease: Arc<Lease>,
    router: Router,
    identity: IdentityMethods,
    cors: Cors,
    upstream: Arc<Upstream>,
    gatekeeper: Gatekeeper,
    breakers: Vec<Watched>,
    unrouted: OnceLock<Arc<RouteCounts>>,
    signed: OnceLock<Arc<RouteCounts>>,
}

impl Tenant {
    /// Its id: `tenant.id` in rules.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The requests that it is for; none stands for all.
    pub fn selection(&self) -> Option<&Selection> {
        self.selection.as_ref()
    }

    /// How long what is decided for it holds.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// What a raw path, without its query, means. Nothing is normalised: another spelling is another path.
    pub fn find(&self, path: &str) -> Option<Found<'_>> {
        match &self.selection {
            None => self.router.find(path),
            Some(selection) => self.router.find(path.strip_prefix(&*selection.prefix)?),
        }
    }

    /// The path of the route that takes a raw path, as it is configured.
    pub fn route_of(&self, path: &str) -> Option<String> {
        match &self.selection {
            None => self.router.route_of(path),
            Some(selection) => {
                let route = self.router.route_of(path.strip_prefix(&*selection.prefix)?)?;
                Some(format!("{}{route}", selection.prefix))
            }
        }
    }

    /// All shapes that its paths lead to.
    pub fn shapes(&self) -> impl Iterator<Item = &ServedShape> {
        self.router.shapes()
    }

    /// How those who ask are known.
    pub fn identity(&self) -> &IdentityMethods {
        &self.identity
    }

    /// Which pages of other origins may read answers.
    pub fn cors(&self) -> &Cors {
        &self.cors
    }

    /// What it mints and verifies.
    pub fn gatekeeper(&self) -> &Gatekeeper {
        &self.gatekeeper
    }

    /// What keeps those whom it asks from being asked while they fail again and again.
    pub fn breakers(&self) -> &[Watched] {
        &self.breakers
    }

    /// Where requests are counted that find no route of it.
    pub fn unrouted(&self, metrics: &Metrics) -> &Arc<RouteCounts> {
        self.unrouted.get_or_init(|| self.route(metrics, Asked::Nothing))
    }

    /// Where requests are counted that bring a shape with them.
    pub fn signed(&self, metrics: &Metrics) -> &Arc<RouteCounts> {
        self.signed.get_or_init(|| self.route(metrics, Asked::Signed))
    }

    fn route(&self, metrics: &Metrics, asked: Asked) -> Arc<RouteCounts> {
        metrics.decisions.route(Some(&self.id), asked, &"".into())
    }

    /// Its Electric.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}
