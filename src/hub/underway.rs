//! The fetches under way, by what they fetch, and the room that they have for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;
use shapegate_core::code::Refusal;

use super::key::Key;
use super::room::{Kept, Room};
use super::shared::{Filler, Reader, Shared, Sort};

/// What answers under way may keep together, in bytes, before they keep pace with their readers instead.
pub const UNDERWAY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The fetches under way.
pub struct Underway {
    fetches: Mutex<Table>,
    kept: Arc<Kept>,
}

type Table = HashMap<Arc<Key>, Arc<Shared>>;

/// What becomes of one who asks.
pub enum Turn<T, S> {
    /// There is an answer already.
    Answered(T),
    /// Somebody asked before.
    Later(Reader),
    /// Nobody did, and nobody may now.
    Refused(Refusal),
    /// This one is the first, and must see that it is filled.
    First(Reader, Filler, S),
}

impl Underway {
    /// Fetches whose answers may keep `bytes_max` together, shown by `gauge`.
    pub fn new(bytes_max: usize, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self {
            fetches: Mutex::default(),
            kept: Kept::new(bytes_max, gauge),
        })
    }

    /// Joins the fetch of `key`, or starts one unless `answered` gives its answer: a fetch that has just
    /// ended has left its answer where that looks.
    /// Who is the first needs the `seat` of a new fetch; who joins needs none.
    pub fn join<T, S>(
        self: &Arc<Self>,
        key: Key,
        sort: Sort,
        answered: impl FnOnce() -> Option<T>,
        seat: impl FnOnce() -> Result<S, Refusal>,
    ) -> Turn<T, S> {
        let mut fetches = self.lock();
        if let Some(shared) = fetches.get(&key).filter(|shared| shared.is_current()) {
            return Turn::Later(shared.reader());
        }
        if let Some(answer) = answered() {
            return Turn::Answered(answer);
        }
        let seat = match seat() {
            Ok(seat) => seat,
            Err(refusal) => return Turn::Refused(refusal),
        };
        let (shared, key) = (Shared::new(Room::of(&self.kept)), Arc::new(key));
        let listing = Listing(Some((Arc::clone(self), Arc::clone(&key))));
        fetches.insert(key, Arc::clone(&shared));
        drop(fetches);
        Turn::First(shared.reader(), Filler::new(shared, listing, sort), seat)
    }

    /// Starts a fetch that nobody joins.
    pub fn alone(&self, sort: Sort) -> (Reader, Filler) {
        let shared = Shared::new(Room::of(&self.kept));
        (shared.reader(), Filler::new(shared, Listing(None), sort))
    }

    /// Whether there is one of `key` that can be joined.
    pub fn has(&self, key: &Key) -> bool {
        self.lock().get(key).is_some_and(|shared| shared.is_current())
    }

    /// How many can be joined.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a fetch can be joined, if anywhere.
#[derive(Clone)]
pub(super) struct Listing(Option<(Arc<Underway>, Arc<Key>)>);

impl Listing {
    /// Nobody joins any more.
    pub(super) fn remove(&self, shared: &Arc<Shared>) {
        self.remove_if(shared, |_| true);
    }

    /// Nobody joins any more, unless somebody reads; says whether that is so.
    pub(super) fn remove_unread(&self, shared: &Arc<Shared>) -> bool {
        self.remove_if(shared, |shared| !shared.has_readers())
    }

    fn remove_if(&self, shared: &Arc<Shared>, condition: impl FnOnce(&Shared) -> bool) -> bool {
        let Some((underway, key)) = &self.0 else {
            return condition(shared);
        };
        let mut fetches = underway.lock();
        let lawful = condition(shared);
        let listed = fetches.get(key).is_some_and(|listed| Arc::ptr_eq(listed, shared));
        if lawful && listed {
            fetches.remove(key);
        }
        lawful
    }
}
