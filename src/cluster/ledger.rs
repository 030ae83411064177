//! What this gateway knows of the revocations that all share, and what of it Redis does not know yet.

use std::collections::HashMap;
use std::sync::Arc;

use shapegate_core::time::UnixMillis;

use super::record::{Field, Record};
use crate::revocation::{ENTRIES_MAX, Entry, Full, Name};

/// Most records: as many that take a revocation back as there may be revocations.
pub const RECORDS_MAX: usize = 2 * ENTRIES_MAX;

/// Records by what they are about.
#[derive(Debug, Default)]
pub struct Ledger {
    records: HashMap<Field, Kept>,
    /// How many of them deny something.
    denying: usize,
    /// How many of them Redis does not have.
    unwritten: usize,
}

#[derive(Debug)]
struct Kept {
    record: Record,
    unwritten: bool,
}

impl Ledger {
    /// Revokes, and gives the fields to be written.
    ///
    /// # Errors
    /// When there would be too many; then nothing is changed.
    pub fn revoke(&mut self, entries: Vec<Entry>, now: UnixMillis) -> Result<Vec<Field>, Full> {
        let named: Vec<(Field, Entry)> = entries
            .into_iter()
            .map(|entry| (Field::of(&entry.name), entry))
            .collect();
        let new = named.iter().filter(|(field, _)| !self.denies(field)).count();
        if self.denying + new > ENTRIES_MAX {
            return Err(Full);
        }
        let mut fields = Vec::with_capacity(named.len());
        for (field, entry) in named {
            self.note(field.clone(), Some(entry), now);
            fields.push(field);
        }
        Ok(fields)
    }

    /// Takes revocations back, and gives the fields of those that there were.
    pub fn take_back(&mut self, names: &[Name], now: UnixMillis) -> Vec<Field> {
        let mut fields: Vec<Field> = names.iter().map(Field::of).collect();
        fields.retain(|field| {
            let known = self
                .records
                .get(field)
                .and_then(|kept| kept.record.entry.as_ref());
            known.is_some_and(|entry| !entry.is_over(now))
        });
        for field in &fields {
            self.note(field.clone(), None, now);
        }
        fields
    }

    /// Notes what is so from now on; later than whatever was known, however clocks differ.
    fn note(&mut self, field: Field, entry: Option<Entry>, now: UnixMillis) {
        let before = self.records.get(&field).map(|kept| kept.record.at);
        let at = before.map_or(now.0, |before| now.0.max(before.saturating_add(1)));
        let entry = entry.map(Arc::new);
        self.put(field, Record { at, entry }, true);
    }

    /// Takes what Redis has of one name. Says whether anything else is denied than before.
    ///
    /// # Errors
    /// When there would be too many; then it is not taken.
    pub fn merge(&mut self, field: Field, record: Record, now: UnixMillis) -> Result<bool, Full> {
        let before = self.records.get(&field).map(|kept| &kept.record);
        let (known, denied) = (before.is_some(), self.denies(&field));
        match before {
            Some(before) if before.outdoes(&record) => {
                self.mark(&field, true);
                return Ok(false);
            }
            Some(before) if *before == record => {
                self.mark(&field, false);
                return Ok(false);
            }
            None if record.is_over(now) => return Ok(false),
            _ => {}
        }
        let denies = record.entry.is_some();
        let is_full = if denies {
            !denied && self.denying >= ENTRIES_MAX
        } else {
            !known && self.records.len() >= RECORDS_MAX
        };
        if is_full {
            return Err(Full);
        }
        self.put(field, record, false);
        Ok(denied || denies)
    }

    /// Takes note that Redis has something unreadable that claims to be of the moment `at`: what is known here is
    /// of a later one.
    pub fn outbid(&mut self, field: &Field, at: i64) {
        if let Some(kept) = self.records.get_mut(field) {
            kept.record.at = kept.record.at.max(at.saturating_add(1));
            self.mark(field, true);
        }
    }

