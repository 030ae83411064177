//! More asked for than an upstream takes: new shapes are refused before polls, nobody is asked twice.

use std::sync::Arc;

use serde_json::json;
use shapegate::clock::{Clock, ManualClock};
use shapegate_core::time::UnixMillis;

use crate::place::{held, users};
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::scripted::{Exchange, HEALTHY, Scripted};
use crate::support::token::{self, member};

const START: &str = "/api/shapes/users?offset=-1";
const BUSY: &str = "HTTP/1.1 503 x\r\nretry-after: 7\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nelectric-handle: 1-1\r\n\
    electric-offset: 0_0\r\nelectric-schema: {}\r\nelectric-cursor: 7\r\nconnection: close\r\ncontent-length: 2\r\n\r\n[]";

async fn before(upstream: &Scripted, limits: &str) -> (Gateway, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let rest = format!(
        "limits: {{ per_subject: {{ new_shapes_per_minute: none }}, {limits} }}\n{}",
        users()
    );
    let timer: Arc<dyn Clock> = Arc::new(clock.clone());
    (
        Gateway::before_url(origin(), upstream.url(), &rest, timer).await,
        clock,
    )
}

async fn sent(gateway: &Gateway, target: &str, org: i64) -> Raw {
    let mut client = gateway.connect().await;
    client.send(get(target, Some(&member(org)))).await;
    client
}

fn poll(cursor: usize) -> String {
    format!("/api/shapes/users?offset=0_0&handle=1-1&live=true&cursor={cursor}")
}

