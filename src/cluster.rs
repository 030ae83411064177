//! What several gateways share, in Redis or Valkey: revocations, and rates.
//!
//! **Revocations** are records in a hash, the later one of a name counting (`record`). Each gateway has all of them
//! (`ledger`): it reads the hash, then follows a capped stream of changes, each of which names the one before, and
//! looks once a second whether the list is where they led to. What is missing there without having been taken back
//! was lost, and is written again by whoever knows it: an emptied Redis, an older copy or garbage revoke nothing
//! less.
//!
//! **Rates** are cells of the generic cell rate algorithm, in one script (`rates`).
//!
//! Redis away, limits are this process's own, what is known of revocations holds, and what is made here is kept to
//! be written later. The log says so, and `shapegate_cluster_up`, and `/readyz`.

mod bounded;
mod changing;
mod connection;
mod exchange;
mod fault;
mod ledger;
mod metrics;
mod rates;
mod record;
mod session;
mod standing;
mod store;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shapegate_core::time::Monotonic;
use tokio::sync::{Notify, watch};

use self::connection::{Connection, within};
use self::ledger::Ledger;
use self::rates::Link;
use self::store::{Keys, Store};
use crate::clock::Clock;
use crate::config::ClusterSettings;
use crate::revocation::{Entry, Name, Operators, Revocations, Source};

pub use fault::Fault;
pub use metrics::ClusterMetrics;
pub use rates::{Grant, SharedRates};
pub use standing::{Overview, Standing, Told};

/// How long a process that starts waits for the list before it serves without it.
const START_TIMEOUT: Duration = Duration::from_secs(3);
/// The first pause after a failure. Each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What has worked for so long starts with the first pause again.
const STEADY: Duration = Duration::from_secs(10);
/// How often a failure that lasts is told.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// What gateways share.
pub struct Cluster {
    settings: watch::Sender<Option<ClusterSettings>>,
    shared: Mutex<Shared>,
    revocations: Arc<Revocations>,
    operators: Arc<Operators>,
    rates: Arc<SharedRates>,
    is_up: AtomicBool,
    /// Since when it is so, in milliseconds since 1970.
    since: AtomicI64,
    /// There is something to write.
    wake: Notify,
    /// Something was written, or cannot be.
    settled: watch::Sender<()>,
    clock: Arc<dyn Clock>,
    metrics: ClusterMetrics,
}

struct Shared {
    ledger: Ledger,
    /// What is in the state file only until Redis has it.
    kept_meanwhile: Vec<Name>,
    /// Whether there is a cluster.
    is_on: bool,
}

impl Cluster {
    /// Nothing is shared before [`Cluster::run`].
    pub fn new(
        settings: Option<ClusterSettings>,
        revocations: Arc<Revocations>,
        operators: Arc<Operators>,
        clock: Arc<dyn Clock>,
        metrics: ClusterMetrics,
    ) -> Self {
        metrics.set_up(settings.as_ref().map(|_| false));
        let rates = Arc::new(SharedRates::new(Arc::clone(&clock), metrics.clone()));
        let is_on = settings.is_some();
        let since = AtomicI64::new(clock.now().wall.0);
        Self {
            settings: watch::Sender::new(settings),
            since,
            shared: Mutex::new(Shared {
                ledger: Ledger::default(),
                kept_meanwhile: Vec::new(),
                is_on,
            }),
            revocations,
            operators,
            rates,
            is_up: AtomicBool::new(false),
            wake: Notify::new(),
            settled: watch::Sender::new(()),
            clock,
            metrics,
        }
    }

    /// The rates that are shared.
    pub fn rates(&self) -> Arc<SharedRates> {
        Arc::clone(&self.rates)
    }

    /// Another cluster from now on, or none. What is revoked stays so: it is taken along.
    pub fn set(&self, settings: Option<ClusterSettings>) {
        self.move_revocations(settings.is_some());
        self.settings.send_if_modified(|current| {
            let differs = *current != settings;
            if differs {
                self.metrics.set_up(settings.as_ref().map(|_| false));
                self.since.store(self.clock.now().wall.0, Ordering::Release);
                *current = settings;
            }
            differs
        });
    }

