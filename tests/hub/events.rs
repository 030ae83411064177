//! One stream of events from the upstream, for all who stand at the same place.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::place::{Place, held, operations, synced, users};
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

async fn a_laggard_is_cut_behind_an_event(size: usize, kept_max: i64) {
    let (gateway, upstream, mut clients, mut exchange) = streaming(2).await;
    let mut laggard = clients.remove(0);
    let mut reader = clients.remove(0);
    let mut event = vec![b'x'; size];
    event[..6].copy_from_slice(b"data: ");
    event[size - 2..].copy_from_slice(b"\n\n");
    let pouring = async {
        for _ in 0..POURED / size {
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
    assert!(gateway.state.metrics.hub.underway_bytes.get() < kept_max);

    let seen = until_the_end(&mut laggard).await;
    assert!(seen.len() < POURED, "the laggard missed something");
    assert!(seen.ends_with(b"\n\n"), "and stands at the end of an event");
    assert_eq!(seen.len() % size, 0);
    assert_eq!(gateway.state.metrics.hub.behind.get(), 1);
    held(&gateway, 1).await;
    drop((exchange, upstream, reader));
    held(&gateway, 0).await;
    until("all room is given back", || {
        gateway.state.metrics.hub.underway_bytes.get() == 0
    })
    .await;
}

#[tokio::test]
async fn a_laggard_is_cut_and_never_in_the_middle_of_what_looks_whole_and_the_others_go_on() {
    a_laggard_is_cut_behind_an_event(16 * 1024, 8 * 1024 * 1024).await;
}

/// It is in the middle of one when it stops to read, and gets the rest of that although it is kept for nobody else.
#[tokio::test]
async fn a_laggard_within_a_large_event_gets_all_of_it_before_it_is_cut() {
    a_laggard_is_cut_behind_an_event(3 * 1024 * 1024, 32 * 1024 * 1024).await;
}

/// All of a stream, which must end as one that is whole.
async fn until_the_end(client: &mut Raw) -> Vec<u8> {
    let mut seen = Vec::new();
    loop {
        let chunk = soon(client.chunk()).await.expect("a clean end");
        if chunk.is_empty() {
            return seen;
        }
        seen.extend(chunk);
    }
}

/// Ids of the rows in a stream, and where a client stands that has applied all that is up to date.
fn applied(stream: &[u8]) -> (Vec<u64>, String) {
    let (mut applied, mut batch, mut at) = (Vec::new(), Vec::new(), None);
    let text = std::str::from_utf8(stream).unwrap();
    for data in text
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
    {
        let message: Value = serde_json::from_str(data).unwrap();
        if message["headers"]["control"] == "up-to-date" {
            applied.append(&mut batch);
            at = Some(format!(
                "{}_0",
                message["headers"]["global_last_seen_lsn"].as_str().unwrap()
            ));
        } else {
            batch.push(message["value"]["id"].as_str().unwrap().parse().unwrap());
        }
    }
    (applied, at.expect("something that is up to date"))
}

#[tokio::test]
async fn a_throttled_client_resumes_beside_fast_ones_and_loses_and_doubles_nothing() {
    const ROWS: u64 = 1200;
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut slow = Raw::over(socket.connect(gateway.address).await.unwrap());
    let mut fast = gateway.connect().await;
    for client in [&mut slow, &mut fast] {
        client.send(get(&place.events(), Some(&token))).await;
        assert_eq!(soon(client.head()).await.unwrap().status, 200);
    }
    let name = "x".repeat(16 * 1024);
    for id in 1000..1000 + ROWS {
        let row = json!({ "id": id, "name": name, "org_id": 1 });
        gateway.origin.insert("users", row).unwrap();
        let wanted = format!("\"id\":\"{id}\"");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(&wanted) {
            seen.extend(soon(fast.chunk()).await.expect("the stream goes on"));
        }
    }
    let missed = until_the_end(&mut slow).await;
    assert_eq!(gateway.state.metrics.hub.behind.get(), 1);
    let (mut ids, offset) = applied(&missed);
    assert!((ids.len() as u64) < ROWS);

    let mut resumed = Place { offset, ..place };
    loop {
        let target = format!(
            "/api/shapes/users?offset={}&handle={}",
            resumed.offset, resumed.handle
        );
        let answer = soon(gateway.get(&target, Some(&token))).await;
        let rows = operations(&answer).into_iter();
        ids.extend(rows.map(|(_, row)| row["id"].as_str().unwrap().parse::<u64>().unwrap()));
        resumed = Place::after(&answer);
        if answer.header("electric-up-to-date").is_some() {
            break;
        }
    }
    assert_eq!(ids, (1000..1000 + ROWS).collect::<Vec<_>>());
    // And the fast one goes on.
    let row = json!({ "id": 5000, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    assert!(
        String::from_utf8(soon(fast.chunk()).await.unwrap())
            .unwrap()
            .contains("Eve")
    );
}
