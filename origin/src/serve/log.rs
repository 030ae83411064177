//! The log: snapshot chunks, what changed since, and waiting for more.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header;
use bytes::{Bytes, BytesMut};

use super::{Asking, sse};
use crate::answer::{Answer, CURSOR, Content, HANDLE, HAS_DATA, OFFSET, SCHEMA, UP_TO_DATE};
use crate::clock;
use crate::inner::Inner;
use crate::message;
use crate::offset::From;
use crate::params::{Errors, Params};
use crate::shape::{Shape, Slice};

const INITIAL: &str = "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746";
const LIVE: &str = "public, max-age=5, stale-while-revalidate=5";

/// A request for a log that has found its shape.
pub(super) struct Reading<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) asking: &'a Asking,
    pub(super) params: &'a Params,
    pub(super) shape: &'a Arc<Shape>,
    pub(super) cursor: Option<&'a str>,
}

pub(super) async fn answer(
    inner: &Arc<Inner>,
    asking: &Asking,
    params: &Params,
    shape: &Arc<Shape>,
    cursor: Option<&str>,
) -> Answer {
    let reading = Reading {
        inner,
        asking,
        params,
        shape,
        cursor,
    };
    // Watching before reading: what is appended in between wakes the wait.
    let changes = shape.watch();
    let slice = shape.read(params.from);
    if reading.is_not_modified(&slice) {
        return reading.not_modified(&slice);
    }
    if slice.ended {
        return Answer::must_refetch(None, asking.is_cached());
    }
    if params.from == From::Now {
        return reading.no_change(&slice);
    }
    if slice.out_of_bounds {
        return reading.out_of_bounds(changes).await;
    }
    match (params.live && slice.is_empty(), params.sse) {
        (false, false) => reading.found(&slice),
        (false, true) => sse::at_once(&reading, &slice),
        (true, false) => reading.wait(changes, slice).await,
        (true, true) => sse::stream(&reading, changes, &slice),
    }
}

