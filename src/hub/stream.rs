//! Where events end in a stream of them: pieces may come apart anywhere, streams may end after events alone.

use bytes::Bytes;

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
            ([.., b'\n', b'\n'], _) | ([b'\n'], Self::Near | Self::Reached) => Self::Reached,
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

/// A piece as the whole events that it ends with, and the start of the next; either may be empty.
///
/// Readers then stand at the end of an event nearly always, which is where a laggard can be cut.
pub fn at_last_end(mut piece: Bytes) -> (Bytes, Bytes) {
    let last = piece.windows(2).rposition(|two| two == b"\n\n");
    let rest = piece.split_off(last.map_or(0, |at| at + 2));
    (piece, rest)
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
    fn a_piece_comes_apart_after_its_last_whole_event() {
        let halves = |piece: &'static str| {
            let (whole, rest) = at_last_end(Bytes::from_static(piece.as_bytes()));
            let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            (text(whole), text(rest))
        };
        let expect = |piece, whole: &str, rest: &str| {
            assert_eq!(halves(piece), (whole.to_owned(), rest.to_owned()));
        };
        expect("data: 1\n\ndata: 2\n\nda", "data: 1\n\ndata: 2\n\n", "da");
        expect("data: 1\n\n", "data: 1\n\n", "");
        expect("data", "", "data");
        expect("", "", "");
    }
}
