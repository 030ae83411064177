//! Bodies that break off or stop.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate::hub::upstream::READ_TIMEOUT;
use shapegate_core::time::UnixMillis;
use shapegate_origin::{Fault, Misbehaviour};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::gateway::{Gateway, origin};
use crate::support::patience::soon;
use crate::support::scripted::Scripted;
use crate::support::token;
use crate::ways::{Scene, WAYS, Way, assert_eve, assert_refused, bytes, shapes};

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_whole() {
    for way in WAYS {
        for after_bytes in [1, 40] {
            let scene = Scene::new().await;
            let fault = Fault::CutOff { after_bytes };
            scene.gateway.origin.misbehave(Misbehaviour::once(fault));
            let mut client = scene.gateway.connect().await;
            client.send(scene.request(way)).await;
            let answer = soon(client.answer()).await.unwrap();
            match (answer.status, scene.gateway.origin.received().len()) {
                (200, 1) => {
                    assert!(!answer.complete, "{way:?} after {after_bytes}: {}", answer.text());
                    assert!(soon(client.is_closed()).await, "{way:?}");
                }
                // The stand-in closed the pooled connection before it sent anything: a second try.
                (200, 2) => assert_eve(&answer, way),
                (_, 1) => assert_refused(&answer, 502, "upstream_unreachable", way),
                other => panic!("{way:?} after {after_bytes}: {other:?}"),
            }
            scene.assert_well(way).await;
        }
    }
}

/// A gateway whose clock stands at 300 ms before the end of the token that it gives.
async fn nearly_over() -> (Gateway, String) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let gateway = Gateway::before(origin(), &shapes(), Arc::new(clock.clone())).await;
    let token = token::token(json!({ "sub": "short", "org_id": 1, "exp": token::now() + 30 }));
    let warm = gateway.get("/api/shapes/users?offset=-1", Some(&token)).await;
    assert_eq!(warm.status, 200);
    clock.advance(Duration::from_millis(89_700));
    gateway.origin.forget_received();
    (gateway, token)
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504() {
    for way in [Way::Finite, Way::Subset] {
        let (gateway, token) = nearly_over().await;
        gateway
            .origin
            .misbehave(Misbehaviour::once(Fault::Stall).only("/v1/shape"));
        let mut client = gateway.connect().await;
        client.send(bytes(way, "1-1", &token)).await;
        let answer = soon(client.answer()).await.unwrap();
        assert_refused(&answer, 504, "upstream_timeout", way);
        let next = soon(gateway.connect().await.ask(bytes(way, "1-1", &token))).await;
        assert_eq!(next.status, 200, "{}", next.text());
    }
}

/// What is answered on a connection of its own, however late.
async fn answered_late(gateway: &Gateway, request: &str) -> String {
    let mut client = TcpStream::connect(gateway.address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = client.read_to_string(&mut answer);
    let read = tokio::time::timeout(READ_TIMEOUT * 2, reading).await;
    read.expect("an answer in two minutes").unwrap();
    answer
}

#[tokio::test]
#[ignore = "takes a minute: make test-long"]
async fn a_poll_at_which_electric_says_nothing_for_a_minute_is_504_for_all_who_wait() {
    let gateway = Gateway::start(&shapes()).await;
    let token = token::member(1);
    let synced = gateway.get("/api/shapes/users?offset=-1", Some(&token)).await;
    let handle = synced.header("electric-handle").unwrap();
    gateway
        .origin
        .misbehave(Misbehaviour::always(Fault::Stall).only("live=true"));
    gateway.origin.forget_received();
    let poll = bytes(Way::Live, handle, &token).replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let waiting = (0..3).map(|_| answered_late(&gateway, &poll));
    for answer in futures_util::future::join_all(waiting).await {
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        assert!(answer.contains("\"code\":\"upstream_timeout\""), "{answer}");
    }
    assert_eq!(gateway.origin.received().len(), 1, "one asked for all");
    assert_eq!(gateway.state.metrics.held.get(), 0);
    gateway.origin.behave();
    let again = gateway
        .get("/api/shapes/users?offset=-1&cache-buster=1", Some(&token))
        .await;
    assert_eq!(again.status, 200, "{}", again.text());
}

#[tokio::test]
async fn an_upstream_that_stops_in_the_middle_never_looks_done() {
    let (gateway, token) = nearly_over().await;
    gateway
        .origin
        .misbehave(Misbehaviour::once(Fault::StallBody { after_bytes: 40 }));
    let answer = soon(gateway.get("/api/shapes/proxied?offset=-1", Some(&token))).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.complete);
    assert_eq!(answer.body.len(), 40);
}

/// The header and a part of the body have arrived when the upstream goes.
#[tokio::test]
async fn an_upstream_that_goes_in_the_middle_never_looks_done() {
    let heads = [
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nelectric-handle: 1-1\r\nelectric-offset: 0_0\r\n\
         electric-schema: {}\r\nelectric-cursor: 7\r\ncontent-length: 9000\r\n\r\n[",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nelectric-handle: 1-1\r\nelectric-offset: 0_0\r\n\
         electric-schema: {}\r\nelectric-cursor: 7\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n",
    ];
    for (way, head) in WAYS.into_iter().flat_map(|way| heads.map(|head| (way, head))) {
        let upstream = Scripted::start();
        let clock = Arc::new(shapegate::clock::SystemClock);
        let gateway = Gateway::before_url(origin(), upstream.url(), &shapes(), clock).await;
        let mut client = gateway.connect().await;
        client.send(bytes(way, "1-1", &token::member(1))).await;
        let (mut exchange, _) = soon(upstream.asked()).await;
        exchange.send(head).await;
        drop(exchange);
        let answer = soon(client.answer()).await.unwrap();
        // What broke off before the client got a header is told as an error.
        assert!(
            answer.status == 502 || !answer.complete,
            "{way:?}: {}",
            answer.text()
        );
        assert!(upstream.is_left_alone().await, "{way:?}: no second try");
    }
}
