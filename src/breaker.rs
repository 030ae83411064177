//! A circuit breaker: whoever fails again and again is left alone for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shapegate_core::time::Monotonic;

/// Failures in a row after which nobody is asked for a while.
pub const FAILURES_MAX: u32 = 5;
/// The first pause. Each failed trial doubles it.
pub const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Counts failures in a row. Closed, it lets everybody pass; open, nobody; after its pause, one for a trial.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

/// What a breaker does with those who want to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everybody passes.
    Closed,
    /// Nobody passes.
    Open,
    /// The pause is over: one passes, or has passed, for a trial.
    HalfOpen,
}

/// A breaker, and whom it keeps from being asked.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What kind of service that is.
    pub service: &'static str,
    /// As metrics name it.
    pub name: Arc<str>,
    /// The breaker itself.
    pub breaker: Arc<Breaker>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// How often it has opened since somebody took the number.
    openings: u64,
    /// While it is open: until when, and how long that was.
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Monotonic,
    pause: Duration,
    /// Whether somebody is trying.
    trial: bool,
}

impl Breaker {
    /// Whether somebody may be asked now. Each pass must be answered by [`Breaker::succeeded`],
    /// [`Breaker::failed`] or [`Breaker::abandoned`].
    ///
    /// # Errors
    /// For how long not, at least.
    pub fn pass(&self, now: Monotonic) -> Result<(), Duration> {
        let mut state = self.lock();
        match &mut state.open {
            None => Ok(()),
            Some(open) if now < open.until => Err(now.until(open.until)),
            Some(open) if open.trial => Err(PAUSE_MIN),
            Some(open) => {
                open.trial = true;
                Ok(())
            }
        }
    }

    /// Whoever was asked has answered. True when it had been left alone before.
    pub fn succeeded(&self) -> bool {
        let mut state = self.lock();
        state.failures = 0;
        state.open.take().is_some()
    }

    /// Whoever was asked has failed. True when it is left alone from now on.
    pub fn failed(&self, now: Monotonic) -> bool {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        let pause = match state.open {
            // Those who had passed before it opened say nothing new.
            Some(open) if !open.trial => return false,
            Some(open) => open.pause.saturating_mul(2).min(PAUSE_MAX),
            None if state.failures < FAILURES_MAX => return false,
            None => PAUSE_MIN,
        };
        let first = state.open.is_none();
        state.openings += u64::from(first);
        let until = now.plus(pause);
        state.open = Some(Open {
            until,
            pause,
            trial: false,
        });
        first
    }

    /// Whoever had passed did not ask after all.
    pub fn abandoned(&self) {
        if let Some(open) = &mut self.lock().open {
            open.trial = false;
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self, now: Monotonic) -> BreakerState {
        match self.lock().open {
            None => BreakerState::Closed,
            Some(open) if now < open.until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// How often it has opened since this was called last. A trial that failed is no other opening.
    #[must_use]
    pub fn take_openings(&self) -> u64 {
        std::mem::take(&mut self.lock().openings)
    }

    /// A panic while the lock was held left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        let opened: Vec<bool> = (0..FAILURES_MAX).map(|_| breaker.failed(at(0))).collect();
        assert_eq!(opened, [false, false, false, false, true], "told once");
        breaker
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            (1..FAILURES_MAX).for_each(|_| assert!(!breaker.failed(at(0))));
            assert!(!breaker.succeeded());
        }
        assert_eq!(breaker.pass(at(0)), Ok(()));
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_try_after_a_pause() {
        let breaker = opened();
        assert_eq!(breaker.pass(at(0)), Err(PAUSE_MIN));
        assert_eq!(breaker.pass(at(999)), Err(Duration::from_millis(1)));
        assert_eq!(breaker.pass(at(1_000)), Ok(()));
        assert!(breaker.pass(at(1_000)).is_err(), "one at a time");
        assert!(breaker.succeeded());
        assert_eq!(breaker.pass(at(1_000)), Ok(()));
    }

    #[test]
    fn failed_trials_double_the_pause_up_to_its_bound() {
        let breaker = opened();
        let mut now = at(1_000);
        for pause in [2, 4, 8, 16, 30, 30] {
            assert_eq!(breaker.pass(now), Ok(()));
            breaker.failed(now);
            assert_eq!(breaker.pass(now), Err(Duration::from_secs(pause)));
            now = now.plus(Duration::from_secs(pause));
        }
    }

    #[test]
    fn its_state_follows_the_clock_and_each_opening_is_told_once() {
        let breaker = opened();
        let states = |moments: [u64; 3]| moments.map(|moment| breaker.state(at(moment)));
        use BreakerState::{Closed, HalfOpen, Open};
        assert_eq!(states([0, 999, 1_000]), [Open, Open, HalfOpen]);
        assert_eq!((breaker.take_openings(), breaker.take_openings()), (1, 0));
        assert_eq!(breaker.pass(at(1_000)), Ok(()));
        assert_eq!(breaker.state(at(1_000)), HalfOpen, "while somebody tries");
        breaker.failed(at(1_000));
        assert_eq!(states([1_000, 2_999, 3_000]), [Open, Open, HalfOpen]);
        assert_eq!(breaker.take_openings(), 0, "it was open already");
        assert!(breaker.succeeded());
        assert_eq!(states([0, 3_000, 9_000]), [Closed; 3]);
        (0..FAILURES_MAX).for_each(|_| _ = breaker.failed(at(9_000)));
        assert_eq!(breaker.take_openings(), 1);
    }

    #[test]
    fn those_who_had_passed_before_it_opened_do_not_prolong_it() {
        let breaker = opened();
        assert!(!breaker.failed(at(900)));
        assert_eq!(breaker.pass(at(1_000)), Ok(()));
        breaker.abandoned();
        assert_eq!(
            breaker.pass(at(1_000)),
            Ok(()),
            "a trial that was none is given again"
        );
    }
}
