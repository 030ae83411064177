//! Answers, remembered until their time is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use shapegate_core::code::Refusal;
use shapegate_core::identity::Identity;
use shapegate_core::time::{Now, Until};
use shapegate_core::value::Value;

use super::{Answer, CredentialKey};

/// How many refusals are remembered beside the identities: a flood of made-up credentials drives out only
/// one another.
const REFUSALS_MAX: usize = 4096;
/// What an entry takes besides its claims, in bytes by estimate.
const ENTRY_BYTES: u64 = 1024;

/// Identities and refusals, each until a moment that nobody's asking puts off.
pub(super) struct Recollection {
    identities: Cache<CredentialKey, Entry<Arc<Identity>>, Weight>,
    refusals: Cache<CredentialKey, Entry<Refusal>>,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    until: Until,
    bytes: u64,
}

/// An entry never counts for less than its share if all were alike, which bounds their number.
#[derive(Clone)]
struct Weight {
    least: u64,
}

impl Weighter<CredentialKey, Entry<Arc<Identity>>> for Weight {
    fn weight(&self, _: &CredentialKey, entry: &Entry<Arc<Identity>>) -> u64 {
        entry.bytes.saturating_add(ENTRY_BYTES).max(self.least)
    }
}

impl Recollection {
    pub(super) fn new(entries_max: usize, bytes_max: u64) -> Self {
        let entries = entries_max.max(1);
        let least = (bytes_max / u64::try_from(entries).unwrap_or(u64::MAX)).max(1);
        Self {
            identities: Cache::with_weighter(entries, bytes_max, Weight { least }),
            refusals: Cache::new(REFUSALS_MAX),
        }
    }

    /// What is remembered and holds still. Allocates nothing for a known user.
    pub(super) fn recall(&self, key: &CredentialKey, now: Now) -> Option<Answer> {
        if let Some(entry) = self.identities.get(key) {
            if !entry.until.is_over(now) {
                return Some(Ok(entry.value));
            }
            self.identities.remove(key);
        }
        let entry = self.refusals.get(key)?;
        if entry.until.is_over(now) {
            self.refusals.remove(key);
            return None;
        }
        Some(Err(entry.value))
    }

    pub(super) fn remember(&self, key: CredentialKey, answer: &Answer, until: Until, bytes: u64) {
        match answer {
            Ok(identity) => {
                let value = Arc::clone(identity);
                self.refusals.remove(&key);
                self.identities.insert(key, Entry { value, until, bytes });
            }
            Err(refusal) => {
                let value = refusal.clone();
                self.identities.remove(&key);
                self.refusals.insert(key, Entry { value, until, bytes });
            }
        }
    }

    pub(super) fn forget(&self, key: &CredentialKey) {
        self.identities.remove(key);
        self.refusals.remove(key);
    }

    pub(super) fn clear(&self) {
        self.identities.clear();
        self.refusals.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.identities.len()
    }
}

/// How much larger values are in memory than their texts: they are there twice, under `user` and under
/// `user.claims`, each text and each map an allocation.
const VALUE_FACTOR: u64 = 4;
/// What a value takes however short it is.
const VALUE_BYTES: u64 = 16;

/// What claims take in memory, in bytes by estimate.
pub(super) fn bytes_of(claims: &BTreeMap<Arc<str>, Value>) -> u64 {
    let members = claims
        .iter()
        .map(|(name, value)| length(name) + bytes_of_value(value));
    members.sum::<u64>().saturating_mul(VALUE_FACTOR)
}

fn bytes_of_value(value: &Value) -> u64 {
    VALUE_BYTES
        + match value {
            Value::String(text) => length(text),
            Value::List(elements) => elements.iter().map(bytes_of_value).sum(),
            Value::Map(members) => members
                .iter()
                .map(|(name, value)| length(name) + bytes_of_value(value))
                .sum(),
            _ => 0,
        }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
