//! The only reader of the machine's clocks.
//!
//! Everything that asks for the time or waits for it takes a [`Clock`]; clippy refuses `now` and `sleep`
//! elsewhere. Tests use [`ManualClock`], which stands still until it is told to move.

pub mod manual;

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shapegate_core::time::{Monotonic, Now, UnixMillis};

pub use manual::ManualClock;

/// A wait that ends at a moment of the monotonic clock.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and waits for it.
pub trait Clock: Send + Sync {
    /// Both clocks, read once. Nothing orders this reading with the one of another thread.
    fn now(&self) -> Now;

    /// Ends at `deadline`, or at once when it is past. The wait counts from this call on, not from the
    /// first poll; dropping it gives it up.
    fn sleep_until(&self, deadline: Monotonic) -> Sleep;
}

/// The moment that the monotonic clock counts from: the first time that anybody asked.
///
/// One a process, so that the readings of two `SystemClock`s may be compared.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The machine's clocks; waits need a tokio runtime with its timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            wall: wall(),
            monotonic: Monotonic(STARTED.elapsed()),
        }
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        match STARTED.checked_add(deadline.0) {
            Some(instant) => Box::pin(tokio::time::sleep_until(instant.into())),
            // Later than the machine can count to.
            None => Box::pin(std::future::pending()),
        }
    }
}

/// The wall clock in milliseconds; negative before 1970, and its ends saturate.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
fn wall() -> UnixMillis {
    let millis = |distance: Duration| i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => UnixMillis(millis(since)),
        Err(before) => UnixMillis(-millis(before.duration())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back_and_is_one_for_all() {
        let first = SystemClock.now();
        let second = SystemClock.now();
        assert!(second.monotonic >= first.monotonic);
        assert!(
            first.wall > UnixMillis::from_seconds(1_600_000_000),
            "the epoch is 1970"
        );
    }

    #[tokio::test]
    async fn a_deadline_that_is_past_does_not_wait() {
        SystemClock.sleep_until(Monotonic(Duration::ZERO)).await;
    }

    #[tokio::test]
    async fn a_deadline_past_the_end_of_time_waits_without_a_panic() {
        let mut sleep = SystemClock.sleep_until(Monotonic(Duration::MAX));
        assert!(futures_util::poll!(&mut sleep).is_pending());
    }
}
