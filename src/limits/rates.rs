//! Rates: the generic cell rate algorithm, as ITU-T I.371 Annex A describes it, a number for each that is counted.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use shapegate_core::time::Monotonic;

use super::key::Counted;
use super::settings::Rate;
use super::shares::Shares;
use crate::cluster::SharedRates;

/// How many rates are remembered. Who floods with new keys drives out others' that are asked once: none that is
/// asked for again, and so none that is being used up.
const RATES_MAX: usize = 100_000;

/// What a rate is of.
pub(super) type RateKey = (Rate, Counted);

/// Where rates are counted: in this process, and with other gateways where there are any.
pub(super) struct Rates {
    local: LocalRates,
    shares: Option<Shares>,
}

impl Rates {
    /// Counted in this process alone.
    pub(super) fn local() -> Self {
        Self {
            local: LocalRates(Cache::new(RATES_MAX)),
            shares: None,
        }
    }

    /// Counted with others as well, while they can be reached.
    pub(super) fn share(&mut self, rates: Arc<SharedRates>) {
        self.shares = Some(Shares::new(rates, RATES_MAX));
    }

    /// Takes one of `per_minute`, of which as many may come at once; or says how long to stay away. Nobody else is
    /// asked about what is refused here.
    pub(super) async fn take(&self, key: RateKey, per_minute: u32, now: Monotonic) -> Result<(), Duration> {
        let shares = self.shares.as_ref().filter(|shares| shares.are_reachable());
        if let Some(shares) = shares {
            shares.refused_before(&key, now)?;
        }
        self.local.take(&key, per_minute, now)?;
        match shares {
            // Boxed, as most requests ask nobody.
            Some(shares) => Box::pin(shares.take(key, per_minute, now)).await,
            None => Ok(()),
        }
    }
}

/// Rates in this process.
pub(super) struct LocalRates(Cache<RateKey, Arc<Cell>>);

impl LocalRates {
    fn take(&self, key: &RateKey, per_minute: u32, now: Monotonic) -> Result<(), Duration> {
        let made = || Ok::<_, Infallible>(Arc::new(Cell::default()));
        let Ok(cell) = self.0.get_or_insert_with(key, made);
        cell.take(per_minute, now)
    }
}

/// When the next occurrence would be due if they came evenly, in nanoseconds of the monotonic clock.
#[derive(Default)]
struct Cell(AtomicU64);

impl Cell {
    fn take(&self, per_minute: u32, now: Monotonic) -> Result<(), Duration> {
        let now = nanos(now.0);
        let interval = nanos(Duration::from_secs(60)) / u64::from(per_minute.max(1));
        let tolerance = interval.saturating_mul(u64::from(per_minute.max(1) - 1));
        let due_next = |due: u64| {
            let due = due.max(now);
            (due - now <= tolerance).then(|| due.saturating_add(interval))
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due_next)
            .map(drop)
            .map_err(|due| Duration::from_nanos(due.saturating_sub(now).saturating_sub(tolerance)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_evenly() {
        let cell = Cell::default();
        for _ in 0..120 {
            assert_eq!(cell.take(120, at(1)), Ok(()));
        }
        assert_eq!(cell.take(120, at(1)), Err(Duration::from_millis(500)));
        assert_eq!(cell.take(120, at(400)), Err(Duration::from_millis(101)));
        assert_eq!(cell.take(120, at(501)), Ok(()));
        assert!(cell.take(120, at(501)).is_err());
        let later = (0..1000).filter(|_| cell.take(120, at(3_600_000)).is_ok());
        assert_eq!(later.count(), 120, "no more is saved up than a minute's worth");
    }

    #[test]
    fn one_a_minute_is_one_a_minute_and_being_refused_costs_nothing() {
        let cell = Cell::default();
        assert_eq!(cell.take(1, at(0)), Ok(()));
        for millis in 1..60_000 {
            assert!(cell.take(1, at(millis)).is_err());
        }
        assert_eq!(cell.take(1, at(60_000)), Ok(()));
    }

    #[test]
    fn a_flood_of_keys_takes_bounded_room_and_frees_nobody_who_is_at_his_limit() {
        let rates = LocalRates(Cache::new(1000));
        let key = |n: u32| {
            let address = std::net::Ipv4Addr::from(n).into();
            (Rate::Requests, Counted::Address(address))
        };
        while rates.take(&key(0), 60, at(0)).is_ok() {}
        for n in 1..100_000 {
            _ = rates.take(&key(n), 60, at(0));
            if n % 100 == 0 {
                assert!(rates.take(&key(0), 60, at(0)).is_err(), "after {n}");
            }
        }
        assert!(rates.0.len() <= 1000);
    }
}
