//! What runs beside the requests: each tenant's upstream resolved, its issuers' keys fetched, the cluster followed.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join4;
use tokio::task::JoinHandle;

use super::resolving;
use super::state::State;
use crate::tenant::Tenant;

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
        running.become_those_of(snapshot.tenants(), state);
        drop(snapshot);
        if replaced.changed().await.is_err() {
            return;
        }
    }
}

/// A task for each tenant.
#[derive(Default)]
struct Running(HashMap<usize, Task>);

impl Running {
    /// Starts tasks of new tenants and ends those of the ones that are gone; others are not disturbed.
    fn become_those_of<'t>(&mut self, tenants: impl Iterator<Item = &'t Arc<Tenant>>, state: &Arc<State>) {
        let mut before = std::mem::take(&mut self.0);
        for tenant in tenants {
            let place = Arc::as_ptr(tenant).addr();
            let task = before.remove(&place).unwrap_or_else(|| Task::of(tenant, state));
            self.0.insert(place, task);
        }
    }
}

/// A task that ends when this is dropped. It holds its tenant, whose address is therefore nobody else's.
struct Task(JoinHandle<()>);

impl Task {
    fn of(tenant: &Arc<Tenant>, state: &Arc<State>) -> Self {
        let (tenant, state) = (Arc::clone(tenant), Arc::clone(state));
        Self(tokio::spawn(async move {
            let changed = || state.judge_anew();
            tenant.keep_keys_fresh(&*state.clock, &changed).await;
            // Whatever of it ends early, the tenant's address stays taken.
            std::future::pending::<()>().await;
        }))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
