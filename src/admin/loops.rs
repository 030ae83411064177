//! Clients that are told 401 over and over, and come back with the same: found in a table of fixed size.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge, Opts, Registry};
use shapegate_core::time::Monotonic;

/// How many are watched at once. Two that fall into one place take it from each other, so that in a flood of
/// different ones loops are missed, and none is made up.
const PLACES: usize = 4096;
/// From how many 401s in a row on it is a loop.
pub const LOOP_MIN: u32 = 10;
/// How far apart two of them are, at most.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Who is told 401 in a row.
#[derive(Debug)]
pub struct UnauthorizedLoops {
    places: Mutex<Vec<Place>>,
    hasher: RandomState,
    now: IntGauge,
    begun: IntCounter,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    who: u64,
    count: u32,
    last: Monotonic,
}

impl UnauthorizedLoops {
    /// Nobody yet.
    ///
    /// # Errors
    /// When a name is malformed: a fault of this file.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("shapegate");
        Ok(Self {
            places: Mutex::default(),
            hasher: RandomState::new(),
            now: IntGauge::with_opts(opts(
                "unauthorized_loops",
                "Clients that come back with what was answered 401, ten times in a row or more.",
            ))?,
            begun: IntCounter::with_opts(opts("unauthorized_loops_total", "Such clients so far."))?,
        })
    }

    /// Shows them in `registry`.
    ///
    /// # Errors
    /// When a name is taken: a fault of this file.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.now.clone()))?;
        registry.register(Box::new(self.begun.clone()))
    }

    /// Somebody was told 401 who sent `credentials`, or nothing, from `address`. What was sent is not kept.
    pub fn note<'a>(
        &self,
        credentials: impl Iterator<Item = &'a [u8]>,
        address: Option<IpAddr>,
        now: Monotonic,
    ) {
        let sent: Vec<&[u8]> = credentials.collect();
        // Whoever sends a token is the same one from any address.
        let address = address.filter(|_| sent.is_empty());
        let who = self.hasher.hash_one((sent, address));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            let nobody = Place {
                who: 0,
                count: 0,
                last: now,
            };
            places.resize(PLACES, nobody);
        }
        let Some(place) = usize::try_from(who)
            .ok()
            .and_then(|who| places.get_mut(who % PLACES))
        else {
            return;
        };
        if place.who != who || place.is_over(now) {
            *place = Place {
                who,
                count: 0,
                last: now,
            };
        }
        place.last = now;
        place.count = place.count.saturating_add(1);
        if place.count == LOOP_MIN {
            self.begun.inc();
        }
    }

    /// How many there were when that was last looked for.
    pub fn count(&self) -> i64 {
        self.now.get()
    }

    /// Takes the number of this moment.
    pub fn take(&self, now: Monotonic) {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let looping = places
            .iter()
            .filter(|place| place.count >= LOOP_MIN && !place.is_over(now));
        self.now.set(i64::try_from(looping.count()).unwrap_or(i64::MAX));
    }
}

impl Place {
    fn is_over(&self, now: Monotonic) -> bool {
        self.last.until(now) > PAUSE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn numbers(loops: &UnauthorizedLoops, seconds: u64) -> (i64, u64) {
        loops.take(at(seconds));
        (loops.now.get(), loops.begun.get())
    }

    fn note(loops: &UnauthorizedLoops, token: &str, address: u8, seconds: u64) {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, address));
        let sent = (!token.is_empty()).then_some(token.as_bytes());
        loops.note(sent.into_iter(), Some(address), at(seconds));
    }

    #[test]
    fn whoever_comes_back_ten_times_with_the_same_is_one_loop_from_wherever() {
        let loops = UnauthorizedLoops::new().unwrap();
        (0..9).for_each(|number| note(&loops, "token", number, 0));
        assert_eq!(numbers(&loops, 0), (0, 0));
        (0..9).for_each(|number| note(&loops, "token", number, 1));
        assert_eq!(numbers(&loops, 1), (1, 1));
        assert_eq!(numbers(&loops, 62), (0, 1), "it has stopped");
    }

    #[test]
    fn many_who_fail_once_are_no_loop() {
        let loops = UnauthorizedLoops::new().unwrap();
        (0..100_000).for_each(|number| note(&loops, &number.to_string(), 1, 0));
        assert_eq!(numbers(&loops, 0), (0, 0));
    }

    #[test]
    fn a_long_pause_begins_anew() {
        let loops = UnauthorizedLoops::new().unwrap();
        (0..100).for_each(|number| note(&loops, "token", 1, number * 61));
        assert_eq!(numbers(&loops, 100 * 61), (0, 0));
    }

    #[test]
    fn whoever_sends_nothing_is_known_by_his_address() {
        let loops = UnauthorizedLoops::new().unwrap();
        (0..20).for_each(|number| note(&loops, "", number, 0));
        assert_eq!(numbers(&loops, 0), (0, 0));
        (0..20).for_each(|_| note(&loops, "", 1, 0));
        assert_eq!(numbers(&loops, 0), (1, 1));
    }
}
