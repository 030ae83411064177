//! One who reads what is shared, at its own pace.

use std::sync::Arc;

use bytes::Bytes;
use shapegate_core::code::Refusal;
use tokio::sync::watch;

use super::{End, Progress, Shared};
use crate::hub::cache::Stored;
use crate::hub::head::Head;
use crate::traces::SpanContext;

/// How much of a large event a reader gets at once, in bytes: between two parts it is seen who must end.
const PART_BYTES_MAX: usize = 256 * 1024;

/// One who reads.
pub struct Reader {
    shared: Arc<Shared>,
    watch: watch::Receiver<Progress>,
    /// The next piece.
    at: usize,
    /// What it has not got yet of a large one: whoever has begun an event gets all of it, though it is kept for
    /// nobody else any more.
    rest: Option<Box<Rest>>,
}

/// The rest of a piece, and how many bytes there are up to its end.
struct Rest {
    bytes: Bytes,
    end: u64,
}

/// The start of an answer.
pub struct Start {
    /// The header.
    pub head: Arc<Head>,
    /// The body's length, if all of it has come.
    pub length: Option<usize>,
    /// What was kept and has been confirmed, in whose place nothing comes.
    pub confirmed: Option<Arc<Stored>>,
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
    /// From the start.
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        let mut watch = shared.progress.subscribe();
        watch.mark_changed();
        Self {
            shared: Arc::clone(shared),
            watch,
            at: 0,
            rest: None,
        }
    }

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
                            confirmed: progress.confirmed.clone(),
                        });
                    }
                    (None, Some(End::Broken(refusal))) => return Err(Arc::clone(refusal)),
                    (None, _) => {}
                }
            }
            self.changed().await;
        }
    }

    /// The span of the fetch, if it has begun and is recorded.
    pub fn span(&self) -> Option<SpanContext> {
        self.shared.span.get().copied()
    }

    /// The next piece of the body; none at its end. Nothing is lost when the wait for it is given up.
    ///
    /// # Errors
    /// When the body does not go on: what came so far is not all of it.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            if let Some(part) = self.part() {
                return Ok(Some(part));
            }
            {
                let progress = self.watch.borrow_and_update();
                let Some(index) = self.at.checked_sub(progress.dropped) else {
                    return Err(Cut::Behind);
                };
                if let Some(piece) = progress.pieces.get(index) {
                    self.at += 1;
                    if piece.bytes.len() <= PART_BYTES_MAX {
                        self.shared.note_read(piece.end);
                        return Ok(Some(piece.bytes.clone()));
                    }
                    let (bytes, end) = (piece.bytes.clone(), piece.end);
                    self.rest = Some(Box::new(Rest { bytes, end }));
                    continue;
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

    /// The next part of the piece that was begun.
    fn part(&mut self) -> Option<Bytes> {
        let rest = self.rest.as_mut()?;
        let part = rest.bytes.split_to(rest.bytes.len().min(PART_BYTES_MAX));
        let left = rest.bytes.len() as u64;
        self.shared.note_read(rest.end.saturating_sub(left));
        if left == 0 {
            self.rest = None;
        }
        Some(part)
    }

    async fn changed(&mut self) {
        // The sender lives in what this reader holds, so that waiting cannot fail.
        drop(self.watch.changed().await);
    }
}
