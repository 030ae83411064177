//! How much each tenant's Electric is asked for at once, and what is refused first when that is too much.
//!
//! New shapes and subsets read tables; everything else follows a log that is there. Who follows is served for
//! longest: he costs little, and sent away he would start anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use shapegate_core::code::{Code, Refusal};

use super::key::Place;
use super::metrics::HubMetrics;

/// The shortest `Retry-After` of what is refused, in seconds; Electric's own is 6 to 10.
const RETRY_AFTER_SECONDS_MIN: u64 = 5;
/// How far apart those are told to come back who are refused together, in seconds.
const RETRY_AFTER_SECONDS_SPREAD: u64 = 6;

/// How much an Electric is asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSettings {
    /// Requests of all kinds.
    pub requests_max: usize,
    /// Of these, new shapes and subsets.
    pub new_shapes_max: usize,
}

impl LoadSettings {
    /// How many requests there may be before no new shapes are asked for: a tenth is left for those who follow.
    const fn room_for_new(self) -> usize {
        self.requests_max - self.requests_max / 10
    }
}

/// What a request costs an Electric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// It follows a log that is there.
    Follow,
    /// It may make Electric read a table: the start of a shape, or what goes past all caches.
    New,
    /// It makes Electric read a table: a subset.
    Subset,
}

impl Effort {
    /// Whether a table may be read for it.
    pub const fn reads_table(self) -> bool {
        matches!(self, Self::New | Self::Subset)
    }
}

#[derive(Clone, Copy, Default)]
struct Load {
    requests: usize,
    new: usize,
}

type Table = HashMap<(Arc<str>, Arc<Place>), Load>;

/// The requests under way at each tenant's Electric.
pub struct Loads {
    settings: ArcSwap<LoadSettings>,
    table: Mutex<Table>,
    refused: AtomicU64,
    metrics: HubMetrics,
}

impl Loads {
    /// Nothing is under way.
    pub fn new(settings: LoadSettings, metrics: HubMetrics) -> Arc<Self> {
        Arc::new(Self {
            settings: ArcSwap::from_pointee(settings),
            table: Mutex::default(),
            refused: AtomicU64::new(0),
            metrics,
        })
    }

    /// Other numbers from now on; what is under way still counts.
    pub fn set(&self, settings: LoadSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Room for one more request to `place`, given back when it is dropped.
    ///
    /// # Errors
    /// `overloaded`.
    pub fn seat(
        self: &Arc<Self>,
        tenant: &Arc<str>,
        place: &Arc<Place>,
        effort: Effort,
    ) -> Result<Seat, Refusal> {
        let settings = **self.settings.load();
        let key = (Arc::clone(tenant), Arc::clone(place));
        let mut table = self.lock();
        let load = table.entry(key.clone()).or_default();
        let fits = if effort.reads_table() {
            load.new < settings.new_shapes_max && load.requests < settings.room_for_new()
        } else {
            load.requests < settings.requests_max
        };
        if !fits {
            drop(table);
            return Err(self.shed(effort));
        }
        load.requests += 1;
        load.new += usize::from(effort.reads_table());
        drop(table);
        Ok(Seat {
            loads: Arc::clone(self),
            key,
            effort,
        })
    }

    /// What those are told who are sent away.
    pub fn shed(&self, effort: Effort) -> Refusal {
        let (text, label) = match effort {
            Effort::Follow => ("Too much is asked for at the moment.", "follow"),
            Effort::New => ("No new shapes are begun at the moment.", "new_shape"),
            Effort::Subset => ("No subsets are read at the moment.", "subset"),
        };
        self.metrics.shed.with_label_values(&[label]).inc();
        let turn = self.refused.fetch_add(1, Ordering::Relaxed) % RETRY_AFTER_SECONDS_SPREAD;
        Refusal::new(Code::Overloaded, text)
            .with_retry_after(Duration::from_secs(RETRY_AFTER_SECONDS_MIN + turn))
    }

    /// How many Electrics have requests under way.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; no longer so when this is dropped.
pub struct Seat {
    loads: Arc<Loads>,
    key: (Arc<str>, Arc<Place>),
    effort: Effort,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.loads.lock();
        let Some(load) = table.get_mut(&self.key) else {
            return;
        };
        load.requests = load.requests.saturating_sub(1);
        load.new = load.new.saturating_sub(usize::from(self.effort.reads_table()));
        if load.requests == 0 {
            table.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use shapegate_core::upstream::UpstreamBase;

    use super::*;

    fn place(host: &str) -> Arc<Place> {
        Arc::new(Place {
            host: host.to_owned(),
            port: 3000,
            tls: false,
            trust_domain: 0,
            base: UpstreamBase::new("", None, None).unwrap(),
        })
    }

    fn loads(requests_max: usize, new_shapes_max: usize) -> Arc<Loads> {
        let settings = LoadSettings {
            requests_max,
            new_shapes_max,
        };
        Loads::new(settings, HubMetrics::new().unwrap())
    }

    #[test]
    fn new_shapes_and_subsets_are_refused_before_those_who_follow() {
        let (loads, place, tenant) = (loads(20, 100), place("electric"), Arc::from("a"));
        let seat = |effort| loads.seat(&tenant, &place, effort);
        let mut seats: Vec<Seat> = (0..18).map(|_| seat(Effort::New).unwrap()).collect();
        assert_eq!(
            seat(Effort::New).err().map(|refusal| refusal.code),
            Some(Code::Overloaded)
        );
        assert!(seat(Effort::Subset).is_err());
        seats.push(seat(Effort::Follow).unwrap());
        seats.push(seat(Effort::Follow).unwrap());
        assert!(seat(Effort::Follow).is_err());
        drop(seats);
        assert!(loads.is_empty(), "nothing is left of them");
    }

    #[test]
    fn few_tables_are_read_at_once_however_much_else_there_is_room_for() {
        let (loads, place, tenant) = (loads(1000, 2), place("electric"), Arc::from("a"));
        let seat = |effort| loads.seat(&tenant, &place, effort);
        let held = (seat(Effort::New).unwrap(), seat(Effort::Subset).unwrap());
        assert!(seat(Effort::New).is_err());
        let follow = seat(Effort::Follow).unwrap();
        drop(follow);
        assert!(seat(Effort::New).is_err());
        drop(held);
        assert!(seat(Effort::New).is_ok());
    }

    #[test]
    fn another_tenant_and_another_electric_have_room_of_their_own() {
        let (loads, one, other) = (loads(1, 1), place("one"), place("other"));
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let _seat = loads.seat(&a, &one, Effort::Follow).unwrap();
        assert!(loads.seat(&a, &one, Effort::Follow).is_err());
        assert!(loads.seat(&b, &one, Effort::Follow).is_ok());
        assert!(loads.seat(&a, &other, Effort::Follow).is_ok());
    }

    #[test]
    fn those_who_are_refused_together_are_not_told_to_come_back_together() {
        let loads = loads(1, 1);
        let pauses: std::collections::HashSet<_> =
            (0..6).map(|_| loads.shed(Effort::New).retry_after).collect();
        assert_eq!(pauses.len(), 6);
    }
}
