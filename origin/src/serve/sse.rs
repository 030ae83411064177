//! Server-sent events: messages as they come, comments when there are none, an end after a while.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::Sleep;

use super::log::{Changes, Reading, timer};
use crate::answer::{Answer, Content};
use crate::inner::Waiting;
use crate::message;
use crate::offset::{From, Offset};
use crate::shape::{Shape, Slice};

const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// What is there already, and then the end: Electric does not wait in such a stream.
pub(super) fn at_once(reading: &Reading<'_>, slice: &Slice) -> Answer {
    let last = reading.up_to_date_of(slice);
    let events = slice.messages.iter().chain(last.as_ref()).map(event).collect();
    headed(reading, Content::Chunked(events), slice)
}

/// A stream of what changes from here on.
pub(super) fn stream(reading: &Reading<'_>, changes: Changes, slice: &Slice) -> Answer {
    let config = &reading.inner.config;
    let events = Events {
        shape: Arc::clone(reading.shape),
        changes,
        since: slice.end,
        silence: timer(config.sse_keepalive),
        silence_max: config.sse_keepalive,
        life: timer(config.sse_life),
        _waiting: reading.inner.waiting(),
    };
    let events = stream::unfold(events, |mut events| async move {
        let next = events.next().await?;
        Some((next, events))
    });
    headed(reading, Content::Stream(Box::pin(events)), slice)
}

fn headed(reading: &Reading<'_>, content: Content, slice: &Slice) -> Answer {
    let etag = format!("{}:{}:{}", reading.shape.handle, reading.params.from, slice.end);
    reading
        .headed(Answer::log(content), slice, &etag)
        .with_static(header::CONTENT_TYPE, "text/event-stream")
        .with_static(header::CONNECTION, "keep-alive")
}

struct Events {
    shape: Arc<Shape>,
    changes: Changes,
    since: Offset,
    silence: Pin<Box<Sleep>>,
    silence_max: Duration,
    life: Pin<Box<Sleep>>,
    _waiting: Waiting,
}

impl Events {
    /// The next piece of the stream; `None` at its end, which a rotation brings too.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let slice = self.shape.read(From::After(self.since));
            if slice.ended {
                return None;
            }
            if !slice.is_empty() {
                self.since = slice.end;
                self.silence = timer(self.silence_max);
                return Some(batch(&slice));
            }
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = &mut self.silence => {
                    self.silence = timer(self.silence_max);
                    return Some(Bytes::from_static(KEEP_ALIVE));
                }
                () = &mut self.life => return None,
            }
        }
    }
}

fn batch(slice: &Slice) -> Bytes {
    let last = slice.up_to_date.then(|| message::up_to_date(slice.end.tx));
    let events = slice.messages.iter().chain(last.as_ref()).map(event);
    events.flatten().collect()
}

fn event(message: &Bytes) -> Bytes {
    [b"data: ", message.as_ref(), b"\n\n"].concat().into()
}
