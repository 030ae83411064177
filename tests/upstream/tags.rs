//! Entity tags, which hold handles, and `HEAD`.

use crate::handles::narrowing;
use crate::support::gateway::{Gateway, request};
use crate::support::patience::soon;
use crate::support::raw::Answer;
use crate::support::token::member;
use crate::ways::shapes;

const TARGET: &str = "/api/shapes/users?offset=-1";
const PROXIED: &str = "/api/shapes/proxied?offset=-1";
const NARROWED: &str = "/api/shapes/users?offset=-1&where=name%20%3D%20'Alice'";

async fn ask(gateway: &Gateway, method: &str, target: &str, if_none_match: Option<&str>) -> Answer {
    let headers: Vec<_> = if_none_match
        .map(|tag| ("if-none-match", tag))
        .into_iter()
        .collect();
    let bytes = request(method, target, Some(&member(1)), &headers, "");
    let mut client = gateway.connect().await;
    client.send(bytes).await;
    if method == "HEAD" {
        return soon(client.head()).await.unwrap();
    }
    soon(client.answer()).await.unwrap()
}

/// Shapes whose answers are proxied, conditions included.
fn proxied(shapes: &str) -> String {
    shapes.replace("    table: users\n", "    table: users\n    hub: off\n")
}

/// What the stand-in was asked last, as its `if-none-match`.
fn asked_upstream(gateway: &Gateway) -> Option<String> {
    gateway.received_one().header("if-none-match").map(str::to_owned)
}

#[tokio::test]
async fn an_etag_of_a_tagged_handle_is_rewritten_both_ways() {
    let gateway = Gateway::start(&proxied(&narrowing())).await;
    let first = ask(&gateway, "GET", NARROWED, None).await;
    let handle = first.header("electric-handle").unwrap();
    let raw = handle.rsplit_once('~').unwrap().0;
    let etag = first.header("etag").unwrap();
    assert!(etag.starts_with(&format!("\"{handle}:")), "{etag}");
    gateway.origin.forget_received();

    let again = ask(&gateway, "GET", NARROWED, Some(etag)).await;
    assert_eq!(again.status, 304);
    assert_eq!(again.header("etag"), Some(etag));
    assert_eq!(again.header("electric-handle"), Some(handle));
    assert_eq!(again.body, b"");
    let sent = asked_upstream(&gateway).unwrap();
    assert!(sent.starts_with(&format!("\"{raw}:")), "{sent}");
    assert!(!sent.contains('~'), "{sent}");
}

#[tokio::test]
async fn an_etag_of_an_untagged_handle_passes_both_ways() {
    let gateway = Gateway::start(&shapes()).await;
    let first = ask(&gateway, "GET", PROXIED, None).await;
    let etag = first.header("etag").unwrap();
    gateway.origin.forget_received();
    for spelled in [
        etag.to_owned(),
        format!("W/{etag}"),
        format!("\"x:0_0:0_0\", {etag}"),
    ] {
        let again = ask(&gateway, "GET", PROXIED, Some(&spelled)).await;
        assert_eq!(again.status, 304, "{spelled}");
        let weak = if spelled.starts_with("W/") { "W/" } else { "" };
        assert_eq!(again.header("etag"), Some(format!("{weak}{etag}").as_str()));
        assert_eq!(again.header("cache-control"), Some("private, no-cache"));
        assert!(asked_upstream(&gateway).unwrap().contains(etag));
    }
}

#[tokio::test]
async fn a_condition_is_looked_at_after_the_decision() {
    let gateway = Gateway::start(&shapes()).await;
    let first = ask(&gateway, "GET", TARGET, None).await;
    let etag = first.header("etag").unwrap();
    gateway.origin.forget_received();
    let bytes = request("GET", TARGET, None, &[("if-none-match", etag)], "");
    let answer = soon(gateway.connect().await.ask(bytes)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"));
    gateway.received_nothing();
}

#[tokio::test]
async fn an_etag_of_another_narrowing_a_star_and_nonsense_make_no_condition() {
    let gateway = Gateway::start(&proxied(&narrowing())).await;
    let bob = ask(&gateway, "GET", &NARROWED.replace("Alice", "Bob"), None).await;
    let bob = bob.header("etag").unwrap();
    gateway.origin.forget_received();
    for tag in [
        bob,
        "*",
        "\"\"",
        "nonsense",
        "\"a:b",
        "\"1-1:0_0:0_0\"",
        "W/\"x\"",
    ] {
        let answer = ask(&gateway, "GET", NARROWED, Some(tag)).await;
        assert_eq!(answer.status, 200, "{tag}");
        assert!(answer.text().contains("Alice"));
        assert_eq!(asked_upstream(&gateway), None, "{tag}");
    }
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_no_answer() {
    let gateway = Gateway::start(&shapes()).await;
    let fault = shapegate_origin::Fault::Status {
        status: 304,
        retry_after: None,
    };
    gateway
        .origin
        .misbehave(shapegate_origin::Misbehaviour::once(fault));
    let answer = ask(&gateway, "GET", TARGET, None).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_invalid"));
}

#[tokio::test]
async fn a_head_has_the_header_of_the_get_and_no_body() {
    let gateway = Gateway::start(&shapes()).await;
    let got = ask(&gateway, "GET", TARGET, None).await;
    gateway.origin.forget_received();
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        client
            .send(request("HEAD", TARGET, Some(&member(1)), &[], ""))
            .await;
        let head = soon(client.head()).await.unwrap();
        assert_eq!(head.status, 200);
        for name in [
            "electric-handle",
            "electric-offset",
            "electric-schema",
            "etag",
            "vary",
        ] {
            assert_eq!(head.header(name), got.header(name), "{name}");
        }
    }
    // Had a body been sent, it would stand before this answer.
    let get = request("GET", TARGET, Some(&member(1)), &[], "");
    let answer = soon(client.ask(get)).await;
    assert_eq!((answer.status, answer.complete), (200, true));
    let received = gateway.origin.received();
    assert_eq!(received[0].method, "HEAD");
}

#[tokio::test]
async fn a_refused_head_has_no_body_either() {
    let gateway = Gateway::start(&shapes()).await;
    let mut client = gateway.connect().await;
    client.send(request("HEAD", TARGET, None, &[], "")).await;
    assert_eq!(soon(client.head()).await.unwrap().status, 401);
    client.send(request("HEAD", "/nowhere", None, &[], "")).await;
    assert_eq!(soon(client.head()).await.unwrap().status, 404);
    let fault = shapegate_origin::Misbehaviour::once(shapegate_origin::Fault::Unauthorized);
    gateway.origin.misbehave(fault);
    client
        .send(request("HEAD", TARGET, Some(&member(1)), &[], ""))
        .await;
    assert_eq!(soon(client.head()).await.unwrap().status, 502);
}
