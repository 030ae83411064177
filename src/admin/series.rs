//! How many time series one metric may have, and which of their labels are shown.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// What names beyond the limit count as.
pub const OTHER: &str = "other";

/// What `/metrics` may hold of names that the configuration gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Whether tenants and issuers are named.
    pub tenant_label: bool,
    /// The most series of each metric with names in its labels; any beyond them count as `other`.
    pub series_max: usize,
}

impl MetricsSettings {
    /// What `series_max` may be.
    pub const SERIES_MAX: RangeInclusive<u64> = 10..=1_000_000;
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self {
            tenant_label: false,
            series_max: 10_000,
        }
    }
}

/// The series of one metric, told apart up to a number.
#[derive(Debug)]
pub(super) struct Series {
    known: Mutex<HashSet<Box<[Box<str>]>>>,
    max: usize,
}

impl Series {
    pub(super) fn new(max: usize) -> Self {
        Self {
            known: Mutex::default(),
            max,
        }
    }

    /// Whether these labels have a series of their own.
    pub(super) fn has_room_for(&self, labels: &[&str]) -> bool {
        let key: Box<[Box<str>]> = labels.iter().map(|label| Box::from(*label)).collect();
        // A panic while the lock was held left nothing half done.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&key) || (known.len() < self.max && known.insert(key))
    }

    /// Forgets them all.
    pub(super) fn clear(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
