//! A clock that tests move by hand.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shapegate_core::time::{Monotonic, Now, UnixMillis};

use super::{Clock, Sleep};

/// Stands still until it is moved; whoever sleeps past the new moment is then woken, earliest first.
///
/// Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    now: Now,
    /// Numbers the sleeps, so that two with one deadline are told apart.
    next: u64,
    sleepers: BTreeMap<(Monotonic, u64), Waker>,
    watchers: Vec<Waker>,
}

impl ManualClock {
    /// A clock that shows this wall time and a monotonic time of zero.
    #[must_use]
    pub fn at(wall: UnixMillis) -> Self {
        let now = Now {
            wall,
            monotonic: Monotonic(Duration::ZERO),
        };
        let state = State {
            now,
            next: 0,
            sleepers: BTreeMap::new(),
            watchers: Vec::new(),
        };
        Self {
            shared: Arc::new(Mutex::new(state)),
        }
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let woken = {
            let mut state = lock(&self.shared);
            state.now = Now {
                wall: state.now.wall.plus(by),
                monotonic: state.now.monotonic.plus(by),
            };
            state.take_due()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Sets the wall clock alone, forwards or back, as an operator or NTP does. Wakes nobody.
    pub fn set_wall(&self, wall: UnixMillis) {
        lock(&self.shared).now.wall = wall;
    }

    /// How many waits are under way: polled at least once, not over, not dropped.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        lock(&self.shared).sleepers.len()
    }

    /// Ends once so many waits are under way: the moment at which a test may move the clock.
    pub async fn until_asleep(&self, count: usize) {
        std::future::poll_fn(|context| {
            let mut state = lock(&self.shared);
            if state.sleepers.len() >= count {
                return Poll::Ready(());
            }
            state.watchers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        lock(&self.shared).now
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let mut state = lock(&self.shared);
        state.next += 1;
        let key = (deadline, state.next);
        Box::pin(ManualSleep {
            shared: Arc::clone(&self.shared),
            key,
        })
    }
}

impl State {
    /// The wakers of all whose deadline is reached, earliest first.
    fn take_due(&mut self) -> Vec<Waker> {
        let later = self.sleepers.split_off(&(self.now.monotonic, u64::MAX));
        std::mem::replace(&mut self.sleepers, later)
            .into_values()
            .collect()
    }
}

struct ManualSleep {
    shared: Arc<Mutex<State>>,
    key: (Monotonic, u64),
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let watchers = {
            let mut state = lock(&self.shared);
            if state.now.monotonic >= self.key.0 {
                state.sleepers.remove(&self.key);
                return Poll::Ready(());
            }
            state.sleepers.insert(self.key, context.waker().clone());
            std::mem::take(&mut state.watchers)
        };
        watchers.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        lock(&self.shared).sleepers.remove(&self.key);
    }
}

/// A test that panicked while it held the lock left nothing half done: every change is one assignment.
fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> Monotonic {
        Monotonic(Duration::from_secs(count))
    }

    #[tokio::test]
    async fn it_stands_still_until_it_is_moved_and_then_wakes_who_is_due() {
        let clock = ManualClock::at(UnixMillis(5_000));
        let sleeping = clock.clone();
        let early = tokio::spawn(async move { sleeping.sleep_until(second(1)).await });
        let mut late = clock.sleep_until(second(10));
        assert!(futures_util::poll!(&mut late).is_pending());
        clock.until_asleep(2).await;

        clock.advance(Duration::from_secs(1));
        early.await.unwrap();
        assert!(futures_util::poll!(&mut late).is_pending());
        assert_eq!(clock.sleepers(), 1);
        assert_eq!(
            clock.now(),
            Now {
                wall: UnixMillis(6_000),
                monotonic: second(1)
            }
        );

        clock.advance(Duration::from_secs(9));
        late.await;
        assert_eq!(clock.sleepers(), 0);
    }

    #[tokio::test]
    async fn a_dropped_wait_is_forgotten() {
        let clock = ManualClock::at(UnixMillis(0));
        let mut wait = clock.sleep_until(second(1));
        assert!(futures_util::poll!(&mut wait).is_pending());
        drop(wait);
        assert_eq!(clock.sleepers(), 0);
    }

    #[test]
    fn setting_the_wall_clock_leaves_the_monotonic_one_alone() {
        let clock = ManualClock::at(UnixMillis(5_000));
        clock.set_wall(UnixMillis(-1));
        assert_eq!(
            clock.now(),
            Now {
                wall: UnixMillis(-1),
                monotonic: second(0)
            }
        );
    }
}
