//! The entries of one source, found by what they name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shapegate_core::credential::Credential;
use shapegate_core::time::UnixMillis;

use super::entry::{Entry, Kind, Name};

/// Most entries of one source; each takes a few hundred bytes.
pub const ENTRIES_MAX: usize = 100_000;

/// There would be more than [`ENTRIES_MAX`] entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there are {ENTRIES_MAX} revocations already: give those of tokens an `expires`, or revoke a subject or key instead"
)]
pub struct Full;

/// Entries by what they name.
type ByValue = HashMap<Arc<str>, Vec<Arc<Entry>>>;

fn of<'a>(entries: &'a ByValue, value: &str) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
    entries.get(value).into_iter().flatten()
}

/// The entries of one source. It is never changed: a change is a new one.
#[derive(Clone, Debug, Default)]
pub struct Index {
    token_ids: ByValue,
    subjects: ByValue,
    key_ids: ByValue,
    tenants: ByValue,
    len: usize,
    /// When the next of them expires.
    next_expiry: Option<UnixMillis>,
}

impl Index {
    /// Of several entries of one name the last one counts; expired ones do not.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(entries: impl IntoIterator<Item = Entry>, now: UnixMillis) -> Result<Self, Full> {
        Self::default().with(entries, now)
    }

    /// The same with further ones, and without the expired.
    ///
    /// # Errors
    /// When there are too many.
    pub fn with(&self, more: impl IntoIterator<Item = Entry>, now: UnixMillis) -> Result<Self, Full> {
        let more: Vec<Arc<Entry>> = more.into_iter().map(Arc::new).collect();
        let mut by_name: HashMap<&Name, &Arc<Entry>> = HashMap::new();
        for entry in self.all().chain(&more).filter(|entry| !entry.is_over(now)) {
            by_name.insert(&entry.name, entry);
        }
        if by_name.len() > ENTRIES_MAX {
            return Err(Full);
        }
        let mut index = Self::default();
        for entry in by_name.into_values() {
            index.insert(Arc::clone(entry));
        }
        Ok(index)
    }

    /// The same without some, and how many these were; without the expired, too.
    #[must_use]
    pub fn without(&self, names: &[Name], now: UnixMillis) -> (Self, usize) {
        let names: HashSet<&Name> = names.iter().collect();
        let (mut index, mut removed) = (Self::default(), 0);
        for entry in self.all().filter(|entry| !entry.is_over(now)) {
            if names.contains(&entry.name) {
                removed += 1;
            } else {
                index.insert(Arc::clone(entry));
            }
        }
        (index, removed)
    }

    /// All entries, without order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.all().map(|entry| &**entry)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one of them denies nothing any more.
    #[must_use]
    pub fn has_expired(&self, now: UnixMillis) -> bool {
        self.next_expiry.is_some_and(|expiry| expiry <= now)
    }

    /// The first entry found that denies.
    #[must_use]
    pub fn denies<'a>(
        &'a self,
        tenant: &str,
        credential: Option<&Credential>,
        now: UnixMillis,
    ) -> Option<&'a Entry> {
        if self.is_empty() {
            return None;
        }
        let applies = |entry: &&Arc<Entry>| entry.applies(tenant, credential, now);
        self.candidates(tenant, credential)
            .find(applies)
            .map(|entry| &**entry)
    }

    /// The entries whose value is one of those that a request has.
    fn candidates<'a, 'b>(
        &'a self,
        tenant: &'b str,
        credential: Option<&'b Credential>,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a, 'b> {
        let ids = credential
            .into_iter()
            .flat_map(|credential| &credential.token_ids);
        let keys = credential.into_iter().flat_map(|credential| &credential.key_ids);
        let subject = credential.and_then(|credential| credential.subject.as_ref());
        of(&self.tenants, tenant)
            .chain(
                subject
                    .into_iter()
                    .flat_map(move |value| of(&self.subjects, value)),
            )
            .chain(ids.flat_map(move |value| of(&self.token_ids, value)))
            .chain(keys.flat_map(move |value| of(&self.key_ids, value)))
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        [&self.token_ids, &self.subjects, &self.key_ids, &self.tenants]
            .into_iter()
            .flat_map(HashMap::values)
            .flatten()
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        self.next_expiry = match (self.next_expiry, entry.expires) {
            (Some(next), Some(one)) => Some(next.min(one)),
            (next, one) => next.or(one),
        };
        self.len += 1;
        let entries = match entry.name.kind {
            Kind::TokenId => &mut self.token_ids,
            Kind::Subject => &mut self.subjects,
            Kind::KeyId => &mut self.key_ids,
            Kind::Tenant => &mut self.tenants,
        };
        entries
            .entry(Arc::clone(&entry.name.value))
            .or_default()
            .push(entry);
    }
}
