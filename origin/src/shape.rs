//! A shape: its snapshot, cut into chunks, and the log of what changed since.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::definition::Definition;
use crate::lock::Lock;
use crate::message::Message;
use crate::offset::{From, Offset};

/// A shape and its log.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) handle: String,
    pub(crate) definition: Arc<Definition>,
    /// Each chunk is a complete JSON array; there is always one.
    snapshot: Vec<Bytes>,
    log: Lock<Log>,
    changed: watch::Sender<()>,
    chunk_bytes: usize,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    open_chunk_bytes: usize,
    ended: bool,
}

#[derive(Debug)]
struct Entry {
    offset: Offset,
    json: Bytes,
    ends_chunk: bool,
}

/// What a read found.
#[derive(Debug)]
pub(crate) struct Slice {
    /// A complete array, if this is a part of the snapshot.
    pub(crate) snapshot: Option<Bytes>,
    /// Messages, if this is a part of the log.
    pub(crate) messages: Vec<Bytes>,
    /// Where the slice ends.
    pub(crate) end: Offset,
    /// Whether there is nothing behind it.
    pub(crate) up_to_date: bool,
    /// Whether the request was for a place behind the log's end.
    pub(crate) out_of_bounds: bool,
    /// Whether the shape is no more.
    pub(crate) ended: bool,
}

impl Slice {
    pub(crate) fn is_empty(&self) -> bool {
        self.snapshot.is_none() && self.messages.is_empty()
    }
}

impl Shape {
    /// A shape with these rows, and the snapshot's last message, for a snapshot.
    pub(crate) fn new(
        handle: String,
        definition: Arc<Definition>,
        rows: impl Iterator<Item = String>,
        chunk_bytes: usize,
    ) -> Self {
        Self {
            handle,
            definition,
            snapshot: chunks(rows, chunk_bytes),
            log: Lock::default(),
            changed: watch::Sender::new(()),
            chunk_bytes,
        }
    }

    /// A receiver that is told of every change from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn append(&self, messages: Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        self.log.with(|log| {
            for message in messages {
                log.append(message, self.chunk_bytes);
            }
        });
        self.changed.send_replace(());
    }

    /// Ends the shape: whoever waits for it is told to fetch again.
    pub(crate) fn end(&self) {
        self.log.with(|log| log.ended = true);
        self.changed.send_replace(());
    }

    /// The slice that begins at a place.
    pub(crate) fn read(&self, from: From) -> Slice {
        self.log.with(|log| match from {
            From::Beginning => self.snapshot_slice(0, log),
            From::Now => log.slice_after(log.last()),
            From::After(offset) => match offset.snapshot_chunk().map(|chunk| chunk + 1) {
                Some(next) if self.chunk(next).is_some() => self.snapshot_slice(next, log),
                Some(_) => log.slice_after(Offset::SNAPSHOT_END),
                None => log.slice_after(offset),
            },
        })
    }

    fn chunk(&self, number: u64) -> Option<&Bytes> {
        self.snapshot.get(usize::try_from(number).ok()?)
    }

    fn snapshot_slice(&self, chunk: u64, log: &Log) -> Slice {
        Slice {
            snapshot: self.chunk(chunk).cloned(),
            messages: Vec::new(),
            end: Offset::new(0, chunk),
            up_to_date: false,
            out_of_bounds: false,
            ended: log.ended,
        }
    }
}

impl Log {
    fn last(&self) -> Offset {
        let last = self.entries.last();
        last.map_or(Offset::SNAPSHOT_END, |entry| entry.offset)
    }

    fn append(&mut self, message: Message, chunk_bytes: usize) {
        self.open_chunk_bytes += message.json.len();
        let ends_chunk = self.open_chunk_bytes >= chunk_bytes;
        if ends_chunk {
            self.open_chunk_bytes = 0;
        }
        self.entries.push(Entry {
            offset: message.offset,
            json: message.json,
            ends_chunk,
        });
    }

    fn slice_after(&self, offset: Offset) -> Slice {
        let last = self.last();
        let start = self.entries.partition_point(|entry| entry.offset <= offset);
        let behind = self.entries.get(start..).unwrap_or(&[]);
        let length = behind.iter().position(|entry| entry.ends_chunk);
        let chunk = length.and_then(|length| behind.get(..=length)).unwrap_or(behind);
        let end = chunk.last().map_or(last, |entry| entry.offset);
        Slice {
            snapshot: None,
            messages: chunk.iter().map(|entry| entry.json.clone()).collect(),
            end,
            up_to_date: end == last,
            out_of_bounds: offset > last,
            ended: self.ended,
        }
    }
}

/// Cuts rows into arrays, each ended by the row that reaches the threshold.
fn chunks(rows: impl Iterator<Item = String>, chunk_bytes: usize) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut open = String::new();
    let mut bytes = 0;
    for row in rows {
        open.push(if open.is_empty() { '[' } else { ',' });
        open.push_str(&row);
        bytes += row.len();
        if bytes >= chunk_bytes {
            open.push(']');
            chunks.push(std::mem::take(&mut open).into());
            bytes = 0;
        }
    }
    if !open.is_empty() {
        open.push(']');
        chunks.push(open.into());
    }
    chunks
}
