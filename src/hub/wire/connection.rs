//! A connection to an upstream, and one exchange after another on it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::poll;
use pingora_core::protocols::Stream;
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

use super::body::Next;
use super::{AnswerHead, Body, WireError};

/// Most that is read at once where it is not known how much will come, in bytes: on the stack, so that nothing is
/// held until something has come.
const READ_BYTES: usize = 16 * 1024;
/// Most that is read at once of a long body, in bytes.
const LONG_READ_BYTES: usize = 64 * 1024;

const WAITING: &str = "waiting for the upstream";

/// A connection to an upstream.
pub struct Connection {
    stream: Stream,
    /// What has come and was not taken.
    come: Bytes,
    body: Body,
    keeps: bool,
}

impl Connection {
    /// A connection on which nothing was asked yet.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            come: Bytes::new(),
            body: Body::ended(),
            keeps: true,
        }
    }

    /// Sends a request, all of it.
    ///
    /// # Errors
    /// When it cannot be sent within `timeout`.
    pub async fn send(&mut self, request: &[u8], timeout: Duration) -> Result<(), WireError> {
        self.keeps = false;
        let sending = async {
            self.stream.write_all(request).await?;
            self.stream.flush().await
        };
        within(timeout, "sending the request", sending)
            .await?
            .map_err(WireError::Unanswered)
    }

    /// Waits for an answer's header; its body is next. An answer to a `bodyless` request has none.
    ///
    /// # Errors
    /// When none comes, or what comes is none; nothing may come for `silence_max`.
    pub async fn head(&mut self, bodyless: bool, silence_max: Duration) -> Result<ResponseHeader, WireError> {
        loop {
            if let Some(answer) = AnswerHead::take(&mut self.come, bodyless)? {
                (self.body, self.keeps) = (answer.body, answer.keeps);
                return Ok(answer.head);
            }
            let come = !self.come.is_empty();
            match self.more(0, silence_max).await {
                Ok(true) => {}
                Ok(false) if come => return Err(WireError::Cut(io::ErrorKind::UnexpectedEof.into())),
                Ok(false) => return Err(WireError::Unanswered(io::ErrorKind::UnexpectedEof.into())),
                Err(WireError::Cut(error)) if !come => return Err(WireError::Unanswered(error)),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When it is cut off, malformed, or nothing comes for `silence_max`.
    pub async fn next(&mut self, silence_max: Duration) -> Result<Option<Bytes>, WireError> {
        loop {
            let certain = match self.body.take(&mut self.come)? {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::More(certain) => certain,
            };
            if !self.more(certain, silence_max).await? && !self.body.close() {
                return Err(WireError::Cut(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Whether another request may be sent on it: its answer was taken to the end, nothing came after it, and the
    /// upstream means to stay.
    pub fn is_at_rest(&self) -> bool {
        self.keeps && self.body.is_ended() && self.come.is_empty()
    }

    /// Whether nothing has happened to it while it was at rest: an upstream has nothing to say unasked.
    pub fn is_silent(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
        read.is_pending()
    }

    /// Reads more of what comes; `false` at the end. Of a long body a long piece is read at once.
    async fn more(&mut self, certain: u64, silence_max: Duration) -> Result<bool, WireError> {
        let long = usize::try_from(certain)
            .unwrap_or(usize::MAX)
            .min(LONG_READ_BYTES);
        let stream = &mut self.stream;
        let read = if long > READ_BYTES {
            within(silence_max, WAITING, read_long(stream, long)).await?
        } else {
            within(silence_max, WAITING, poll_fn(|cx| poll_short(stream, cx))).await?
        };
        let piece = read.map_err(WireError::Cut)?;
        let ended = piece.is_empty();
        self.come = if self.come.is_empty() {
            piece
        } else {
            joined(&self.come, &piece)
        };
        Ok(!ended)
    }
}

fn poll_short(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    let mut space = [MaybeUninit::uninit(); READ_BYTES];
    let mut read = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(Bytes::copy_from_slice(read.filled())))
}

/// What little came into much room is copied, lest whoever keeps it keep the room.
async fn read_long(stream: &mut Stream, length: usize) -> io::Result<Bytes> {
    let mut space = BytesMut::with_capacity(length);
    let read = stream.read_buf(&mut space).await?;
    Ok(if read < length / 2 {
        Bytes::copy_from_slice(&space)
    } else {
        space.freeze()
    })
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.extend_from_slice(first);
    both.extend_from_slice(second);
    both.freeze()
}

/// What a future gives within `timeout`. What is ready costs no timer.
async fn within<T>(
    timeout: Duration,
    what: &'static str,
    future: impl Future<Output = T>,
) -> Result<T, WireError> {
    let mut future = pin!(future);
    match poll!(&mut future) {
        Poll::Ready(given) => Ok(given),
        Poll::Pending => tokio::time::timeout(timeout, future)
            .await
            .map_err(|_| WireError::TimedOut(what)),
    }
}

#[cfg(test)]
mod tests;
