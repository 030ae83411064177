//! Ids for requests: unique, cheap, not secret.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// Gives out ids: a number drawn at start, then a count.
#[derive(Debug)]
pub struct RequestIds {
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids that begin with `start`, which the caller draws at random.
    pub const fn new(start: u64) -> Self {
        Self {
            start,
            next: AtomicU64::new(0),
        }
    }

    /// The next id, 32 hexadecimal digits.
    pub fn next(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let id = digits((u128::from(self.start) << 64) | u128::from(count));
        HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
    }

    /// A number to spread things with, not to keep secrets with.
    pub fn random(&self) -> u64 {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // splitmix64, <https://prng.di.unimi.it/splitmix64.c>
        let mut z = self.start ^ count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A number in hexadecimal; `format!` would cost more than the rest of an id.
fn digits(mut number: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    for digit in digits.iter_mut().rev() {
        let value = (number & 0xf) as u8;
        *digit = if value < 10 {
            b'0' + value
        } else {
            b'a' - 10 + value
        };
        number >>= 4;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_what_format_writes() {
        for number in [0, 1, 0xf, 0x10, 0x0123_4567_89ab_cdef, u128::MAX] {
            assert_eq!(digits(number), format!("{number:032x}").as_bytes());
        }
    }

    #[test]
    fn ids_differ_and_have_the_length_that_electric_takes() {
        let ids = RequestIds::new(7);
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
    }
}
