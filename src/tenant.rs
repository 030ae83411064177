//! A tenant compiled: routes, rules, keys, upstream; and the snapshot that requests are served with.

mod compile;
mod gatekeeper;
mod router;

use std::sync::Arc;

pub use compile::{CompileError, compile};
pub use router::{Endpoint, Found, Route, Router, ServedShape};

use crate::config::Cors;
use crate::gatekeeper::Gatekeeper;
use crate::hub::Upstream;
use crate::identity::IdentityMethods;

/// Everything that requests are served with, swapped as a whole. It has one tenant at least.
#[derive(Clone)]
pub struct Snapshot {
    first: Arc<Tenant>,
}

impl Snapshot {
    /// A snapshot of one tenant.
    pub fn new(tenant: Arc<Tenant>) -> Self {
        Self { first: tenant }
    }

    /// All tenants.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        std::iter::once(&self.first)
    }

    /// Takes over the keys that issuers have published meanwhile, so that nobody waits for them again.
    pub fn inherit_keys(&self, before: &Self) {
        for tenant in self.tenants() {
            let earlier = before.tenants().find(|earlier| earlier.id == tenant.id);
            if let Some(earlier) = earlier.filter(|earlier| !Arc::ptr_eq(earlier, tenant)) {
                tenant.identity.inherit_keys(&earlier.identity);
            }
        }
    }

    /// The tenant that there is when none are named.
    pub fn default_tenant(&self) -> &Arc<Tenant> {
        &self.first
    }
}

/// One tenant, ready to serve.
pub struct Tenant {
    id: Arc<str>,
    router: Router,
    identity: IdentityMethods,
    cors: Cors,
    upstream: Arc<Upstream>,
    gatekeeper: Gatekeeper,
}

impl Tenant {
    /// Its id: `tenant.id` in rules.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What a raw path, without its query, means. Nothing is normalised: another spelling is another path.
    pub fn find(&self, path: &str) -> Option<Found<'_>> {
        self.router.find(path)
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

    /// Its Electric.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}
