//! G5 and G11 to G16: sizes, slowness, and headers that clients or proxies make up.

use std::sync::Arc;
use std::time::Duration;

use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::http2::{self, Frames};
use crate::support::token::{member, now};
use crate::world::{
    ask, ask_with, assert_bare_read, assert_clean, assert_refusal, assert_refused, clean_target_at, config,
    start, users_with,
};

async fn timeless() -> (Gateway, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(now()));
    let gateway = Gateway::before(origin(), &config(), Arc::new(clock.clone())).await;
    (gateway, clock)
}

#[tokio::test]
async fn g11_a_long_target_is_414() {
    let gateway = start().await;
    for target in [
        users_with(&format!("&x={}", "a".repeat(60 * 1024))),
        format!("/api/shapes/users/{}?offset=-1", "a".repeat(60 * 1024)),
        format!("/{}", "a/".repeat(30 * 1024)),
    ] {
        let answer = ask(&gateway, &target).await;
        assert_refused(&gateway, &answer, 414, "target_too_long", &target[..20]);
    }
    // Above 64 KiB it is Pingora that answers.
    let answer = ask(&gateway, &users_with(&format!("&x={}", "a".repeat(70 * 1024)))).await;
    assert_eq!(answer.status, 400);
    gateway.received_nothing();
}

#[tokio::test]
async fn g11_many_or_large_headers_are_431_and_beyond_that_400() {
    let gateway = start().await;
    let large = "a".repeat(40 * 1024);
    let answer = ask_with(&gateway, &users_with(""), &[("x", &large)]).await;
    assert_refused(&gateway, &answer, 431, "headers_too_large", "40 KiB");
    for count in [200, 1000] {
        let names: Vec<_> = (0..count).map(|n| format!("x-{n}")).collect();
        let headers: Vec<_> = names.iter().map(|name| (&**name, "1")).collect();
        let answer = ask_with(&gateway, &users_with(""), &headers).await;
        let status = if count > 256 { 400 } else { 431 };
        assert_eq!(answer.status, status, "{count} headers");
        gateway.received_nothing();
    }
    let mut connection = gateway.connect().await;
    let huge = "a".repeat(3 * 1024 * 1024);
    connection
        .try_send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {huge}\r\n\r\n"))
        .await;
    assert!(
        connection
            .answer()
            .await
            .is_none_or(|answer| answer.status == 400)
    );
    gateway.received_nothing();
}

