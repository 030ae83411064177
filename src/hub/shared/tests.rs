//! Fillers and readers without an upstream.

mod random;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use pingora_http::ResponseHeader;
use prometheus::IntGauge;
use shapegate_core::code::Code;
use shapegate_core::time::Monotonic;
use shapegate_core::upstream::UpstreamBase;

use super::*;
use crate::hub::key::{Key, KeyRef, Place};
use crate::hub::stream::EventEnd;
use crate::hub::underway::{Turn, Underway};

const ROOM: usize = 64 * 1024 * 1024;
const PIECE: usize = 64 * 1024;

fn underway(bytes_max: usize) -> (Arc<Underway>, IntGauge) {
    let gauge = IntGauge::new("kept", "kept").unwrap();
    (Underway::new(bytes_max, gauge.clone()), gauge)
}

fn key(line: &str) -> Key {
    let place = Place {
        host: "electric".to_owned(),
        port: 3000,
        tls: false,
        trust_domain: 0,
        base: UpstreamBase::new("", None, None).unwrap(),
    };
    let (tenant, place) = (Arc::from("tenant"), Arc::new(place));
    KeyRef {
        tenant: &tenant,
        place: &place,
        line,
    }
    .to_key()
}

fn head() -> Arc<Head> {
    let upstream = ResponseHeader::build(200, None).unwrap();
    Arc::new(Head::of(&upstream, Monotonic(std::time::Duration::ZERO)))
}

fn first(underway: &Arc<Underway>, sort: Sort) -> (Reader, Filler) {
    match underway.join(key("GET"), sort, || None::<()>, || Ok(())) {
        Turn::First(reader, filler, ()) => (reader, filler),
        _ => panic!("somebody is there already"),
    }
}

fn later(underway: &Arc<Underway>, sort: Sort) -> Reader {
    match underway.join(key("GET"), sort, || None::<()>, || Ok(())) {
        Turn::Later(reader) => reader,
        _ => panic!("nobody is there"),
    }
}

fn piece() -> Bytes {
    Bytes::from(vec![b'x'; PIECE])
}

fn events() -> Bytes {
    let mut bytes = vec![b'x'; PIECE];
    bytes.truncate(PIECE - 2);
    bytes.extend(b"\n\n");
    Bytes::from(bytes)
}

/// Reads all that is there, in bytes.
fn read(reader: &mut Reader) -> usize {
    let mut bytes = 0;
    while let Some(Ok(Some(piece))) = reader.next().now_or_never() {
        bytes += piece.len();
    }
    bytes
}

/// Pushes until the filler waits for readers, and says how many bytes went in.
async fn pour(filler: &mut Filler, piece: &Bytes, count: usize) -> usize {
    for done in 0..count {
        if filler.push(piece.clone()).now_or_never().is_none() {
            return done * piece.len();
        }
    }
    count * piece.len()
}

#[tokio::test]
async fn those_who_come_later_read_the_same_from_the_start() {
    let (underway, kept) = underway(ROOM);
    let (mut one, mut filler) = first(&underway, Sort::Log);
    filler.begin(head(), vec![Bytes::from("[1,")]).await;
    assert_eq!(one.next().await.unwrap(), Some(Bytes::from("[1,")));
    let mut two = later(&underway, Sort::Log);
    assert_eq!(two.start().await.unwrap().length, None);
    filler.push(Bytes::from("2]")).await;
    assert!(kept.get() > 0);
    filler.finish();
    assert_eq!(two.start().await.unwrap().length, Some(5));
    assert_eq!(read(&mut two), 5);
    assert_eq!(read(&mut one), 2);
    assert!(matches!(one.next().await, Ok(None)));
    drop((one, two));
    assert_eq!(kept.get(), 0, "all room is given back");
    assert!(underway.is_empty());
}

