//! Revocations: what was a good credential and is denied all the same, from now on and for what is open.
//!
//! Deny lists by token id, subject, key id and tenant come from a file, from operators and from the other gateways
//! of a cluster. Each source is a list of its own, and what any of them denies is denied. While all are empty, a
//! request pays one atomic load.
//!
//! Whoever waits compares the [`Revocations::epoch`] that it was admitted in with that of later, so that nothing
//! slips through between being admitted and listening for changes.

mod entry;
pub mod file;
mod index;
mod metrics;
mod operators;
mod state;
mod watched;
mod written;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::credential::Credential;
use shapegate_core::time::UnixMillis;
use tokio::sync::watch;

pub use entry::{Entry, Kind, Name, REASON_BYTES_MAX, VALUE_BYTES_MAX};
pub use index::{ENTRIES_MAX, Full, Index};
pub use metrics::RevocationMetrics;
pub use operators::Operators;
pub use state::{StateError, StateFile};
pub use written::Written;

/// Where revocations come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file of the configuration.
    File,
    /// Operators, by the admin listener.
    Admin,
    /// All gateways together.
    Cluster,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::File, Self::Admin, Self::Cluster];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Admin => "admin",
            Self::Cluster => "cluster",
        }
    }
}

/// One list a source.
#[derive(Clone, Default)]
struct Lists([Arc<Index>; Source::ALL.len()]);

impl Lists {
    fn of(&self, source: Source) -> &Arc<Index> {
        let [file, admin, cluster] = &self.0;
        match source {
            Source::File => file,
            Source::Admin => admin,
            Source::Cluster => cluster,
        }
    }

    fn slot(&mut self, source: Source) -> &mut Arc<Index> {
        let [file, admin, cluster] = &mut self.0;
        match source {
            Source::File => file,
            Source::Admin => admin,
            Source::Cluster => cluster,
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|index| index.is_empty())
    }
}

/// What is revoked.
pub struct Revocations {
    /// Twice the number of changes, and one more while anything is revoked: one load tells both.
    epoch: AtomicU64,
    lists: ArcSwap<Lists>,
    /// Held while lists are replaced: who reads does not wait for it.
    writing: Mutex<()>,
    changed: watch::Sender<u64>,
    metrics: RevocationMetrics,
}

impl Revocations {
    /// Nothing is revoked.
    #[must_use]
    pub fn new(metrics: RevocationMetrics) -> Self {
        Self {
            epoch: AtomicU64::new(0),
            lists: ArcSwap::default(),
            writing: Mutex::new(()),
            changed: watch::Sender::new(0),
            metrics,
        }
    }

    /// A number that every change makes greater.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Tells of every later epoch.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What is counted.
    pub fn metrics(&self) -> &RevocationMetrics {
        &self.metrics
    }

    /// Whether a tenant, and the credential of a request to it, are still good.
    ///
    /// # Errors
    /// `token_revoked` (401) where another credential can help, `revoked` (403) where it cannot.
    pub fn check(
        &self,
        tenant: &str,
        credential: Option<&Credential>,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        if self.epoch() & 1 == 0 {
            return Ok(());
        }
        let lists = self.lists.load();
        let denied = lists
            .0
            .iter()
            .find_map(|index| index.denies(tenant, credential, now));
        match denied {
            None => Ok(()),
            Some(entry) => {
                self.metrics.denied(entry.name.kind);
                Err(refusal(entry))
            }
        }
    }

    /// Replaces all that a source says.
    ///
    /// # Errors
    /// When it is more than [`ENTRIES_MAX`]; then nothing is changed.
    pub fn replace(
        &self,
        source: Source,
        entries: impl IntoIterator<Item = Entry>,
        now: UnixMillis,
    ) -> Result<(), Full> {
        self.change(source, |_| Index::new(entries, now))
    }

    /// Adds to what a source says; an entry of a name that is there replaces it.
    ///
    /// # Errors
    /// When it would be more than [`ENTRIES_MAX`]; then nothing is changed.
    pub fn add(&self, source: Source, entries: Vec<Entry>, now: UnixMillis) -> Result<(), Full> {
        self.change(source, |index| index.with(entries, now))
    }

    /// Takes entries back, and tells how many there were.
    pub fn remove(&self, source: Source, names: &[Name], now: UnixMillis) -> usize {
        let mut removed = 0;
        // Fewer are never too many.
        _ = self.change(source, |index| {
            let (rest, count) = index.without(names, now);
            removed = count;
            Ok(rest)
        });
        removed
    }

    /// What a source says, without order.
    pub fn list(&self, source: Source) -> Vec<Entry> {
        self.lists.load().of(source).entries().cloned().collect()
    }

    /// Lets go of what has expired. Nobody need be told of that: it denies nothing any more.
    pub fn sweep(&self, now: UnixMillis) {
        for source in Source::ALL {
            if self.lists.load().of(source).has_expired(now) {
                _ = self.change(source, |index| index.with(Vec::new(), now));
            }
        }
    }

    fn change(&self, source: Source, change: impl FnOnce(&Index) -> Result<Index, Full>) -> Result<(), Full> {
        let guard = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lists = Lists::clone(&self.lists.load());
        let index = change(lists.of(source)).inspect_err(|_| self.metrics.full.inc())?;
        self.metrics.count(source, index.len());
        *lists.slot(source) = Arc::new(index);
        let anything = u64::from(!lists.is_empty());
        self.lists.store(Arc::new(lists));
        // Whoever sees the new epoch sees the new lists.
        let epoch = ((self.epoch() >> 1) + 1) << 1 | anything;
        self.epoch.store(epoch, Ordering::Release);
        self.changed.send_replace(epoch);
        drop(guard);
        Ok(())
    }
}

/// Whether another credential can help decides between 401 and 403: a client that gets 401 fetches one and comes
/// again at once.
fn refusal(entry: &Entry) -> Refusal {
    let refusal = if entry.is_of_one_credential() {
        Refusal::new(Code::TokenRevoked, "The credential was revoked.")
    } else {
        Refusal::new(Code::Revoked, "The access was revoked.")
    };
    refusal.with_detail(entry.to_string())
}
