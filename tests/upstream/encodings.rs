//! Content codings that nobody asked for: false ones, true ones, and those that nobody can tell.

use std::sync::Arc;

use shapegate_origin::{Fault, Misbehaviour};

use crate::support::gateway::{Gateway, origin, request};
use crate::support::patience::soon;
use crate::support::scripted::Scripted;
use crate::support::token::member;
use crate::ways::{Scene, WAYS, Way, assert_eve, assert_refused, bytes, shapes};

fn coded(coding: &str) -> Fault {
    Fault::Header {
        name: "content-encoding".to_owned(),
        value: coding.to_owned(),
    }
}

#[tokio::test]
async fn a_false_coding_is_dropped_and_the_body_passes() {
    for way in WAYS {
        for coding in ["gzip", "br", "zstd", "deflate", "GZIP", "gzip, br"] {
            let scene = Scene::new().await;
            scene
                .gateway
                .origin
                .misbehave(Misbehaviour::always(coded(coding)));
            let mut client = scene.gateway.connect().await;
            for _ in 0..3 {
                let answer = scene.ask_again(&mut client, way).await;
                assert_eve(&answer, way);
                assert_eq!(answer.header("content-encoding"), None, "{way:?} {coding}");
            }
        }
    }
}

#[tokio::test]
async fn a_coding_that_lies_costs_no_second_request() {
    let scene = Scene::new().await;
    scene
        .gateway
        .origin
        .misbehave(Misbehaviour::always(coded("gzip")));
    for _ in 0..3 {
        scene.gateway.origin.forget_received();
        assert_eve(&scene.ask(Way::Finite).await, Way::Finite);
        assert_eq!(scene.gateway.origin.received().len(), 1);
    }
}

#[tokio::test]
async fn a_real_coding_never_passes() {
    for way in WAYS {
        let scene = Scene::new().await;
        scene.gateway.origin.misbehave(Misbehaviour::always(Fault::Gzip));
        let mut client = scene.gateway.connect().await;
        for _ in 0..3 {
            let answer = scene.ask_again(&mut client, way).await;
            assert_refused(&answer, 502, "upstream_encoding", way);
            assert_eq!(answer.header("content-encoding"), None);
        }
        scene.gateway.origin.behave();
        scene.assert_well(way).await;
    }
}

#[tokio::test]
async fn a_false_coding_of_events_is_dropped_and_they_pass_as_they_come() {
    let scene = Scene::new().await;
    let first = scene
        .gateway
        .get("/api/shapes/users?offset=-1", Some(&scene.token))
        .await;
    let handle = first.header("electric-handle").unwrap();
    let target = format!("/api/shapes/users?offset=0_inf&handle={handle}&live=true&live_sse=true");
    scene
        .gateway
        .origin
        .misbehave(Misbehaviour::always(coded("gzip")));
    let answer = soon(scene.gateway.get(&target, Some(&scene.token))).await;
    assert_eq!(answer.status, 200);
    assert!(answer.complete);
    assert_eq!(answer.header("content-encoding"), None);
    assert!(answer.text().starts_with("data: "), "{}", answer.text());
}

#[tokio::test]
async fn a_304_that_claims_a_coding_has_no_body_to_look_at() {
    let scene = Scene::new().await;
    let target = "/api/shapes/users?offset=-1";
    let first = scene.gateway.get(target, Some(&scene.token)).await;
    let etag = first.header("etag").unwrap().to_owned();
    scene.gateway.origin.forget_received();
    scene
        .gateway
        .origin
        .misbehave(Misbehaviour::always(coded("gzip")));
    let conditional = [("if-none-match", etag.as_str())];
    let conditional = request("GET", target, Some(&scene.token), &conditional, "");
    let answer = soon(scene.gateway.connect().await.ask(conditional)).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (304, None));
    assert_eq!(scene.gateway.origin.received().len(), 1);
}

#[tokio::test]
async fn an_error_that_is_coded_is_still_that_error() {
    for way in WAYS {
        let upstream = Scripted::start();
        let clock = Arc::new(shapegate::clock::SystemClock);
        let gateway = Gateway::before_url(origin(), upstream.url(), &shapes(), clock).await;
        let mut client = gateway.connect().await;
        client.send(bytes(way, "1-1", &member(1))).await;
        let (mut exchange, _) = soon(upstream.asked()).await;
        exchange
            .send(
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-encoding: gzip\r\n\
                 content-length: 4\r\n\r\nabcd",
            )
            .await;
        let answer = soon(client.answer()).await.unwrap();
        assert_refused(&answer, 503, "upstream_unavailable", way);
        assert_eq!(answer.header("retry-after"), Some("7"));
    }
}