#[tokio::test]
async fn a_fetch_that_panics_releases_all_who_wait_with_502() {
    let (underway, _) = underway(ROOM);
    let (mut one, filler) = first(&underway, Sort::Log);
    let mut two = later(&underway, Sort::Log);
    let task = tokio::spawn(async move {
        let _filler = filler;
        panic!("a fault of the fetch");
    });
    assert!(task.await.is_err());
    for reader in [&mut one, &mut two] {
        let refusal = reader.start().await.err().unwrap();
        assert_eq!(refusal.code.status(), 502);
    }
    assert!(underway.is_empty());
}

#[tokio::test]
async fn a_fetch_that_is_dropped_in_the_middle_looks_whole_to_nobody() {
    let (underway, _) = underway(ROOM);
    let (mut one, mut filler) = first(&underway, Sort::Log);
    filler.begin(head(), vec![Bytes::from("[1,")]).await;
    drop(filler);
    assert!(one.start().await.is_ok_and(|start| start.length.is_none()));
    assert!(one.next().await.unwrap().is_some());
    assert!(matches!(one.next().await, Err(Cut::Broken(_))));
}

#[tokio::test]
async fn an_error_is_told_to_those_who_wait_and_to_nobody_after_them() {
    let (underway, _) = underway(ROOM);
    let (mut one, filler) = first(&underway, Sort::Log);
    let mut two = later(&underway, Sort::Log);
    filler.refuse(Refusal::new(Code::UpstreamUnavailable, "busy"));
    for reader in [&mut one, &mut two] {
        assert_eq!(
            reader.start().await.err().unwrap().code,
            Code::UpstreamUnavailable
        );
    }
    let (_reader, _filler) = first(&underway, Sort::Log);
}

#[tokio::test]
async fn a_fetch_is_abandoned_when_the_last_leaves_and_not_before() {
    let (underway, _) = underway(ROOM);
    let (one, filler) = first(&underway, Sort::Log);
    let two = later(&underway, Sort::Log);
    let mut abandoned = Box::pin(filler.abandoned());
    assert!(futures_util::poll!(&mut abandoned).is_pending());
    drop(one);
    assert!(
        futures_util::poll!(&mut abandoned).is_pending(),
        "one still reads"
    );
    drop(two);
    assert!(futures_util::poll!(&mut abandoned).is_ready());
    assert!(underway.is_empty(), "nobody can join what is about to end");
}

#[tokio::test]
async fn one_who_joins_as_the_last_leaves_is_not_left_alone() {
    let (underway, _) = underway(ROOM);
    let (one, filler) = first(&underway, Sort::Log);
    let mut abandoned = Box::pin(filler.abandoned());
    assert!(futures_util::poll!(&mut abandoned).is_pending());
    drop(one);
    let two = later(&underway, Sort::Log);
    assert!(futures_util::poll!(&mut abandoned).is_pending());
    drop(two);
    assert!(futures_util::poll!(&mut abandoned).is_ready());
}

#[tokio::test]
async fn a_slow_first_reader_holds_nobody() {
    let (underway, _) = underway(ROOM);
    let (mut slow, mut filler) = first(&underway, Sort::Log);
    let mut fast = later(&underway, Sort::Log);
    filler.begin(head(), Vec::new()).await;
    let count = ANSWER_BYTES_MAX / PIECE - 1;
    assert_eq!(pour(&mut filler, &piece(), count).await, count * PIECE);
    assert_eq!(read(&mut fast), count * PIECE);
    filler.finish();
    assert_eq!(read(&mut slow), count * PIECE, "and misses nothing");
}

