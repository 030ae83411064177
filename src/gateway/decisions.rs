//! Decisions that are remembered, until what was decided by is replaced.
//!
//! A key begins with the number of the compiled shape, which no other shape ever has: what was decided under other
//! rules is never looked up. That it does not take up room either is what [`Decisions::forget`] is for.

use std::collections::HashSet;
use std::sync::Arc;

use quick_cache::sync::Cache;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::DecisionKey;
use tokio::runtime::Handle;

use crate::tenant::{ServedShape, Tenant};

/// Decisions remembered; each is a few hundred bytes.
const DECISIONS_MAX: usize = 100_000;

/// What was decided, by the shape's number and all that it was decided from.
pub struct Decisions(Cache<(u64, DecisionKey), Arc<Allowed>>);

impl Default for Decisions {
    fn default() -> Self {
        Self(Cache::new(DECISIONS_MAX))
    }
}

impl Decisions {
    /// What was decided, if it is remembered.
    pub fn get(&self, key: &(u64, DecisionKey)) -> Option<Arc<Allowed>> {
        self.0.get(key)
    }

    /// Remembers what was decided, unless the shape has been replaced: nobody would ask for it again.
    pub fn remember(&self, shape: &ServedShape, key: &(u64, DecisionKey), allowed: &Arc<Allowed>) {
        self.0.insert(key.clone(), Arc::clone(allowed));
        // Looked at afterwards: who replaces it says so first, and forgets then.
        if shape.is_replaced() {
            self.0.remove(key);
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what was decided for tenants that are replaced or gone, beside the requests: one entry at a time, so
    /// that nobody waits for it.
    pub fn forget<'t>(self: &Arc<Self>, tenants: impl Iterator<Item = &'t Arc<Tenant>>) {
        let mut replaced = HashSet::new();
        for shape in tenants.flat_map(|tenant| tenant.shapes()) {
            shape.replace();
            replaced.insert(shape.number());
        }
        if replaced.is_empty() || self.is_empty() {
            return;
        }
        let decisions = Arc::clone(self);
        let forgetting = move || decisions.forget_those_of(&replaced);
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(forgetting)),
            Err(_) => forgetting(),
        }
    }

    fn forget_those_of(&self, shapes: &HashSet<u64>) {
        let theirs = self.0.iter().filter(|((shape, _), _)| shapes.contains(shape));
        for (key, _) in theirs {
            // What is removed is dropped here, outside the table's lock.
            drop(self.0.remove(&key));
        }
    }
}
