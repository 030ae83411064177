//! What operators revoke at this process: in force at once, and kept in the state file if there is one.
//!
//! The file is what two processes of an upgrade have in common, and each follows it. What is not in it yet, because
//! the disk is full or slow, is in force all the same, and written as soon as that is possible.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shapegate_core::time::Monotonic;

use super::state::{Changed, Changes, Entries, StateError, StateFile};
use super::watched::{Complaint, LOOK_INTERVAL, Look};
use super::{Entry, Full, Name, Revocations, Source};
use crate::clock::Clock;

/// How long whoever revokes waits to hear that it is kept.
const KEEP_TIMEOUT: Duration = Duration::from_secs(5);

/// What operators revoke at this process.
pub struct Operators {
    revocations: Arc<Revocations>,
    state: Option<StateFile>,
    known: Mutex<Known>,
    /// One change of the file at a time: whoever waits finds his own written by then, together with others'.
    writing: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Known {
    /// What the file said when it was last read or written.
    kept: Arc<Entries>,
    /// What is to become of it.
    pending: Changes,
    complaint: Complaint,
}

impl Known {
    /// What is in force.
    fn all(&self) -> impl Iterator<Item = &Entry> {
        let kept = self.kept.values();
        let kept = kept.filter(|entry| !self.pending.contains_key(&entry.name));
        kept.chain(self.pending.values().flatten())
    }
}

impl Operators {
    /// Reads the state file, which is made where there is none.
    ///
    /// # Errors
    /// When it cannot be read, is broken, or cannot be written for another reason than want of room.
    pub fn open(
        revocations: Arc<Revocations>,
        state: Option<StateFile>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        let operators = Self {
            revocations,
            state,
            known: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            clock,
        };
        if let Some(state) = &operators.state {
            operators.begin(state)?;
        }
        Ok(operators)
    }

