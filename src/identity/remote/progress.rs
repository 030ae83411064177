//! Which fetch is under way, and who waits for one.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// Fetches are numbered from 1.
#[derive(Clone, Copy, Debug, Default)]
struct Fetches {
    started: u64,
    ended: u64,
    /// The last one that succeeded.
    succeeded: u64,
}

/// The fetches of one issuer's keys.
#[derive(Debug, Default)]
pub(super) struct Progress {
    fetches: watch::Sender<Fetches>,
    waiting: AtomicUsize,
}

/// A fetch under way; it has failed unless it said otherwise before it was dropped.
pub(super) struct Fetching<'a> {
    progress: &'a Progress,
    number: u64,
}

/// Somebody who waits.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

/// A fetch that somebody waits for.
pub(super) struct Wanted {
    fetches: watch::Receiver<Fetches>,
    number: u64,
    is_under_way: bool,
}

impl Progress {
    /// Joins those who wait, if they are not too many.
    pub(super) fn join(&self, max: usize) -> Option<Waiting<'_>> {
        let waiting = Waiting(&self.waiting);
        (self.waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(waiting)
    }

    /// Whether the last fetch has failed, and none is under way.
    pub(super) fn rests_after_failure(&self) -> bool {
        let fetches = *self.fetches.borrow();
        fetches.started == fetches.ended && fetches.succeeded < fetches.ended
    }

    /// The next fetch to start, since the one under way may have been answered before the question arose; or
    /// that one, where it does.
    pub(super) fn wanted(&self, under_way_will_do: bool) -> Wanted {
        let fetches = self.fetches.subscribe();
        let now = *fetches.borrow();
        let is_under_way = under_way_will_do && now.started > now.ended;
        let number = if is_under_way {
            now.started
        } else {
            now.started + 1
        };
        Wanted {
            fetches,
            number,
            is_under_way,
        }
    }

    pub(super) fn begin(&self) -> Fetching<'_> {
        let mut number = 0;
        self.fetches.send_modify(|fetches| {
            fetches.started += 1;
            number = fetches.started;
        });
        Fetching {
            progress: self,
            number,
        }
    }
}

impl Fetching<'_> {
    pub(super) fn succeeded(&self) {
        self.progress
            .fetches
            .send_modify(|fetches| fetches.succeeded = self.number);
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.progress
            .fetches
            .send_modify(|fetches| fetches.ended = self.number);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Wanted {
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Whether it succeeded, once it has ended.
    pub(super) async fn fetched(mut self) -> bool {
        let ended = self
            .fetches
            .wait_for(|fetches| fetches.ended >= self.number)
            .await;
        ended.is_ok_and(|fetches| fetches.succeeded >= self.number)
    }
}
