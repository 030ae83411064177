//! Server-sent events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate::hub::stream::EVENT_BYTES_MAX;
use shapegate_core::time::UnixMillis;
use shapegate_origin::{Origin, OriginConfig, Schema};

use crate::place::{held, streaming, synced, users};
use crate::support::gateway::{ELECTRIC_SECRET, Gateway, get, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::scripted::{Exchange, SSE_HEAD, Scripted};
use crate::support::token::{self, member};

#[tokio::test]
async fn an_event_arrives_while_the_stream_goes_on() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = streaming(&gateway, &place, &token).await;
    for id in 10..13 {
        let row = json!({ "id": id, "name": "New", "org_id": 1 });
        gateway.origin.insert("users", row).unwrap();
        let event = String::from_utf8(soon(client.chunk()).await.unwrap()).unwrap();
        assert!(event.starts_with("data: "), "{event}");
        assert!(event.contains(&format!("\"id\":\"{id}\"")), "{event}");
        assert!(event.contains("up-to-date"), "{event}");
        assert_eq!(gateway.origin.waiting(), 1, "the stream goes on");
    }
    assert_eq!(gateway.origin.received().len(), 1);
}

#[tokio::test]
async fn the_header_of_a_stream_comes_before_any_event_and_forbids_buffering() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = gateway.connect().await;
    client.send(get(&place.events(), Some(&token))).await;
    let head = soon(client.head()).await.unwrap();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("electric-handle"), Some(place.handle.as_str()));
    assert!(head.header("electric-cursor").is_some());
    let received = gateway.received_one();
    assert_eq!(received.header("accept"), Some("text/event-stream"));
    assert!(received.target.contains("live_sse=true"), "{}", received.target);
}

/// A stand-in whose streams are short and chatty.
fn brisk(sse_keepalive: Duration, sse_life: Duration) -> Origin {
    Origin::start(OriginConfig {
        secret: Some(ELECTRIC_SECRET.to_owned()),
        schema: Schema::recordings(),
        sse_keepalive,
        sse_life,
        ..OriginConfig::default()
    })
    .expect("a free port")
}

#[tokio::test]
async fn keep_alive_comments_pass_one_by_one() {
    let origin = brisk(Duration::from_millis(20), Duration::from_secs(60));
    let gateway = Gateway::before(origin, &users(), Arc::new(shapegate::clock::SystemClock)).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = streaming(&gateway, &place, &token).await;
    for _ in 0..3 {
        assert_eq!(soon(client.chunk()).await.unwrap(), b": keep-alive\n\n");
    }
}

#[tokio::test]
async fn a_stream_that_the_upstream_ends_ends_and_leaves_both_connections_usable() {
    let origin = brisk(Duration::from_secs(60), Duration::from_millis(20));
    let gateway = Gateway::before(origin, &users(), Arc::new(shapegate::clock::SystemClock)).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut client = streaming(&gateway, &place, &token).await;
    assert_eq!(
        soon(client.chunk()).await,
        Some(Vec::new()),
        "the upstream's own end"
    );
    let answer = soon(client.ask(get(&place.events(), Some(&token)))).await;
    assert_eq!(answer.status, 200);
}

const EVENTS: &str = "/api/shapes/users?offset=0_0&handle=1-1&live=true&live_sse=true";

/// A stream of which the upstream has sent the header.
async fn begun() -> (Gateway, ManualClock, Raw, Exchange) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let upstream = Scripted::start();
    let gateway = Gateway::before_url(origin(), upstream.url(), &users(), Arc::new(clock.clone())).await;
    let mut client = gateway.connect().await;
    client.send(get(EVENTS, Some(&member(1)))).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(SSE_HEAD).await;
    assert_eq!(soon(client.head()).await.unwrap().status, 200);
    (gateway, clock, client, exchange)
}

/// A stream of which the client has got the first event.
async fn scripted(first: &str) -> (Gateway, ManualClock, Raw, Exchange) {
    let (gateway, clock, mut client, mut exchange) = begun().await;
    exchange.send_chunk(first).await;
    assert_eq!(soon(client.chunk()).await.unwrap(), first.as_bytes());
    (gateway, clock, client, exchange)
}

