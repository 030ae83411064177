//! How long what was decided for a tenant holds: until the tenant is replaced or removed.

use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Waits of one tenant that are judged anew at once, so that a change under many waits leaves room for requests,
/// and one tenant's change for another's.
const JUDGED_AT_ONCE_MAX: usize = 8;

/// One incarnation of a tenant, as those who wait know it.
#[derive(Debug)]
pub struct Lease {
    tenant: Arc<str>,
    over: watch::Sender<bool>,
    turns: Semaphore,
}

impl Lease {
    /// A lease that is not over.
    pub fn of(tenant: Arc<str>) -> Arc<Self> {
        let over = watch::Sender::new(false);
        let turns = Semaphore::new(JUDGED_AT_ONCE_MAX);
        Arc::new(Self { tenant, over, turns })
    }

    /// The tenant's id, which its next incarnation has, too.
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// Ends it: another incarnation is served, or none. Who waits asks for a new one.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    /// A turn at being judged anew.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
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
