//! The room that all answers under way have together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

/// What is taken of the room by all.
pub(super) struct Kept {
    bytes: AtomicUsize,
    bytes_max: usize,
    gauge: IntGauge,
}

impl Kept {
    /// Room for `bytes_max`; what is taken of it is shown by `gauge`.
    pub(super) fn new(bytes_max: usize, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
            gauge,
        })
    }
}

/// The part of the room that one answer has taken, or one large event; given back when it is dropped.
pub(super) struct Room {
    kept: Arc<Kept>,
    taken: AtomicUsize,
}

impl Room {
    pub(super) fn of(kept: &Arc<Kept>) -> Self {
        Self {
            kept: Arc::clone(kept),
            taken: AtomicUsize::new(0),
        }
    }

    /// Another part of the same room, of which nothing is taken yet.
    pub(super) fn another(&self) -> Self {
        Self::of(&self.kept)
    }

    /// Takes `bytes` if there is room.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let add = |kept: usize| kept.checked_add(bytes).filter(|sum| *sum <= self.kept.bytes_max);
        let taken = self
            .kept
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok();
        if taken {
            self.note(bytes);
        }
        taken
    }

    /// Takes as much as is missing to `bytes`, if there is room.
    pub(super) fn grow_to(&self, bytes: usize) -> bool {
        self.take(bytes.saturating_sub(self.taken.load(Ordering::Relaxed)))
    }

    /// Whether nothing is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == 0
    }

    /// Takes `bytes` whether there is room or not.
    pub(super) fn take_anyway(&self, bytes: usize) {
        self.kept.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.note(bytes);
    }

    fn note(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        self.kept.gauge.add(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Gives `bytes` back, at most what was taken.
    pub(super) fn give_back(&self, bytes: usize) {
        let bytes = bytes.min(self.taken.load(Ordering::Relaxed));
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        self.kept.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.kept.gauge.sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(usize::MAX);
    }
}
