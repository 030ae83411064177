//! Ten thousand clients of one shape, over connections that each wait with a hundred streams.

use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Response;
use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;
use tokio::net::TcpStream;

use crate::place::{Place, held, users};
use crate::support::gateway::{Gateway, origin};
use crate::support::http2::negotiated;
use crate::support::patience::{soon, until};
use crate::support::token;

const CONNECTIONS: usize = 100;
const STREAMS: usize = 100;
const CLIENTS: usize = CONNECTIONS * STREAMS;

/// A gateway whose time stands still.
async fn gateway() -> (Gateway, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let (origin, timer) = (origin(), std::sync::Arc::new(clock.clone()));
    let url = origin.url();
    let gateway = Gateway::speaking(negotiated, origin, url, &users(), timer).await;
    (gateway, clock)
}

/// Of a member of the organisation; every other one's ends in half a minute.
fn token_of(client: usize) -> String {
    let lifetime = if client.is_multiple_of(2) { 30 } else { 900 };
    let claims = json!({ "sub": format!("user {client}"), "org_id": 1, "exp": token::now() + lifetime });
    token::token(claims)
}

fn ask(sender: &mut SendRequest<Bytes>, target: &str, client: usize) -> ResponseFuture {
    let request = http::Request::builder()
        .uri(format!("http://gateway.test{target}"))
        .header("authorization", format!("Bearer {}", token_of(client)));
    sender.send_request(request.body(()).unwrap(), true).unwrap().0
}

/// Ten thousand who ask for `target`, each with a token of his own.
async fn crowd(gateway: &Gateway, target: &str) -> (Vec<SendRequest<Bytes>>, Vec<ResponseFuture>) {
    let (mut senders, mut waiting) = (Vec::new(), Vec::new());
    for connection in 0..CONNECTIONS {
        let tcp = TcpStream::connect(gateway.address).await.unwrap();
        let (mut sender, driver) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(async move { drop(driver.await) });
        for stream in 0..STREAMS {
            sender = soon(sender.ready()).await.unwrap();
            waiting.push(ask(&mut sender, target, connection * STREAMS + stream));
        }
        senders.push(sender);
    }
    held(gateway, i64::try_from(CLIENTS).unwrap()).await;
    (senders, waiting)
}

/// All of a body from where it stands.
async fn rest(mut body: RecvStream) -> String {
    let mut text = Vec::new();
    while let Some(piece) = soon(body.data()).await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).unwrap()
}

/// Where somebody stands who has synced over HTTP/2.
async fn stands(gateway: &Gateway) -> Place {
    let tcp = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, driver) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(async move { drop(driver.await) });
    let response = soon(ask(&mut sender, "/api/shapes/users?offset=now", 1))
        .await
        .unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let place = Place {
        handle: header("electric-handle"),
        offset: header("electric-offset"),
        cursor: None,
    };
    gateway.origin.forget_received();
    place
}

fn header<'a>(response: &'a Response<RecvStream>, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

/// Splits those whose token ends from those whose token does not.
fn halves<T>(all: Vec<T>) -> (Vec<T>, Vec<T>) {
    let (mut short, mut long) = (Vec::new(), Vec::new());
    for (client, one) in all.into_iter().enumerate() {
        let half = if client.is_multiple_of(2) {
            &mut short
        } else {
            &mut long
        };
        half.push(one);
    }
    (short, long)
}

fn insert_eve(gateway: &Gateway) {
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
}

#[tokio::test]
async fn ten_thousand_make_one_poll_and_each_wait_ends_with_its_own_token() {
    let (gateway, clock) = gateway().await;
    let place = stands(&gateway).await;
    let (mut senders, waiting) = crowd(&gateway, &place.poll()).await;
    until("one waits upstream", || gateway.origin.waiting() == 1).await;

    clock.advance(Duration::from_secs(95));
    let (short, long) = halves(waiting);
    for response in short {
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "electric-handle"), place.handle);
        assert_eq!(header(&response, "electric-offset"), place.offset);
        assert!(rest(response.into_body()).await.contains("up-to-date"));
    }
    let next = soon(ask(&mut senders[0], &place.poll(), 0)).await.unwrap();
    assert_eq!(next.status(), 401);
    held(&gateway, i64::try_from(CLIENTS / 2).unwrap()).await;
    assert_eq!(gateway.origin.waiting(), 1, "for the others");

    insert_eve(&gateway);
    for response in long {
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(rest(response.into_body()).await.contains("Eve"));
    }
    held(&gateway, 0).await;
    assert_eq!(gateway.origin.received().len(), 1, "one request for ten thousand");
    assert_eq!(
        gateway.state.metrics.hub.joined.get(),
        u64::try_from(CLIENTS - 1).unwrap()
    );
}

#[tokio::test]
async fn ten_thousand_make_one_stream_and_each_ends_with_its_own_token() {
    let (gateway, clock) = gateway().await;
    let place = stands(&gateway).await;
    let (_senders, waiting) = crowd(&gateway, &place.events()).await;
    let mut bodies = Vec::new();
    for response in waiting {
        let response = soon(response).await.unwrap();
        assert_eq!(header(&response, "content-type"), "text/event-stream");
        bodies.push(response.into_body());
    }
    clock.advance(Duration::from_secs(95));
    let (short, long) = halves(bodies);
    for body in short {
        assert_eq!(rest(body).await, "", "a clean end, without an event");
    }
    held(&gateway, i64::try_from(CLIENTS / 2).unwrap()).await;
    assert_eq!(gateway.origin.waiting(), 1, "for the others");

    insert_eve(&gateway);
    for mut body in long {
        let event = soon(body.data()).await.unwrap().unwrap();
        assert!(event.ends_with(b"\n\n"));
        assert!(String::from_utf8_lossy(&event).contains("Eve"));
    }
    assert_eq!(gateway.origin.received().len(), 1, "one request for ten thousand");
    until("all have left", || gateway.state.metrics.held.get() == 0).await;
    until("the stream is cancelled", || gateway.origin.waiting() == 0).await;
}
