//! Answers kept for those who ask next.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use prometheus::{IntCounter, IntGauge};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use shapegate_core::time::Monotonic;

use super::encode::{CodedBodies, ENCODED_BYTES_MIN, forbids_transforming};
use super::head::Head;
use super::key::{Key, KeyRef};
use super::lineage::Lineage;
use super::shared::ANSWER_BYTES_MAX;

/// What an answer takes on average, in bytes; only sizes the tables.
const ANSWER_BYTES_TYPICAL: usize = 16 * 1024;
/// What is kept of an answer besides its body and its header's values, in bytes.
const ANSWER_BYTES_OWN: usize = 1024;
/// Parts of the cache with a lock of their own, at most: the largest answer must fit into one.
const SHARDS: usize = 4;
/// Bodies up to so many bytes are kept in one piece.
const ONE_PIECE_BYTES_MAX: usize = 64 * 1024;

/// A whole answer.
pub struct Stored {
    /// Its header.
    pub head: Arc<Head>,
    /// Its body.
    pub body: Vec<Bytes>,
    /// The body's length.
    pub length: usize,
    /// The body's codings, made when somebody asks.
    pub coded: Arc<CodedBodies>,
    /// What they took when this was put into the cache: of what is in it, the weight must not change.
    coded_bytes: usize,
    encodable: bool,
    fresh_until: Monotonic,
    lineage: Arc<Lineage>,
    generation: u64,
}

impl Stored {
    /// An answer of a shape's `generation`, fresh for so long since it was made.
    pub fn new(
        head: Arc<Head>,
        body: Vec<Bytes>,
        fresh_for: Duration,
        lineage: Arc<Lineage>,
        generation: u64,
    ) -> Self {
        let length = body.iter().map(Bytes::len).sum();
        Self {
            fresh_until: head.fresh_until(fresh_for),
            body: in_one_piece(body, length),
            length,
            coded: Arc::default(),
            coded_bytes: 0,
            encodable: is_encodable(&head, length),
            head,
            lineage,
            generation,
        }
    }

    /// The same answer under a header that was confirmed.
    pub fn confirmed(&self, head: Head, fresh_for: Duration) -> Self {
        Self {
            fresh_until: head.fresh_until(fresh_for),
            encodable: is_encodable(&head, self.length),
            head: Arc::new(head),
            ..self.counted_anew()
        }
    }

    /// The same answer, with what its body takes now in all codings.
    fn counted_anew(&self) -> Self {
        Self {
            head: Arc::clone(&self.head),
            body: self.body.clone(),
            length: self.length,
            coded: Arc::clone(&self.coded),
            coded_bytes: self.coded.bytes(),
            encodable: self.encodable,
            fresh_until: self.fresh_until,
            lineage: Arc::clone(&self.lineage),
            generation: self.generation,
        }
    }

    /// Whether its body may be encoded, and is worth it.
    pub fn is_encodable(&self) -> bool {
        self.encodable
    }

    /// Whether its incarnation of the shape is alive, as far as is known.
    pub fn is_alive(&self) -> bool {
        self.lineage.generation() == self.generation
    }

    /// Whether it may be handed out without asking.
    pub fn is_fresh(&self, now: Monotonic) -> bool {
        now < self.fresh_until && self.is_alive()
    }

    /// For how much longer it is fresh.
    pub fn left(&self, now: Monotonic) -> Duration {
        self.fresh_until.0.saturating_sub(now.0)
    }

    fn bytes(&self) -> usize {
        let fields = self.head.fields().map(|(_, value, _)| value.len());
        ANSWER_BYTES_OWN + fields.sum::<usize>() + self.length + self.coded_bytes
    }
}

fn is_encodable(head: &Head, length: usize) -> bool {
    length >= ENCODED_BYTES_MIN
        && head.status() == StatusCode::OK
        && !head.cache_control().is_some_and(forbids_transforming)
}

fn in_one_piece(body: Vec<Bytes>, length: usize) -> Vec<Bytes> {
    if body.len() < 2 || length > ONE_PIECE_BYTES_MAX {
        return body;
    }
    let mut whole = BytesMut::with_capacity(length);
    body.iter().for_each(|piece| whole.extend_from_slice(piece));
    vec![whole.freeze()]
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Stored>> for Weight {
    fn weight(&self, key: &Key, stored: &Arc<Stored>) -> u64 {
        (key.bytes() + stored.bytes()) as u64
    }
}

#[derive(Clone)]
struct CountEvictions(IntCounter);

impl Lifecycle<Key, Arc<Stored>> for CountEvictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _key: Key, _stored: Arc<Stored>) {
        self.0.inc();
    }
}

/// Answers within a budget of bytes. One that is asked for again stays before many that are asked for once.
pub struct AnswerCache {
    cache: Cache<Key, Arc<Stored>, Weight, DefaultHashBuilder, CountEvictions>,
    bytes: IntGauge,
}

impl AnswerCache {
    /// Keeps at most `bytes_max`, shows how many in `bytes` and counts what had to go for them.
    pub fn new(bytes_max: usize, bytes: IntGauge, evictions: IntCounter) -> Self {
        let (weight, items) = (bytes_max as u64, bytes_max / ANSWER_BYTES_TYPICAL);
        let shards = (bytes_max / (2 * ANSWER_BYTES_MAX)).clamp(1, SHARDS);
        let lifecycle = CountEvictions(evictions);
        let hash = DefaultHashBuilder::default();
        let mut options = OptionsBuilder::new();
        options
            .weight_capacity(weight)
            .estimated_items_capacity(items)
            .shards(shards);
        let cache = match options.build() {
            Ok(options) => Cache::with_options(options, Weight, hash, lifecycle),
            // Only for options that are not set.
            Err(_) => Cache::with(items, weight, Weight, hash, lifecycle),
        };
        Self { cache, bytes }
    }

