//! Limits on connections: how many, how many from one address, and how long a head may take.

use std::sync::Arc;
use std::time::Duration;

use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::program::{Program, Setup, USERS};
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::token::{IDENTITY, member, now};

const TARGET: &str = "/api/shapes/users?offset=-1";

/// The real program: only its connections know where they come from.
async fn limited(limits: &str) -> Program {
    let mut setup = Setup::new();
    setup.rest += limits;
    setup.start().await
}

/// A connection that is served: it has had an answer.
async fn served(program: &Program) -> Raw {
    let mut client = program.connect().await;
    assert_eq!(soon(client.ask(get(TARGET, None))).await.status, 401);
    client
}

/// The answer on a new connection; none when that is closed at once.
async fn tried(program: &Program) -> Option<(Raw, u16)> {
    let mut client = program.connect().await;
    client.try_send(get(TARGET, None)).await;
    let answer = soon(client.answer()).await?;
    Some((client, answer.status))
}

async fn assert_cap(program: &Program, cap: usize, limit: &str) {
    let mut clients = Vec::new();
    // The connections that found out whether it listens may still count.
    while clients.len() < cap {
        clients.extend(tried(program).await.map(|(client, _)| client));
    }
    let name = format!("shapegate_connections_refused_total{{limit=\"{limit}\"}}");
    let before = program.metric(&name).await;
    for _ in 0..5 {
        assert!(tried(program).await.is_none());
    }
    assert!((program.metric(&name).await - before - 5.0).abs() < 0.1);
    // The others are still served, and a place that is given up is given out again.
    for client in &mut clients {
        assert_eq!(soon(client.ask(get(TARGET, None))).await.status, 401);
    }
    drop(clients.pop());
    let again = async {
        loop {
            if let Some((_client, status)) = tried(program).await {
                return status;
            }
        }
    };
    assert_eq!(soon(again).await, 401);
}

#[tokio::test]
async fn no_more_connections_than_the_cap_are_served() {
    let program = limited("limits: { connections_max: 8 }").await;
    assert_cap(&program, 8, "connections_max").await;
}

#[tokio::test]
async fn no_more_connections_of_one_address_than_its_cap_are_served() {
    let program = limited("limits: { connections_per_address_max: 4 }").await;
    assert_cap(&program, 4, "connections_per_address_max").await;
}

#[tokio::test]
async fn a_trusted_proxy_may_have_more_than_one_addresss_share() {
    let mut setup = Setup::new();
    setup.server = ", trusted_proxies: [127.0.0.0/8]".to_owned();
    setup.rest += "limits: { connections_per_address_max: 2 }";
    let program = setup.start().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(served(&program).await);
    }
}

async fn timeless(limits: &str) -> (Gateway, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(now()));
    let rest = format!("{IDENTITY}{USERS}\n{limits}");
    let gateway = Gateway::before(origin(), &rest, Arc::new(clock.clone())).await;
    (gateway, clock)
}

