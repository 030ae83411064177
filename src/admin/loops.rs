//! Clients that are told 401 over and over, and come back with the same, or with another token of the same subject
//! that is no better: found in a table of fixed size.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Who is told 401.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Who<'a> {
    /// A subject of an issuer at a tenant, whose token verifies and is of no use: expired, revoked, for somebody else.
    Subject {
        /// The tenant.
        tenant: &'a str,
        /// `iss`.
        issuer: &'a str,
        /// `sub`.
        subject: &'a str,
    },
    /// Whoever sends this, from any address. What was sent is not kept.
    Sender(&'a [&'a [u8]]),
    /// Whoever sends nothing from there.
    Address(Option<IpAddr>),
}

/// Who is told 401 in a row.
#[derive(Debug)]
pub struct UnauthorizedLoops {
    /// Until when a subject may be in a row, in milliseconds of the monotonic clock: until then, and no longer, it is
    /// looked whether one has got in.
    subjects_until: AtomicU64,
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
            subjects_until: AtomicU64::new(0),
            places: Mutex::default(),
            hasher: RandomState::new(),
            now: IntGauge::with_opts(opts(
                "unauthorized_loops",
                "Clients that come back with what is answered 401, or subjects with tokens that are, ten times in a row or more.",
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

    /// Somebody was told 401.
    pub fn note(&self, who: Who<'_>, now: Monotonic) {
        if matches!(who, Who::Subject { .. }) {
            let until = millis(Monotonic(now.0 + PAUSE_MAX)) + 1;
            self.subjects_until.fetch_max(until, Ordering::Relaxed);
        }
        let who = self.hasher.hash_one(who);
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

    /// A subject got in: with another token than those before it, so that it is in no loop. While no subject was told
    /// 401 lately, this is one atomic load; it never waits.
    pub fn passed(&self, who: Who<'_>, now: Monotonic) {
        if self.subjects_until.load(Ordering::Relaxed) <= millis(now) {
            return;
        }
        let who = self.hasher.hash_one(who);
        let Ok(mut places) = self.places.try_lock() else {
            return;
        };
        let place = usize::try_from(who)
            .ok()
            .and_then(|who| places.get_mut(who % PLACES));
        if let Some(place) = place.filter(|place| place.who == who) {
            place.count = 0;
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

fn millis(moment: Monotonic) -> u64 {
    u64::try_from(moment.0.as_millis()).unwrap_or(u64::MAX)
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
        let sent = [token.as_bytes()];
        let who = match token {
            "" => Who::Address(Some(address)),
            _ => Who::Sender(&sent),
        };
        loops.note(who, at(seconds));
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

    fn ann(tenant: &str) -> Who<'_> {
        Who::Subject {
            tenant,
            issuer: "acme",
            subject: "ann",
        }
    }

    #[test]
    fn a_subject_is_one_whatever_it_sends_and_another_one_at_another_tenant() {
        let loops = UnauthorizedLoops::new().unwrap();
        (0..9).for_each(|_| loops.note(ann("one"), at(0)));
        loops.note(ann("two"), at(0));
        assert_eq!(numbers(&loops, 0), (0, 0));
        loops.note(ann("one"), at(1));
        assert_eq!(numbers(&loops, 1), (1, 1));
    }

    #[test]
    fn a_subject_that_gets_in_with_another_token_is_in_no_loop() {
        let loops = UnauthorizedLoops::new().unwrap();
        for second in 0..100 {
            loops.note(ann("one"), at(second));
            if second % 9 == 8 {
                loops.passed(ann("one"), at(second));
            }
        }
        assert_eq!(numbers(&loops, 100), (0, 0));
        (0..10).for_each(|_| loops.note(ann("one"), at(200)));
        assert_eq!(numbers(&loops, 200), (1, 1));
        loops.passed(ann("two"), at(200));
        assert_eq!(numbers(&loops, 200), (1, 1), "somebody else");
        loops.passed(ann("one"), at(201));
        assert_eq!(numbers(&loops, 201), (0, 1));
    }

    #[test]
    fn whoever_gets_in_is_not_looked_for_while_no_subject_was_refused_lately() {
        let loops = UnauthorizedLoops::new().unwrap();
        let held = loops.places.lock().unwrap();
        loops.passed(ann("one"), at(0));
        drop(held);
        loops.note(ann("one"), at(0));
        let held = loops.places.lock().unwrap();
        loops.passed(ann("one"), at(1));
        drop(held);
        assert!(loops.subjects_until.load(Ordering::Relaxed) > millis(at(60)));
        assert!(loops.subjects_until.load(Ordering::Relaxed) <= millis(at(61)));
    }
}
