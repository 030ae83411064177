//! Moments and deadlines, passed in by whoever has a clock.
//!
//! Wall time is what credentials speak of, and it may jump; monotonic time is what waits are measured
//! with, and it may not. A deadline therefore holds both.

use std::time::Duration;

/// A moment of the wall clock: milliseconds since 1970-01-01T00:00:00Z, leap seconds aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The moment so many whole seconds after the epoch; the ends of the range saturate.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment that much later; the end of the range saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long until `later`; zero when it is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// A moment of the monotonic clock: time since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// The moment that much later; the end of the range saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long until `later`; zero when it is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub wall: UnixMillis,
    /// The monotonic clock.
    pub monotonic: Monotonic,
}

/// A moment until which something holds, on both clocks: over as soon as either says so.
///
/// A wall clock that jumps back therefore prolongs nothing, and one that jumps forward ends what a
/// credential's `exp` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until {
    /// Over when the wall clock shows this.
    pub wall: UnixMillis,
    /// Over when the monotonic clock shows this.
    pub monotonic: Monotonic,
}

impl Until {
    /// Until a moment of the wall clock, as `now` sees it on both clocks.
    #[must_use]
    pub fn at_wall(now: Now, wall: UnixMillis) -> Self {
        Self {
            wall,
            monotonic: now.monotonic.plus(now.wall.until(wall)),
        }
    }

    /// For a while from `now` on.
    #[must_use]
    pub fn after(now: Now, duration: Duration) -> Self {
        Self {
            wall: now.wall.plus(duration),
            monotonic: now.monotonic.plus(duration),
        }
    }

    /// Whether it no longer holds. The moment itself is already over.
    #[must_use]
    pub fn is_over(self, now: Now) -> bool {
        now.wall >= self.wall || now.monotonic >= self.monotonic
    }

    /// What is left of it by `now`; zero when it is over.
    #[must_use]
    pub fn left(self, now: Now) -> Duration {
        now.wall.until(self.wall).min(now.monotonic.until(self.monotonic))
    }

    /// The earlier end, on each clock.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            monotonic: self.monotonic.min(other.monotonic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall: i64, monotonic: u64) -> Now {
        Now {
            wall: UnixMillis(wall),
            monotonic: Monotonic(Duration::from_millis(monotonic)),
        }
    }

    #[test]
    fn a_deadline_is_over_when_either_clock_says_so() {
        let until = Until::after(now(1_000, 50), Duration::from_millis(10));
        assert!(!until.is_over(now(1_009, 59)));
        assert!(until.is_over(now(1_010, 50)));
        assert!(
            until.is_over(now(-5_000, 60)),
            "a wall clock set back prolongs nothing"
        );
    }

    #[test]
    fn a_wall_moment_in_the_past_is_over_at_once() {
        assert!(Until::at_wall(now(1_000, 50), UnixMillis(999)).is_over(now(1_000, 50)));
        assert_eq!(
            Until::at_wall(now(1_000, 50), UnixMillis(999)).left(now(1_000, 50)),
            Duration::ZERO
        );
    }

    #[test]
    fn the_ends_of_the_range_saturate() {
        let until = Until::at_wall(now(i64::MIN, 0), UnixMillis(i64::MAX));
        assert!(!until.is_over(now(0, 0)));
        assert_eq!(UnixMillis(i64::MAX).plus(Duration::MAX), UnixMillis(i64::MAX));
        assert_eq!(UnixMillis::from_seconds(i64::MAX), UnixMillis(i64::MAX));
        assert_eq!(UnixMillis(-1).seconds(), -1);
    }

    #[test]
    fn the_earlier_of_two_is_taken_on_each_clock() {
        let a = Until {
            wall: UnixMillis(1),
            monotonic: Monotonic(Duration::from_millis(9)),
        };
        let b = Until {
            wall: UnixMillis(2),
            monotonic: Monotonic(Duration::from_millis(8)),
        };
        assert_eq!(
            a.min(b),
            Until {
                wall: UnixMillis(1),
                monotonic: Monotonic(Duration::from_millis(8))
            }
        );
    }
}
