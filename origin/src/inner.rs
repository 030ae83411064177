//! What every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::config::OriginConfig;
use crate::misbehave::Faults;
use crate::received::Ledger;
use crate::store::Store;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: OriginConfig,
    pub(crate) store: Store,
    pub(crate) received: Ledger,
    pub(crate) faults: Faults,
    waiting: Arc<AtomicUsize>,
    counter: AtomicU64,
}

impl Inner {
    /// # Errors
    /// When the schema's rows do not fit its tables.
    pub(crate) fn new(config: OriginConfig) -> Result<Self, String> {
        let clock = Arc::clone(&config.clock);
        let store = Store::new(config.schema.clone(), config.chunk_bytes, clock)?;
        Ok(Self {
            store,
            received: Ledger::new(config.received_max),
            faults: Faults::default(),
            waiting: Arc::default(),
            counter: AtomicU64::new(1),
            config,
        })
    }

    /// A number that no one else gets.
    pub(crate) fn unique(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a request as waiting until the guard is dropped, by its answer or by its client.
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(Arc::clone(&self.waiting))
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// One request that waits.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
