//! Freshness against a model: whatever comes in whatever order, nothing is handed out for longer than it may be,
//! and nothing of an incarnation that was told to be gone.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shapegate_core::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use shapegate_core::identifier::TableName;
use shapegate_core::request::{Live, Offset};
use shapegate_core::upstream::UpstreamBase;

use super::*;
use crate::hub::HubMetrics;
use crate::hub::key::{KeyRef, Place, ShapeKey};
use crate::hub::lineage::Lineages;

/// Fewer incarnations than are remembered.
const ROTATIONS_MAX: u32 = 7;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A client asks for the start, the log after it, or news, with one of the handles that were told.
    Ask {
        what: u8,
        handle: u32,
    },
    /// Electric, or a cache before it, says what one of those who wait is told; it is on its way then.
    Say {
        which: usize,
        max_age: u64,
        age: u64,
        old: bool,
        names: bool,
    },
    /// It arrives.
    Arrive {
        which: usize,
    },
    Rotate,
    Pass {
        seconds: u64,
    },
}

#[derive(Clone, Debug)]
enum Said {
    Content(u32),
    Gone { asked: u32, now: Option<u32> },
    Same,
}

struct Flight {
    keeping: Keeping,
    said: Option<(Said, u64, u64)>,
}

/// Electric, the hub's memory, and what a witness of everything that arrived knows.
struct World {
    living: u32,
    now: Duration,
    cache: Arc<AnswerCache>,
    lineage: Arc<Lineage>,
    tenant: Arc<str>,
    place: Arc<Place>,
    flights: Vec<Flight>,
    metrics: HubMetrics,
    /// The oldest incarnation that can be alive, by all that arrived.
    told: u32,
    refused: BTreeSet<u32>,
    /// Until when each answer may be handed out, by the number that is its body.
    fresh_until: BTreeMap<usize, Duration>,
    served: usize,
}

fn upstream_handle(number: u32) -> UpstreamHandle {
    UpstreamHandle::parse(&format!("1-{number}")).unwrap()
}

fn position(what: u8, handle: u32) -> Position<UpstreamHandle> {
    let beginning = Position::beginning();
    if what == 0 {
        return beginning;
    }
    Position {
        offset: Offset::parse("5_0").unwrap(),
        handle: Some(upstream_handle(handle)),
        live: if what == 1 { Live::No } else { Live::Poll },
        ..beginning
    }
}

impl World {
    fn new() -> Self {
        let metrics = HubMetrics::new().unwrap();
        let cache = AnswerCache::new(1 << 20, metrics.bytes.clone(), metrics.evictions.clone());
        let (tenant, place) = (Arc::from("tenant"), Arc::new(electric()));
        let table = TableName::parse("users").unwrap();
        let definition = ShapeDefinition::new(table, Rows::All, Columns::All, Replica::Default, Log::Full);
        let shape = ShapeKey {
            tenant: Arc::clone(&tenant),
            place: Arc::clone(&place),
            definition: Arc::new(definition),
        };
        Self {
            living: 1,
            now: Duration::ZERO,
            cache: Arc::new(cache),
            lineage: Arc::new(Lineages::default()).of(&shape),
            tenant,
            place,
            flights: Vec::new(),
            metrics,
            told: 1,
            refused: BTreeSet::new(),
            fresh_until: BTreeMap::new(),
            served: 0,
        }
    }

