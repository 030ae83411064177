//! An answer that several clients read while it comes: one fills, any number wait.
//!
//! Nobody holds anybody: the filler keeps what has come until all may have read it, as far as there is room.
//! Beyond that it keeps pace with the fastest reader, and those who are too far behind are cut: a log is then
//! broken off, a stream of events ends after a whole one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use shapegate_core::code::{Code, Refusal};
use tokio::sync::{Notify, watch};

use super::head::Head;
use super::lineage::Lineage;
use super::stream::Partial;
use super::underway::{Listing, Room};
use crate::traces::{OpenSpan, SpanContext};

/// The largest answer that is kept whole, in bytes: above Electric's chunk of about 10 MB.
pub const ANSWER_BYTES_MAX: usize = 12 * 1024 * 1024;
/// What is kept of a stream of events at most, however many read it, in bytes.
pub const EVENTS_BYTES_MAX: usize = 1024 * 1024;
/// What each reader of a stream of events adds to what is kept of it, in bytes.
pub const EVENTS_BYTES_PER_READER: usize = 64 * 1024;
/// What is kept of a stream of events as soon as two read it, in bytes: a burst cuts nobody who is not slow.
const EVENTS_BYTES_SHARED: usize = 256 * 1024;
/// How far the filler is ahead of the fastest reader at most once it no longer keeps everything, in bytes.
const AHEAD_BYTES_MAX: u64 = 256 * 1024;
/// What a piece costs besides its bytes.
const PIECE_BYTES: usize = 96;

/// What is being shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A part of a shape's log, or an error: it ends.
    Log,
    /// Server-sent events.
    Events,
}

impl Sort {
    /// How much is kept for so many readers before it is no longer kept whole; then, how much for laggards.
    fn whole_max(self, readers: usize) -> usize {
        match self {
            Self::Log => ANSWER_BYTES_MAX,
            Self::Events if readers < 2 => EVENTS_BYTES_PER_READER,
            Self::Events => {
                (readers.saturating_mul(EVENTS_BYTES_PER_READER)).clamp(EVENTS_BYTES_SHARED, EVENTS_BYTES_MAX)
            }
        }
    }

    /// How much is kept for laggards when it is no longer kept whole.
    fn kept_max(self, readers: usize) -> usize {
        self.whole_max(readers) + self.whole_max(readers) / 2
    }
}

/// A piece of a body, and how many bytes there are up to its end.
struct Piece {
    bytes: Bytes,
    end: u64,
}

/// How an answer ended.
#[derive(Clone)]
enum End {
    Whole,
    Broken(Arc<Refusal>),
}

/// What has come so far.
#[derive(Default)]
struct Progress {
    head: Option<Arc<Head>>,
    pieces: VecDeque<Piece>,
    /// How many pieces before these are no longer kept.
    dropped: usize,
    /// Bytes of all pieces there ever were.
    total: u64,
    end: Option<End>,
}

impl Progress {
    fn append(&mut self, bytes: Bytes) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let end = self.total;
        self.pieces.push_back(Piece { bytes, end });
    }
}

/// What filler and readers have in common.
pub(super) struct Shared {
    progress: watch::Sender<Progress>,
    /// Up to which byte somebody has read.
    fastest: AtomicU64,
    /// Whether the filler waits for readers.
    paced: AtomicBool,
    read_on: Notify,
    /// What its pieces cost, given back with the last who has it.
    room: Room,
    /// Of which shape it is, and the generation of that shape that it is of as far as is known.
    of: OnceLock<(Arc<Lineage>, AtomicU64)>,
    /// The span of the fetch, if that is recorded.
    span: OnceLock<SpanContext>,
}