    /// The answer kept for `key`, fresh or not; what is of a dead incarnation is forgotten.
    pub fn get(&self, key: &KeyRef<'_>) -> Option<Arc<Stored>> {
        let stored = self.cache.get(key)?;
        if stored.is_alive() {
            return Some(stored);
        }
        self.cache.remove_if(key, |kept| !kept.is_alive());
        self.show();
        None
    }

    /// Keeps an answer.
    pub fn put(&self, key: Key, stored: Arc<Stored>) {
        self.cache.insert(key, stored);
        self.show();
    }

    /// Counts what the body of `stored` takes now, if it still is what is kept for `key`.
    pub fn recount(&self, key: &Key, stored: &Stored) {
        let kept = self.cache.peek(key);
        let Some(kept) = kept.filter(|kept| Arc::ptr_eq(&kept.coded, &stored.coded)) else {
            return;
        };
        // What does not fit any more is gone.
        drop(
            self.cache
                .replace(key.clone(), Arc::new(kept.counted_anew()), true),
        );
        self.show();
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }

    fn show(&self) {
        self.bytes
            .set(i64::try_from(self.cache.weight()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use pingora_http::ResponseHeader;
    use shapegate_core::upstream::UpstreamBase;

    use super::*;
    use crate::hub::key::{Place, ShapeKey};
    use crate::hub::lineage::Lineages;
    use shapegate_core::definition::{Columns, Log, Replica, Rows, ShapeDefinition};

    const BODY: usize = 64 * 1024;

    struct Bench {
        cache: AnswerCache,
        bytes: IntGauge,
        evictions: IntCounter,
        lineage: Arc<Lineage>,
        tenant: Arc<str>,
        place: Arc<Place>,
    }

    impl Bench {
        fn new(bytes_max: usize) -> Self {
            let bytes = IntGauge::new("bytes", "bytes").unwrap();
            let evictions = IntCounter::new("evictions", "evictions").unwrap();
            let (tenant, place) = (Arc::from("tenant"), place());
            let shape = ShapeKey {
                tenant: Arc::clone(&tenant),
                place: Arc::clone(&place),
                definition: Arc::new(definition()),
            };
            Self {
                cache: AnswerCache::new(bytes_max, bytes.clone(), evictions.clone()),
                bytes,
                evictions,
                lineage: Arc::new(Lineages::default()).of(&shape),
                tenant,
                place,
            }
        }

        fn get(&self, line: &str) -> Option<Arc<Stored>> {
            self.cache.get(&self.key(&Arc::from(line)))
        }

        fn key<'a>(&'a self, line: &'a Arc<str>) -> KeyRef<'a> {
            KeyRef {
                tenant: &self.tenant,
                place: &self.place,
                line,
            }
        }

        fn put(&self, line: &str, bytes: usize) {
            let upstream = ResponseHeader::build(200, None).unwrap();
            let head = Arc::new(Head::of(&upstream, Monotonic(Duration::ZERO)));
            let body = vec![Bytes::from(vec![b'x'; bytes])];
            let lineage = Arc::clone(&self.lineage);
            let stored = Stored::new(head, body, Duration::from_secs(60), lineage, 0);
            let key = self.key(&Arc::from(line)).to_key();
            self.cache.put(key, Arc::new(stored));
        }
    }

    fn place() -> Arc<Place> {
        Arc::new(Place {
            host: "electric".to_owned(),
            port: 3000,
            tls: false,
            trust_domain: 0,
            base: UpstreamBase::new("", None, None).unwrap(),
        })
    }

    fn definition() -> ShapeDefinition {
        let table = shapegate_core::identifier::TableName::parse("users").unwrap();
        ShapeDefinition::new(table, Rows::All, Columns::All, Replica::Default, Log::Full)
    }

    #[test]
    fn a_flood_of_keys_that_are_asked_once_drives_out_none_that_is_asked_again() {
        let bytes_max = 64 * 1024 * 1024;
        let bench = Bench::new(bytes_max);
        let wanted: Vec<String> = (0..100).map(|n| format!("GET wanted {n}")).collect();
        for line in &wanted {
            bench.put(line, BODY);
        }
        for round in 0..20 {
            for line in &wanted {
                assert!(bench.get(line).is_some(), "round {round}: {line}");
            }
            // Ten times what fits, each round.
            for n in 0..10 * bytes_max / BODY / 10 {
                bench.put(&format!("GET once {round} {n}"), BODY);
            }
            assert!(usize::try_from(bench.bytes.get()).unwrap() <= bytes_max);
        }
        assert!(bench.evictions.get() > 10_000);
    }

    #[test]
    fn the_largest_answer_fits_and_an_empty_budget_keeps_nothing() {
        let bench = Bench::new(256 * 1024 * 1024);
        bench.put("GET", ANSWER_BYTES_MAX);
        assert!(bench.get("GET").is_some());
        let bench = Bench::new(0);
        bench.put("GET", 10);
        assert!(bench.get("GET").is_none());
        assert_eq!(bench.bytes.get(), 0);
    }

    #[test]
    fn small_pieces_are_kept_in_one() {
        let pieces = |sizes: &[usize]| sizes.iter().map(|size| Bytes::from(vec![1; *size])).collect();
        assert_eq!(in_one_piece(pieces(&[10, 20]), 30).len(), 1);
        assert_eq!(
            in_one_piece(pieces(&[ONE_PIECE_BYTES_MAX, 1]), ONE_PIECE_BYTES_MAX + 1).len(),
            2
        );
    }
}
