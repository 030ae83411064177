//! This gateway's shares of rates that several count against.
//!
//! A share is a second's worth of a rate, one at least, taken at once: of a rate of 600 a minute, one request in ten
//! asks. What is not used within that second is given up, so that all gateways together let through what one would,
//! and a second's worth each at most.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use shapegate_core::time::Monotonic;

use super::rates::RateKey;
use crate::cluster::{Grant, SharedRates};

/// How long a share may be used.
const SHARE_LASTS: Duration = Duration::from_secs(1);
/// Shares that make up a minute's worth.
const SHARES_A_MINUTE: u32 = 60;

/// Shares by what they are of.
pub(super) struct Shares {
    rates: Arc<SharedRates>,
    shares: Cache<RateKey, Arc<Mutex<Share>>>,
}

/// What is left of a share, or for how long there is none.
struct Share {
    left: u32,
    until: Monotonic,
    none_until: Monotonic,
}

impl Default for Share {
    fn default() -> Self {
        let long_ago = Monotonic(Duration::ZERO);
        Self {
            left: 0,
            until: long_ago,
            none_until: long_ago,
        }
    }
}

impl Shares {
    pub(super) fn new(rates: Arc<SharedRates>, shares_max: usize) -> Self {
        Self {
            rates,
            shares: Cache::new(shares_max),
        }
    }

    /// Whether there is anybody to ask.
    pub(super) fn are_reachable(&self) -> bool {
        self.rates.is_reachable()
    }

    /// What was said lately, if that was no.
    ///
    /// # Errors
    /// How long to stay away.
    pub(super) fn refused_before(&self, key: &RateKey, now: Monotonic) -> Result<(), Duration> {
        let Some(share) = self.shares.get(key) else {
            return Ok(());
        };
        let none_until = lock(&share).none_until;
        if now < none_until {
            return Err(now.until(none_until));
        }
        Ok(())
    }

    /// Uses what is left of a share, or asks for another. Where nobody answers, what this process counts is enough.
    ///
    /// # Errors
    /// How long to stay away.
    pub(super) async fn take(&self, key: RateKey, per_minute: u32, now: Monotonic) -> Result<(), Duration> {
        let (rate, counted) = &key;
        let Some(name) = counted.shared_name() else {
            return Ok(());
        };
        let made = || Ok::<_, Infallible>(Arc::default());
        let Ok(share) = self.shares.get_or_insert_with(&key, made);
        if lock(&share).use_one(now) {
            return Ok(());
        }
        let wanted = (per_minute / SHARES_A_MINUTE).max(1);
        let parts = std::iter::once(rate.as_str()).chain(name.iter().map(String::as_str));
        let parts: Vec<&str> = parts.collect();
        let granted = self.rates.take(&parts, per_minute, wanted).await;
        lock(&share).note(granted, now)
    }
}

impl Share {
    fn use_one(&mut self, now: Monotonic) -> bool {
        let is_good = self.left > 0 && now < self.until;
        self.left = if is_good { self.left - 1 } else { 0 };
        is_good
    }

    fn note(&mut self, granted: Option<Grant>, now: Monotonic) -> Result<(), Duration> {
        match granted {
            None => Ok(()),
            Some(Grant::Granted(some)) => {
                // Another request may have asked at the same time.
                self.left = self.left.saturating_add(some.saturating_sub(1));
                self.until = now.plus(SHARE_LASTS);
                Ok(())
            }
            Some(Grant::Refused(pause)) => {
                self.none_until = now.plus(pause);
                Err(pause)
            }
        }
    }
}

fn lock(share: &Mutex<Share>) -> MutexGuard<'_, Share> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    #[test]
    fn a_share_is_used_up_or_given_up_within_its_second() {
        let mut share = Share::default();
        assert!(!share.use_one(at(0)));
        assert_eq!(
            share.note(Some(Grant::Granted(3)), at(0)),
            Ok(()),
            "the first is for whoever asked"
        );
        assert!(share.use_one(at(1)) && share.use_one(at(2)) && !share.use_one(at(3)));
        assert_eq!(share.note(Some(Grant::Granted(3)), at(10)), Ok(()));
        assert!(!share.use_one(at(1_010)));
        assert_eq!(share.note(Some(Grant::Granted(3)), at(2_000)), Ok(()));
        assert_eq!(share.note(Some(Grant::Granted(2)), at(2_000)), Ok(()));
        let used = (0..9).filter(|_| share.use_one(at(2_001))).count();
        assert_eq!(used, 3, "five came, two of them for those who asked");
    }

    #[test]
    fn without_an_answer_nobody_is_refused() {
        let mut share = Share::default();
        assert_eq!(share.note(None, at(0)), Ok(()));
        let pause = Duration::from_millis(250);
        assert_eq!(share.note(Some(Grant::Refused(pause)), at(5)), Err(pause));
        assert_eq!(share.none_until, at(255));
    }
}
