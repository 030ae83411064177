//! The body of an answer, taken out of its framing: pure, so that every split of what comes can be tried.

use bytes::{Buf as _, Bytes};

use super::WireError;

/// Longest line that tells a chunk's size, its extensions included, in bytes.
const SIZE_LINE_BYTES_MAX: usize = 256;
/// Longest trailer section, in bytes.
const TRAILERS_BYTES_MAX: usize = 16 * 1024;

/// How much of a body is still to come.
#[derive(Debug)]
pub struct Body(Framing);

#[derive(Debug)]
enum Framing {
    Ended,
    /// So many bytes.
    Length(u64),
    UntilClose,
    /// The line with the next chunk's size.
    ChunkSize,
    /// So many bytes of a chunk, and the end of its last line.
    Chunk(u64),
    ChunkEnd,
    /// Lines up to an empty one; so many bytes of them have come.
    Trailers(usize),
}

/// What is next of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A piece of it.
    Piece(Bytes),
    /// Nothing: that was all of it.
    End,
    /// More has to come first, of which so many bytes are certain to be the body's.
    More(u64),
}

impl Body {
    /// No body, or no more of it.
    pub fn ended() -> Self {
        Self(Framing::Ended)
    }

    /// A body of so many bytes.
    pub fn of_length(length: u64) -> Self {
        Self(if length == 0 {
            Framing::Ended
        } else {
            Framing::Length(length)
        })
    }

    /// A body in chunks (RFC 9112, 7.1).
    pub fn chunked() -> Self {
        Self(Framing::ChunkSize)
    }

    /// A body of which nobody can tell whether it was cut off.
    pub fn until_close() -> Self {
        Self(Framing::UntilClose)
    }

    /// Whether it ends with its connection.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.0, Framing::UntilClose)
    }

    /// Whether all of it was taken.
    pub fn is_ended(&self) -> bool {
        matches!(self.0, Framing::Ended)
    }

    /// The connection has ended: whether that is the end of the body.
    pub fn close(&mut self) -> bool {
        if self.ends_with_connection() {
            self.0 = Framing::Ended;
        }
        self.is_ended()
    }

    /// Takes the next piece off the start of what has come.
    ///
    /// # Errors
    /// When chunks are malformed.
    pub fn take(&mut self, come: &mut Bytes) -> Result<Next, WireError> {
        loop {
            match self.0 {
                Framing::Ended => return Ok(Next::End),
                Framing::UntilClose if come.is_empty() => return Ok(Next::More(u64::MAX)),
                Framing::UntilClose => return Ok(Next::Piece(std::mem::take(come))),
                Framing::Length(left) | Framing::Chunk(left) => return Ok(self.take_data(left, come)),
                Framing::ChunkSize => match chunk_size(come)? {
                    None => return Ok(Next::More(0)),
                    Some(0) => self.0 = Framing::Trailers(0),
                    Some(size) => self.0 = Framing::Chunk(size),
                },
                Framing::ChunkEnd => match come.get(..2) {
                    None => return Ok(Next::More(0)),
                    Some(b"\r\n") => {
                        come.advance(2);
                        self.0 = Framing::ChunkSize;
                    }
                    Some(_) => return Err(WireError::Invalid("a chunk that is longer than it says")),
                },
                Framing::Trailers(before) => match trailer(come, before)? {
                    None => return Ok(Next::More(0)),
                    Some(0) => self.0 = Framing::Ended,
                    Some(length) => self.0 = Framing::Trailers(before + length),
                },
            }
        }
    }

    fn take_data(&mut self, left: u64, come: &mut Bytes) -> Next {
        let length = come.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            return Next::More(left);
        }
        let piece = come.split_to(length);
        let left = left.saturating_sub(length as u64);
        self.0 = match self.0 {
            Framing::Chunk(_) if left == 0 => Framing::ChunkEnd,
            Framing::Chunk(_) => Framing::Chunk(left),
            _ if left == 0 => Framing::Ended,
            _ => Framing::Length(left),
        };
        Next::Piece(piece)
    }
}

/// Takes the line that tells a chunk's size.
fn chunk_size(come: &mut Bytes) -> Result<Option<u64>, WireError> {
    let invalid = WireError::Invalid("a malformed chunk size");
    match httparse::parse_chunk_size(come) {
        Ok(httparse::Status::Complete((length, size))) => {
            come.advance(length);
            Ok(Some(size))
        }
        Ok(httparse::Status::Partial) if come.len() <= SIZE_LINE_BYTES_MAX => Ok(None),
        _ => Err(invalid),
    }
}

/// Takes a line of the trailers, of which nobody wants any; says how long it was, 0 for the empty one at the end.
fn trailer(come: &mut Bytes, before: usize) -> Result<Option<usize>, WireError> {
    let end = come.windows(2).position(|pair| pair == b"\r\n");
    if before + end.unwrap_or(come.len()) > TRAILERS_BYTES_MAX {
        return Err(WireError::Invalid("trailers of more than 16 KiB"));
    }
    let Some(end) = end else { return Ok(None) };
    come.advance(end + 2);
    Ok(Some(end))
}

#[cfg(test)]
mod tests;
