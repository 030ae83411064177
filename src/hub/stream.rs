//! Where events end in a stream of them: pieces may come apart anywhere, streams may end after events alone.

use bytes::Bytes;

use super::room::Room;

/// The largest event that is handed on as a whole, in bytes: above what Electric reads of a log at once. Of larger
/// ones, parts are.
pub const EVENT_BYTES_MAX: usize = 12 * 1024 * 1024;
/// The largest event that is not large, in bytes: what comes of it takes no part of the common room until it is whole.
pub const SMALL_EVENT_BYTES_MAX: usize = 256 * 1024;

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
pub struct Partial {
    bytes: Vec<u8>,
    /// What it takes of the room, once it is large.
    room: Option<Room>,
}

/// What may be handed on of a stream.
pub(super) struct Events {
    pub(super) bytes: Bytes,
    /// Whether these bytes take their room by themselves, for as long as anybody has any of them.
    pub(super) large: bool,
}

impl Events {
    /// What takes no room by itself.
    pub(super) fn small(bytes: Bytes) -> Self {
        Self { bytes, large: false }
    }
}

impl Partial {
    /// The whole events that there are once `piece` has come. Also a part of one that is larger than
    /// [`EVENT_BYTES_MAX`], or that `common` has no room for.
    pub(super) fn whole_events(&mut self, piece: Bytes, common: &Room) -> Events {
        if self.bytes.is_empty() && end_of_events(&piece, 0) == Some(piece.len()) {
            return Events::small(piece);
        }
        // An end may have come apart: the longest has four bytes.
        let seen = self.bytes.len().saturating_sub(3);
        let fits = self.make_room(piece.len(), common);
        if !fits {
            self.bytes.reserve_exact(piece.len());
        }
        self.bytes.extend_from_slice(&piece);
        match end_of_events(&self.bytes, seen) {
            Some(end) => self.split_to(end),
            None if fits => Events::small(Bytes::new()),
            None => self.rest(),
        }
    }

    /// Makes room for so many bytes more, if there may be so many.
    fn make_room(&mut self, more: usize, common: &Room) -> bool {
        let needed = self.bytes.len() + more;
        if needed <= SMALL_EVENT_BYTES_MAX || (self.room.is_some() && needed <= self.bytes.capacity()) {
            return true;
        }
        let capacity = needed.next_power_of_two().min(EVENT_BYTES_MAX);
        let room = self.room.take().unwrap_or_else(|| common.another());
        let fits = needed <= capacity && room.grow_to(capacity);
        if fits {
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.room = Some(room).filter(|room| !room.is_empty());
        fits
    }

    fn split_to(&mut self, end: usize) -> Events {
        let rest = self.bytes.split_off(end);
        let bytes = std::mem::replace(&mut self.bytes, rest);
        match self.room.take() {
            Some(room) => Events {
                bytes: Bytes::from_owner(Large { bytes, _room: room }),
                large: true,
            },
            None => Events::small(Bytes::from(bytes)),
        }
    }

    /// What is left of an event at the end of its stream.
    pub(super) fn rest(&mut self) -> Events {
        self.split_to(self.bytes.len())
    }
}

/// A large event, and the room that it takes.
struct Large {
    bytes: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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
    use prometheus::IntGauge;

    use super::*;
    use crate::hub::room::Kept;

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

    fn room(bytes_max: usize) -> (Room, IntGauge) {
        let gauge = IntGauge::new("kept", "kept").unwrap();
        (Room::of(&Kept::new(bytes_max, gauge.clone())), gauge)
    }

    fn shown(gauge: &IntGauge) -> usize {
        usize::try_from(gauge.get()).unwrap()
    }

    #[test]
    fn only_whole_events_come_out_however_they_come_apart() {
        let (room, _) = room(0);
        for text in [
            "data: 1\n\n: comment\n\ndata: 2\ndata: 2\n\n",
            "data: 1\r\n\r\n: comment\r\n\r\n",
            "data: 1\n\ndata",
        ] {
            for size in 1..=text.len() {
                let (mut partial, mut seen) = (Partial::default(), Vec::new());
                for piece in text.as_bytes().chunks(size) {
                    let events = partial.whole_events(Bytes::copy_from_slice(piece), &room);
                    assert!(!events.large);
                    let events = events.bytes;
                    let whole = events.ends_with(b"\n\n") || events.ends_with(b"\n\r\n");
                    assert!(events.is_empty() || whole, "{events:?}");
                    assert_eq!(EventEnd::Reached.after(&events), EventEnd::Reached);
                    seen.extend_from_slice(&events);
                }
                let rest = partial.rest().bytes;
                assert!(rest.is_empty() || &*rest == b"data", "{rest:?}");
                seen.extend_from_slice(&rest);
                assert_eq!(seen, text.as_bytes(), "in pieces of {size}");
            }
        }
    }

    /// Pieces of an event that has no end yet.
    fn pieces() -> impl Iterator<Item = Bytes> {
        std::iter::repeat_n(Bytes::from(vec![b'x'; PIECE]), 2 * EVENT_BYTES_MAX / PIECE)
    }

    const PIECE: usize = 16 * 1024;

    #[test]
    fn a_large_event_comes_out_whole_and_takes_its_room_until_the_last_of_it_is_dropped() {
        let (room, gauge) = room(2 * EVENT_BYTES_MAX);
        let mut partial = Partial::default();
        for piece in pieces().take(EVENT_BYTES_MAX / PIECE - 1) {
            assert!(partial.whole_events(piece, &room).bytes.is_empty());
            let uncounted = partial.bytes.capacity().saturating_sub(shown(&gauge));
            assert!(uncounted <= 2 * SMALL_EVENT_BYTES_MAX, "{uncounted}");
        }
        let events = partial.whole_events(Bytes::from_static(b"\n\n: next"), &room);
        assert!(events.large && events.bytes.ends_with(b"x\n\n"));
        assert_eq!(events.bytes.len(), EVENT_BYTES_MAX - PIECE + 2);
        let last = events.bytes.slice(events.bytes.len() - 1..);
        drop(events);
        assert_eq!(shown(&gauge), EVENT_BYTES_MAX);
        drop(last);
        assert_eq!(gauge.get(), 0);
        let next = partial.whole_events(Bytes::from_static(b"\n\n"), &room);
        assert_eq!((&*next.bytes, next.large), (&b": next\n\n"[..], false));
    }

    #[test]
    fn an_event_without_an_end_is_held_back_no_further_than_its_bound() {
        // With room for all that may be held, for some of it, and for none.
        for (bytes_max, held_max) in [
            (2 * EVENT_BYTES_MAX, EVENT_BYTES_MAX),
            (1024 * 1024, 1024 * 1024),
            (0, SMALL_EVENT_BYTES_MAX),
        ] {
            let (room, gauge) = room(bytes_max);
            let (mut partial, mut out) = (Partial::default(), 0);
            for piece in pieces() {
                out += partial.whole_events(piece, &room).bytes.len();
                assert!(partial.bytes.len() <= held_max);
                assert!(shown(&gauge) <= bytes_max);
            }
            out += partial
                .whole_events(Bytes::from_static(b"\n\n"), &room)
                .bytes
                .len();
            assert_eq!(out, 2 * EVENT_BYTES_MAX + 2);
            assert_eq!(gauge.get(), 0, "nobody has any of it");
        }
    }
}
