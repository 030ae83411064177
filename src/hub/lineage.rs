//! Which incarnation of a shape is alive: when Electric tells of another, everything of the old one is gone.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quick_cache::sync::Cache;
use shapegate_core::handle::UpstreamHandle;

use super::key::ShapeKey;

/// Handles that are remembered as gone, of one shape.
const GONE_MAX: usize = 8;

/// Shapes whose incarnations are remembered although nothing of them is kept or under way.
const REMEMBERED_MAX: usize = 10_000;

/// The lineages of all shapes of which anything is kept or under way, or was lately.
pub struct Lineages {
    /// One of each shape, or what is kept under one would not be ended by news to another.
    all: Mutex<HashMap<ShapeKey, Weak<Lineage>>>,
    recent: Cache<u64, Arc<Lineage>>,
    numbers: AtomicU64,
}

/// The incarnations of one shape, as far as its answers have told.
pub struct Lineage {
    number: u64,
    generation: AtomicU64,
    known: Mutex<Known>,
    listed: Option<(Weak<Lineages>, ShapeKey)>,
}

#[derive(Default)]
struct Known {
    alive: Option<UpstreamHandle>,
    gone: VecDeque<UpstreamHandle>,
}

impl Default for Lineages {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            recent: Cache::new(REMEMBERED_MAX),
            numbers: AtomicU64::new(0),
        }
    }
}

impl Lineages {
    /// The lineage of a shape.
    pub fn of(self: &Arc<Self>, key: &ShapeKey) -> Arc<Lineage> {
        let lineage = self.find_or_add(key);
        if self.recent.get(&lineage.number).is_none() {
            // Not under the lock: what has to go for it takes itself off the list.
            self.recent.insert(lineage.number, Arc::clone(&lineage));
        }
        lineage
    }

    fn find_or_add(self: &Arc<Self>, key: &ShapeKey) -> Arc<Lineage> {
        let mut all = self.lock();
        if let Some(lineage) = all.get(key).and_then(Weak::upgrade) {
            return lineage;
        }
        let lineage = Arc::new(Lineage {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            generation: AtomicU64::new(0),
            known: Mutex::default(),
            listed: Some((Arc::downgrade(self), key.clone())),
        });
        all.insert(key.clone(), Arc::downgrade(&lineage));
        lineage
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShapeKey, Weak<Lineage>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lineage {
    /// Grows with each incarnation that has ended: what was kept before it grew is not handed out any more.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that an answer was of `handle`; gives the generation to keep it under, or none if that
    /// incarnation is known to be gone.
    pub fn seen(&self, handle: &UpstreamHandle) -> Option<u64> {
        let mut known = self.lock();
        if known.gone.contains(handle) {
            return None;
        }
        if known.alive.as_ref().is_some_and(|alive| alive != handle) {
            self.end(&mut known);
        }
        known.alive = Some(handle.clone());
        Some(self.generation())
    }

    /// Notes that the upstream knows `asked` no longer, and now has `now`; gives the generation to keep its
    /// answer under.
    pub fn rotated(&self, asked: Option<&UpstreamHandle>, now: Option<&UpstreamHandle>) -> u64 {
        let mut known = self.lock();
        let is_alive = |handle: Option<&UpstreamHandle>| handle.is_some() && known.alive.as_ref() == handle;
        if is_alive(asked) || (now.is_some() && !is_alive(now)) {
            self.end(&mut known);
        }
        if let Some(asked) = asked.filter(|asked| !known.gone.contains(asked)) {
            remember(&mut known.gone, asked.clone());
        }
        if let Some(now) = now.filter(|now| !known.gone.contains(now)) {
            known.alive = Some(now.clone());
        }
        self.generation()
    }

    fn end(&self, known: &mut Known) {
        if let Some(alive) = known.alive.take() {
            remember(&mut known.gone, alive);
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        let Some((lineages, key)) = self.listed.take() else {
            return;
        };
        if let Some(lineages) = lineages.upgrade() {
            let mut all = lineages.lock();
            // Another one of the same shape may have taken the place already.
            if all.get(&key).is_some_and(|lineage| lineage.strong_count() == 0) {
                all.remove(&key);
            }
        }
    }
}

fn remember(gone: &mut VecDeque<UpstreamHandle>, handle: UpstreamHandle) {
    if gone.len() >= GONE_MAX {
        gone.pop_front();
    }
    gone.push_back(handle);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(text: &str) -> UpstreamHandle {
        UpstreamHandle::parse(text).unwrap()
    }

    fn lineage() -> Lineage {
        Lineage {
            number: 0,
            generation: AtomicU64::new(0),
            known: Mutex::default(),
            listed: None,
        }
    }

    #[test]
    fn another_handle_ends_what_was_kept_and_the_old_one_does_not_come_back() {
        let lineage = lineage();
        let (one, two) = (handle("1-1"), handle("1-2"));
        assert_eq!(lineage.seen(&one), Some(0));
        assert_eq!(lineage.seen(&one), Some(0));
        assert_eq!(lineage.seen(&two), Some(1));
        assert_eq!(lineage.seen(&one), None, "an answer that was under way for long");
        assert_eq!(lineage.generation(), 1);
    }

    #[test]
    fn a_409_for_the_living_handle_ends_it_and_one_for_an_old_handle_ends_nothing() {
        let lineage = lineage();
        let (one, two) = (handle("1-1"), handle("1-2"));
        lineage.seen(&one);
        assert_eq!(lineage.rotated(Some(&one), None), 1);
        assert_eq!(lineage.seen(&one), None);
        assert_eq!(lineage.seen(&two), Some(1));
        assert_eq!(lineage.rotated(Some(&one), Some(&two)), 1, "an old client");
        assert_eq!(lineage.rotated(Some(&handle("made-up")), Some(&two)), 1);
        assert_eq!(lineage.rotated(Some(&handle("made-up")), None), 1);
        assert_eq!(
            lineage.rotated(Some(&one), Some(&handle("1-3"))),
            2,
            "news of another one"
        );
    }
}