    /// Takes note of all fields that Redis has: what is known here alone was lost there, and is to be written.
    pub fn lost_all_but(&mut self, there: &std::collections::HashSet<Field>) {
        let lost: Vec<Field> = self
            .records
            .keys()
            .filter(|field| !there.contains(field))
            .cloned()
            .collect();
        for field in lost {
            self.mark(&field, true);
        }
    }

    /// Takes note that Redis has the record of that moment.
    pub fn written(&mut self, field: &Field, at: i64) {
        if self.records.get(field).is_some_and(|kept| kept.record.at == at) {
            self.mark(field, false);
        }
    }

    /// Some of what Redis does not have.
    pub fn unwritten(&self, count_max: usize) -> Vec<(Field, Record)> {
        if self.unwritten == 0 {
            return Vec::new();
        }
        let unwritten = self.records.iter().filter(|(_, kept)| kept.unwritten);
        unwritten
            .take(count_max)
            .map(|(field, kept)| (field.clone(), kept.record.clone()))
            .collect()
    }

    /// What is denied of a name and Redis does not have.
    pub fn unwritten_entry(&self, field: &Field) -> Option<&Entry> {
        let kept = self.records.get(field).filter(|kept| kept.unwritten)?;
        kept.record.entry.as_deref()
    }

    /// How many records Redis does not have.
    pub fn unwritten_count(&self) -> usize {
        self.unwritten
    }

    /// Whether Redis has them all, or they are gone.
    pub fn are_written(&self, fields: &[Field]) -> bool {
        fields
            .iter()
            .all(|field| self.records.get(field).is_none_or(|kept| !kept.unwritten))
    }

    /// Lets go of what nobody needs any more, and gives it.
    pub fn sweep(&mut self, now: UnixMillis) -> Vec<(Field, Record)> {
        let over: Vec<Field> = self
            .records
            .iter()
            .filter(|(_, kept)| kept.record.is_over(now))
            .map(|(field, _)| field.clone())
            .collect();
        over.into_iter()
            .filter_map(|field| Some((field.clone(), self.remove(&field)?)))
            .collect()
    }

