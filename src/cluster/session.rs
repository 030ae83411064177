//! Redis in use: the list read in full, then followed; what it lacks written; whether it still answers.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use super::Cluster;
use super::connection::Connection;
use super::fault::Fault;
use super::ledger::RECORDS_MAX;
use super::record::{Field, Record};
use super::store::{Change, Keys, Page, Place, Store};
use crate::config::ClusterSettings;

/// How often it is looked whether the list is what the changes made of it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often changes that came in between are read before the list is read in full.
const LOOKS_MAX: usize = 4;
/// Pages of the list, however empty.
const PAGES_MAX: usize = 20_000;
/// Records in one question.
const BATCH: usize = 100;
/// How often the connection for writing and for rates is asked whether it lives.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Heartbeats between two looks for what nobody needs any more.
const SWEEP_EVERY: u32 = 30;

/// All that is in Redis, as far as it can be read.
#[derive(Default)]
pub struct Found {
    /// Records.
    pub records: Vec<(Field, Record)>,
    /// Records that are unreadable, with the moment that they claim.
    pub unreadable: Vec<(Field, i64)>,
    /// What is nothing of ours.
    pub foreign: usize,
}

impl Found {
    fn add(&mut self, page: Page) {
        self.records.extend(page.records);
        self.unreadable.extend(page.unreadable);
        self.foreign += page.foreign;
    }

    fn len(&self) -> usize {
        self.records.len() + self.unreadable.len() + self.foreign
    }

    /// The fields that have a record.
    pub fn fields(&self) -> HashSet<Field> {
        self.records.iter().map(|(field, _)| field.clone()).collect()
    }
}

/// Uses Redis until it fails; `began` is called once everything is as it should be.
pub async fn run(
    cluster: &Cluster,
    settings: &ClusterSettings,
    began: impl FnOnce() + Send,
) -> Result<Infallible, Fault> {
    let clock = &*cluster.clock;
    let keys = Keys::of(&settings.prefix);
    let following = Store::new(Connection::open(settings, clock).await?, keys.clone());
    let writing = Store::new(Connection::open(settings, clock).await?, keys);
    let place = sync(cluster, &following).await?;
    // What is made meanwhile is written afterwards: whoever revokes without a pause does not keep this from beginning.
    for _ in 0..cluster.unwritten_count().div_ceil(BATCH) {
        write_some(cluster, &writing).await?;
    }
    if place.last.is_empty() {
        return Err(Fault::Foreign(writing.keys().changes.clone()));
    }
    let _used = cluster.use_for_rates(&writing, settings.timeout);
    began();
    tokio::select! {
        ended = Box::pin(follow(cluster, &following, place)) => ended,
        ended = Box::pin(write(cluster, &writing)) => ended,
        ended = Box::pin(keep_alive(cluster, &writing)) => ended,
    }
}

/// Reads the whole list, and says where it stood before: what changed since is told again by the changes.
pub async fn sync(cluster: &Cluster, store: &Store) -> Result<Place, Fault> {
    let clock = &*cluster.clock;
    let place = store.look(clock).await?;
    let (mut found, mut cursor) = (Found::default(), "0".to_owned());
    for _ in 0..PAGES_MAX {
        let page = store.page(&cursor, clock).await?;
        cursor.clone_from(&page.cursor);
        found.add(page);
        if cursor == "0" {
            cluster.take_all(found, true);
            return Ok(place);
        }
        if found.len() > 2 * RECORDS_MAX {
            break;
        }
    }
    cluster.take_all(found, false);
    Err(Fault::TooMany(store.keys().records.clone()))
}

/// Follows the changes.
async fn follow(cluster: &Cluster, store: &Store, mut place: Place) -> Result<Infallible, Fault> {
    let clock = &*cluster.clock;
    let mut due = clock.now().monotonic.plus(LOOK_INTERVAL);
    loop {
        let changes = store.changes(&place.last, true, clock).await?;
        let is_quiet = changes.is_empty();
        if !advance(cluster, &mut place, changes) {
            place = sync(cluster, store).await?;
        } else if is_quiet || clock.now().monotonic >= due {
            place = verified(cluster, store, place).await?;
        } else {
            continue;
        }
        due = clock.now().monotonic.plus(LOOK_INTERVAL);
    }
}

/// Takes changes, as far as each follows the one before: else some were lost, and the list is to be read.
fn advance(cluster: &Cluster, place: &mut Place, changes: Vec<Change>) -> bool {
    let mut records = Vec::new();
    let mut follows = true;
    for change in changes {
        follows = change.after == place.last;
        if !follows {
            break;
        }
        *place = change.place;
        records.extend(change.record);
    }
    cluster.take(records);
    follows
}

/// Looks whether Redis is where the changes led to: a list that was lost, restored or changed by others is read anew.
async fn verified(cluster: &Cluster, store: &Store, mut place: Place) -> Result<Place, Fault> {
    let clock = &*cluster.clock;
    for _ in 0..LOOKS_MAX {
        if store.look(clock).await? == place {
            return Ok(place);
        }
        // Something may have changed in between.
        let changes = store.changes(&place.last, false, clock).await?;
        if changes.is_empty() || !advance(cluster, &mut place, changes) {
            break;
        }
    }
    sync(cluster, store).await
}

/// Writes what Redis lacks, whenever there is any.
async fn write(cluster: &Cluster, store: &Store) -> Result<Infallible, Fault> {
    loop {
        if !write_some(cluster, store).await? {
            cluster.all_is_written();
            cluster.woken().await;
        }
    }
}

/// Writes some of what Redis lacks; whether there was any.
async fn write_some(cluster: &Cluster, store: &Store) -> Result<bool, Fault> {
    let records = cluster.unwritten(BATCH);
    if records.is_empty() {
        return Ok(false);
    }
    let outcomes = store.write(&records, &*cluster.clock).await?;
    cluster.settle(records, outcomes);
    Ok(true)
}

/// Asks now and then whether the connection lives, and removes what nobody needs any more.
async fn keep_alive(cluster: &Cluster, store: &Store) -> Result<Infallible, Fault> {
    let clock = &*cluster.clock;
    for beat in 1_u32.. {
        clock.sleep_until(clock.now().monotonic.plus(HEARTBEAT)).await;
        store.ping(clock).await?;
        if beat % SWEEP_EVERY == 0 {
            for some in cluster.sweep().chunks(BATCH) {
                store.purge(some, clock).await?;
            }
        }
    }
    Err(Fault::Answer)
}
