//! The keys that an issuer publishes: fetched in the background, and once more for a key that nobody knows yet.
//!
//! Requests never fetch. They look at the keys that are there; where these do not do, they ask for newer ones
//! and wait for a moment. One task an issuer fetches, so that there is never more than one fetch under way, and
//! it fetches [`FETCHES_MAX`] times in [`FETCHES_WINDOW`] at most, whatever is asked of it.
//!
//! What is not a whole and good answer changes nothing: the keys that are known go on counting until they are
//! older than the issuer's `stale_max`. Without keys nobody is told that his token is not valid, only to come
//! again.

mod budget;
mod discovery;
mod error;
mod line;
mod progress;
mod source;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use quick_cache::sync::Cache;
use shapegate_core::time::{Monotonic, Now};
use tokio::sync::Notify;

use super::keys::{KeyWarning, Published};
use crate::clock::Clock;
use crate::outbound::{Outbound, OutboundError};
use budget::Budget;
use progress::Progress;

pub use budget::{FETCHES_MAX, FETCHES_WINDOW};
pub use error::RemoteError;
pub(crate) use line::KeyLine;
pub use source::{KeyLocation, RemoteSource, STALE_MAX_DEFAULT};

/// How often keys are fetched when nobody asks for newer ones.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// How long after a failed fetch the next one follows.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(15);
/// How long a request waits for keys.
pub const WAIT_MAX: Duration = Duration::from_secs(5);
/// How many requests wait for one issuer's keys; to others it is said at once that they are not there.
pub const WAITING_MAX: usize = 1024;
/// How long it is remembered that an issuer has no key of a name.
pub const UNKNOWN_REMEMBERED: Duration = Duration::from_secs(30);
/// How many such names are remembered.
const UNKNOWN_MAX: usize = 1024;
/// How often it is said that keys cannot be fetched.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// Newer keys may not be asked for now, or did not come. Come again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoNewer(pub(crate) Duration);

/// One issuer's published keys.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    issuer: Arc<str>,
    source: RemoteSource,
    outbound: Outbound,
    published: ArcSwapOption<Published>,
    /// Where the keys were when this was last looked up.
    known_url: ArcSwapOption<String>,
    /// Names that no key had when the keys were last fetched for them, and when that was.
    unknown: Cache<Box<str>, Monotonic>,
    budget: Mutex<Budget>,
    progress: Progress,
    demanded: Notify,
}

