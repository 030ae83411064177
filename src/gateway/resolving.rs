//! Names of upstreams, kept resolved for as long as a tenant needs them: once, however many tenants share one.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use super::state::State;

/// Keeps the names of the snapshot in use resolved, until this is dropped.
pub(super) async fn run(state: &Arc<State>) {
    let mut replaced = state.replacements();
    let mut tasks = Tasks::default();
    loop {
        tasks.follow(state);
        if replaced.changed().await.is_err() {
            return;
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
