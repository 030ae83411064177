//! Where in a shape's log a client stands.

use std::fmt;
use std::sync::Arc;

use crate::code::{Code, Refusal};
use crate::handle::ClientHandle;
use crate::limits::{CACHE_BUSTER_BYTES_MAX, NUMBER_DIGITS_MAX};
use crate::request::Verb;

/// The second part of a log position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// One operation of the transaction.
    At(u64),
    /// After all of them.
    Infinity,
}

/// From where on the log is asked for. Displays in Electric's canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offset {
    /// `-1`: from the start.
    Beginning,
    /// `now`: from the end.
    Now,
    /// After this entry.
    At {
        /// The transaction's position, in bytes of the write-ahead log; 0 while in the snapshot.
        transaction: u64,
        /// The operation in it; while in the snapshot, the chunk.
        operation: Op,
    },
}

impl Offset {
    /// Reads `-1`, `now`, `N_M` or `N_inf`; leading zeros are taken, signs are not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "-1" => return Some(Self::Beginning),
            "now" => return Some(Self::Now),
            _ => {}
        }
        let (transaction, operation) = text.split_once('_')?;
        let transaction = parse_number(transaction)?;
        let operation = if operation == "inf" {
            Op::Infinity
        } else {
            Op::At(parse_number(operation)?)
        };
        Some(Self::At {
            transaction,
            operation,
        })
    }

    /// Whether a handle belongs to it: at the start and at the end there is none yet.
    #[must_use]
    pub const fn needs_handle(self) -> bool {
        matches!(self, Self::At { .. })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("-1"),
            Self::Now => f.write_str("now"),
            Self::At {
                transaction,
                operation: Op::At(operation),
            } => write!(f, "{transaction}_{operation}"),
            Self::At {
                transaction,
                operation: Op::Infinity,
            } => write!(f, "{transaction}_inf"),
        }
    }
}

/// Reads up to 20 digits that fit 64 bits; nothing else.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let digits =
        !text.is_empty() && text.len() <= NUMBER_DIGITS_MAX && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Whether, and how, the client waits for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Live {
    /// It does not wait.
    #[default]
    No,
    /// It waits for one answer.
    Poll,
    /// It waits for events, as they come.
    Sse,
}

impl Live {
    /// Whether the client waits at all.
    #[must_use]
    pub const fn waits(self) -> bool {
        !matches!(self, Self::No)
    }
}

/// A client's way past caches that hold a stale answer: a bounded word of its own choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheBuster(Arc<str>);

impl CacheBuster {
    /// Reads 1 to 64 of `A-Z a-z 0-9 . _ -`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=CACHE_BUSTER_BYTES_MAX).contains(&text.len()) && text.bytes().all(lawful);
        fits.then(|| Self(text.into()))
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where in the log a request stands. `H` says whose handles it holds: the client's
/// ([`ClientHandle`]), or the upstream's once they are known to belong to the shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position<H = ClientHandle> {
    /// From where on.
    pub offset: Offset,
    /// Of which incarnation of the shape; always there when the offset needs it.
    pub handle: Option<H>,
    /// Whether the client waits.
    pub live: Live,
    /// The cursor of its last live answer, in seconds; it only makes URLs differ in time.
    pub cursor: Option<u64>,
    /// A handle that it knows to be gone; it only makes URLs differ.
    pub expired_handle: Option<H>,
    /// A way past caches.
    pub cache_buster: Option<CacheBuster>,
}

impl<H> Position<H> {
    /// The start of the log, not waiting.
    #[must_use]
    pub const fn beginning() -> Self {
        Self {
            offset: Offset::Beginning,
            handle: None,
            live: Live::No,
            cursor: None,
            expired_handle: None,
            cache_buster: None,
        }
    }

    /// The same position with other handles.
    #[must_use]
    pub fn with_handles<G>(self, handle: Option<G>, expired_handle: Option<G>) -> Position<G> {
        let Self {
            offset,
            live,
            cursor,
            cache_buster,
            handle: _,
            expired_handle: _,
        } = self;
        Position {
            offset,
            handle,
            live,
            cursor,
            expired_handle,
            cache_buster,
        }
    }
}

/// Refuses a subset that would wait, since it is answered at once, and one that asks for no rows.
pub(super) fn check_subset<H>(verb: Verb, position: &Position<H>) -> Result<(), Refusal> {
    if !matches!(verb, Verb::Get | Verb::Post) {
        let text = format!("{} takes no subset.", verb.as_str());
        return Err(Refusal::new(Code::ParameterMalformed, text));
    }
    if position.live.waits() {
        return Err(Refusal::new(
            Code::ParameterMalformed,
            "live cannot be true for a subset.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_printed_canonically() {
        for (text, canonical) in [
            ("-1", "-1"),
            ("now", "now"),
            ("0_0", "0_0"),
            ("01_2", "1_2"),
            ("0_inf", "0_inf"),
            ("007_008", "7_8"),
        ] {
            assert_eq!(Offset::parse(text).unwrap().to_string(), canonical);
        }
        let most = format!("{0}_{0}", u64::MAX);
        assert_eq!(Offset::parse(&most).unwrap().to_string(), most);
    }

    #[test]
    fn what_electric_reads_leniently_is_no_offset_here() {
        for text in [
            "",
            "-2",
            "NOW",
            " now",
            "1",
            "_",
            "1_",
            "_1",
            "+1_+2",
            "1_-1",
            "1_2_3",
            "1_INF",
            "inf_1",
            "1_ 2",
            "1_2\n",
            "18446744073709551616_0",
            "000000000000000000001_0",
            "١_٢",
        ] {
            assert_eq!(Offset::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_cache_buster_is_a_bounded_word() {
        assert!(CacheBuster::parse("1732342342-a.b_c").is_some());
        for text in ["", "a b", "a&b", "a~b", "é", &"x".repeat(65)] {
            assert_eq!(CacheBuster::parse(text), None, "{text}");
        }
    }
}
