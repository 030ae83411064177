//! Going away, as requests see it: not ready, answers that close their connection, waits that end early, one
//! after another, and no new requests.
//!
//! Who says when is [`departure`](super::departure).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use shapegate_core::time::Monotonic;
use tokio::sync::watch;

use crate::clock::Clock;

/// Added to each wait's turn, as a part of 2^32: the golden ratio. However many waits there are, their turns lie
/// evenly in the spread, without anybody knowing how many will come.
const TURN_STEP: u64 = 0x9E37_79B9;

/// How waits end while the process goes away.
#[derive(Clone, Copy, Debug)]
struct Ending {
    /// When the first one ends.
    from: Monotonic,
    /// Over how long they are spread, so that not everybody comes back in the same moment.
    spread: Duration,
}

/// How far the process has gone away; nothing of it is ever taken back.
#[derive(Clone, Copy, Debug, Default)]
struct Gone {
    ending: Option<Ending>,
    accepting_over: bool,
    idle_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    gone: watch::Sender<Gone>,
    /// What every request asks for, besides.
    leaving: AtomicBool,
    refuses: AtomicBool,
    turns: AtomicU64,
}

/// Whether, and how far, the process is going away.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

impl Drain {
    /// Is no longer ready, and closes each connection with its next answer. Everything is served.
    pub fn leave(&self) {
        self.shared.leaving.store(true, Ordering::Release);
    }

    /// Refuses new requests from now on.
    pub fn refuse(&self) {
        self.shared.refuses.store(true, Ordering::Release);
    }

    /// Ends every wait between `from` and `spread` later; one that begins afterwards, at once.
    pub fn end_waits(&self, from: Monotonic, spread: Duration) {
        let ending = Some(Ending { from, spread });
        self.shared.gone.send_modify(|gone| gone.ending = ending);
    }

    /// Notes that no listener takes connections any more.
    pub fn accepts_no_more(&self) {
        self.shared.gone.send_modify(|gone| gone.accepting_over = true);
    }

    /// Closes the connections on which nothing is asked.
    pub fn close_idle(&self) {
        self.shared.gone.send_modify(|gone| gone.idle_over = true);
    }

    /// Goes away at once: all of the above except closing what is idle, nothing spread.
    pub fn begin(&self) {
        self.leave();
        self.refuse();
        self.end_waits(Monotonic(Duration::ZERO), Duration::ZERO);
    }

    /// Whether going away has begun: not ready any more.
    pub fn has_begun(&self) -> bool {
        self.shared.leaving.load(Ordering::Acquire)
    }

    /// Whether new requests are refused.
    pub fn refuses(&self) -> bool {
        self.shared.refuses.load(Ordering::Acquire)
    }

    /// Resolves when the wait that calls this must end.
    pub async fn turn(&self, clock: &dyn Clock) {
        let mut watch = self.shared.gone.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let Ok(Some(ending)) = watch
            .wait_for(|gone| gone.ending.is_some())
            .await
            .map(|gone| gone.ending)
        else {
            return;
        };
        if ending.spread.is_zero() {
            return;
        }
        let turn = self.shared.turns.fetch_add(1, Ordering::Relaxed);
        let at = Monotonic(ending.from.0 + part_of(ending.spread, turn));
        if clock.now().monotonic < at {
            clock.sleep_until(at).await;
        }
    }

    /// Resolves when no listener takes connections any more.
    pub async fn accepting_over(&self) {
        let mut watch = self.shared.gone.subscribe();
        drop(watch.wait_for(|gone| gone.accepting_over).await);
    }

    /// Resolves when the connections on which nothing is asked are closed.
    pub async fn idle_over(&self) {
        let mut watch = self.shared.gone.subscribe();
        drop(watch.wait_for(|gone| gone.idle_over).await);
    }
}

/// Where in `spread` the wait with this number ends.
fn part_of(spread: Duration, turn: u64) -> Duration {
    let fraction = turn.wrapping_mul(TURN_STEP) & 0xFFFF_FFFF;
    let nanos = (spread.as_nanos() * u128::from(fraction)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use futures_util::FutureExt as _;

    #[test]
    fn turns_lie_evenly_in_the_spread_however_many_there_are() {
        let spread = Duration::from_secs(10);
        for waits in [10_u64, 100, 1_000] {
            let mut tenths = [0_u64; 10];
            for turn in 0..waits {
                let part = part_of(spread, turn);
                assert!(part < spread);
                tenths[usize::try_from(part.as_secs()).unwrap()] += 1;
            }
            let fair = waits / 10;
            assert!(tenths.iter().all(|count| count.abs_diff(fair) <= 1), "{tenths:?}");
        }
    }

    #[tokio::test]
    async fn every_wait_ends_in_its_turn_and_whoever_comes_afterwards_at_once() {
        let clock = ManualClock::at(shapegate_core::time::UnixMillis(0));
        let drain = Drain::default();
        type Turns<'a> = Vec<std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>>;
        let mut turns: Turns<'_> = (0..100).map(|_| Box::pin(drain.turn(&clock)) as _).collect();
        let ended = |turns: &mut Turns<'_>| {
            turns.retain_mut(|turn| turn.now_or_never().is_none());
            turns.len()
        };
        assert_eq!(ended(&mut turns), 100, "nothing goes away yet");
        drain.end_waits(clock.now().monotonic, Duration::from_secs(10));
        assert_eq!(ended(&mut turns), 99, "the first turn is at once");
        clock.advance(Duration::from_secs(5));
        assert!(ended(&mut turns).abs_diff(50) <= 1);
        clock.advance(Duration::from_secs(5));
        assert_eq!(ended(&mut turns), 0);
        drain.turn(&clock).await;
    }
}
