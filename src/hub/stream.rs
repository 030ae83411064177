//! Where events end in a stream of them: pieces may come apart anywhere, streams may end after events alone.

use bytes::{Bytes, BytesMut};

/// The largest event that is handed on as a whole, in bytes. Of larger ones, parts are.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// How near a stream stands to the end of an event, which is an empty line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventEnd {
    /// Within a line.
    Ahead,
    /// After a line's end.
    Near,
    /// After a whole event, or at the start.
    Reached,
}

impl EventEnd {
    /// Where the stream stands once `piece` has been written.
    pub fn after(self, piece: &[u8]) -> Self {
        match (piece, self) {
            ([], _) => self,
            ([.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n'], _)
            | ([b'\n'] | [b'\r', b'\n'], Self::Near | Self::Reached) => Self::Reached,
            ([.., b'\n'], _) => Self::Near,
            _ => Self::Ahead,
        }
    }

    /// The part of `piece` up to the end of the event under way; all of it if that does not come.
    pub fn up_to_end(self, piece: &Bytes) -> Bytes {
        let length = if self == Self::Near && piece.starts_with(b"\n") {
            1
        } else {
            let empty_line = piece.windows(2).position(|two| two == b"\n\n");
            empty_line.map_or(piece.len(), |at| at + 2)
        };
        piece.slice(..length)
    }
}

/// What has come of an event that is not whole yet: readers get whole events, so that each of them stands at the
/// end of one, where it can be cut, whenever it waits or is too slow.
#[derive(Default)]
pub struct Partial(BytesMut);

impl Partial {
    /// The whole events that there are once `piece` has come. Also a part of one that is larger than
    /// [`EVENT_BYTES_MAX`].
    pub fn whole_events(&mut self, piece: Bytes) -> Bytes {
        if self.0.is_empty() && end_of_events(&piece, 0) == Some(piece.len()) {
            return piece;
        }
        // An end may have come apart: the longest has four bytes.
        let seen = self.0.len().saturating_sub(3);
        self.0.extend_from_slice(&piece);
        match end_of_events(&self.0, seen) {
            Some(end) => self.0.split_to(end).freeze(),
            None if self.0.len() > EVENT_BYTES_MAX => self.0.split().freeze(),
            None => Bytes::new(),
        }
    }

    /// What is left of an event at the end of its stream.
    pub fn rest(&mut self) -> Bytes {
        self.0.split().freeze()
    }
}

/// Behind the last empty line that ends after `from`, with either line end.
fn end_of_events(bytes: &[u8], from: usize) -> Option<usize> {
    let new = bytes.get(from..)?;
    let last = |line: &[u8]| {
        let at = new.windows(line.len()).rposition(|window| window == line);
        at.map(|at| from + at + line.len())
    };
    last(b"\n\n").max(last(b"\n\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_after_a_whole_event_however_it_comes_apart() {
        let text = b"data: 1\ndata: 2\n\n: comment\n\n";
        for size in 1..=text.len() {
            let mut stands = EventEnd::Reached;
            let mut seen = Vec::new();
            for piece in text.chunks(size) {
                stands = stands.after(piece);
                seen.extend_from_slice(piece);
                let whole = seen.ends_with(b"\n\n");
                assert_eq!(stands == EventEnd::Reached, whole, "{seen:?}");
            }
        }
    }

    #[test]
    fn the_rest_of_an_event_goes_out_and_nothing_of_the_next() {
        let rest = |stands: EventEnd, piece: &'static str| {
            let rest = stands.up_to_end(&Bytes::from_static(piece.as_bytes()));
            String::from_utf8(rest.to_vec()).unwrap()
        };
        assert_eq!(rest(EventEnd::Ahead, "x\n\ndata: 2"), "x\n\n");
        assert_eq!(rest(EventEnd::Ahead, "\ndata: 2\n\ndata: 3"), "\ndata: 2\n\n");
        assert_eq!(rest(EventEnd::Near, "\ndata: 2\n\n"), "\n");
        assert_eq!(rest(EventEnd::Near, "more"), "more");
    }

    #[test]
    fn only_whole_events_come_out_however_they_come_apart() {
        for text in [
            "data: 1\n\n: comment\n\ndata: 2\ndata: 2\n\n",
            "data: 1\r\n\r\n: comment\r\n\r\n",
            "data: 1\n\ndata",
        ] {
            for size in 1..=text.len() {
                let (mut partial, mut seen) = (Partial::default(), Vec::new());
                for piece in text.as_bytes().chunks(size) {
                    let events = partial.whole_events(Bytes::copy_from_slice(piece));
                    let whole = events.ends_with(b"\n\n") || events.ends_with(b"\n\r\n");
                    assert!(events.is_empty() || whole, "{events:?}");
                    assert_eq!(EventEnd::Reached.after(&events), EventEnd::Reached);
                    seen.extend_from_slice(&events);
                }
                let rest = partial.rest();
                assert!(rest.is_empty() || &*rest == b"data", "{rest:?}");
                seen.extend_from_slice(&rest);
                assert_eq!(seen, text.as_bytes(), "in pieces of {size}");
            }
        }
    }

    #[test]
    fn an_event_without_an_end_is_held_back_no_further_than_its_bound() {
        let (mut partial, mut out) = (Partial::default(), 0);
        for _ in 0..100 {
            out += partial.whole_events(Bytes::from(vec![b'x'; 16 * 1024])).len();
            assert!(partial.0.len() <= EVENT_BYTES_MAX);
        }
        out += partial.whole_events(Bytes::from_static(b"\n\n")).len();
        assert_eq!(out, 100 * 16 * 1024 + 2);
    }
}
