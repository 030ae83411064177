//! Ids of traces and spans, and what they are drawn from.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the state of [`Entropy`] moves on by: 2⁶⁴ divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers that look random, without a lock: to tell things apart and to draw samples, not to keep secrets with.
#[derive(Debug)]
pub struct Entropy(AtomicU64);

impl Entropy {
    /// Numbers that all follow from `seed`, which the caller draws at random.
    pub const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number: splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
    pub fn draw(&self) -> u64 {
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The id of a trace; never zero (W3C Trace Context §3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// The id of a span; never zero (W3C Trace Context §3.2.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// A new one.
    pub fn draw(entropy: &Entropy) -> Self {
        let number = u128::from(entropy.draw()) << 64 | u128::from(entropy.draw());
        Self(NonZeroU128::new(number).unwrap_or(NonZeroU128::MIN))
    }

    pub(super) fn of(number: u128) -> Option<Self> {
        NonZeroU128::new(number).map(Self)
    }

    /// As OTLP has it.
    pub fn bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }
}

impl SpanId {
    /// A new one.
    pub fn draw(entropy: &Entropy) -> Self {
        Self(NonZeroU64::new(entropy.draw()).unwrap_or(NonZeroU64::MIN))
    }

    pub(super) fn of(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// As OTLP has it.
    pub fn bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_is_drawn_is_splitmix64() {
        // The first three of the reference implementation for the seed 1234567.
        let entropy = Entropy::seeded(1_234_567);
        let drawn = [entropy.draw(), entropy.draw(), entropy.draw()];
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(drawn, published);
    }

    #[test]
    fn ids_differ_and_follow_from_the_seed() {
        let ids = |seed| {
            let entropy = Entropy::seeded(seed);
            let ids: Vec<String> = (0..1_000).map(|_| TraceId::draw(&entropy).to_string()).collect();
            ids
        };
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
        assert_eq!(ids(7).iter().collect::<HashSet<_>>().len(), 1_000);
        assert!(ids(7).iter().all(|id| id.len() == 32));
    }
}
