//! Positions in a shape's log, as Electric spells them.

use std::fmt;

/// The operation that stands for `inf`: behind everything of its transaction.
const AFTER_ALL: u64 = u64::MAX;

/// A place in a log: transaction, then operation within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offset {
    pub(crate) tx: u64,
    op: u64,
}

impl Offset {
    /// The end of every snapshot, where a log without changes ends too.
    pub(crate) const SNAPSHOT_END: Offset = Offset { tx: 0, op: AFTER_ALL };

    pub(crate) const fn new(tx: u64, op: u64) -> Self {
        Self { tx, op }
    }

    /// The snapshot chunk that this offset names, if it lies within a snapshot.
    pub(crate) fn snapshot_chunk(self) -> Option<u64> {
        (self.tx == 0 && self.op != AFTER_ALL).then_some(self.op)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            AFTER_ALL => write!(f, "{}_inf", self.tx),
            op => write!(f, "{}_{op}", self.tx),
        }
    }
}

/// Where a request wants to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// `-1`
    Beginning,
    /// `now`
    Now,
    /// `tx_op`
    After(Offset),
}

impl From {
    /// Reads the parameter with Electric's lenience: signs and leading zeros pass.
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text {
            "-1" => return Some(Self::Beginning),
            "now" => return Some(Self::Now),
            _ => {}
        }
        let (tx, op) = text.split_once('_')?;
        if tx == "-1" {
            return (lenient(op)? == 0).then_some(Self::Beginning);
        }
        let op = match op {
            "inf" => AFTER_ALL,
            number => lenient(number)?,
        };
        Some(Self::After(Offset::new(lenient(tx)?, op)))
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("-1"),
            Self::Now => f.write_str("now"),
            Self::After(offset) => offset.fmt(f),
        }
    }
}

fn lenient(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(AFTER_ALL - 1))
}

#[cfg(test)]
mod tests {
    use super::From;

    #[test]
    fn offsets_are_read_with_lenience_and_printed_canonically() {
        for (text, printed) in [
            ("-1", "-1"),
            ("now", "now"),
            ("0_02", "0_2"),
            ("+1_+2", "1_2"),
            ("5_inf", "5_inf"),
            ("-1_0", "-1"),
        ] {
            assert_eq!(From::read(text).unwrap().to_string(), printed);
        }
        for text in ["x", "10", "1_2_3", "1_2 ", "_1", "1_", "-2_0", "1_-1", "inf_1"] {
            assert_eq!(From::read(text), None, "{text}");
        }
    }
}