/// A stream in the middle of an event that is too large to be held back, of which the client has got a part.
async fn within_large_event() -> (Gateway, ManualClock, Raw, Exchange) {
    let (gateway, clock, mut client, mut exchange) = begun().await;
    let mut large = vec![b'x'; EVENT_BYTES_MAX + 1];
    large[..6].copy_from_slice(b"data: ");
    exchange.send_chunk(&large).await;
    let mut seen = 0;
    while seen < large.len() {
        seen += soon(client.chunk()).await.unwrap().len();
    }
    (gateway, clock, client, exchange)
}

/// The end that an expiry brings; a member's token holds ten minutes and the skew.
fn expire(clock: &ManualClock) {
    clock.advance(Duration::from_secs(700));
}

#[tokio::test]
async fn half_an_event_is_held_back_and_a_stream_that_ends_ends_before_it() {
    let (_gateway, clock, mut client, mut exchange) = scripted("data: 1\n\n").await;
    exchange.send_chunk("data: {\"a\":").await;
    expire(&clock);
    assert_eq!(soon(client.chunk()).await, Some(Vec::new()), "a clean end");
    soon(exchange.closed()).await;
}

#[tokio::test]
async fn an_event_that_comes_in_pieces_goes_out_whole() {
    let (_gateway, clock, mut client, mut exchange) = begun().await;
    for piece in ["data: {\"a\":", "1}\n", "\n: comm", "ent\n\ndata: 2"] {
        exchange.send_chunk(piece).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 26 {
        let chunk = soon(client.chunk()).await.unwrap();
        assert!(chunk.ends_with(b"\n\n"), "{chunk:?}");
        seen.extend(chunk);
    }
    assert_eq!(seen, b"data: {\"a\":1}\n\n: comment\n\n");
    expire(&clock);
    assert_eq!(soon(client.chunk()).await, Some(Vec::new()), "nothing is awaited");
}

#[tokio::test]
async fn a_large_event_that_is_half_sent_at_the_end_is_sent_whole_and_nothing_after_it() {
    let (_gateway, clock, mut client, mut exchange) = within_large_event().await;
    let sleepers = clock.sleepers();
    expire(&clock);
    // The gateway now waits for the event's end, with a timer of its own.
    until("it waits for the event's end", || clock.sleepers() >= sleepers).await;
    exchange.send_chunk("1}\n\ndata: {\"secret\":2}\n\n").await;
    assert_eq!(soon(client.chunk()).await.unwrap(), b"1}\n\n");
    assert_eq!(soon(client.chunk()).await, Some(Vec::new()), "a clean end");
    soon(exchange.closed()).await;
}

#[tokio::test]
async fn a_large_event_that_does_not_end_breaks_the_stream_off_instead_of_looking_whole() {
    let (gateway, clock, mut client, _exchange) = within_large_event().await;
    expire(&clock);
    let ended = async {
        loop {
            clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
            if gateway.state.metrics.held.get() == 0 {
                break;
            }
        }
    };
    soon(ended).await;
    assert_eq!(soon(client.chunk()).await, None, "no last chunk");
}

/// A large event of which the client has taken a part when its permission ends: it gets the rest, and nothing more.
#[tokio::test]
async fn a_large_event_that_is_half_read_at_the_end_is_sent_whole_and_nothing_after_it() {
    const LARGE: usize = 8 * 1024 * 1024;
    let (gateway, clock, mut client, mut exchange) = begun().await;
    let mut event = vec![b'x'; LARGE];
    event[LARGE - 2..].copy_from_slice(b"\n\n");
    exchange.send_chunk(&event).await;
    let mut seen = soon(client.chunk()).await.unwrap().len();
    assert!(seen < LARGE);
    expire(&clock);
    exchange.send_chunk("data: {\"secret\":2}\n\n").await;
    loop {
        let chunk = soon(client.chunk()).await.expect("a clean end");
        if chunk.is_empty() {
            break;
        }
        seen += chunk.len();
    }
    assert_eq!(seen, LARGE);
    soon(exchange.closed()).await;
    held(&gateway, 0).await;
}

#[tokio::test]
async fn a_stream_that_the_upstream_breaks_off_does_not_look_whole() {
    let (_gateway, _clock, mut client, exchange) = scripted("data: 1\n\n").await;
    drop(exchange);
    assert_eq!(soon(client.chunk()).await, None, "no last chunk");
}
