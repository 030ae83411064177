//! An answer that several clients read while it comes: one fills, any number wait.
//!
//! Nobody holds anybody: the filler keeps what has come until all may have read it, as far as there is room.
//! Beyond that it keeps pace with the fastest reader, and those who are too far behind are cut: a log is then
//! broken off, a stream of events ends after a whole one.

mod filler;
mod reader;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use shapegate_core::code::Refusal;
use tokio::sync::{Notify, watch};

pub use self::filler::Filler;
pub use self::reader::{Cut, Reader, Start};
use super::cache::Stored;
use super::head::Head;
use super::lineage::Lineage;
use super::room::Room;
use super::stream::EVENT_BYTES_MAX;
use crate::traces::SpanContext;

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
/// What is kept of a stream's large events for laggards, in bytes: one at least, as far as the common room goes.
const LARGE_EVENTS_BYTES_MAX: usize = EVENT_BYTES_MAX;
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
    cost: Cost,
}

/// What it takes to keep something.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Bytes that are counted here.
    counted: usize,
    /// Bytes of large events, which take their room by themselves.
    large: usize,
}

impl Cost {
    fn of(bytes: usize, large: bool) -> Self {
        let (counted, large) = if large { (0, bytes) } else { (bytes, 0) };
        Self {
            counted: counted + PIECE_BYTES,
            large,
        }
    }

    fn and(self, more: Self) -> Self {
        Self {
            counted: self.counted + more.counted,
            large: self.large + more.large,
        }
    }

    fn without(self, less: Self) -> Self {
        Self {
            counted: self.counted.saturating_sub(less.counted),
            large: self.large.saturating_sub(less.large),
        }
    }
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
    /// What it is the answer of, if that was kept and has been confirmed: then there are no pieces.
    confirmed: Option<Arc<Stored>>,
    pieces: VecDeque<Piece>,
    /// How many pieces before these are no longer kept.
    dropped: usize,
    /// Bytes of all pieces there ever were.
    total: u64,
    end: Option<End>,
}

impl Progress {
    fn append(&mut self, bytes: Bytes, cost: Cost) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let end = self.total;
        self.pieces.push_back(Piece { bytes, end, cost });
    }

    fn append_counted(&mut self, bytes: Bytes) {
        let cost = Cost::of(bytes.len(), false);
        self.append(bytes, cost);
    }

    /// Keeps the oldest piece no longer, if that may be by its end.
    fn forget_first(&mut self, may_go: impl Fn(u64) -> bool) -> Option<Piece> {
        self.pieces.front().filter(|piece| may_go(piece.end))?;
        self.dropped += 1;
        self.pieces.pop_front()
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
        Reader::of(self)
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

#[cfg(test)]
mod tests;
