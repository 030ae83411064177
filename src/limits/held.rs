//! Waits that last now, by whom they count for.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Counted;

/// Parts of the table with a lock of their own.
const SHARDS: usize = 64;

/// How many waits each has that has any: bounded by the connections that there are.
pub(super) struct HeldTable {
    shards: [Mutex<HashMap<Counted, u32>>; SHARDS],
    hash: RandomState,
}

impl Default for HeldTable {
    fn default() -> Self {
        Self {
            shards: [const { None::<()> }; SHARDS].map(|_| Mutex::default()),
            hash: RandomState::new(),
        }
    }
}

impl HeldTable {
    /// Adds a wait, unless there are `max`.
    fn add(&self, counted: &Counted, max: u32) -> bool {
        let mut shard = self.shard(counted);
        match shard.entry(counted.clone()) {
            Entry::Occupied(mut held) => {
                let room = *held.get() < max;
                *held.get_mut() += u32::from(room);
                room
            }
            Entry::Vacant(none) => {
                if max > 0 {
                    none.insert(1);
                }
                max > 0
            }
        }
    }

    fn remove(&self, counted: &Counted) {
        let mut shard = self.shard(counted);
        if let Some(held) = shard.get_mut(counted) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                shard.remove(counted);
            }
        }
    }

    /// How many have waits.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, counted: &Counted) -> MutexGuard<'_, HashMap<Counted, u32>> {
        let place = usize::try_from(self.hash.hash_one(counted) % SHARDS as u64).unwrap_or_default();
        let [first, ..] = &self.shards;
        lock(self.shards.get(place).unwrap_or(first))
    }
}

fn lock(shard: &Mutex<HashMap<Counted, u32>>) -> MutexGuard<'_, HashMap<Counted, u32>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room that a wait takes up; given back when this is dropped, whatever way the wait ends.
pub struct HeldSlot {
    table: Arc<HeldTable>,
    counted: Vec<Counted>,
}

impl HeldSlot {
    /// Counts for one more; says whether there was room.
    pub(super) fn add(slot: &mut Option<Self>, table: &Arc<HeldTable>, counted: Counted, max: u32) -> bool {
        let room = table.add(&counted, max);
        if room {
            let slot = slot.get_or_insert_with(|| Self {
                table: Arc::clone(table),
                counted: Vec::with_capacity(1),
            });
            slot.counted.push(counted);
        }
        room
    }
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        for counted in &self.counted {
            self.table.remove(counted);
        }
    }
}
