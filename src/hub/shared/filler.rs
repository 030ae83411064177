//! The one who fills what is shared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use shapegate_core::code::{Code, Refusal};

use super::{AHEAD_BYTES_MAX, Cost, End, LARGE_EVENTS_BYTES_MAX, Shared, Sort};
use crate::hub::cache::Stored;
use crate::hub::head::Head;
use crate::hub::lineage::Lineage;
use crate::hub::stream::{Events, Partial};
use crate::hub::underway::Listing;
use crate::traces::OpenSpan;

/// The one who fills. Dropped before the end, it breaks the answer off for all who read.
pub struct Filler {
    shared: Arc<Shared>,
    listing: Listing,
    sort: Sort,
    /// Whether everything that came is kept, and more can join.
    whole: bool,
    /// What is kept.
    kept: Cost,
    /// Of a stream, what is not a whole event yet.
    partial: Partial,
    ended: bool,
}

impl Filler {
    pub(in crate::hub) fn new(shared: Arc<Shared>, listing: Listing, sort: Sort) -> Self {
        Self {
            shared,
            listing,
            sort,
            whole: true,
            kept: Cost::default(),
            partial: Partial::default(),
            ended: false,
        }
    }

    /// Tells of which shape the answer is that is awaited.
    pub(in crate::hub) fn is_of(&self, lineage: &Arc<Lineage>) {
        let generation = AtomicU64::new(lineage.generation());
        // Told once, before anything is fetched.
        drop(self.shared.of.set((Arc::clone(lineage), generation)));
    }

    /// Tells what traces know the fetch by.
    pub(in crate::hub) fn is_told_as(&self, span: &OpenSpan) {
        if let Some(span) = span.context() {
            // Told once, before anything is fetched.
            _ = self.shared.span.set(span);
        }
    }

    /// Tells of which generation of its shape the answer is.
    pub(in crate::hub) fn is_of_generation(&self, generation: u64) {
        if let Some((_, known)) = self.shared.of.get() {
            known.store(generation, Ordering::Release);
        }
    }

    /// Resolves when nobody reads any more, and nobody can join either.
    pub fn abandoned(&self) -> impl Future<Output = ()> + Send + use<> {
        let (shared, listing) = (Arc::clone(&self.shared), self.listing.clone());
        async move {
            loop {
                shared.unread().await;
                if listing.remove_unread(&shared) {
                    return;
                }
            }
        }
    }

    /// Tells the header and what of the body came with it.
    pub async fn begin(&mut self, head: Arc<Head>, pieces: Vec<Bytes>) {
        if self.sort == Sort::Log && self.takes(total_cost(&pieces)) {
            self.shared.progress.send_modify(|progress| {
                progress.head = Some(head);
                pieces
                    .into_iter()
                    .for_each(|piece| progress.append_counted(piece));
            });
            return;
        }
        self.shared
            .progress
            .send_modify(|progress| progress.head = Some(head));
        for piece in pieces {
            self.push(piece).await;
        }
    }

    /// Adds a piece, waiting until there is room for it. Of a stream, what is not a whole event waits for its rest.
    pub async fn push(&mut self, piece: Bytes) {
        let piece = match self.sort {
            Sort::Log => Events::small(piece),
            Sort::Events => self.partial.whole_events(piece, &self.shared.room),
        };
        self.add(piece).await;
    }

    async fn add(&mut self, Events { bytes, large }: Events) {
        if bytes.is_empty() {
            return;
        }
        let cost = Cost::of(bytes.len(), large);
        if !self.takes(cost) {
            self.keep_pace().await;
            self.make_room(cost);
        }
        self.shared
            .progress
            .send_modify(|progress| progress.append(bytes, cost));
    }