#[tokio::test]
async fn what_is_too_large_to_keep_goes_at_the_pace_of_the_fastest_and_cuts_who_is_far_behind() {
    let (underway, kept) = underway(ROOM);
    let (mut slow, mut filler) = first(&underway, Sort::Log);
    let mut fast = later(&underway, Sort::Log);
    filler.begin(head(), Vec::new()).await;
    let poured = pour(&mut filler, &piece(), 4 * ANSWER_BYTES_MAX / PIECE).await;
    assert!(poured <= ANSWER_BYTES_MAX, "nobody reads, so nothing more comes");
    assert!(underway.is_empty(), "those who come now get a fetch of their own");
    for _ in 0..4 * ANSWER_BYTES_MAX / PIECE {
        read(&mut fast);
        filler.push(piece()).await;
        assert!(usize::try_from(kept.get()).unwrap() <= 2 * ANSWER_BYTES_MAX);
    }
    assert!(matches!(slow.next().await, Err(Cut::Behind)));
    drop(slow);
    read(&mut fast);
    filler.push(piece()).await;
    assert!(
        kept.get() < 1024 * 1024,
        "a single reader needs nothing of what it has read"
    );
}

#[tokio::test]
async fn a_single_slow_reader_of_a_large_answer_slows_the_filler_and_loses_nothing() {
    let (underway, _) = underway(ROOM);
    let (mut reader, mut filler) = first(&underway, Sort::Log);
    filler.begin(head(), Vec::new()).await;
    let all = 3 * ANSWER_BYTES_MAX / PIECE;
    let filling = async {
        for _ in 0..all {
            filler.push(piece()).await;
        }
        filler.finish();
    };
    let reading = async {
        let mut bytes = 0;
        while let Some(piece) = reader.next().await.unwrap() {
            bytes += piece.len();
        }
        bytes
    };
    let ((), bytes) = tokio::join!(filling, reading);
    assert_eq!(bytes, all * PIECE);
}

#[tokio::test]
async fn without_room_answers_keep_little_and_still_arrive() {
    let (underway, kept) = underway(4 * PIECE);
    let (mut reader, mut filler) = first(&underway, Sort::Log);
    filler.begin(head(), Vec::new()).await;
    let poured = pour(&mut filler, &piece(), 1000).await;
    assert!(poured < 10 * PIECE, "{poured}");
    assert!(underway.is_empty());
    read(&mut reader);
    assert!(filler.push(piece()).now_or_never().is_some());
    assert!(usize::try_from(kept.get()).unwrap() < 10 * PIECE);
}

#[tokio::test]
async fn a_stream_of_events_can_be_joined_from_its_start_until_its_ring_is_full() {
    let (underway, _) = underway(ROOM);
    let (mut one, mut filler) = first(&underway, Sort::Events);
    filler.begin(head(), Vec::new()).await;
    filler.push(Bytes::from("data: 1\n\ndata: 2\n\nda")).await;
    filler.push(Bytes::from("ta: 3\n\n")).await;
    let mut two = later(&underway, Sort::Events);
    assert_eq!(two.next().await.unwrap().unwrap(), "data: 1\n\ndata: 2\n\n");
    assert_eq!(read(&mut two), "data: 3\n\n".len());
    for _ in 0..2 * EVENTS_BYTES_MAX / PIECE {
        filler.push(events()).await;
        read(&mut two);
    }
    assert!(
        underway.is_empty(),
        "who comes now has missed events, and gets a stream of its own"
    );
    assert!(matches!(one.next().await, Err(Cut::Behind)), "a laggard is cut");
    assert!(two.next().now_or_never().is_none(), "the others go on");
}

/// An event of so many bytes, in pieces.
fn large_event(bytes: usize) -> Vec<Bytes> {
    let mut event = vec![b'x'; bytes];
    event.truncate(bytes - 2);
    event.extend(b"\n\n");
    event.chunks(PIECE).map(Bytes::copy_from_slice).collect()
}

const LARGE: usize = 4 * 1024 * 1024;