    fn begin(&self, state: &StateFile) -> Result<(), StateError> {
        let now = self.clock.now();
        match state.change(&Changes::new(), &Entries::new(), now.wall) {
            Ok(changed) => {
                log::info!(
                    "{} revocations in {}",
                    changed.entries.len(),
                    state.path().display()
                );
                self.take(changed, &Changes::new());
                Ok(())
            }
            Err(error) if error.is_for_want_of_room() => {
                let kept = state.read()?.unwrap_or_default();
                let mut known = self.known();
                known.kept = Arc::new(kept);
                self.publish(&known)?;
                self.complain(&mut known, &error, now.monotonic);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there is a state file.
    pub fn keeps(&self) -> bool {
        self.state.is_some()
    }

    /// Denies from now on.
    ///
    /// # Errors
    /// When there are too many; then nothing is changed.
    pub fn add(&self, entries: Vec<Entry>) -> Result<(), Full> {
        let now = self.clock.now().wall;
        if self.state.is_none() {
            return self.revocations.add(Source::Admin, entries, now);
        }
        let mut known = self.known();
        let before = known.pending.clone();
        let changes = entries.into_iter().map(|entry| (entry.name.clone(), Some(entry)));
        known.pending.extend(changes);
        self.publish(&known).inspect_err(|_| known.pending = before)
    }

    /// Denies no longer, and gives the names that were denied, as far as this process knew.
    pub fn remove(&self, names: &[Name]) -> HashSet<Name> {
        let now = self.clock.now().wall;
        let listed = self.revocations.list(Source::Admin);
        let named: HashSet<&Name> = names.iter().collect();
        let there = listed.into_iter().filter(|entry| !entry.is_over(now));
        let removed = there
            .map(|entry| entry.name)
            .filter(|name| named.contains(name))
            .collect();
        if self.state.is_none() {
            self.revocations.remove(Source::Admin, names, now);
            return removed;
        }
        let mut known = self.known();
        known
            .pending
            .extend(names.iter().map(|name| (name.clone(), None)));
        // Fewer are never too many.
        _ = self.publish(&known);
        removed
    }

    /// Waits until these names are kept as they are now. None where there is no state file; else whether they are,
    /// and which were in the file and are no longer.
    pub async fn keep(&self, names: &[Name]) -> Option<(bool, HashSet<Name>)> {
        let state = self.state.as_ref()?;
        let overdue = self.clock.now().monotonic.plus(KEEP_TIMEOUT);
        let removed = tokio::select! {
            removed = self.write(state) => removed,
            () = self.clock.sleep_until(overdue) => HashSet::new(),
        };
        let known = self.known();
        let is_kept = names.iter().all(|name| !known.pending.contains_key(name));
        Some((is_kept, removed))
    }

    /// Writes what is not in the file yet, and gives the names that were in it and are no longer.
    async fn write(&self, state: &StateFile) -> HashSet<Name> {
        let turn = self.writing.lock().await;
        let (changes, kept) = {
            let known = self.known();
            (known.pending.clone(), Arc::clone(&known.kept))
        };
        if changes.is_empty() {
            return HashSet::new();
        }
        let now = self.clock.now();
        let (file, asked) = (state.clone(), changes.clone());
        let written = tokio::task::spawn_blocking(move || file.change(&asked, &kept, now.wall)).await;
        let removed = match written {
            Ok(Ok(changed)) => {
                let removed = changed.removed.clone();
                self.take(changed, &changes);
                removed
            }
            Ok(Err(error)) => {
                self.complain(&mut self.known(), &error, now.monotonic);
                HashSet::new()
            }
            // The runtime is going away.
            Err(_) => HashSet::new(),
        };
        drop(turn);
        removed
    }

    /// Follows the state file for ever: another process may write it, and what could not be written is tried again.
    pub async fn follow(&self) {
        let Some(state) = &self.state else {
            return std::future::pending().await;
        };
        let mut seen = None;
        loop {
            self.write(state).await;
            self.look(state, &mut seen).await;
            let next = self.clock.now().monotonic.plus(LOOK_INTERVAL);
            self.clock.sleep_until(next).await;
        }
    }

    /// Takes what the file says, if it is another one than before.
    async fn look(&self, state: &StateFile, seen: &mut Option<Look>) {
        let look = std::fs::metadata(state.path())
            .ok()
            .map(|metadata| Look::of(&metadata));
        if look.is_some() && look == *seen {
            return;
        }
        let turn = self.writing.lock().await;
        let file = state.clone();
        let now = self.clock.now();
        match tokio::task::spawn_blocking(move || file.read()).await {
            Ok(Ok(Some(entries))) => {
                *seen = look;
                let removed = HashSet::new();
                self.take(Changed { entries, removed }, &Changes::new());
            }
            Ok(Ok(None)) => self.restore(),
            Ok(Err(error)) => self.complain(&mut self.known(), &error, now.monotonic),
            Err(_) => {}
        }
        drop(turn);
    }

    /// The file is gone: all that it said is to be written again.
    fn restore(&self) {
        let mut known = self.known();
        let lost: Vec<Entry> = known.all().cloned().collect();
        if !lost.is_empty() {
            log::warn!("the state file of revocations is gone, and written again");
        }
        known.kept = Arc::default();
        let changes = lost.into_iter().map(|entry| (entry.name.clone(), Some(entry)));
        known.pending = changes.collect();
    }

    /// Takes what the file says now, of which `written` was asked for.
    fn take(&self, changed: Changed, written: &Changes) {
        let mut known = self.known();
        known.kept = Arc::new(changed.entries);
        known
            .pending
            .retain(|name, change| written.get(name) != Some(change));
        if let Err(full) = self.publish(&known) {
            log::error!("the state file's revocations are not taken: {full}");
        }
        if known.pending.is_empty() {
            self.revocations.metrics().state_failed.set(0);
            if known.complaint.is_settled() {
                log::info!("all revocations are kept again");
            }
        }
    }

    /// Has what is known denied.
    fn publish(&self, known: &Known) -> Result<(), Full> {
        let now = self.clock.now().wall;
        let entries: HashMap<&Name, &Entry> = known.all().map(|entry| (&entry.name, entry)).collect();
        let same = {
            let listed = self.revocations.list(Source::Admin);
            let is_same = |entry: &Entry| entries.get(&entry.name) == Some(&entry);
            let lasting = entries.values().filter(|entry| !entry.is_over(now)).count();
            listed.len() == lasting && listed.iter().all(is_same)
        };
        // Whoever waits is judged anew by every change.
        if same {
            return Ok(());
        }
        self.revocations
            .replace(Source::Admin, entries.into_values().cloned(), now)
    }

    fn complain(&self, known: &mut Known, error: &StateError, now: Monotonic) {
        self.revocations.metrics().state_failed.set(1);
        if known.complaint.is_due(now) {
            log::error!(
                "revocations are in force here and not kept: a restart would forget {} changes. {error}",
                known.pending.len()
            );
        }
    }

    /// A panic while the lock was held left nothing half done.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
