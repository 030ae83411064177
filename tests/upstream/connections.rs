//! Connections to the upstream: closed, stale, refused, and used fifty times.

use std::sync::Arc;

use shapegate::clock::SystemClock;
use shapegate_origin::{Origin, OriginConfig, Schema};

use crate::support::gateway::{ELECTRIC_SECRET, Gateway, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::scripted::{Exchange, Scripted};
use crate::support::token::member;
use crate::ways::{Scene, WAYS, Way, assert_eve, assert_refused, bytes, shapes};

/// An answer that is good for each way.
const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nelectric-handle: 1-1\r\n\
    electric-offset: 0_0\r\nelectric-schema: {}\r\nelectric-cursor: 7\r\ncontent-length: 2\r\n\r\n[]";

async fn before(upstream: &Scripted) -> Gateway {
    Gateway::before_url(origin(), upstream.url(), &shapes(), Arc::new(SystemClock)).await
}

/// A client whose first request was answered, and the gateway's connection to the upstream, pooled since.
async fn pooled(gateway: &Gateway, upstream: &Scripted, way: Way) -> (Raw, Exchange) {
    let mut client = asking(gateway, way).await;
    let (mut exchange, head) = soon(upstream.asked()).await;
    assert_body_follows(&mut exchange, &head, way).await;
    exchange.send(GOOD).await;
    assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    (client, exchange)
}

/// A client that has asked.
async fn asking(gateway: &Gateway, way: Way) -> Raw {
    let mut client = gateway.connect().await;
    ask(&mut client, way).await;
    client
}

async fn ask(client: &mut Raw, way: Way) {
    client.send(bytes(way, "1-1", &member(1))).await;
}

#[tokio::test]
async fn a_pooled_connection_that_turns_out_closed_costs_a_second_try_and_no_error() {
    for way in WAYS {
        let upstream = Scripted::start();
        let gateway = before(&upstream).await;
        let (mut client, mut stale) = pooled(&gateway, &upstream, way).await;
        ask(&mut client, way).await;
        let asked = soon(stale.request())
            .await
            .expect("the pooled connection is used");
        drop(stale);
        let (mut fresh, again) = soon(upstream.asked()).await;
        assert_eq!(head_without_id(&asked), head_without_id(&again), "{way:?}");
        assert_body_follows(&mut fresh, &again, way).await;
        fresh.send(GOOD).await;
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(answer.status, 200, "{way:?}: {}", answer.text());
    }
}

fn head_without_id(head: &str) -> Vec<&str> {
    head.lines()
        .filter(|line| !line.starts_with("x-request-id"))
        .collect()
}

/// A POST carries its body on the second try as on the first.
async fn assert_body_follows(exchange: &mut Exchange, head: &str, way: Way) {
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse::<usize>()
            .ok()
    });
    assert_eq!(length.is_some(), way == Way::Subset, "{head}");
    if let Some(length) = length {
        let body = soon(exchange.body(length)).await;
        assert!(body.starts_with(r#"{"subset":"#), "{body}");
    }
}

#[tokio::test]
async fn a_second_try_is_the_last() {
    for way in WAYS {
        let upstream = Scripted::start();
        let gateway = before(&upstream).await;
        let (mut client, mut stale) = pooled(&gateway, &upstream, way).await;
        ask(&mut client, way).await;
        soon(stale.request())
            .await
            .expect("the pooled connection is used");
        drop(stale);
        drop(soon(upstream.asked()).await);
        let answer = soon(client.answer()).await.unwrap();
        assert_refused(&answer, 502, "upstream_unreachable", way);
        assert!(upstream.is_left_alone().await, "{way:?}");
    }
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_not_tried_again() {
    for way in WAYS {
        let upstream = Scripted::start();
        let gateway = before(&upstream).await;
        let mut client = asking(&gateway, way).await;
        drop(soon(upstream.asked()).await);
        let answer = soon(client.answer()).await.unwrap();
        assert_refused(&answer, 502, "upstream_unreachable", way);
        assert!(upstream.is_left_alone().await, "{way:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_502() {
    for way in WAYS {
        let upstream = Scripted::start();
        let gateway = before(&upstream).await;
        let mut client = asking(&gateway, way).await;
        let (mut exchange, _) = soon(upstream.asked()).await;
        exchange.send("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        drop(exchange);
        let answer = soon(client.answer()).await.unwrap();
        assert_refused(&answer, 502, "upstream_unreachable", way);
    }
}

#[tokio::test]
async fn a_header_that_never_ends_is_502_and_takes_bounded_memory() {
    for way in WAYS {
        let upstream = Scripted::start();
        let gateway = before(&upstream).await;
        let mut client = asking(&gateway, way).await;
        let (mut exchange, _) = soon(upstream.asked()).await;
        let line = format!("x-more: {}\r\n", "x".repeat(8192));
        let pouring = tokio::spawn(async move {
            exchange.try_send("HTTP/1.1 200 OK\r\n").await;
            let mut sent = 0;
            while exchange.try_send(&line).await {
                sent += line.len();
            }
            sent
        });
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(answer.status, 502, "{way:?}: {}", answer.text());
        let sent = soon(pouring).await.unwrap();
        assert!(sent < 24 * 1024 * 1024, "{way:?} took {sent} bytes of a header");
    }
}

#[tokio::test]
async fn a_hundred_and_twenty_requests_of_one_client_survive_the_upstreams_fifty() {
    for way in WAYS {
        let scene = Scene::new().await;
        let mut client = scene.gateway.connect().await;
        for _ in 0..120 {
            assert_eve(&scene.ask_on(&mut client, way).await, way);
        }
        assert_eq!(
            scene.gateway.origin.received().len(),
            120,
            "{way:?}: no second tries"
        );
    }
}

/// A stand-in at an address that another one had.
fn origin_at(address: std::net::SocketAddr) -> Option<Origin> {
    Origin::start(OriginConfig {
        listen: address,
        secret: Some(ELECTRIC_SECRET.to_owned()),
        schema: Schema::recordings(),
        ..OriginConfig::default()
    })
    .ok()
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502_and_the_gateway_recovers_with_it() {
    let mut scene = Scene::new().await;
    let address = scene.gateway.origin.address();
    drop(std::mem::replace(&mut scene.gateway.origin, origin()));
    until("the upstream is gone", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    // Clients need no new connection for each error.
    let mut client = scene.gateway.connect().await;
    for way in [WAYS, WAYS].concat() {
        let answer = scene.ask_on(&mut client, way).await;
        assert_refused(&answer, 502, "upstream_unreachable", way);
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    let mut back = None;
    until("the upstream is back", || {
        back = back.take().or_else(|| origin_at(address));
        back.is_some()
    })
    .await;
    for way in [Way::Finite, Way::Subset] {
        let answer = scene.ask_on(&mut client, way).await;
        assert_eq!(answer.status, 200, "{way:?}: {}", answer.text());
    }
    let answer = scene.ask_on(&mut client, Way::Live).await;
    assert_eq!(
        answer.status,
        409,
        "the new one knows no old handle: {}",
        answer.text()
    );
}
