//! What operators revoke and take back, and who is told.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::record::Field;
use super::{Cluster, Told};
use crate::revocation::{Entry, Full, Name, Source};

/// How long whoever revokes waits to hear that all gateways are told.
const SHARE_TIMEOUT: Duration = Duration::from_secs(1);

impl Cluster {
    /// Revokes for all gateways, or for this process where there is no cluster.
    ///
    /// # Errors
    /// When there are too many; then nothing is changed.
    pub async fn revoke(&self, entries: Vec<Entry>) -> Result<Told, Full> {
        let now = self.clock.now().wall;
        let fields = {
            let mut shared = self.shared();
            if shared.is_on {
                let revoked = shared.ledger.revoke(entries, now);
                let fields = revoked.inspect_err(|_| self.revocations.metrics().full.inc())?;
                self.publish(&shared.ledger);
                Ok(fields)
            } else {
                let names: Vec<Name> = entries.iter().map(|entry| entry.name.clone()).collect();
                self.operators.add(entries)?;
                Err(names)
            }
        };
        Ok(match fields {
            Ok(fields) if self.are_told(&fields).await => Told::ALL,
            Ok(fields) => Told {
                shared: Some(false),
                kept: self.keep_meanwhile(&fields).await,
            },
            Err(names) => Told {
                shared: None,
                kept: self.operators.keep(&names).await.map(|(kept, _)| kept),
            },
        })
    }

    /// Puts into the state file what Redis does not have yet, if there is one: a process that ends before leaves it to
    /// the next. Whether it is kept.
    async fn keep_meanwhile(&self, fields: &[Field]) -> Option<bool> {
        if !self.operators.keeps() {
            return None;
        }
        let Ok(names) = self.note_meanwhile(fields) else {
            return Some(false);
        };
        let kept = self.operators.keep(&names).await;
        // Redis may have it by now.
        self.wake.notify_one();
        kept.map(|(kept, _)| kept)
    }

    fn note_meanwhile(&self, fields: &[Field]) -> Result<Vec<Name>, Full> {
        let mut shared = self.shared();
        // What was taken back since is not.
        let unwritten = fields
            .iter()
            .filter_map(|field| shared.ledger.unwritten_entry(field));
        let entries: Vec<Entry> = unwritten.cloned().collect();
        let names: Vec<Name> = entries.iter().map(|entry| entry.name.clone()).collect();
        let own: HashSet<Name> = self
            .revocations
            .list(Source::Admin)
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        self.operators.add(entries)?;
        // What the file had before, it keeps when Redis has it, too.
        let new = names.iter().filter(|name| !own.contains(*name)).cloned();
        shared.kept_meanwhile.extend(new);
        Ok(names)
    }

    /// Lets go of what is in the state file only until Redis has it, if that has all.
    pub(super) fn all_is_written(&self) {
        let mut shared = self.shared();
        if shared.ledger.unwritten_count() == 0 && !shared.kept_meanwhile.is_empty() {
            let names = std::mem::take(&mut shared.kept_meanwhile);
            self.operators.remove(&names);
        }
    }

    /// Takes revocations back that operators made; how many there were.
    pub async fn take_back(&self, names: &[Name]) -> (usize, Told) {
        let now = self.clock.now().wall;
        let (fields, mut own) = {
            let mut shared = self.shared();
            let own = self.operators.remove(names);
            let fields = shared.is_on.then(|| {
                let fields = shared.ledger.take_back(names, now);
                self.publish(&shared.ledger);
                fields
            });
            (fields, own)
        };
        let kept = self.operators.keep(names).await.map(|(kept, removed)| {
            own.extend(removed);
            kept
        });
        let Some(fields) = fields else {
            return (own.len(), Told { shared: None, kept });
        };
        let told = Told {
            shared: Some(self.are_told(&fields).await),
            // Beside a cluster, what is shared is in no file.
            kept: kept.filter(|_| !own.is_empty()),
        };
        (fields.len().max(own.len()), told)
    }

    /// Waits until all gateways are told, not for long.
    async fn are_told(&self, fields: &[Field]) -> bool {
        let mut settled = self.settled.subscribe();
        self.wake.notify_one();
        let waiting = async {
            while self.is_up.load(Ordering::Acquire) {
                if self.shared().ledger.are_written(fields) {
                    return true;
                }
                if settled.changed().await.is_err() {
                    break;
                }
            }
            false
        };
        let overdue = self.clock.now().monotonic.plus(SHARE_TIMEOUT);
        tokio::select! {
            told = waiting => told,
            () = self.clock.sleep_until(overdue) => false,
        }
    }
}