#[tokio::test]
async fn g12_a_head_that_does_not_arrive_in_time_closes_the_connection() {
    let (gateway, clock) = timeless().await;
    for start in [
        "",
        "G",
        "GET /api/shapes/users?offset=-1 HTTP/1.1\r\nhost: a\r\nx: ",
    ] {
        let mut connection = gateway.connect().await;
        connection.send(start).await;
        clock.until_asleep(1).await;
        clock.advance(Duration::from_secs(11));
        assert!(connection.answer().await.is_none(), "{start:?}");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn g12_a_trickle_of_header_bytes_does_not_prolong_the_deadline() {
    let (gateway, clock) = timeless().await;
    let mut connection = gateway.connect().await;
    connection.send("GET / HTTP/1.1\r\nhost: a\r\n").await;
    for second in 0..10 {
        clock.until_asleep(1).await;
        connection.try_send(format!("x-{second}: y\r\n")).await;
        clock.advance(Duration::from_secs(1));
    }
    assert!(connection.answer().await.is_none());
}

#[tokio::test]
async fn g12_an_http_2_connection_without_a_request_is_closed() {
    let clock = ManualClock::at(UnixMillis::from_seconds(now()));
    let origin = origin();
    let url = origin.url();
    let gateway = Gateway::speaking(http2::negotiated, origin, url, &config(), Arc::new(clock.clone())).await;
    let mut frames = Frames::connect(gateway.address).await;
    clock.until_asleep(1).await;
    clock.advance(Duration::from_secs(11));
    while frames.next().await.is_some() {}
    gateway.received_nothing();
}

#[tokio::test]
async fn g12_a_body_that_does_not_arrive_in_time_is_408_and_closes_the_connection() {
    let (gateway, clock) = timeless().await;
    let headers = [("content-type", "application/json"), ("content-length", "100")];
    let head = request(
        "POST",
        "/api/shapes/subsets?offset=-1",
        Some(&member(1)),
        &headers,
        "",
    );
    let mut connection = gateway.connect().await;
    connection.send(head + "{\"subset\":").await;
    clock.until_asleep(2).await;
    clock.advance(Duration::from_secs(11));
    let answer = connection.answer().await.unwrap();
    assert_refused(&gateway, &answer, 408, "request_timeout", "slow");
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn g12_an_idle_connection_is_closed() {
    let (gateway, clock) = timeless().await;
    let mut connection = gateway.connect().await;
    let answer = connection.ask(get(&users_with(""), Some(&member(1)))).await;
    assert_clean(&gateway, &answer, "once");
    clock.until_asleep(1).await;
    clock.advance(Duration::from_secs(86));
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn g13_a_client_cannot_ask_for_ranges_or_past_caches() {
    let gateway = start().await;
    for headers in [
        [("range", "bytes=0-"), ("if-range", "\"x\"")],
        [("cache-control", "no-cache, no-store"), ("pragma", "no-cache")],
        [("cache-control", "only-if-cached"), ("range", "bytes=0-0,2-2")],
        [
            ("if-match", "\"x\""),
            ("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ],
        [("if-none-match", "*"), ("if-none-match", "garbage")],
        [("if-none-match", "\"a b:0_0\r\n x\""), ("expect", "100-continue")],
    ] {
        let answer = ask_with(&gateway, &users_with(""), &headers).await;
        if answer.status == 400 {
            gateway.received_nothing();
            continue;
        }
        assert_clean(&gateway, &answer, &format!("{headers:?}"));
    }
}

#[tokio::test]
async fn g13_a_condition_passes_as_electrics_own_tag_and_only_after_the_decision() {
    let gateway = start().await;
    let first = ask(&gateway, &users_with("")).await;
    let tag = first.header("etag").unwrap().to_owned();
    gateway.origin.forget_received();
    let answer = ask_with(&gateway, &users_with(""), &[("if-none-match", &tag)]).await;
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    let received = gateway.received_one();
    assert_eq!(received.header("if-none-match"), Some(&*tag));
    let bytes = request("GET", &users_with(""), None, &[("if-none-match", &tag)], "");
    let answer = gateway.connect().await.ask(bytes).await;
    assert_refused(&gateway, &answer, 401, "token_missing", "nobody");
    let bytes = request(
        "GET",
        &users_with(""),
        Some(&member(2)),
        &[("if-none-match", &tag)],
        "",
    );
    let answer = gateway.connect().await.ask(bytes).await;
    assert_eq!(answer.status, 200, "another user's tag matches nothing");
}

#[tokio::test]
async fn g15_only_a_well_formed_trace_goes_along() {
    let gateway = start().await;
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let long = "a=b,".repeat(2560);
    for headers in [
        vec![("traceparent", "00-xyz")],
        vec![("traceparent", good), ("traceparent", good)],
        vec![(
            "traceparent",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        )],
        vec![(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        )],
        vec![("tracestate", &*long)],
        vec![("baggage", "a=b%0d%0aevil: 1")],
        vec![("x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124")],
    ] {
        let answer = ask_with(&gateway, &users_with(""), &headers).await;
        assert_clean(&gateway, &answer, &format!("{headers:?}"));
    }
    let answer = ask_with(
        &gateway,
        &users_with(""),
        &[("traceparent", good), ("tracestate", &long)],
    )
    .await;
    assert_eq!(answer.status, 200);
    let received = gateway.received_one();
    assert_eq!(received.header("traceparent"), Some(good));
    assert_eq!((received.headers.len(), received.header("tracestate")), (5, None));
}

#[tokio::test]
async fn g5_g16_made_up_headers_reach_nobody() {
    let gateway = start().await;
    for (name, value) in [
        ("x_forwarded_for", "203.0.113.9"),
        ("x.forwarded.for", "203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9, 10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=203.0.113.9;host=admin"),
        ("x-real-ip", "203.0.113.9"),
        ("true-client-ip", "203.0.113.9"),
        ("electric-handle", "1-1"),
        ("electric-offset", "0_0"),
        ("electric-server", "ElectricSQL/1.0.0"),
        ("x-gateway-user", "admin"),
        ("x-shapegate-tenant", "other"),
        ("x-request-id", "client-client-client-client-client"),
        ("x-accel-redirect", "/secret"),
        ("surrogate-capability", "x"),
    ] {
        let twice = [(name, value), (name, "second")];
        let answer = ask_with(&gateway, &users_with(""), &twice).await;
        assert_eq!(answer.status, 200, "{name}");
        let received = gateway.received_one();
        assert_bare_read(&received, name);
        let carried = received
            .headers
            .iter()
            .any(|(_, sent)| sent.contains(value) || sent == "second");
        assert!(!carried, "{name}: {received:?}");
        let ours = answer.header("x-request-id").unwrap();
        assert_eq!(received.header("x-request-id"), Some(ours), "{name}");
    }
}

#[tokio::test]
async fn connections_above_the_cap_of_an_address_are_closed_unserved() {
    let capped = config().replace("limits: {", "limits: { connections_per_address_max: 2,");
    let gateway = Gateway::start(&capped).await;
    let (mut first, mut second) = (gateway.connect().await, gateway.connect().await);
    for connection in [&mut first, &mut second] {
        assert_refusal(&connection.ask(get("/x", None)).await, 404, "not_found", "within");
    }
    let mut third = gateway.connect().await;
    third.try_send(get("/x", None)).await;
    assert!(third.answer().await.is_none());
    drop(first);
    loop {
        let mut again = gateway.connect().await;
        again.try_send(get("/x", None)).await;
        if again.answer().await.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn a_read_position_is_the_only_thing_that_a_header_cannot_change() {
    let gateway = start().await;
    let answer = ask_with(
        &gateway,
        "/api/shapes/users?offset=now",
        &[("electric-offset", "0_0")],
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.received_one().target, clean_target_at("offset=now"));
}