impl Shared {
    pub(super) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self {
            progress: watch::Sender::default(),
            fastest: AtomicU64::new(0),
            paced: AtomicBool::new(false),
            read_on: Notify::new(),
            room,
            of: OnceLock::new(),
            span: OnceLock::new(),
        })
    }

    /// Another reader, from the start.
    pub(super) fn reader(self: &Arc<Self>) -> Reader {
        let mut watch = self.progress.subscribe();
        watch.mark_changed();
        Reader {
            shared: Arc::clone(self),
            watch,
            at: 0,
        }
    }

    /// Whether nothing is known of a later incarnation of its shape: who asks once it is, must not get this one.
    pub(super) fn is_current(&self) -> bool {
        let of = self.of.get();
        of.is_none_or(|(lineage, generation)| lineage.generation() == generation.load(Ordering::Acquire))
    }

    pub(super) fn has_readers(&self) -> bool {
        self.progress.receiver_count() > 0
    }

    /// Resolves when nobody reads any more; somebody may join at the same moment.
    pub(super) async fn unread(&self) {
        self.progress.closed().await;
    }

    fn note_read(&self, end: u64) {
        // Sequentially consistent with the filler, which says that it is paced before it looks how far
        // readers have come: one of both sees the other.
        self.fastest.fetch_max(end, Ordering::SeqCst);
        if self.paced.load(Ordering::SeqCst) {
            self.read_on.notify_one();
        }
    }

    fn ahead(&self) -> u64 {
        let total = self.progress.borrow().total;
        total.saturating_sub(self.fastest.load(Ordering::SeqCst))
    }
}

/// One who reads.
pub struct Reader {
    shared: Arc<Shared>,
    watch: watch::Receiver<Progress>,
    /// The next piece.
    at: usize,
}

/// The start of an answer.
pub struct Start {
    /// The header.
    pub head: Arc<Head>,
    /// The body's length, if all of it has come.
    pub length: Option<usize>,
}

/// Why a body does not go on.
#[derive(Clone, Debug)]
pub enum Cut {
    /// This reader is too far behind.
    Behind,
    /// The upstream broke off, or the fetch did.
    Broken(Arc<Refusal>),
}

impl Reader {
    /// Waits for the header.
    ///
    /// # Errors
    /// What everybody who waits is told instead.
    pub async fn start(&mut self) -> Result<Start, Arc<Refusal>> {
        loop {
            {
                let progress = self.watch.borrow_and_update();
                let whole = matches!(progress.end, Some(End::Whole));
                match (&progress.head, &progress.end) {
                    (Some(head), _) => {
                        return Ok(Start {
                            head: Arc::clone(head),
                            length: usize::try_from(progress.total).ok().filter(|_| whole),
                        });
                    }
                    (None, Some(End::Broken(refusal))) => return Err(Arc::clone(refusal)),
                    (None, _) => {}
                }
            }
            self.changed().await;
        }
    }

    /// The next piece of the body; none at its end. Nothing is lost when the wait for it is given up.
    ///
    /// # Errors
    /// When the body does not go on: what came so far is not all of it.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            {
                let progress = self.watch.borrow_and_update();
                let Some(index) = self.at.checked_sub(progress.dropped) else {
                    return Err(Cut::Behind);
                };
                if let Some(piece) = progress.pieces.get(index) {
                    self.at += 1;
                    self.shared.note_read(piece.end);
                    return Ok(Some(piece.bytes.clone()));
                }
                match &progress.end {
                    Some(End::Whole) => return Ok(None),
                    Some(End::Broken(refusal)) => return Err(Cut::Broken(Arc::clone(refusal))),
                    None => {}
                }
            }
            self.changed().await;
        }
    }

    /// The span of the fetch, if it has begun and is recorded.
    pub fn span(&self) -> Option<SpanContext> {
        self.shared.span.get().copied()
    }

    /// Gives the last piece once more.
    pub fn take_back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    async fn changed(&mut self) {
        // The sender lives in what this reader holds, so that waiting cannot fail.
        drop(self.watch.changed().await);
    }
}

