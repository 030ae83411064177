//! What is taken from Redis, and what is written there.

use super::Cluster;
use super::ledger::Ledger;
use super::record::{Field, Record};
use super::session::Found;
use super::store::Outcome;
use crate::revocation::Full;

impl Cluster {
    /// Takes what is in Redis; `whole`: what is not in it was lost.
    pub(super) fn take_all(&self, found: Found, whole: bool) {
        let mut shared = self.shared();
        if !shared.is_on {
            return;
        }
        let there = found.fields();
        let none_of_ours = found.unreadable.len() + found.foreign;
        self.complain_of(none_of_ours);
        for (field, at) in &found.unreadable {
            shared.ledger.outbid(field, *at);
        }
        if whole {
            shared.ledger.lost_all_but(&there);
        }
        self.merge(&mut shared.ledger, found.records);
    }

    /// Tells of what is in the list and is nothing of ours, once.
    pub(super) fn complain_of(&self, records: usize) {
        let records = i64::try_from(records).unwrap_or(i64::MAX);
        if records > 0 && records != self.metrics.unreadable.get() {
            log::warn!("{records} records of the cluster's list of revocations are none, and passed over");
        }
        self.metrics.unreadable.set(records);
    }

    /// Takes what has changed in Redis.
    pub(super) fn take(&self, records: Vec<(Field, Record)>) {
        let mut shared = self.shared();
        if shared.is_on && !records.is_empty() {
            self.merge(&mut shared.ledger, records);
        }
    }

    pub(super) fn merge(&self, ledger: &mut Ledger, records: Vec<(Field, Record)>) {
        let now = self.clock.now().wall;
        let (mut changed, mut refused) = (false, 0_u64);
        for (field, record) in records {
            match ledger.merge(field, record, now) {
                Ok(change) => changed |= change,
                Err(Full) => refused += 1,
            }
        }
        if refused > 0 {
            self.revocations.metrics().full.inc_by(refused);
            log::error!("{refused} revocations of the cluster are not taken: {Full}");
        }
        if changed {
            self.publish(ledger);
        }
        self.count_unwritten(ledger);
        self.wake.notify_one();
    }

    /// Some of what Redis lacks.
    pub(super) fn unwritten(&self, count_max: usize) -> Vec<(Field, Record)> {
        self.shared().ledger.unwritten(count_max)
    }

    /// How much Redis lacks.
    pub(super) fn unwritten_count(&self) -> usize {
        self.shared().ledger.unwritten_count()
    }

    /// Takes note of what became of what was to be written.
    pub(super) fn settle(&self, records: Vec<(Field, Record)>, outcomes: Vec<Outcome>) {
        let mut outdone = Vec::new();
        let mut shared = self.shared();
        for ((field, record), outcome) in records.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Written => shared.ledger.written(&field, record.at),
                Outcome::Outdone(record) => outdone.push((field, record)),
                Outcome::Unreadable(at) => shared.ledger.outbid(&field, at),
            }
        }
        self.merge(&mut shared.ledger, outdone);
        drop(shared);
        self.settled.send_replace(());
    }

    /// Lets go of what nobody needs any more, and gives it.
    pub(super) fn sweep(&self) -> Vec<(Field, Record)> {
        let mut shared = self.shared();
        let swept = shared.ledger.sweep(self.clock.now().wall);
        if !swept.is_empty() {
            self.publish(&shared.ledger);
        }
        swept
    }

    /// Waits until there is something to write.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}