/// Lets so many seconds pass, one by one, while the gateway does what there is to do.
async fn pass(clock: &ManualClock, seconds: u64) {
    for _ in 0..seconds {
        clock.advance(Duration::from_secs(1));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_head_that_never_ends_costs_its_connection() {
    let (gateway, clock) = timeless("limits: { head_deadline: 5s }").await;
    for start in [
        "",
        "GET",
        "GET /api/shapes/users?offset=-1 HTTP/1.1\r\nhost: a\r\nx-slow: ",
    ] {
        let mut client = gateway.connect().await;
        client.send(start).await;
        soon(clock.until_asleep(1)).await;
        pass(&clock, 5).await;
        assert!(soon(client.is_closed()).await, "{start:?}");
    }
    let metrics = gateway.state.metrics.render().unwrap();
    assert!(
        metrics.contains("shapegate_connections_refused_total{limit=\"head_timeout\"} 3"),
        "{metrics}"
    );
    gateway.received_nothing();
}

#[tokio::test]
async fn a_head_that_trickles_is_not_given_more_time() {
    let (gateway, clock) = timeless("limits: { head_deadline: 5s }").await;
    let mut client = gateway.connect().await;
    client.send("GET /api/shapes/users?offset=-1 HTTP/1.1\r\n").await;
    soon(clock.until_asleep(1)).await;
    for _ in 0..5 {
        client.try_send("x-more: 1\r\n").await;
        pass(&clock, 1).await;
    }
    assert!(soon(client.is_closed()).await);
}

#[tokio::test]
async fn a_head_on_a_kept_connection_has_its_deadline_too() {
    let (gateway, clock) = timeless("limits: { head_deadline: 5s }").await;
    let mut client = gateway.connect().await;
    assert_eq!(soon(client.ask(get(TARGET, None))).await.status, 401);
    client.send("GET /api/sha").await;
    // 75 s of idling, 5 s for the head, and 5 s until the next look.
    pass(&clock, 85).await;
    assert!(soon(client.is_closed()).await);
}

#[tokio::test]
async fn a_kept_connection_may_idle_and_then_send_its_head_in_time() {
    let (gateway, clock) = timeless("limits: { head_deadline: 5s }").await;
    let mut client = gateway.connect().await;
    for _ in 0..3 {
        assert_eq!(soon(client.ask(get(TARGET, None))).await.status, 401);
        pass(&clock, 70).await;
    }
}

#[tokio::test]
async fn a_wait_is_no_head_that_is_late() {
    let (gateway, clock) = timeless("limits: { head_deadline: 5s }").await;
    let token = member(1);
    let first = gateway.get(TARGET, Some(&token)).await;
    let handle = first.header("electric-handle").unwrap();
    let offset = first.header("electric-offset").unwrap();
    let poll = format!("/api/shapes/users?offset={offset}&handle={handle}&live=true");
    let mut client = gateway.connect().await;
    client.send(get(&poll, Some(&token))).await;
    until("it waits", || gateway.origin.waiting() == 1).await;
    pass(&clock, 100).await;
    let row = serde_json::json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let answer = soon(client.answer()).await.unwrap();
    assert!(answer.text().contains("Eve"), "{}", answer.text());
}

#[tokio::test]
async fn a_body_that_never_ends_is_408_or_the_end() {
    let (gateway, clock) = timeless("limits: { body_deadline: 5s }").await;
    gateway.reload(&format!(
        "{IDENTITY}{}",
        USERS.replace(
            "    rules:",
            "    client: { subset: { limit_max: 10 } }\n    rules:"
        )
    ));
    let head = [("content-type", "application/json"), ("content-length", "100")];
    let mut client = gateway.connect().await;
    client
        .send(request(
            "POST",
            "/api/shapes/users?offset=now",
            Some(&member(1)),
            &head,
            "",
        ))
        .await;
    client.send("{\"subset\":").await;
    // The timers of the connection and of the body.
    soon(clock.until_asleep(2)).await;
    clock.advance(Duration::from_secs(5));
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    gateway.received_nothing();
}

#[tokio::test]
async fn a_connection_is_kept_through_every_kind_of_refusal() {
    let gateway = Gateway::start(&format!("{IDENTITY}{USERS}")).await;
    let token = member(1);
    let mut client = gateway.connect().await;
    let nobody = crate::support::token::token(serde_json::json!({}));
    let refusals = [
        (get(TARGET, None), 401),
        (get(TARGET, Some("not.a.token")), 401),
        (get(TARGET, Some(&nobody)), 403),
        (get("/api/shapes/users?offset=x", Some(&token)), 400),
        (get("/api/shapes/users?offset=-1&where=true", Some(&token)), 400),
        (get("/nowhere", Some(&token)), 404),
        (
            request("PUT", TARGET, Some(&token), &[("content-length", "0")], ""),
            405,
        ),
    ];
    for (bytes, status) in refusals.iter().cycle().take(30) {
        let answer = soon(client.ask(bytes)).await;
        assert_eq!(answer.status, *status, "{bytes}");
        assert_eq!(answer.header("connection"), Some("keep-alive"));
    }
    let answer = soon(client.ask(get(TARGET, Some(&token)))).await;
    assert_eq!(answer.status, 200);
}