/// A stream of large events of which one reader has begun the first, and the other has read so many.
async fn laggard(bytes_max: usize, events: usize) -> (Reader, Reader, Filler, IntGauge) {
    let (underway, kept) = underway(bytes_max);
    let (mut slow, mut filler) = first(&underway, Sort::Events);
    let mut fast = later(&underway, Sort::Events);
    filler.begin(head(), Vec::new()).await;
    for number in 0..events {
        for piece in large_event(LARGE) {
            filler.push(piece).await;
        }
        let seen = read(&mut fast);
        assert_eq!(seen, LARGE, "event {number}");
        if number == 0 {
            assert!(slow.next().await.unwrap().unwrap().len() < LARGE);
        }
    }
    (slow, fast, filler, kept)
}

/// All that one gets until it is cut, and where it stands then.
async fn until_cut(reader: &mut Reader) -> (usize, EventEnd) {
    let (mut seen, mut stands) = (0, EventEnd::Ahead);
    loop {
        match reader.next().await {
            Ok(Some(piece)) => {
                seen += piece.len();
                stands = stands.after(&piece);
            }
            Err(Cut::Behind) => return (seen, stands),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_laggard_gets_all_of_the_large_event_that_it_has_begun_and_is_cut_behind_it() {
    let (mut slow, fast, filler, kept) = laggard(ROOM, 10).await;
    let before = kept.get();
    assert!(usize::try_from(before).unwrap() <= LARGE_EVENTS_BYTES_MAX + LARGE + 4 * PIECE);
    let (seen, stands) = until_cut(&mut slow).await;
    assert_eq!((seen % PIECE, stands), (0, EventEnd::Reached));
    assert!(seen < LARGE, "the rest of one event");
    assert_eq!(
        usize::try_from(before - kept.get()).unwrap(),
        LARGE,
        "its room is free with its last byte"
    );
    drop((slow, fast, filler));
    assert_eq!(kept.get(), 0);
}

#[tokio::test]
async fn a_reader_who_is_a_large_event_behind_is_no_laggard_yet() {
    let (mut slow, _fast, _filler, _kept) = laggard(ROOM, 3).await;
    let mut seen = 256 * 1024;
    while seen < 3 * LARGE {
        seen += slow.next().await.expect("not cut").expect("no end").len();
    }
}

#[tokio::test]
async fn without_room_a_large_event_comes_in_parts_and_nobody_holds_more_than_before() {
    let (underway, kept) = underway(1024 * 1024);
    let (mut slow, mut filler) = first(&underway, Sort::Events);
    let mut fast = later(&underway, Sort::Events);
    filler.begin(head(), Vec::new()).await;
    let mut parts = 0;
    for piece in large_event(LARGE).into_iter().chain(large_event(LARGE)) {
        filler.push(piece).await;
        parts += usize::from(read(&mut fast) > 0);
        assert!(usize::try_from(kept.get()).unwrap() <= 2 * 1024 * 1024);
    }
    assert!(parts > 4, "{parts}");
    assert!(matches!(slow.next().await, Err(Cut::Behind)));
}

#[tokio::test]
async fn a_single_slow_reader_of_large_events_is_waited_for_in_the_middle_of_one() {
    let (underway, _) = underway(ROOM);
    let (mut reader, mut filler) = first(&underway, Sort::Events);
    filler.begin(head(), Vec::new()).await;
    for piece in large_event(LARGE) {
        filler.push(piece).await;
    }
    assert!(reader.next().await.unwrap().is_some());
    // The next event may gather, and is told no sooner than this one is nearly read.
    let mut second = large_event(LARGE).into_iter();
    let end = second.next_back().unwrap();
    for piece in second {
        assert!(filler.push(piece).now_or_never().is_some());
    }
    let mut pushing = Box::pin(filler.push(end));
    assert!(futures_util::poll!(&mut pushing).is_pending());
    let mut seen = 256 * 1024;
    while seen < LARGE - 256 * 1024 {
        assert!(futures_util::poll!(&mut pushing).is_pending(), "{seen}");
        seen += reader.next().await.unwrap().unwrap().len();
    }
    assert!(futures_util::poll!(&mut pushing).is_ready());
}