    /// Takes room for more as long as everything is kept. When it no longer is, later askers get a fetch of
    /// their own.
    fn takes(&mut self, more: Cost) -> bool {
        let kept = self.kept.and(more);
        let fits = kept.large == 0 && kept.counted <= self.sort.whole_max(self.readers());
        if self.whole && fits && self.shared.room.take(more.counted) {
            self.kept = kept;
            return true;
        }
        if self.whole {
            self.whole = false;
            self.listing.remove(&self.shared);
            self.shared.paced.store(true, Ordering::SeqCst);
        }
        false
    }

    fn readers(&self) -> usize {
        self.shared.progress.receiver_count()
    }

    /// Waits until the fastest reader is near.
    async fn keep_pace(&self) {
        loop {
            let read_on = self.shared.read_on.notified();
            if self.shared.ahead() <= AHEAD_BYTES_MAX {
                return;
            }
            read_on.await;
        }
    }

    /// Forgets what the fastest reader has read, oldest first, until `more` fits; a single reader needs none
    /// of it. What nobody has read is kept in any case: there is little of it.
    fn make_room(&mut self, more: Cost) {
        let (single, kept_max) = (self.readers() <= 1, self.sort.kept_max(self.readers()));
        let fastest = self.shared.fastest.load(Ordering::SeqCst);
        self.shared.progress.send_if_modified(|progress| {
            loop {
                let kept = self.kept.and(more);
                let fits = kept.counted <= kept_max && kept.large <= LARGE_EVENTS_BYTES_MAX;
                if fits && !single && self.shared.room.take(more.counted) {
                    self.kept = kept;
                    return false;
                }
                let read = |end: u64| end <= fastest;
                let Some(piece) = progress.forget_first(read) else {
                    self.shared.room.take_anyway(more.counted);
                    self.kept = kept;
                    return false;
                };
                self.kept = self.kept.without(piece.cost);
                self.shared.room.give_back(piece.cost.counted);
            }
        });
    }

    /// All of the body, if it was kept.
    pub fn body(&self) -> Option<Vec<Bytes>> {
        let progress = self.shared.progress.borrow();
        self.whole
            .then(|| progress.pieces.iter().map(|piece| piece.bytes.clone()).collect())
    }

    /// Ends a whole answer.
    pub fn finish(mut self) {
        let Events { bytes, large } = self.partial.rest();
        if !bytes.is_empty() {
            let cost = Cost::of(bytes.len(), large);
            self.shared
                .progress
                .send_modify(|progress| progress.append(bytes, cost));
        }
        self.end(End::Whole);
    }

    /// Tells a whole answer at once, so that those who wait are woken once.
    pub fn answer(mut self, head: Arc<Head>, pieces: Vec<Bytes>) {
        self.ended = true;
        self.listing.remove(&self.shared);
        self.shared.progress.send_modify(|progress| {
            progress.head = Some(head);
            pieces
                .into_iter()
                .for_each(|piece| progress.append_counted(piece));
            progress.end = Some(End::Whole);
        });
    }

    /// Tells that what was kept is still the answer.
    pub fn confirm(mut self, stored: Arc<Stored>) {
        self.ended = true;
        self.listing.remove(&self.shared);
        self.shared.progress.send_modify(|progress| {
            progress.head = Some(Arc::clone(&stored.head));
            progress.confirmed = Some(stored);
            progress.end = Some(End::Whole);
        });
    }

    /// Ends for all who wait with an error.
    pub fn refuse(mut self, refusal: Refusal) {
        self.end(End::Broken(Arc::new(refusal)));
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        // First nobody can join any more, then those who did are told: an error is told once.
        self.listing.remove(&self.shared);
        self.shared
            .progress
            .send_modify(|progress| progress.end = Some(end));
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        if !self.ended {
            let text = "The upstream failed.";
            let refusal =
                Refusal::new(Code::UpstreamFailed, text).with_detail("the fetch ended unexpectedly");
            self.end(End::Broken(Arc::new(refusal)));
        }
    }
}

fn total_cost(pieces: &[Bytes]) -> Cost {
    let costs = pieces.iter().map(|piece| Cost::of(piece.len(), false));
    costs.fold(Cost::default(), Cost::and)
}