impl RemoteKeys {
    pub(crate) fn new(issuer: Arc<str>, source: RemoteSource) -> Result<Self, OutboundError> {
        Ok(Self {
            outbound: Outbound::new(&source.outbound_settings())?,
            issuer,
            source,
            published: ArcSwapOption::empty(),
            known_url: ArcSwapOption::empty(),
            unknown: Cache::new(UNKNOWN_MAX),
            budget: Mutex::default(),
            progress: Progress::default(),
            demanded: Notify::new(),
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys, if there are any that count still.
    pub(crate) fn current(&self, now: Now) -> Option<Arc<Published>> {
        let published = self.published.load_full()?;
        (age_of(&published, now) < self.source.stale_max).then_some(published)
    }

    /// How old the keys are; `None` before the first ones came.
    pub(crate) fn age(&self, now: Now) -> Option<Duration> {
        let published = self.published.load();
        published.as_ref().map(|published| age_of(published, now))
    }

    /// Whether both would fetch the same.
    fn is_same_place(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.source == other.source
    }

    /// Whether it is known that no key has this name. A token without a name asks for any newer key.
    pub(crate) fn is_unknown(&self, kid: Option<&str>, now: Now) -> bool {
        let looked_at = match kid {
            Some(kid) => self.unknown.get(kid),
            None => self.published.load().as_ref().map(|published| published.at),
        };
        looked_at.is_some_and(|at| now.monotonic.0.saturating_sub(at.0) < UNKNOWN_REMEMBERED)
    }

    /// No key has this name, although the keys are newer than the question.
    pub(crate) fn remember_unknown(&self, kid: &str, now: Now) {
        self.unknown.insert(kid.into(), now.monotonic);
    }

    /// Waits for keys that were fetched after this call; where there are none at all, for any.
    pub(crate) async fn newer(&self, clock: &dyn Clock) -> Result<(), NoNewer> {
        let now = clock.now();
        let _waiting = self.progress.join(WAITING_MAX).ok_or(NoNewer(RETRY_INTERVAL))?;
        if self.progress.rests_after_failure() {
            return Err(NoNewer(RETRY_INTERVAL));
        }
        let wanted = self.progress.wanted(self.current(now).is_none());
        if !wanted.is_under_way() {
            self.demand(now)?;
        }
        tokio::select! {
            fetched = wanted.fetched() => fetched.then_some(()).ok_or(NoNewer(RETRY_INTERVAL)),
            () = clock.sleep_until(now.monotonic.plus(WAIT_MAX)) => Err(NoNewer(RETRY_INTERVAL)),
        }
    }

    /// Asks the fetching task for a fetch, if there may be one now.
    fn demand(&self, now: Now) -> Result<(), NoNewer> {
        match self.budget().free_at(now.monotonic) {
            None => {
                self.demanded.notify_one();
                Ok(())
            }
            Some(free) => {
                let pause = free.0.saturating_sub(now.monotonic.0);
                Err(NoNewer(pause.max(Duration::from_secs(1))))
            }
        }
    }

    /// Fetches when it is time or somebody asks for it, for as long as this is polled. `changed` is told when
    /// what was permitted on a key's word may be permitted no longer.
    pub(crate) async fn keep_fresh(&self, clock: &dyn Clock, changed: &(dyn Fn() + Sync)) {
        let mut complaint = Complaint::default();
        let mut due = clock.now().monotonic;
        loop {
            let scheduled = tokio::select! {
                () = clock.sleep_until(due) => true,
                () = self.demanded.notified() => false,
            };
            let now = clock.now();
            if let Some(free) = self.budget().free_at(now.monotonic) {
                due = if scheduled { free } else { due };
                continue;
            }
            self.budget().spend(now.monotonic);
            let (fetched, was_stale) = (
                self.fetch(clock, scheduled, changed).await,
                self.is_stale(clock.now()),
            );
            complaint.tell(self, fetched.err(), was_stale, clock.now(), changed);
            let pause = if complaint.is_failing() {
                RETRY_INTERVAL
            } else {
                REFRESH_INTERVAL
            };
            due = clock.now().monotonic.plus(pause);
        }
    }

    fn is_stale(&self, now: Now) -> bool {
        self.current(now).is_none() && self.age(now).is_some()
    }

    /// One fetch, with discovery where that is due or has never succeeded.
    async fn fetch(
        &self,
        clock: &dyn Clock,
        discover: bool,
        changed: &(dyn Fn() + Sync),
    ) -> Result<(), RemoteError> {
        let fetch = self.progress.begin();
        let at = clock.now().monotonic;
        let url = self.keys_url(clock, discover).await?;
        let json = discovery::body(self.outbound.get(&url, clock).await?)?;
        let until = at.plus(self.source.stale_max);
        let before = self.published.load_full();
        let published = Published::read(json, before.as_deref(), at, until)?;
        self.tell_left_out(before.as_deref(), &published.left_out);
        let published = Arc::new(published);
        self.published.store(Some(Arc::clone(&published)));
        let retired = before.is_some_and(|before| before.retire_what_is_not_in(&published));
        fetch.succeeded();
        if retired {
            log::info!("issuer {:?} has taken a key back", self.issuer);
            changed();
        }
        Ok(())
    }

    /// Where the keys are: looked up where that is due, or was never known.
    async fn keys_url(&self, clock: &dyn Clock, discover: bool) -> Result<Arc<String>, RemoteError> {
        if let Some(known) = self.known_url.load_full().filter(|_| !discover) {
            return Ok(known);
        }
        let url = discovery::keys_url(&self.issuer, &self.source, &self.outbound, clock).await?;
        let url = Arc::new(url);
        self.known_url.store(Some(Arc::clone(&url)));
        Ok(url)
    }

    /// Says what of a set is not used, when that is news.
    fn tell_left_out(&self, before: Option<&Published>, left_out: &[KeyWarning]) {
        if before.is_some_and(|before| before.left_out == left_out) {
            return;
        }
        for warning in left_out {
            log::warn!("issuer {:?}: {warning}", self.issuer);
        }
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        // Nothing panics while it is held.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn age_of(published: &Published, now: Now) -> Duration {
    now.monotonic.0.saturating_sub(published.at.0)
}

/// What was said of fetches that fail.
#[derive(Default)]
struct Complaint {
    failing: bool,
    last: Option<Monotonic>,
    was_stale: bool,
}

impl Complaint {
    fn is_failing(&self) -> bool {
        self.failing
    }

    fn tell(
        &mut self,
        keys: &RemoteKeys,
        error: Option<RemoteError>,
        is_stale: bool,
        now: Now,
        changed: &(dyn Fn() + Sync),
    ) {
        let Some(error) = error else {
            if self.failing {
                log::info!("issuer {:?}: its keys are fetched again", keys.issuer);
            }
            *self = Self::default();
            return;
        };
        if is_stale && !self.was_stale {
            changed();
        }
        (self.failing, self.was_stale) = (true, is_stale);
        if self
            .last
            .is_none_or(|last| now.monotonic.0.saturating_sub(last.0) >= COMPLAINT_INTERVAL)
        {
            self.last = Some(now.monotonic);
            let issuer = &keys.issuer;
            match keys.age(now) {
                None => log::warn!("issuer {issuer:?}: no keys yet, its tokens are answered 503: {error}"),
                Some(age) if is_stale => log::error!(
                    "issuer {issuer:?}: its keys are {} s old and not used any more, its tokens are answered 503: {error}",
                    age.as_secs()
                ),
                Some(age) => log::warn!("issuer {issuer:?}: its keys are {} s old: {error}", age.as_secs()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use futures_util::poll;
    use shapegate_core::time::UnixMillis;
    use std::pin::pin;
    use std::task::Poll;

    /// As of a configuration that was replaced meanwhile: whoever still has it is not left waiting.
    #[tokio::test]
    async fn keys_that_nobody_fetches_are_waited_for_no_longer_than_others() {
        let clock = ManualClock::at(UnixMillis(0));
        let source = RemoteSource::of(KeyLocation::Issuer);
        let keys = RemoteKeys::new("https://issuer.test".into(), source).unwrap();
        let mut waiting = pin!(keys.newer(&clock));
        assert_eq!(poll!(&mut waiting), Poll::Pending);
        clock.advance(WAIT_MAX.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(poll!(&mut waiting), Poll::Pending);
        clock.advance(Duration::from_millis(1));
        assert_eq!(poll!(&mut waiting), Poll::Ready(Err(NoNewer(RETRY_INTERVAL))));
    }
}
