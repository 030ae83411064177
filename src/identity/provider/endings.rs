//! Credentials that end before their time: what is remembered of them is forgotten, and who waits is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use shapegate_core::identity::Identity;
use tokio::sync::watch;

use super::CredentialKey;

/// Those who are known, for as long as anybody holds their identity: a memory, a request or a wait.
#[derive(Default)]
pub(super) struct Endings {
    /// Whether whoever tells of endings can be heard now.
    heard: AtomicBool,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    known: HashMap<CredentialKey, Known>,
    keys: HashMap<u64, CredentialKey>,
    /// Questions under way, and whether their credential has ended meanwhile.
    asking: HashMap<CredentialKey, bool>,
    /// How many are known when those who are gone are looked for next.
    sweep_at: usize,
}

struct Known {
    identity: Weak<Identity>,
    over: watch::Sender<bool>,
}

/// Tells whoever waits that the credential behind his permission has ended.
#[derive(Clone, Debug)]
pub struct Ended(watch::Receiver<bool>);

impl Ended {
    /// It has ended.
    pub(crate) fn already() -> Self {
        Self(watch::channel(true).1)
    }

    /// Resolves when it has.
    pub async fn ended(&mut self) {
        // Without a sender nobody knows the credential any more; the permission's own time ends the wait.
        if self.0.wait_for(|over| *over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Fewer than this are never swept.
const SWEEP_AT_MIN: usize = 1_024;

impl Endings {
    pub(super) fn set_heard(&self, heard: bool) {
        self.heard.store(heard, Ordering::SeqCst);
    }

    /// Whether an ending from now on would be heard of.
    pub(super) fn are_heard(&self) -> bool {
        self.heard.load(Ordering::SeqCst)
    }

    /// A question begins.
    pub(super) fn ask(&self, key: CredentialKey) -> Asking<'_> {
        self.table().asking.insert(key, false);
        Asking { endings: self, key }
    }

    /// A credential has ended.
    pub(super) fn end(&self, key: &CredentialKey) {
        let mut table = self.table();
        if let Some(ended) = table.asking.get_mut(key) {
            *ended = true;
        }
        table.end(key);
    }

    /// Any credential may have ended. Those who wait are left alone: what was said to them has a time of its own.
    pub(super) fn lose_track(&self) {
        self.table().asking.values_mut().for_each(|ended| *ended = true);
    }

    /// Every credential has ended.
    pub(super) fn end_all(&self) {
        self.lose_track();
        let mut table = self.table();
        let keys: Vec<CredentialKey> = table.known.keys().copied().collect();
        keys.iter().for_each(|key| table.end(key));
    }

    /// Tells when a known identity's credential ends; none for an identity that is not known, or no longer.
    pub(super) fn watch(&self, identity: &Identity) -> Option<Ended> {
        let table = self.table();
        let known = table.known.get(table.keys.get(&identity.number())?)?;
        Some(Ended(known.over.subscribe()))
    }

    /// A panic while the lock was held left nothing half done that could prolong anything.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question under way.
pub(super) struct Asking<'a> {
    endings: &'a Endings,
    key: CredentialKey,
}

impl Asking<'_> {
    /// It has its answer, which counts unless the credential has ended meanwhile.
    pub(super) fn answered(self, identity: Option<&Arc<Identity>>) -> bool {
        let mut table = self.endings.table();
        let ended = table.asking.remove(&self.key).unwrap_or(true);
        if let (false, Some(identity)) = (ended, identity) {
            table.learn(self.key, identity);
        }
        !ended
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.endings.table().asking.remove(&self.key);
    }
}

impl Table {
    fn learn(&mut self, key: CredentialKey, identity: &Arc<Identity>) {
        self.sweep();
        // Whoever waits on an older answer of the same credential waits on.
        let over = match self.known.remove(&key) {
            Some(older) => older.over,
            None => watch::Sender::new(false),
        };
        let known = Known {
            identity: Arc::downgrade(identity),
            over,
        };
        self.keys.insert(identity.number(), key);
        self.known.insert(key, known);
    }

    fn end(&mut self, key: &CredentialKey) {
        if let Some(known) = self.known.remove(key) {
            known.over.send_replace(true);
        }
    }

    /// Lets go of those whose identity nobody holds.
    fn sweep(&mut self) {
        if self.known.len() < self.sweep_at.max(SWEEP_AT_MIN) {
            return;
        }
        let Self { known, keys, .. } = self;
        known.retain(|_, known| known.identity.strong_count() > 0 || known.over.receiver_count() > 0);
        keys.retain(|_, key| known.contains_key(key));
        self.sweep_at = self.known.len().saturating_mul(2);
    }
}
