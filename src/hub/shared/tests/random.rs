//! Streams of events of any size, read at any pace: whoever is cut stands behind a whole event.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::hub::stream::SMALL_EVENT_BYTES_MAX;

const READERS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// The upstream sends a whole event of so many bytes, in pieces.
    Event(usize),
    /// A reader gets so much more, if there is as much.
    Read { who: usize, pieces: usize },
    /// A reader leaves.
    Leave(usize),
}

/// One who reads, and what was seen of it.
struct Follower {
    reader: Reader,
    seen: usize,
    stands: EventEnd,
}

struct World {
    filler: Filler,
    /// All that was sent.
    sent: Vec<u8>,
    followers: Vec<Option<Follower>>,
    whole: bool,
}

impl World {
    fn new(bytes_max: usize) -> (Self, IntGauge) {
        let (underway, kept) = underway(bytes_max);
        let (reader, filler) = super::first(&underway, Sort::Events);
        let mut readers = vec![reader];
        readers.resize_with(READERS, || later(&underway, Sort::Events));
        let follower = |reader| {
            Some(Follower {
                reader,
                seen: 0,
                stands: EventEnd::Reached,
            })
        };
        let world = Self {
            filler,
            sent: Vec::new(),
            followers: readers.into_iter().map(follower).collect(),
            whole: bytes_max >= ROOM,
        };
        (world, kept)
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Event(bytes) => self.send(bytes).await,
            Step::Read { who, pieces } => self.read(who, pieces),
            Step::Leave(who) => self.followers[who] = None,
        }
    }

    async fn send(&mut self, bytes: usize) {
        let byte = b"abcdefghij"[self.sent.len() % 10];
        let mut event = vec![byte; bytes];
        event.extend(b"\n\n");
        self.sent.extend_from_slice(&event);
        for piece in event.chunks(PIECE) {
            let Self {
                filler, followers, ..
            } = self;
            let mut pushing = Box::pin(filler.push(Bytes::copy_from_slice(piece)));
            let mut tries = 0..;
            while futures_util::poll!(&mut pushing).is_pending() {
                // Somebody must read on; nobody else need. Those who were cut are gone.
                let Some(who) = followers.iter().position(Option::is_some) else {
                    return;
                };
                step(&mut followers[who], &self.sent, self.whole);
                assert!(tries.next().unwrap() < 1000, "the filler waits for nobody");
            }
        }
    }

    fn read(&mut self, who: usize, pieces: usize) {
        for _ in 0..pieces {
            step(&mut self.followers[who], &self.sent, self.whole);
        }
    }
}

/// Has one read on if there is anything; what it gets is what was sent, in order and without a gap.
fn step(slot: &mut Option<Follower>, sent: &[u8], whole: bool) {
    let Some(follower) = slot else { return };
    match follower.reader.next().now_or_never() {
        None => {}
        Some(Ok(Some(piece))) => {
            let upto = follower.seen + piece.len();
            assert!(sent[follower.seen..upto] == piece, "after {}", follower.seen);
            follower.seen = upto;
            follower.stands = follower.stands.after(&piece);
        }
        Some(Err(Cut::Behind)) => {
            assert!(
                !whole || follower.stands == EventEnd::Reached,
                "at {}",
                follower.seen
            );
            *slot = None;
        }
        Some(other) => panic!("{other:?}"),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![
        4 => 0..2000_usize,
        2 => SMALL_EVENT_BYTES_MAX - 3..SMALL_EVENT_BYTES_MAX + 3,
        1 => Just(3 * 1024 * 1024),
    ];
    let reads = (0..READERS, 1..20_usize).prop_map(|(who, pieces)| Step::Read { who, pieces });
    let step = prop_oneof![
        6 => bytes.prop_map(Step::Event),
        12 => reads,
        // The first does not leave.
        1 => (1..READERS).prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..40)
}

/// Each case moves megabytes.
const CASES_MAX: u32 = 1000;

#[test]
fn whoever_is_cut_has_whole_events_and_nobody_misses_one_before() {
    let usual = ProptestConfig::default();
    let config = ProptestConfig {
        cases: (usual.cases / 4).min(CASES_MAX),
        failure_persistence: None,
        ..usual
    };
    let bytes_max = prop_oneof![3 => Just(ROOM), 1 => Just(1024 * 1024), 1 => Just(0)];
    // By hand, as the macro would take the number of cases from the environment once more.
    let tried = TestRunner::new(config).run(&(steps(), bytes_max), |(steps, bytes_max)| {
        let (mut world, kept) = World::new(bytes_max);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            world.filler.begin(head(), Vec::new()).await;
            for step in steps {
                world.take(step).await;
            }
        });
        drop(world);
        prop_assert_eq!(kept.get(), 0, "all room is given back");
        Ok(())
    });
    tried.unwrap();
}