    /// From operators' own list to the shared one, or back. What is in a state file stays with this gateway: a
    /// process that starts finds it there, whatever has become of it elsewhere.
    fn move_revocations(&self, to_shared: bool) {
        let mut shared = self.shared();
        let now = self.clock.now().wall;
        let moved = match (shared.is_on, to_shared) {
            (false, true) if self.operators.keeps() => Ok(()),
            (false, true) => {
                let entries = self.revocations.list(Source::Admin);
                let moved = shared.ledger.revoke(entries, now).map(drop);
                moved.map(|()| {
                    self.publish(&shared.ledger);
                    _ = self.revocations.replace(Source::Admin, [], now);
                })
            }
            (true, false) => {
                let entries: Vec<Entry> = shared.ledger.entries().cloned().collect();
                self.operators.add(entries).map(|()| {
                    shared.ledger = Ledger::default();
                    shared.kept_meanwhile.clear();
                    self.publish(&shared.ledger);
                })
            }
            _ => Ok(()),
        };
        shared.is_on = to_shared;
        if let Err(full) = moved {
            log::error!("revocations stay in the list in which they are: {full}");
        }
    }

    /// Reads what is revoked before anything is served, if that can be had soon.
    pub async fn catch_up(&self) {
        let Some(settings) = self.settings.borrow().clone() else {
            return;
        };
        let reading = async {
            let connection = Connection::open(&settings, &*self.clock).await?;
            let store = Store::new(connection, Keys::of(&settings.prefix));
            session::sync(self, &store).await
        };
        match within(START_TIMEOUT, &*self.clock, Box::pin(reading)).await {
            Ok(_) => log::info!("{} revocations at {}", self.count(), settings.url),
            Err(fault) => log::error!(
                "the cluster's {} cannot be read, and what is revoked there is not known until it can: {fault}",
                settings.url
            ),
        }
    }

    /// Follows the state file of this gateway's own revocations, until this is dropped.
    pub async fn follow_operators(&self) {
        self.operators.follow().await;
    }

    /// Shares what is to be shared, until this is dropped.
    pub async fn run(&self) {
        let mut changes = self.settings.subscribe();
        loop {
            let settings = changes.borrow_and_update().clone();
            let using = async {
                match &settings {
                    Some(settings) => self.keep_using(settings).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = using => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn keep_using(&self, settings: &ClusterSettings) {
        let (mut pause, mut complained) = (PAUSE_MIN, None);
        loop {
            let mut began = None;
            let using = session::run(self, settings, || {
                began = Some(self.clock.now().monotonic);
                let again = if complained.take().is_some() { " again" } else { "" };
                log::info!(
                    "the cluster's {} is used{again}: {} revocations",
                    settings.url,
                    self.count()
                );
            });
            let Err(fault) = Box::pin(using).await;
            let now = self.clock.now().monotonic;
            if began.is_some_and(|began: Monotonic| began.plus(STEADY) <= now) {
                pause = PAUSE_MIN;
            }
            if complained.is_none_or(|said: Monotonic| said.plus(COMPLAINT_INTERVAL) <= now) {
                complained = Some(now);
                log::error!(
                    "the cluster's {} cannot be used, and limits and new revocations are of this process alone \
                     until it can: {fault}",
                    settings.url
                );
            }
            self.clock.sleep_until(now.plus(jittered(pause))).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    /// Asks a store for rates, as long as what this gives is kept.
    fn use_for_rates(&self, store: &Store, timeout: Duration) -> InUse<'_> {
        self.rates.set(Some(Link {
            connection: store.asked(),
            prefix: store.keys().rates.clone(),
            timeout,
        }));
        self.turn(true);
        self.metrics.set_up(Some(true));
        InUse(self)
    }

    /// Has what is revoked denied. The lock on the ledger orders it.
    fn publish(&self, ledger: &Ledger) {
        let now = self.clock.now().wall;
        // It holds no more than fit.
        _ = self
            .revocations
            .replace(Source::Cluster, ledger.entries().cloned(), now);
        self.count_unwritten(ledger);
    }

    fn count_unwritten(&self, ledger: &Ledger) {
        let count = i64::try_from(ledger.unwritten_count()).unwrap_or(i64::MAX);
        self.metrics.unwritten.set(count);
    }

    fn count(&self) -> usize {
        self.shared().ledger.entries().count()
    }

    /// A panic while the lock was held left nothing half done that the next reading of the list does not mend.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While Redis is in use.
struct InUse<'a>(&'a Cluster);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let Self(cluster) = self;
        cluster.rates.set(None);
        cluster.turn(false);
        let is_on = cluster.settings.borrow().is_some();
        cluster.metrics.set_up(is_on.then_some(false));
        cluster.settled.send_replace(());
    }
}

/// Half of a pause to all of it, so that gateways do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    pause.mul_f64(0.5 + random / 2.0)
}
