//! How long what was decided for a tenant holds: until the tenant is replaced or removed.

use std::sync::Arc;
use tokio::sync::watch;

/// One incarnation of a tenant, as those who wait know it.
#[derive(Debug)]
pub struct Lease {
    tenant: Arc<str>,
    over: watch::Sender<bool>,
}

impl Lease {
    /// A lease that is not over.
    pub fn of(tenant: Arc<str>) -> Arc<Self> {
        let over = watch::Sender::new(false);
        Arc::new(Self { tenant, over })
    }

    /// The tenant's id, which its next incarnation has, too.
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// Ends it: another incarnation is served, or none. Who waits asks for a new one.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// Resolves once it is over.
    pub fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut watch = self.over.subscribe();
        async move {
            // Without a sender nobody has the lease any more, so it is over as well.
            drop(watch.wait_for(|over| *over).await);
        }
    }
}