fn assert_shed(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((5..=10).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn new_shapes_are_refused_before_polls_and_who_joins_is_never_refused() {
    let upstream = Scripted::start();
    let (gateway, _clock) = before(&upstream, "upstream_requests_max: 10").await;
    let mut waiting: Vec<(Raw, Exchange)> = Vec::new();
    for cursor in 0..9 {
        let client = sent(&gateway, &poll(cursor), 1).await;
        let (exchange, _) = soon(upstream.asked()).await;
        waiting.push((client, exchange));
    }
    // A tenth is left for those who follow: the start of a shape is not asked for any more, polls are.
    assert_shed(&gateway.get(START, Some(&member(1))).await);
    assert_shed(
        &gateway
            .get("/api/shapes/users?offset=now", Some(&member(1)))
            .await,
    );
    let tenth = sent(&gateway, &poll(9), 1).await;
    let tenth = (tenth, soon(upstream.asked()).await.0);
    waiting.push(tenth);
    assert_shed(&gateway.get(&poll(10), Some(&member(1))).await);
    assert!(upstream.is_left_alone().await);
    // Who asks for what others wait for costs nothing.
    let mut joined = sent(&gateway, &poll(0), 1).await;
    held(&gateway, 11).await;
    let (client, exchange) = &mut waiting[0];
    exchange.send(GOOD).await;
    assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    assert_eq!(soon(joined.answer()).await.unwrap().status, 200);
    assert_eq!(
        gateway
            .state
            .metrics
            .hub
            .shed
            .with_label_values(&["new_shape"])
            .get(),
        2
    );
    assert_eq!(
        gateway
            .state
            .metrics
            .hub
            .shed
            .with_label_values(&["follow"])
            .get(),
        1
    );
    // Everything that is given up is given back.
    drop(waiting);
    until("no place is taken", || gateway.state.hub.loads().is_empty()).await;
}

#[tokio::test]
async fn few_shapes_are_begun_at_once_however_many_polls_wait() {
    let upstream = Scripted::start();
    let (gateway, _clock) = before(&upstream, "upstream_new_shapes_max: 1").await;
    let mut first = sent(&gateway, START, 1).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    assert_shed(&gateway.get(START, Some(&member(2))).await);
    let mut same = sent(&gateway, START, 1).await;
    until("it joins", || gateway.state.metrics.hub.joined.get() == 1).await;
    let poll = (sent(&gateway, &poll(0), 1).await, soon(upstream.asked()).await);
    exchange.send(GOOD).await;
    for client in [&mut first, &mut same] {
        assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    }
    until("its place is free", || gateway.state.hub.underway() == 1).await;
    let mut next = sent(&gateway, START, 2).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(GOOD).await;
    assert_eq!(soon(next.answer()).await.unwrap().status, 200);
    drop(poll);
}

/// The state that `/v1/health` tells, once.
async fn tells(upstream: &Scripted, status: &str, word: &str) {
    let mut exchange = soon(upstream.accept()).await;
    let asked = soon(exchange.request()).await.unwrap();
    assert!(asked.starts_with("GET /v1/health "), "{asked}");
    assert!(!asked.contains("secret"), "{asked}");
    let body = format!("{{\"status\":\"{word}\"}}");
    let head = format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange.send(head + &body).await;
}

#[tokio::test]
async fn an_electric_that_asked_for_patience_is_asked_how_it_is_before_it_begins_a_shape() {
    let upstream = Scripted::start();
    let (gateway, clock) = before(&upstream, "hub_bytes_max: 0KiB").await;
    let mut client = sent(&gateway, START, 1).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(BUSY).await;
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "upstream_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("7"));

    for (word, status) in [("starting", "202"), ("waiting", "202")] {
        let mut client = sent(&gateway, START, 1).await;
        tells(&upstream, status, word).await;
        assert_shed(&soon(client.answer()).await.unwrap());
        // A thousand more within the second make no request at all.
        for _ in 0..100 {
            assert_shed(&gateway.get(START, Some(&member(1))).await);
        }
        assert!(upstream.is_left_alone().await);
        clock.advance(std::time::Duration::from_secs(2));
    }
    // Those who follow are asked for all the same.
    let mut follower = sent(&gateway, &poll(0), 1).await;
    let mut exchange = soon(upstream.accept()).await;
    assert!(soon(exchange.request()).await.unwrap().contains("live=true"));
    exchange.send(GOOD).await;
    assert_eq!(soon(follower.answer()).await.unwrap().status, 200);
    // Once it is well, it is asked no more how it is.
    for asked_first in [true, false] {
        let mut client = sent(&gateway, START, 1).await;
        if asked_first {
            tells(&upstream, "200", "active").await;
        }
        let (mut exchange, _) = soon(upstream.asked()).await;
        exchange.send(GOOD).await;
        assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn an_electric_that_restarts_under_a_hundred_clients_is_asked_once_for_each_time_they_come() {
    let upstream = Scripted::start();
    let (gateway, _clock) = before(&upstream, "hub_bytes_max: 0KiB").await;
    for round in 1..=3 {
        let mut clients = Vec::new();
        for _ in 0..100 {
            clients.push(sent(&gateway, &poll(0), 1).await);
        }
        held(&gateway, 100).await;
        let (mut exchange, _) = soon(upstream.asked()).await;
        exchange.send(BUSY).await;
        for client in &mut clients {
            let answer = soon(client.answer()).await.unwrap();
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
        }
        assert_eq!(gateway.state.metrics.hub.fetches_total.get(), round);
    }
    assert!(upstream.is_left_alone().await);
}

#[tokio::test]
async fn a_429_of_electric_is_passed_on_with_its_time() {
    let upstream = Scripted::start();
    let (gateway, _clock) = before(&upstream, "").await;
    let mut client = sent(&gateway, START, 1).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange
        .send(BUSY.replace("503", "429").replace(": 7", ": 11"))
        .await;
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert_eq!(answer.header("retry-after"), Some("11"));
}

#[tokio::test]
async fn a_subset_is_refused_with_the_new_shapes() {
    let rest = users().replace(
        "    table: users\n",
        "    table: users\n    client: { subset: { limit_max: 10 } }\n",
    );
    let upstream = Scripted::start();
    let rest = format!("limits: {{ upstream_new_shapes_max: 1 }}\n{rest}");
    let clock = Arc::new(shapegate::clock::SystemClock);
    let gateway = Gateway::before_url(origin(), upstream.url(), &rest, clock).await;
    let _first = sent(&gateway, START, 1).await;
    let held_upstream = soon(upstream.asked()).await;
    let body = json!({ "limit": 1, "order_by": "id" }).to_string();
    let headers = [("content-type", "application/json")];
    let post = request(
        "POST",
        "/api/shapes/users?offset=-1",
        Some(&member(1)),
        &headers,
        &body,
    );
    let mut client = gateway.connect().await;
    client.send(post).await;
    // Its version is asked for first, which is no subset.
    let mut exchange = soon(upstream.accept()).await;
    assert!(
        soon(exchange.request())
            .await
            .unwrap()
            .starts_with("GET /v1/health")
    );
    exchange.send(HEALTHY).await;
    assert_shed(&soon(client.answer()).await.unwrap());
    assert!(upstream.is_left_alone().await);
    drop(held_upstream);
}
