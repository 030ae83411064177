//! Names of upstreams, kept resolved for as long as a tenant needs them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::task::{AbortHandle, JoinSet};

use super::state::State;

/// The service that keeps every snapshot's names resolved.
pub struct Resolving(pub Arc<State>);

#[async_trait]
impl BackgroundService for Resolving {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.keep_fresh() => {}
            _ = shutdown.changed() => {}
        }
    }
}

impl Resolving {
    async fn keep_fresh(&self) {
        let mut swaps = self.0.swaps();
        let mut tasks = Tasks::default();
        loop {
            swaps.mark_unchanged();
            tasks.follow(&self.0);
            // The sender lives in the state.
            drop(swaps.changed().await);
        }
    }
}

/// A task for each name; ended with this.
#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    /// By where the addresses are in memory.
    running: HashMap<usize, AbortHandle>,
}

impl Tasks {
    fn follow(&mut self, state: &Arc<State>) {
        let wanted: HashMap<_, _> = state
            .loaded()
            .snapshot
            .addresses()
            .into_iter()
            .map(|addresses| (Arc::as_ptr(&addresses).addr(), addresses))
            .collect();
        self.running.retain(|key, task| {
            let stays = wanted.contains_key(key);
            if !stays {
                task.abort();
            }
            stays
        });
        for (key, addresses) in wanted {
            let clock = Arc::clone(&state.clock);
            self.running.entry(key).or_insert_with(|| {
                // The task holds the addresses, so that nobody else's are ever at this place.
                self.set.spawn(async move { addresses.keep_fresh(&*clock).await })
            });
        }
        while self.set.try_join_next().is_some() {}
    }
}