    fn ask(&mut self, what: u8, handle: u32, strict: bool) {
        let handle = handle % self.told + 1;
        let line = if what == 0 {
            "start".to_owned()
        } else {
            format!("{what} {handle}")
        };
        let key = KeyRef {
            tenant: &self.tenant,
            place: &self.place,
            line: &Arc::from(line),
        };
        let kept = self.cache.get(&key);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(Monotonic(self.now))) {
            return self.serve(kept, strict);
        }
        let keeping = Keeping {
            cache: Arc::clone(&self.cache),
            key: key.to_key(),
            position: position(what, handle),
            moment: self.lineage.moment(),
            lineage: Arc::clone(&self.lineage),
            stale: kept,
            must_refetch: self.metrics.must_refetch.clone(),
        };
        self.flights.push(Flight { keeping, said: None });
    }

    /// The model: what may be handed out without asking.
    fn serve(&mut self, kept: &Stored, strict: bool) {
        self.served += 1;
        let body = String::from_utf8(kept.body.concat()).unwrap();
        let (serial, of) = body.split_once(' ').unwrap();
        let (serial, of): (usize, u32) = (serial.parse().unwrap(), of.parse().unwrap());
        assert!(
            self.now < self.fresh_until[&serial],
            "{serial} is served for too long"
        );
        assert!(
            !self.refused.contains(&of),
            "of an incarnation that clients were told is gone"
        );
        assert!(
            !strict || of >= self.told,
            "of {of}, although {} was told",
            self.told
        );
    }

    fn say(&mut self, which: usize, max_age: u64, age: u64, old: bool, names: bool) {
        let living = self.living;
        let Some(flight) = self.flights.get_mut(which) else {
            return;
        };
        let asked = flight.keeping.position.handle.as_ref();
        let asked = asked.map(|handle| handle.as_str().replacen("1-", "", 1).parse::<u32>().unwrap());
        // A cache before Electric may still know the incarnation before.
        let living = if old {
            living.saturating_sub(1).max(1)
        } else {
            living
        };
        let etag = format!("\"1-{living}\"");
        let same = flight.keeping.condition().is_some_and(|tag| tag == etag);
        let said = match asked {
            Some(asked) if asked != living => Said::Gone {
                asked,
                now: names.then_some(living),
            },
            _ if same => Said::Same,
            _ => Said::Content(living),
        };
        flight.said = Some((said, max_age, age));
    }

    fn arrive(&mut self, which: usize) {
        if self.flights.get(which).is_none_or(|flight| flight.said.is_none()) {
            return;
        }
        let Flight { keeping, said } = self.flights.swap_remove(which);
        let (said, max_age, age) = said.unwrap();
        let serial = self.fresh_until.len();
        let cap = if keeping.position.offset == Offset::Beginning {
            60
        } else {
            300
        };
        let until = self.now + Duration::from_secs(max_age.min(cap).saturating_sub(age));
        let (status, of) = match said {
            Said::Same => {
                let kept = keeping.stale.as_ref().unwrap().body.concat();
                let kept = String::from_utf8(kept).unwrap();
                let serial = kept.split_once(' ').unwrap().0.parse().unwrap();
                let known = self.fresh_until.entry(serial).or_default();
                *known = until.max(*known);
                drop(keeping.confirm(&header(304, None, max_age, age), Monotonic(self.now)));
                return;
            }
            Said::Content(of) => (200, Some(of)),
            Said::Gone { asked, now } => {
                self.refused.insert(asked);
                self.told = self.told.max(asked + 1);
                (409, now)
            }
        };
        self.told = self.told.max(of.unwrap_or(0));
        self.fresh_until.insert(serial, until);
        let handle = of.map(upstream_handle);
        let passed = match handle {
            Some(handle) if status == 200 => Passed::Content {
                handle,
                offset: Offset::parse("0_0").unwrap(),
            },
            handle => Passed::MustRefetch { handle },
        };
        let upstream = header(status, of, max_age, age);
        let plan = keeping
            .learn(&passed)
            .and_then(|generation| keeping.plan(generation, &upstream));
        if let Some(plan) = plan {
            let head = Arc::new(Head::of(&upstream, Monotonic(self.now)));
            let body = Bytes::from(format!("{serial} {}", of.unwrap()));
            keeping.keep(head, vec![body], plan);
        }
    }

    fn take(&mut self, step: Step, strict: bool) {
        let count = self.flights.len().max(1);
        match step {
            Step::Ask { what, handle } => self.ask(what, handle, strict),
            Step::Say {
                which,
                max_age,
                age,
                old,
                names,
            } => {
                self.say(which % count, max_age, age, old && !strict, names);
            }
            Step::Arrive { which } => self.arrive(which % count),
            Step::Rotate => self.living = (self.living + 1).min(ROTATIONS_MAX),
            Step::Pass { seconds } => self.now += Duration::from_secs(seconds),
        }
    }
}

fn electric() -> Place {
    Place {
        host: "electric".to_owned(),
        port: 3000,
        tls: false,
        trust_domain: 0,
        base: UpstreamBase::new("", None, None).unwrap(),
    }
}

fn header(status: u16, of: Option<u32>, max_age: u64, age: u64) -> ResponseHeader {
    let mut head = ResponseHeader::build(status, None).unwrap();
    if let Some(of) = of {
        head.insert_header("electric-handle", format!("1-{of}")).unwrap();
        head.insert_header("etag", format!("\"1-{of}\"")).unwrap();
    }
    head.insert_header("age", age.to_string()).unwrap();
    let cache_control = format!("public, max-age={max_age}, stale-while-revalidate=300");
    head.insert_header("cache-control", cache_control).unwrap();
    head
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = prop_oneof![Just(0), 1..10_u64, Just(60), Just(3600)];
    let age = prop_oneof![8 => Just(0), 1 => 0..90_u64];
    let say = (
        0..8_usize,
        seconds,
        age,
        proptest::bool::weighted(0.2),
        any::<bool>(),
    );
    prop_oneof![
        8 => (0..3_u8, any::<u32>()).prop_map(|(what, handle)| Step::Ask { what, handle }),
        6 => say.prop_map(|(which, max_age, age, old, names)| Step::Say { which, max_age, age, old, names }),
        6 => (0..8_usize).prop_map(|which| Step::Arrive { which }),
        1 => Just(Step::Rotate),
        2 => prop_oneof![1..5_u64, 1..100_u64].prop_map(|seconds| Step::Pass { seconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// In whatever order answers arrive, nothing older is served than what the latest of them tells.
    #[test]
    fn nothing_is_served_that_is_older_than_what_was_told(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.take(step, true);
        }
    }

    /// With another cache before Electric that serves what is old, too, nothing comes back that clients were told
    /// is gone.
    #[test]
    fn nothing_comes_back_that_clients_were_told_is_gone(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.take(step, false);
        }
    }
}

#[test]
fn the_model_serves_at_all() {
    let mut world = World::new();
    let say = Step::Say {
        which: 0,
        max_age: 60,
        age: 0,
        old: false,
        names: true,
    };
    for step in [
        Step::Ask { what: 0, handle: 0 },
        say,
        Step::Arrive { which: 0 },
        Step::Ask { what: 0, handle: 0 },
    ] {
        world.take(step, true);
    }
    assert_eq!(world.served, 1);
}
