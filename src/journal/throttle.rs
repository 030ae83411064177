//! How many refusals of one kind are told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shapegate_core::code::Code;
use shapegate_core::time::Monotonic;

/// Lines of one kind in [`WINDOW`].
pub const LINES_MAX: u32 = 20;
/// The time in which lines are counted.
pub const WINDOW: Duration = Duration::from_secs(1);
/// Most kinds that are counted. When there are more, those that were not seen lately make room; if none can, the
/// line is left out.
const KINDS_MAX: usize = 4096;

/// A tenant, if one is known, and why it refused.
type Kind = (Option<Arc<str>>, Code);

/// Counts refusals by tenant and code, so that whoever sends bad tokens by the thousand writes twenty lines a second
/// and not a thousand.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<Kind, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    begin: Monotonic,
    lines: u32,
    suppressed: u64,
}

impl Throttle {
    /// Whether a line may be written, and how many of its kind were not since the last one.
    pub fn admit(&self, tenant: Option<&Arc<str>>, code: Code, now: Monotonic) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (tenant.cloned(), code);
        if !windows.contains_key(&kind) && windows.len() >= KINDS_MAX {
            windows.retain(|_, window| window.begin.plus(WINDOW) > now);
            if windows.len() >= KINDS_MAX {
                return None;
            }
        }
        let fresh = Window {
            begin: now,
            lines: 0,
            suppressed: 0,
        };
        let window = windows.entry(kind).or_insert(fresh);
        if window.begin.plus(WINDOW) <= now {
            window.begin = now;
            window.lines = 0;
        }
        if window.lines >= LINES_MAX {
            window.suppressed += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic(Duration::from_millis(millis))
    }

    fn admit(throttle: &Throttle, tenant: &str, code: Code, millis: u64) -> Option<u64> {
        throttle.admit(Some(&tenant.into()), code, at(millis))
    }

    #[test]
    fn a_flood_of_one_kind_is_told_twenty_times_a_second_and_the_rest_counted() {
        let throttle = Throttle::default();
        let told = (0..1_000)
            .filter(|_| admit(&throttle, "acme", Code::TokenInvalid, 0).is_some())
            .count();
        assert_eq!(told, 20);
        assert_eq!(admit(&throttle, "acme", Code::TokenInvalid, 999), None);
        assert_eq!(admit(&throttle, "acme", Code::TokenInvalid, 1_000), Some(981));
        assert_eq!(admit(&throttle, "acme", Code::TokenInvalid, 1_001), Some(0));
    }

    #[test]
    fn another_tenant_and_another_reason_have_lines_of_their_own() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            admit(&throttle, "acme", Code::TokenInvalid, 0);
        }
        assert_eq!(admit(&throttle, "other", Code::TokenInvalid, 0), Some(0));
        assert_eq!(admit(&throttle, "acme", Code::TokenExpired, 0), Some(0));
        assert_eq!(throttle.admit(None, Code::TokenInvalid, at(0)), Some(0));
    }

    #[test]
    fn kinds_are_bounded_and_old_ones_make_room() {
        let throttle = Throttle::default();
        for number in 0..KINDS_MAX {
            let told = admit(&throttle, &number.to_string(), Code::TokenInvalid, 0);
            assert!(told.is_some());
        }
        assert_eq!(admit(&throttle, "one more", Code::TokenInvalid, 500), None);
        assert_eq!(admit(&throttle, "one more", Code::TokenInvalid, 1_000), Some(0));
        assert_eq!(throttle.0.lock().unwrap().len(), 1);
    }
}
