//! Bodies as the HTTP server takes them, whole, in pieces, and broken on purpose.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Frame;
use tokio::time::Sleep;

use crate::answer::Content;
use crate::clock;

/// The server drops what it has not written yet when a body fails, so a cut waits a little.
const FLUSH: Duration = Duration::from_millis(20);

/// Where and how a body breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// The connection is closed after so many bytes.
    Close(usize),
    /// Nothing follows after so many bytes, and the connection stays.
    Stall(usize),
}

/// Turns an answer's content into a body, broken if that is wanted.
pub(crate) fn into_body(content: Content, cut: Option<Cut>) -> Body {
    let (pieces, rest) = match content {
        Content::Whole(bytes) if cut.is_none() => return Body::from(bytes),
        Content::Whole(bytes) => (VecDeque::from([bytes]), None),
        Content::Chunked(pieces) => (pieces.into(), None),
        Content::Stream(stream) => (VecDeque::new(), Some(stream)),
    };
    Body::new(Pieces {
        pieces,
        rest,
        cut,
        flushing: None,
    })
}

/// A body of no known length.
struct Pieces {
    pieces: VecDeque<Bytes>,
    rest: Option<Pin<Box<dyn Stream<Item = Bytes> + Send>>>,
    cut: Option<Cut>,
    /// Until what came before a cut has gone out.
    flushing: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.cut {
            Some(Cut::Close(0)) => {
                let flushing = self.flushing.get_or_insert_with(|| Box::pin(clock::after(FLUSH)));
                return flushing.as_mut().poll(context).map(|()| {
                    let error = io::Error::new(io::ErrorKind::ConnectionAborted, "cut off");
                    Some(Err(error))
                });
            }
            Some(Cut::Stall(0)) => return Poll::Pending,
            _ => {}
        }
        let piece = match (self.pieces.pop_front(), &mut self.rest) {
            (Some(piece), _) => Some(piece),
            (None, Some(rest)) => match rest.as_mut().poll_next(context) {
                Poll::Ready(piece) => piece,
                Poll::Pending => return Poll::Pending,
            },
            (None, None) => None,
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(self.cut_to_size(piece)))))
    }
}

impl Pieces {
    fn cut_to_size(&mut self, mut piece: Bytes) -> Bytes {
        if let Some(Cut::Close(left) | Cut::Stall(left)) = &mut self.cut {
            piece.truncate(*left);
            *left -= piece.len();
        }
        piece
    }
}
