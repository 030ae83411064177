//! Whether a published key still vouches for what it signed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shapegate_core::time::{Monotonic, Now};

/// Shared by a key and all that was remembered on its word: when its issuer takes the key back, or has not
/// been heard of for too long, all of it ends at once.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Milliseconds of the monotonic clock; 0 for a key that was taken back.
    until: AtomicU64,
}

impl Standing {
    pub(crate) fn until(moment: Monotonic) -> Self {
        Self {
            until: AtomicU64::new(millis(moment.0)),
        }
    }

    /// Whether the key's word counts.
    pub(crate) fn holds(&self, now: Now) -> bool {
        millis(now.monotonic.0) < self.until.load(Ordering::Acquire)
    }

    /// Its issuer publishes it still.
    pub(super) fn extend(&self, moment: Monotonic) {
        self.until.store(millis(moment.0), Ordering::Release);
    }

    /// Its issuer publishes it no more.
    pub(super) fn retire(&self) {
        self.until.store(0, Ordering::Release);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