    /// What is denied.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.records
            .values()
            .filter_map(|kept| kept.record.entry.as_deref())
    }

    fn denies(&self, field: &Field) -> bool {
        self.records
            .get(field)
            .is_some_and(|kept| kept.record.entry.is_some())
    }

    fn put(&mut self, field: Field, record: Record, unwritten: bool) {
        self.remove(&field);
        self.denying += usize::from(record.entry.is_some());
        self.unwritten += usize::from(unwritten);
        self.records.insert(field, Kept { record, unwritten });
    }

    fn remove(&mut self, field: &Field) -> Option<Record> {
        let kept = self.records.remove(field)?;
        self.denying -= usize::from(kept.record.entry.is_some());
        self.unwritten -= usize::from(kept.unwritten);
        Some(kept.record)
    }

    fn mark(&mut self, field: &Field, unwritten: bool) {
        if let Some(kept) = self.records.get_mut(field)
            && kept.unwritten != unwritten
        {
            kept.unwritten = unwritten;
            if unwritten {
                self.unwritten += 1;
            } else {
                self.unwritten -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::Kind;
    use std::time::Duration;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn entry(value: &str) -> Entry {
        Entry {
            name: Name {
                kind: Kind::Subject,
                value: value.into(),
                tenant: None,
                issuer: None,
            },
            expires: None,
            issued_before: None,
            reason: None,
        }
    }

    fn of(value: &str, at: i64) -> (Field, Record) {
        let entry = entry(value);
        let field = Field::of(&entry.name);
        let entry = Some(Arc::new(entry));
        (field, Record { at, entry })
    }

    fn denied(ledger: &Ledger) -> Vec<String> {
        let mut all: Vec<String> = ledger
            .entries()
            .map(|entry| entry.name.value.to_string())
            .collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_missing_elsewhere_was_lost_and_is_written_again() {
        let mut ledger = Ledger::default();
        let (field, record) = of("a", 5);
        assert_eq!(ledger.merge(field.clone(), record.clone(), NOW), Ok(true));
        assert_eq!(ledger.unwritten_count(), 0);
        ledger.lost_all_but(&std::iter::once(field.clone()).collect());
        assert_eq!(ledger.unwritten_count(), 0);
        ledger.lost_all_but(&std::collections::HashSet::new());
        assert_eq!(ledger.unwritten(10), [(field.clone(), record)]);
        assert_eq!(denied(&ledger), ["a"]);
        ledger.written(&field, 4);
        assert!(
            !ledger.are_written(std::slice::from_ref(&field)),
            "of another moment"
        );
        ledger.written(&field, 5);
        assert!(ledger.are_written(&[field]) && ledger.unwritten(10).is_empty());
    }

    #[test]
    fn what_was_taken_back_stays_so_until_it_is_revoked_anew() {
        let mut ledger = Ledger::default();
        let (field, before) = of("a", NOW.0 + 600_000);
        // By a gateway whose clock is ahead.
        assert_eq!(ledger.merge(field.clone(), before.clone(), NOW), Ok(true));
        assert_eq!(ledger.take_back(&[entry("a").name], NOW), vec![field.clone()]);
        assert_eq!(denied(&ledger), [""; 0]);
        assert_eq!(ledger.merge(field.clone(), before, NOW), Ok(false));
        assert_eq!(denied(&ledger), [""; 0], "an older word changes nothing");
        assert!(
            !ledger.are_written(std::slice::from_ref(&field)),
            "and is put right there"
        );
        assert_eq!(ledger.take_back(&[entry("a").name], NOW), []);
        assert_eq!(ledger.revoke(vec![entry("a")], NOW), Ok(vec![field]));
        assert_eq!(denied(&ledger), ["a"]);
    }

    #[test]
    fn what_is_known_of_one_moment_is_the_same_whichever_came_first() {
        let (field, denies) = of("a", 7);
        let gone = Record { at: 7, entry: None };
        for records in [[denies.clone(), gone.clone()], [gone, denies]] {
            let mut ledger = Ledger::default();
            for record in records {
                ledger.merge(field.clone(), record, UnixMillis(8)).unwrap();
            }
            assert_eq!(denied(&ledger), ["a"]);
        }
    }

    #[test]
    fn no_more_is_kept_than_fits_and_nothing_known_goes_for_it() {
        let mut ledger = Ledger::default();
        let many = (0..ENTRIES_MAX).map(|number| entry(&number.to_string()));
        ledger.revoke(many.collect(), NOW).unwrap();
        assert_eq!(ledger.revoke(vec![entry("x")], NOW), Err(Full));
        let (field, record) = of("x", NOW.0);
        assert_eq!(ledger.merge(field, record, NOW), Err(Full));
        let (field, record) = of("7", NOW.0 + 1);
        assert_eq!(
            ledger.merge(field, record, NOW),
            Ok(true),
            "known ones may change"
        );
        assert_eq!(ledger.take_back(&[entry("7").name], NOW).len(), 1);
        assert!(ledger.revoke(vec![entry("x")], NOW).is_ok());
        assert_eq!(ledger.records.len(), ENTRIES_MAX + 1);
    }

    #[test]
    fn what_is_over_goes_and_is_not_taken_anew() {
        let mut ledger = Ledger::default();
        let mut brief = entry("a");
        brief.expires = Some(NOW.plus(Duration::from_secs(1)));
        ledger.revoke(vec![brief, entry("b")], NOW).unwrap();
        ledger.take_back(&[entry("b").name], NOW);
        assert_eq!(ledger.sweep(NOW.plus(Duration::from_secs(2))), []);
        let later = NOW.plus(Duration::from_secs(61));
        let swept = ledger.sweep(later);
        assert_eq!(
            (swept.len(), ledger.records.len(), ledger.unwritten_count()),
            (1, 1, 1)
        );
        let (field, record) = swept.into_iter().next().unwrap();
        assert_eq!(ledger.merge(field, record, later), Ok(false));
        assert_eq!(
            ledger.sweep(NOW.plus(Duration::from_secs(8 * 24 * 3600))).len(),
            1
        );
        assert_eq!((ledger.records.len(), ledger.unwritten_count()), (0, 0));
    }
}
