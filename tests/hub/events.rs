//! One stream of events from the upstream, for all who stand at the same place.

use std::sync::Arc;

use crate::place::{held, users};
use crate::support::gateway::{Gateway, get, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::scripted::{Exchange, SSE_HEAD, Scripted};
use crate::support::token::member;

const EVENTS: &str = "/api/shapes/users?offset=0_0&handle=1-1&live=true&live_sse=true";

/// So many clients of one stream, of which the upstream has sent the header.
async fn streaming(count: usize) -> (Gateway, Scripted, Vec<Raw>, Exchange) {
    let upstream = Scripted::start();
    let clock = Arc::new(shapegate::clock::SystemClock);
    let gateway = Gateway::before_url(origin(), upstream.url(), &users(), clock).await;
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = gateway.connect().await;
        client.send(get(EVENTS, Some(&member(1)))).await;
        clients.push(client);
    }
    held(&gateway, i64::try_from(count).unwrap()).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(SSE_HEAD).await;
    for client in &mut clients {
        let head = soon(client.head()).await.unwrap();
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
    }
    (gateway, upstream, clients, exchange)
}

async fn reads(client: &mut Raw, text: &str) {
    let mut seen = Vec::new();
    while seen.len() < text.len() {
        seen.extend(soon(client.chunk()).await.expect("more of the stream"));
    }
    assert_eq!(String::from_utf8(seen).unwrap(), text);
}

#[tokio::test]
async fn a_hundred_clients_of_one_stream_make_one_and_all_see_events_and_comments() {
    let (gateway, _upstream, mut clients, mut exchange) = streaming(100).await;
    for text in ["data: 1\n\n", ": keep-alive\n\n", "data: 2\n\n"] {
        exchange.send_chunk(text).await;
        for client in &mut clients {
            reads(client, text).await;
        }
    }
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);
    // One who comes later from the same place sees all that happened since.
    let mut late = gateway.connect().await;
    late.send(get(EVENTS, Some(&member(1)))).await;
    assert_eq!(soon(late.head()).await.unwrap().status, 200);
    reads(&mut late, "data: 1\n\n: keep-alive\n\ndata: 2\n\n").await;
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);

    // The upstream's end, after a rotation or a minute, is everybody's end.
    exchange.send_chunk("").await;
    clients.push(late);
    for client in &mut clients {
        assert_eq!(soon(client.chunk()).await, Some(Vec::new()));
    }
    until("nothing is under way", || gateway.state.hub.underway() == 0).await;
    assert_eq!(gateway.state.hub.kept(), 0, "a stream is not kept");
}

#[tokio::test]
async fn a_stream_that_breaks_off_looks_whole_to_nobody() {
    let (_gateway, _upstream, mut clients, mut exchange) = streaming(3).await;
    exchange.send_chunk("data: 1\n\n").await;
    drop(exchange);
    for client in &mut clients {
        reads(client, "data: 1\n\n").await;
        assert_eq!(soon(client.chunk()).await, None);
    }
}

#[tokio::test]
async fn the_first_leaves_the_stream_and_nobody_notices_the_last_ends_it() {
    let (gateway, _upstream, mut clients, mut exchange) = streaming(3).await;
    drop(clients.remove(0));
    held(&gateway, 2).await;
    exchange.send_chunk("data: 1\n\n").await;
    for client in &mut clients {
        reads(client, "data: 1\n\n").await;
    }
    drop(clients);
    soon(exchange.closed()).await;
    held(&gateway, 0).await;
    until("nothing is under way", || gateway.state.hub.underway() == 0).await;
}

/// What the client that does not read may cost: the ring, and what kernels buffer.
const POURED: usize = 48 * 1024 * 1024;
const EVENT: usize = 16 * 1024;

#[tokio::test]
async fn a_laggard_is_cut_and_never_in_the_middle_of_what_looks_whole_and_the_others_go_on() {
    let (gateway, upstream, mut clients, mut exchange) = streaming(2).await;
    let mut laggard = clients.remove(0);
    let mut reader = clients.remove(0);
    let mut event = vec![b'x'; EVENT];
    event[..6].copy_from_slice(b"data: ");
    event[EVENT - 2..].copy_from_slice(b"\n\n");
    let pouring = async {
        for _ in 0..POURED / EVENT {
            exchange.send_chunk(&event).await;
        }
        exchange
    };
    let reading = async {
        let mut seen = 0;
        while seen < POURED {
            seen += soon(reader.chunk()).await.expect("the stream goes on").len();
        }
    };
    let (exchange, ()) = tokio::join!(pouring, reading);
    assert_eq!(
        gateway.state.hub.underway(),
        0,
        "who comes now gets a stream of its own"
    );
    assert!(gateway.state.metrics.hub.underway_bytes.get() < 8 * 1024 * 1024);

    let mut seen = Vec::new();
    let ended = loop {
        match soon(laggard.chunk()).await {
            Some(chunk) if chunk.is_empty() => break true,
            Some(chunk) => seen.extend(chunk),
            None => break false,
        }
    };
    assert!(seen.len() < POURED, "the laggard missed something");
    // Whoever fell behind in the middle of an event is broken off instead.
    assert_eq!(
        ended,
        seen.len() % EVENT == 0,
        "it ends after a whole event or looks broken"
    );
    assert_eq!(gateway.state.metrics.hub.behind.get(), 1);
    held(&gateway, 1).await;
    drop((exchange, upstream));
}