/// The one who fills. Dropped before the end, it breaks the answer off for all who read.
pub struct Filler {
    shared: Arc<Shared>,
    listing: Listing,
    sort: Sort,
    /// Whether everything that came is kept, and more can join.
    whole: bool,
    /// Bytes kept, with what pieces cost.
    kept: usize,
    /// Of a stream, what is not a whole event yet.
    partial: Partial,
    ended: bool,
}

impl Filler {
    pub(super) fn new(shared: Arc<Shared>, listing: Listing, sort: Sort) -> Self {
        Self {
            shared,
            listing,
            sort,
            whole: true,
            kept: 0,
            partial: Partial::default(),
            ended: false,
        }
    }

    /// Tells of which shape the answer is that is awaited.
    pub(super) fn is_of(&self, lineage: &Arc<Lineage>) {
        let generation = AtomicU64::new(lineage.generation());
        // Told once, before anything is fetched.
        drop(self.shared.of.set((Arc::clone(lineage), generation)));
    }

    /// Tells what traces know the fetch by.
    pub fn is_told_as(&self, span: &OpenSpan) {
        if let Some(span) = span.context() {
            // Told once, before anything is fetched.
            _ = self.shared.span.set(span);
        }
    }

    /// Tells of which generation of its shape the answer is.
    pub(super) fn is_of_generation(&self, generation: u64) {
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
        if self.sort == Sort::Log && self.takes(&pieces) {
            self.shared.progress.send_modify(|progress| {
                progress.head = Some(head);
                pieces.into_iter().for_each(|piece| progress.append(piece));
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
            Sort::Log => piece,
            Sort::Events => self.partial.whole_events(piece),
        };
        self.add(piece).await;
    }

    async fn add(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        if !self.takes(std::slice::from_ref(&piece)) {
            self.keep_pace().await;
            self.make_room(piece.len() + PIECE_BYTES);
        }
        self.shared
            .progress
            .send_modify(|progress| progress.append(piece));
    }

    /// Takes room for pieces as long as everything is kept. When it no longer is, later askers get a fetch of
    /// their own.
    fn takes(&mut self, pieces: &[Bytes]) -> bool {
        let cost: usize = pieces.iter().map(|piece| piece.len() + PIECE_BYTES).sum();
        let fits = self.kept + cost <= self.sort.whole_max(self.readers());
        if self.whole && fits && self.shared.room.take(cost) {
            self.kept += cost;
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

    /// Forgets what the fastest reader has read, oldest first, until `cost` fits; a single reader needs none
    /// of it. What nobody has read is kept in any case: there is little of it.
    fn make_room(&mut self, cost: usize) {
        let (single, kept_max) = (self.readers() <= 1, self.sort.kept_max(self.readers()));
        let fastest = self.shared.fastest.load(Ordering::SeqCst);
        self.shared.progress.send_if_modified(|progress| {
            loop {
                let fits = self.kept + cost <= kept_max;
                if fits && !single && self.shared.room.take(cost) {
                    self.kept += cost;
                    return false;
                }
                if progress.pieces.front().is_none_or(|piece| piece.end > fastest) {
                    self.shared.room.take_anyway(cost);
                    self.kept += cost;
                    return false;
                }
                if let Some(piece) = progress.pieces.pop_front() {
                    progress.dropped += 1;
                    let freed = piece.bytes.len() + PIECE_BYTES;
                    self.kept = self.kept.saturating_sub(freed);
                    self.shared.room.give_back(freed);
                }
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
        let rest = self.partial.rest();
        if !rest.is_empty() {
            self.shared.progress.send_modify(|progress| progress.append(rest));
        }
        self.end(End::Whole);
    }

    /// Tells a whole answer at once, so that those who wait are woken once.
    pub fn answer(mut self, head: Arc<Head>, pieces: Vec<Bytes>) {
        self.ended = true;
        self.listing.remove(&self.shared);
        self.shared.progress.send_modify(|progress| {
            progress.head = Some(head);
            pieces.into_iter().for_each(|piece| progress.append(piece));
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

#[cfg(test)]
mod tests;
