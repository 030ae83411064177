//! What runs beside the requests: each tenant's upstream resolved, its issuers' keys fetched, the cluster followed.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join4;
use tokio::task::JoinHandle;

use super::resolving;
use super::state::State;
use crate::identity::remote::RemoteKeys;

/// Runs what the process and each tenant of the snapshot in use need, until this is dropped.
pub async fn run(state: &Arc<State>) {
    let cluster = Box::pin(state.cluster.run());
    let operators = Box::pin(state.cluster.follow_operators());
    join4(resolving::run(state), keep_keys_fresh(state), cluster, operators).await;
}

async fn keep_keys_fresh(state: &Arc<State>) {
    let mut replaced = state.replacements();
    let mut running = Running::default();
    loop {
        let snapshot = state.loaded().snapshot.clone();
        let keys = snapshot.tenants().flat_map(|tenant| tenant.published_keys());
        running.become_those_of(keys, state);
        drop(snapshot);
        if replaced.changed().await.is_err() {
            return;
        }
    }
}

/// A task for each issuer's published keys.
#[derive(Default)]
struct Running(HashMap<usize, Task>);

impl Running {
    /// Starts tasks of new keys and ends those of the ones that are gone; others are not disturbed.
    fn become_those_of<'t>(&mut self, all: impl Iterator<Item = &'t Arc<RemoteKeys>>, state: &Arc<State>) {
        let mut before = std::mem::take(&mut self.0);
        for keys in all {
            let place = Arc::as_ptr(keys).addr();
            let known = || before.remove(&place).unwrap_or_else(|| Task::of(keys, state));
            self.0.entry(place).or_insert_with(known);
        }
    }
}

/// A task that ends when this is dropped.
struct Task {
    task: JoinHandle<()>,
    /// As long as there is a task for them, their address is nobody else's.
    _keys: Arc<RemoteKeys>,
}

impl Task {
    fn of(keys: &Arc<RemoteKeys>, state: &Arc<State>) -> Self {
        let (fetched, state) = (Arc::clone(keys), Arc::clone(state));
        let task = tokio::spawn(async move {
            let changed = || state.judge_anew();
            fetched.keep_fresh(&*state.clock, &changed).await;
        });
        Self {
            task,
            _keys: Arc::clone(keys),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}