impl Reading<'_> {
    async fn wait(&self, mut changes: Changes, first: Slice) -> Answer {
        let _waiting = self.inner.waiting();
        let life = self.inner.config.long_poll;
        match tokio::time::timeout(life, self.next(&mut changes, From::After(first.end))).await {
            Ok(slice) if slice.ended => Answer::must_refetch(None, self.asking.is_cached()),
            Ok(slice) => self.found(&slice),
            Err(_) => self.no_change(&first),
        }
    }

    /// The next slice with anything in it, or the shape's end.
    async fn next(&self, changes: &mut Changes, from: From) -> Slice {
        loop {
            let slice = self.shape.read(from);
            if slice.ended || !(slice.is_empty() || slice.out_of_bounds) {
                return slice;
            }
            if changes.changed().await.is_err() {
                return slice;
            }
        }
    }

    /// Electric gives a client that is ahead half a long poll to turn out right.
    async fn out_of_bounds(&self, mut changes: Changes) -> Answer {
        let _waiting = self.inner.waiting();
        let life = self.inner.config.long_poll / 2;
        match tokio::time::timeout(life, self.next(&mut changes, self.params.from)).await {
            Ok(slice) if slice.ended => Answer::must_refetch(None, self.asking.is_cached()),
            Ok(slice) => self.found(&slice),
            Err(_) => {
                let errors = Errors::of("offset", "out of bounds for this shape");
                Answer::invalid(&errors, self.asking.is_cached())
            }
        }
    }

    fn found(&self, slice: &Slice) -> Answer {
        let body = match &slice.snapshot {
            Some(chunk) => chunk.clone(),
            None => array(&slice.messages, self.up_to_date_of(slice).as_ref()),
        };
        let answer = Answer::log(Content::Chunked(vec![body]));
        self.headed(answer, slice, &self.etag(slice))
    }

    /// The message that ends a slice at the log's end.
    pub(super) fn up_to_date_of(&self, slice: &Slice) -> Option<Bytes> {
        let lsn = match self.params.live {
            true => slice.end.tx,
            false => slice.end.tx.max(self.inner.store.lsn()),
        };
        slice.up_to_date.then(|| message::up_to_date(lsn))
    }

    /// Nothing but "up to date", whole, with an etag that no revalidation can match.
    fn no_change(&self, slice: &Slice) -> Answer {
        let message = message::up_to_date(self.inner.store.lsn());
        let answer = Answer::log(Content::Whole(array(&[], Some(&message))));
        let etag = format!("{}:{}", self.etag(slice), self.inner.unique());
        self.headed(answer, slice, &etag).with_static(HAS_DATA, "false")
    }

    fn not_modified(&self, slice: &Slice) -> Answer {
        let answer = Answer::log(Content::Whole(Bytes::new())).with_status(StatusCode::NOT_MODIFIED);
        self.headed(answer, slice, &self.etag(slice))
    }

    fn is_not_modified(&self, slice: &Slice) -> bool {
        let etag = self.etag(slice);
        let lines = self.asking.headers.get_all(header::IF_NONE_MATCH).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        let mut given = lines.flat_map(|line| line.split(','));
        given.any(|given| given.trim().trim_matches('"') == etag)
    }

    fn etag(&self, slice: &Slice) -> String {
        format!("{}:{}:{}", self.shape.handle, self.params.from, slice.end)
    }

    /// The headers that say where the client is.
    pub(super) fn headed(&self, answer: Answer, slice: &Slice, etag: &str) -> Answer {
        let mut answer = self
            .cached(answer)
            .with_text(header::ETAG, &format!("\"{etag}\""))
            .with_text(HANDLE, &self.shape.handle)
            .with_static(HAS_DATA, "true")
            .with_text(OFFSET, &slice.end.to_string());
        if self.params.live {
            answer = answer.with_text(CURSOR, &self.next_cursor().to_string());
        } else if answer.status == StatusCode::OK {
            answer = answer.with_text(SCHEMA, &self.shape.definition.schema);
        }
        if slice.up_to_date {
            answer = answer.with_static(UP_TO_DATE, "");
        }
        answer
    }

    fn cached(&self, answer: Answer) -> Answer {
        let config = &self.inner.config;
        if !self.asking.is_cached() {
            return answer.with_static(header::CACHE_CONTROL, "no-cache");
        }
        let (ages, stale) = (config.cache_max_age, config.cache_stale_age);
        match (self.params.from, self.params.live, self.params.sse) {
            (From::Beginning, ..) => answer.with_static(header::CACHE_CONTROL, INITIAL),
            (_, true, true) => {
                let age = config.sse_life.as_secs().saturating_sub(1).max(1);
                answer.with_text(header::CACHE_CONTROL, &format!("public, max-age={age}"))
            }
            (_, true, false) => answer.with_static(header::CACHE_CONTROL, LIVE),
            _ => answer.with_text(
                header::CACHE_CONTROL,
                &format!("public, max-age={ages}, stale-while-revalidate={stale}"),
            ),
        }
    }

    /// All clients of one long-poll window get one cursor; who comes back within it, another.
    fn next_cursor(&self) -> u64 {
        let window = self.inner.config.long_poll.as_secs();
        if window == 0 {
            return 0;
        }
        let now = self.inner.config.clock.since_epoch();
        let passed = now.saturating_sub(CURSOR_EPOCH).as_secs();
        let next = passed.div_ceil(window) * window;
        let previous = self.cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        if next > previous {
            return next;
        }
        previous + 1 + self.inner.unique() % 3600
    }
}

pub(super) type Changes = tokio::sync::watch::Receiver<()>;

/// 9 October 2024, from where cursors count.
const CURSOR_EPOCH: Duration = Duration::from_secs(1_728_432_000);

/// A JSON array of messages, and the one that ends them.
fn array(messages: &[Bytes], last: Option<&Bytes>) -> Bytes {
    let mut text = BytesMut::from("[");
    for (index, message) in messages.iter().chain(last).enumerate() {
        if index > 0 {
            text.extend_from_slice(b",");
        }
        text.extend_from_slice(message);
    }
    text.extend_from_slice(b"]");
    text.freeze()
}

/// Ready after a duration; here so that streams need not know the clock.
pub(super) fn timer(duration: Duration) -> std::pin::Pin<Box<tokio::time::Sleep>> {
    Box::pin(clock::after(duration))
}
