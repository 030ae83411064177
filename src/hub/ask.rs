//! The hub: whoever is permitted asks here, and shares what others ask for, too.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use shapegate_core::code::Refusal;
use shapegate_core::coding::Coding;
use shapegate_core::permit::Permit;
use shapegate_core::request::{Offset, Verb};
use shapegate_core::time::Monotonic;
use shapegate_core::upstream::UpstreamRequest;

use super::cache::{AnswerCache, Stored};
use super::encode::{Coded, Encoder};
use super::fetch::SharedFetch;
use super::fill::Errand;
use super::keeping::Keeping;
use super::key::{Key, KeyRef, ShapeKey};
use super::lineage::Lineages;
use super::load::{Effort, LoadSettings, Loads, Seat};
use super::metrics::HubMetrics;
use super::shared::{Filler, Reader, Sort};
use super::underway::{Turn, UNDERWAY_BYTES_MAX, Underway};
use super::upstream::{Along, READ_TIMEOUT, Upstream};
use crate::clock::Clock;

/// A request that was permitted.
pub struct Wanted<'a> {
    /// The tenant's id.
    pub tenant: &'a Arc<str>,
    /// Its Electric.
    pub upstream: &'a Arc<Upstream>,
    /// The proof that it is permitted.
    pub permit: &'a Permit,
    /// The only request that may go upstream for it.
    pub request: &'a UpstreamRequest,
    /// Headers that go along if it does.
    pub along: &'a Along,
    /// Whether others may have the same answer.
    pub shares: bool,
    /// How long the upstream may be silent, where nobody shares the answer.
    pub silence_max: Duration,
}

impl<'a> Wanted<'a> {
    /// What this request has in common with others; none when nothing is shared.
    fn key(&self) -> Option<KeyRef<'a>> {
        Some(KeyRef {
            tenant: self.tenant,
            place: self.upstream.place(),
            line: self.request.key().filter(|_| self.shares)?,
        })
    }

    /// What it costs the upstream if it must be asked.
    pub fn effort(&self) -> Effort {
        let position = self.permit.position();
        let reads = matches!(self.permit.verb(), Verb::Get | Verb::Head);
        let starts = matches!(position.offset, Offset::Beginning | Offset::Now);
        let escapes = position.cache_buster.is_some() || position.expired_handle.is_some();
        if self.permit.subset().is_some() {
            Effort::Subset
        } else if reads && (starts || escapes) {
            Effort::New
        } else {
            Effort::Follow
        }
    }

    fn sort(&self) -> Sort {
        if self.request.is_sse() {
            Sort::Events
        } else {
            Sort::Log
        }
    }

    fn errand(&self, keeping: Option<Keeping>) -> Box<Errand> {
        Box::new(Errand {
            upstream: Arc::clone(self.upstream),
            request: self.request.clone(),
            along: Along {
                if_none_match: None,
                ..self.along.clone()
            },
            silence_max: keeping.as_ref().map_or(self.silence_max, |_| READ_TIMEOUT),
            keeping,
        })
    }

    fn shape(&self) -> ShapeKey {
        ShapeKey {
            tenant: Arc::clone(self.tenant),
            place: Arc::clone(self.upstream.place()),
            definition: Arc::clone(self.permit.definition()),
        }
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was kept.
    Kept,
    /// Of a fetch that others had started.
    Joined,
    /// Of a fetch that was started for it.
    Fetched,
    /// Of a fetch that was started because what was kept is no longer fresh.
    Revalidated,
    /// Of a fetch that nobody shares.
    Alone,
}

/// What becomes of one who asks.
pub enum Given {
    /// It was kept.
    Kept(Arc<Stored>),
    /// It is read while it comes.
    Coming(Reader, Source),
}

/// Answers shared by those who wait for them, and kept for those who ask next.
pub struct Hub {
    underway: Arc<Underway>,
    cache: Arc<AnswerCache>,
    lineages: Arc<Lineages>,
    fetch: SharedFetch,
    clock: Arc<dyn Clock>,
    metrics: HubMetrics,
    loads: Arc<Loads>,
    encoder: Encoder,
}

impl Hub {
    /// A hub that asks over `fetch`, keeps at most `bytes_max`, and offers what it keeps in these codings.
    pub fn new(
        fetch: SharedFetch,
        clock: Arc<dyn Clock>,
        metrics: HubMetrics,
        bytes_max: usize,
        loads: LoadSettings,
        codings: Vec<Coding>,
    ) -> Arc<Self> {
        let cache = AnswerCache::new(bytes_max, metrics.bytes.clone(), metrics.evictions.clone());
        Arc::new(Self {
            underway: Underway::new(UNDERWAY_BYTES_MAX, metrics.underway_bytes.clone()),
            cache: Arc::new(cache),
            lineages: Arc::default(),
            fetch,
            clock,
            loads: Loads::new(loads, metrics.clone()),
            encoder: Encoder::new(codings, metrics.clone()),
            metrics,
        })
    }

    /// What is kept and may be handed out without asking.
    pub fn fresh(&self, wanted: &Wanted<'_>, now: Monotonic) -> Option<Arc<Stored>> {
        let kept = self.cache.get(&wanted.key()?).filter(|kept| kept.is_fresh(now))?;
        self.metrics.hits.inc();
        Some(kept)
    }

