//! Which incarnation of a shape is alive: when Electric tells of another, everything of the old one is gone.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quick_cache::sync::Cache;
use shapegate_core::handle::UpstreamHandle;

use super::key::ShapeKey;

/// Handles that are remembered as gone, and as refused, of one shape.
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
    moment: AtomicU64,
    known: Mutex<Known>,
    listed: Option<(Weak<Lineages>, ShapeKey)>,
}

#[derive(Default)]
struct Known {
    alive: Option<UpstreamHandle>,
    /// Those that were alive.
    gone: VecDeque<UpstreamHandle>,
    /// Those that the upstream did not know. Clients write them, so that they have a list of their own.
    refused: VecDeque<UpstreamHandle>,
}

impl Known {
    fn is_gone(&self, handle: &UpstreamHandle) -> bool {
        self.gone.contains(handle) || self.refused.contains(handle)
    }

    fn refuse(&mut self, handle: &UpstreamHandle) {
        if !self.is_gone(handle) {
            remember(&mut self.refused, handle.clone());
        }
    }
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
            moment: AtomicU64::new(0),
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

    /// Grows with everything that is learned of which incarnation is alive. Who asks notes it, so that it can be
    /// told what an answer says of the present and what of a past that is known better.
    pub fn moment(&self) -> u64 {
        self.moment.load(Ordering::Acquire)
    }

    /// Notes that an answer to what was asked at `moment` was of `handle`; gives the generation to keep it under,
    /// or none if that incarnation is gone, or may be.
    pub fn seen(&self, handle: &UpstreamHandle, moment: u64) -> Option<u64> {
        let mut known = self.lock();
        if known.is_gone(handle) {
            return None;
        }
        if known.alive.as_ref() == Some(handle) {
            return Some(self.generation());
        }
        if moment != self.moment() {
            self.doubt(&mut known);
            return None;
        }
        self.begin(&mut known, handle);
        Some(self.generation())
    }

    /// Notes that the upstream knows `asked` no longer, and now has `now`; gives the generation to keep its
    /// answer to what was asked at `moment` under, or none if what it has now is gone as well, or may be.
    pub fn rotated(
        &self,
        asked: Option<&UpstreamHandle>,
        now: Option<&UpstreamHandle>,
        moment: u64,
    ) -> Option<u64> {
        let mut known = self.lock();
        let is_present = moment == self.moment();
        if let Some(asked) = asked {
            if known.alive.as_ref() == Some(asked) {
                self.end(&mut known);
            }
            known.refuse(asked);
        }
        match now {
            Some(now) if known.is_gone(now) => return None,
            Some(now) if known.alive.as_ref() == Some(now) => {}
            Some(now) if is_present => self.begin(&mut known, now),
            Some(_) => {
                self.doubt(&mut known);
                return None;
            }
            None => {}
        }
        Some(self.generation())
    }

    /// Another incarnation is alive, and the one before it is gone.
    fn begin(&self, known: &mut Known, handle: &UpstreamHandle) {
        if known.alive.is_some() {
            self.end(known);
        }
        known.alive = Some(handle.clone());
        self.moment.fetch_add(1, Ordering::AcqRel);
    }

    /// The incarnation that was alive is gone.
    fn end(&self, known: &mut Known) {
        if let Some(alive) = known.alive.take() {
            remember(&mut known.gone, alive);
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.moment.fetch_add(1, Ordering::AcqRel);
    }

    /// An answer came late and tells of another incarnation, an earlier or a later one. What is kept is not handed
    /// out any more, and what is asked from now on tells which is alive.
    fn doubt(&self, known: &mut Known) {
        if known.alive.take().is_some() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        // Always: an answer that is on its way could be older than this one.
        self.moment.fetch_add(1, Ordering::AcqRel);
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
            moment: AtomicU64::new(0),
            known: Mutex::default(),
            listed: None,
        }
    }

    #[test]
    fn another_handle_ends_what_was_kept_and_the_old_one_does_not_come_back() {
        let lineage = lineage();
        let (one, two) = (handle("1-1"), handle("1-2"));
        let seen = |handle: &UpstreamHandle| lineage.seen(handle, lineage.moment());
        assert_eq!(seen(&one), Some(0));
        assert_eq!(seen(&one), Some(0));
        assert_eq!(seen(&two), Some(1));
        assert_eq!(seen(&one), None, "an answer out of another cache");
        assert_eq!(lineage.generation(), 1);
    }

    #[test]
    fn a_409_for_the_living_handle_ends_it_and_one_for_an_old_handle_ends_nothing() {
        let lineage = lineage();
        let (one, two, three) = (handle("1-1"), handle("1-2"), handle("1-3"));
        let made_up = handle("made-up");
        let rotated = |asked, now| lineage.rotated(asked, now, lineage.moment());
        lineage.seen(&one, 0);
        assert_eq!(rotated(Some(&one), None), Some(1));
        assert_eq!(lineage.seen(&one, lineage.moment()), None);
        assert_eq!(lineage.seen(&two, lineage.moment()), Some(1));
        assert_eq!(rotated(Some(&one), Some(&two)), Some(1), "an old client");
        assert_eq!(rotated(Some(&made_up), Some(&two)), Some(1));
        assert_eq!(rotated(Some(&made_up), None), Some(1));
        let news = rotated(Some(&one), Some(&three));
        assert_eq!(news, Some(2), "news of another one");
        assert_eq!(rotated(Some(&two), Some(&one)), None, "an old answer");
        assert_eq!(
            lineage.seen(&handle("1-3"), lineage.moment()),
            Some(2),
            "ends nothing"
        );
    }

    #[test]
    fn an_answer_that_comes_late_brings_nothing_back_and_leaves_nothing_in_doubt_kept() {
        let lineage = lineage();
        let (one, two, three) = (handle("1-1"), handle("1-2"), handle("1-3"));
        lineage.seen(&one, 0);
        let early = lineage.moment();
        // Nobody saw the second incarnation alive, so that its answer could be of a fourth.
        lineage.rotated(Some(&one), Some(&three), early);
        assert_eq!(lineage.generation(), 1);
        assert_eq!(lineage.seen(&two, early), None);
        assert_eq!(lineage.generation(), 2, "what was kept of the third is in doubt");
        let doubtful = lineage.moment();
        assert_eq!(lineage.seen(&two, early), None);
        assert_eq!(lineage.rotated(Some(&one), Some(&two), early), None);
        assert_eq!(lineage.generation(), 2, "and is not ended twice");
        assert_eq!(
            lineage.seen(&three, doubtful),
            None,
            "nor is it known from what came in between"
        );
        assert_eq!(
            lineage.seen(&three, lineage.moment()),
            Some(2),
            "who asks now tells"
        );
    }

    #[test]
    fn handles_that_clients_make_up_drive_out_none_that_was_alive() {
        let lineage = lineage();
        let (one, two) = (handle("1-1"), handle("1-2"));
        lineage.seen(&one, lineage.moment());
        lineage.seen(&two, lineage.moment());
        for number in 0..100 {
            lineage.rotated(
                Some(&handle(&format!("9-{number}"))),
                Some(&two),
                lineage.moment(),
            );
        }
        assert_eq!(lineage.seen(&one, lineage.moment()), None);
        assert_eq!(lineage.seen(&two, lineage.moment()), Some(1));
        let known = lineage.lock();
        assert!(known.gone.len() <= GONE_MAX && known.refused.len() <= GONE_MAX);
    }
}
