//! What authorisers said, until a fixed moment: reading it prolongs nothing.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use shapegate_core::time::Now;

use super::gather::Remembered;
use super::key::Key;

/// What all answers of all authorisers may take up together, in bytes, about.
pub const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of an answer that says little, with its key and its place.
const ENTRY_BYTES: usize = 512;

/// The answers of all authorisers.
pub(super) struct Memory(Cache<Key, Arc<Remembered>, ByBytes>);

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Remembered>> for ByBytes {
    fn weight(&self, _: &Key, remembered: &Arc<Remembered>) -> u64 {
        (ENTRY_BYTES + remembered.bytes) as u64
    }
}

impl Memory {
    pub(super) fn new(bytes_max: u64) -> Self {
        let entries = usize::try_from(bytes_max).unwrap_or(usize::MAX) / ENTRY_BYTES;
        Self(Cache::with_weighter(entries, bytes_max, ByBytes))
    }

    /// An answer that still holds.
    pub(super) fn get(&self, key: &Key, now: Now) -> Option<Arc<Remembered>> {
        let remembered = self.0.get(key)?;
        if remembered.until.is_over(now) {
            // Another may have been put there since: only what was seen to be over goes.
            self.0.remove_if(key, |there| Arc::ptr_eq(there, &remembered));
            return None;
        }
        Some(remembered)
    }

    pub(super) fn put(&self, key: Key, remembered: &Arc<Remembered>) {
        self.0.insert(key, Arc::clone(remembered));
    }
}