    /// Gives what is kept, joins those who ask for the same, or asks the upstream in a task that belongs to
    /// nobody who waits.
    ///
    /// # Errors
    /// `overloaded`, of what would be one more request to the upstream.
    pub fn ask(self: &Arc<Self>, wanted: &Wanted<'_>) -> Result<Given, Refusal> {
        let Some(key) = wanted.key() else {
            let seat = self.seat(wanted, wanted.effort())?;
            let (reader, filler) = self.underway.alone(wanted.sort());
            self.metrics.alone.inc();
            self.send_out(wanted.errand(None), filler, seat);
            return Ok(Given::Coming(reader, Source::Alone));
        };
        let now = self.clock.now().monotonic;
        let kept = self.cache.get(&key);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(now)) {
            self.metrics.hits.inc();
            return Ok(Given::Kept(Arc::clone(kept)));
        }
        let just_kept = || self.cache.get(&key).filter(|kept| kept.is_fresh(now));
        // To confirm what is kept, no table is read.
        let effort = kept.as_ref().map_or(wanted.effort(), |_| Effort::Follow);
        let seat = || self.seat(wanted, effort);
        Ok(
            match self.underway.join(key.to_key(), wanted.sort(), just_kept, seat) {
                Turn::Refused(refusal) => return Err(refusal),
                Turn::Answered(kept) => {
                    self.metrics.hits.inc();
                    Given::Kept(kept)
                }
                Turn::Later(reader) => {
                    self.metrics.joined.inc();
                    Given::Coming(reader, Source::Joined)
                }
                Turn::First(reader, filler, seat) => {
                    let source = self.count_first(kept.is_some());
                    let keeping = self.keeping(wanted, key.to_key(), kept);
                    filler.is_of(&keeping.lineage);
                    self.send_out(wanted.errand(Some(keeping)), filler, seat);
                    Given::Coming(reader, source)
                }
            },
        )
    }

    /// Whether an answer is kept, if only to be confirmed, or under way: whether it can be had without reading
    /// a table.
    pub fn is_at_hand(&self, wanted: &Wanted<'_>) -> bool {
        wanted
            .key()
            .is_some_and(|key| self.cache.get(&key).is_some() || self.underway.has(&key.to_key()))
    }

    /// Room for one more request to the upstream.
    ///
    /// # Errors
    /// `overloaded`.
    pub fn seat(&self, wanted: &Wanted<'_>, effort: Effort) -> Result<Seat, Refusal> {
        self.loads.seat(wanted.tenant, wanted.upstream.place(), effort)
    }

    /// How much upstreams are asked for.
    pub fn loads(&self) -> &Arc<Loads> {
        &self.loads
    }

    /// Whether what is kept is sent in a coding to those who like that.
    pub fn encodes(&self) -> bool {
        self.encoder.is_on()
    }

    /// What is kept, in the coding that whoever sends `headers` likes best. If that is not made yet, it is made for
    /// those who ask next.
    pub fn coded<'s>(
        &self,
        wanted: &Wanted<'_>,
        headers: &HeaderMap,
        stored: &'s Arc<Stored>,
    ) -> Option<(Coding, &'s Coded)> {
        if !self.encodes() || !stored.is_encodable() {
            return None;
        }
        let coding = self.encoder.choose(headers)?;
        if let Some(coded) = stored.coded.get(coding) {
            self.metrics.encoded(coding).inc();
            return Some((coding, coded));
        }
        let key = wanted.key()?.to_key();
        let (cache, body) = (Arc::clone(&self.cache), Arc::clone(stored));
        self.encoder
            .begin(stored, coding, move || cache.recount(&key, &body));
        None
    }

    /// How many fetches can be joined now.
    pub fn underway(&self) -> usize {
        self.underway.len()
    }

    /// How many bodies are being encoded now.
    pub fn encoding(&self) -> usize {
        self.encoder.at_work()
    }

    /// How many answers are kept.
    pub fn kept(&self) -> usize {
        self.cache.len()
    }

    fn count_first(&self, stale: bool) -> Source {
        if stale {
            self.metrics.stale.inc();
            Source::Revalidated
        } else {
            self.metrics.misses.inc();
            Source::Fetched
        }
    }

    fn keeping(&self, wanted: &Wanted<'_>, key: Key, stale: Option<Arc<Stored>>) -> Keeping {
        let lineage = self.lineages.of(&wanted.shape());
        Keeping {
            cache: Arc::clone(&self.cache),
            key,
            position: wanted.permit.position().clone(),
            moment: lineage.moment(),
            lineage,
            stale,
            must_refetch: self.metrics.must_refetch.clone(),
        }
    }

    fn send_out(self: &Arc<Self>, errand: Box<Errand>, mut filler: Filler, seat: Seat) {
        let hub = Arc::clone(self);
        tokio::spawn(async move {
            let (_fetching, _seat) = (Fetching::new(&hub.metrics), seat);
            let abandoned = filler.abandoned();
            tokio::select! {
                biased;
                () = abandoned => {}
                filled = errand.run(&hub.fetch, &*hub.clock, &mut filler) => filled.end(filler),
            }
        });
    }
}

/// Counts a fetch for as long as it lasts.
struct Fetching<'a>(&'a HubMetrics);

impl<'a> Fetching<'a> {
    fn new(metrics: &'a HubMetrics) -> Self {
        metrics.fetches_total.inc();
        metrics.fetches.inc();
        Self(metrics)
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.0.fetches.dec();
    }
}
