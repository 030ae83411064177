//! Many who wait for the same, and one request for all of them.

use serde_json::json;

use crate::place::{assert_nothing_new, held, operations, polling, synced, timeless, users};
use crate::support::gateway::{Gateway, get, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::scripted::{GOOD_HEAD, Scripted};
use crate::support::token::{self, member};

const POLL: &str = "/api/shapes/users?offset=0_0&handle=1-1&live=true";

/// So many clients that wait for `target`.
async fn waiting(gateway: &Gateway, target: &str, token: &str, count: usize) -> Vec<Raw> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = gateway.connect().await;
        client.send(get(target, Some(token))).await;
        clients.push(client);
    }
    let held_now = i64::try_from(count).unwrap();
    held(gateway, held_now).await;
    clients
}

async fn before(upstream: &Scripted) -> Gateway {
    let clock = std::sync::Arc::new(shapegate::clock::SystemClock);
    Gateway::before_url(origin(), upstream.url(), &users(), clock).await
}

#[tokio::test]
async fn a_thousand_waiters_make_one_upstream_request_and_all_get_its_answer() {
    let rest = format!("limits: {{ per_subject: {{ held_polls: none }} }}\n{}", users());
    let gateway = Gateway::start(&rest).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut clients = waiting(&gateway, &place.poll(), &token, 1000).await;
    until("one waits upstream", || gateway.origin.waiting() == 1).await;

    // Nine hundred and ninety leave, and the gauge says so at once; the fetch goes on for the others.
    clients.drain(..990);
    held(&gateway, 10).await;
    assert_eq!(gateway.origin.waiting(), 1);

    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(operations(&answer)[0].1["name"], "Eve");
    }
    assert_eq!(gateway.received_one().target.matches("live=true").count(), 1);
    assert_eq!(gateway.state.hub.underway(), 0);
}

#[tokio::test]
async fn the_first_leaves_and_nobody_notices_the_last_leaves_and_the_fetch_ends() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let first = polling(&gateway, &place, &token).await;
    let second = waiting_with(&gateway, &place.poll(), &token).await;
    held(&gateway, 2).await;
    drop(first);
    held(&gateway, 1).await;
    assert_eq!(gateway.origin.waiting(), 1, "the fetch goes on");
    assert_eq!(gateway.state.hub.underway(), 1);
    drop(second);
    until("the fetch is cancelled", || gateway.origin.waiting() == 0).await;
    until("nothing is under way", || gateway.state.hub.underway() == 0).await;
    assert_eq!(gateway.state.metrics.hub.fetches.get(), 0);
    assert_eq!(gateway.origin.received().len(), 1);
}

async fn waiting_with(gateway: &Gateway, target: &str, token: &str) -> Raw {
    let mut client = gateway.connect().await;
    client.send(get(target, Some(token))).await;
    client
}

#[tokio::test]
async fn an_error_is_told_once_to_each_who_waits_without_a_stampede_and_is_not_kept() {
    let upstream = Scripted::start();
    let gateway = before(&upstream).await;
    let mut clients = waiting(&gateway, POLL, &member(1), 100).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange
        .send("HTTP/1.1 503 x\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}")
        .await;
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "upstream_unavailable")
        );
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);

    let mut next = waiting_with(&gateway, POLL, &member(1)).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(GOOD_HEAD).await;
    exchange.send_chunk("[]").await;
    exchange.send_chunk("").await;
    assert_eq!(soon(next.answer()).await.unwrap().status, 200, "asked anew");
}

#[tokio::test]
async fn an_answer_that_the_upstream_breaks_off_looks_whole_to_nobody() {
    let upstream = Scripted::start();
    let gateway = before(&upstream).await;
    let mut clients = waiting(&gateway, POLL, &member(1), 10).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(GOOD_HEAD).await;
    exchange.send_chunk("[{\"key\":1},").await;
    drop(exchange);
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_ne!((answer.status, answer.complete), (200, true));
    }
    for (head, body) in [
        ("content-length: 100\r\n", "[{\"key\":1},"),
        ("connection: close\r\n", "[{\"key\":1},"),
    ] {
        let mut client = waiting_with(&gateway, POLL, &member(1)).await;
        let (mut exchange, _) = soon(upstream.asked()).await;
        let good = GOOD_HEAD.replace("transfer-encoding: chunked\r\n", head);
        exchange.send(format!("{good}{body}")).await;
        drop(exchange);
        let answer = soon(client.answer()).await.unwrap();
        assert_ne!((answer.status, answer.complete), (200, true), "{head}");
    }
}

#[tokio::test]
async fn a_permission_that_ends_ends_its_own_wait_and_the_others_get_the_answer() {
    let (gateway, clock) = timeless().await;
    let ending =
        |seconds: i64| token::token(json!({ "sub": "u", "org_id": 1, "exp": token::now() + seconds }));
    let (short, long) = (ending(30), ending(300));
    let place = synced(&gateway, &short).await;
    let mut first = polling(&gateway, &place, &short).await;
    let mut second = polling(&gateway, &place, &long).await;
    assert_eq!(
        gateway.origin.waiting(),
        1,
        "a renewed token is in the same group"
    );
    clock.advance(std::time::Duration::from_secs(95));
    assert_nothing_new(&soon(first.answer()).await.unwrap(), &place);
    assert_eq!(gateway.origin.waiting(), 1);
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let answer = soon(second.answer()).await.unwrap();
    assert_eq!(operations(&answer)[0].1["name"], "Eve");
}

#[tokio::test]
async fn what_is_of_one_client_is_on_its_own_answer_alone() {
    let rest = format!(
        "cors: {{ origins: [\"https://a.test\", \"https://b.test\"] }}\n{}",
        users()
    );
    let gateway = Gateway::start(&rest).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let ask = |origin: &str| {
        crate::support::gateway::request(
            "GET",
            &place.poll(),
            Some(&token),
            &[("origin", origin), ("x-forwarded-host", "evil.test")],
            "",
        )
    };
    let mut clients = Vec::new();
    for origin in ["https://a.test", "https://b.test", "https://evil.test"] {
        let mut client = gateway.connect().await;
        client.send(ask(origin)).await;
        clients.push(client);
    }
    held(&gateway, 3).await;
    until("one waits upstream", || gateway.origin.waiting() == 1).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let mut answers = Vec::new();
    for client in &mut clients {
        answers.push(soon(client.answer()).await.unwrap());
    }
    let allowed = |index: usize| answers[index].header("access-control-allow-origin");
    assert_eq!(
        (allowed(0), allowed(1)),
        (Some("https://a.test"), Some("https://b.test"))
    );
    assert_ne!(allowed(2), Some("https://evil.test"));
    let ids: std::collections::HashSet<_> = answers.iter().map(|a| a.header("x-request-id")).collect();
    assert_eq!(ids.len(), 3);
    assert!(!format!("{answers:?}").contains("evil"));
}

#[tokio::test]
async fn clients_that_take_codings_and_clients_that_do_not_get_the_same_right_body() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut clients = Vec::new();
    for coding in ["gzip", "identity", "br, zstd;q=0.5", "*"] {
        let headers = [("accept-encoding", coding)];
        let bytes = crate::support::gateway::request("GET", &place.poll(), Some(&token), &headers, "");
        let mut client = gateway.connect().await;
        client.send(bytes).await;
        clients.push(client);
    }
    held(&gateway, 4).await;
    until("one waits upstream", || gateway.origin.waiting() == 1).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(operations(&answer)[0].1["name"], "Eve");
    }
}

/// Narrowing binds handles: those who share an answer get it with the handle that is theirs.
#[tokio::test]
async fn those_who_share_get_handles_that_are_bound_to_their_own_definition() {
    let narrow = users().replace(
        "    table: users\n",
        "    table: users\n    client: { where: narrow }\n",
    );
    let gateway = Gateway::start(&narrow).await;
    let start = "/api/shapes/users?offset=-1&where=id%20%3E%200";
    let mine = gateway.get(start, Some(&member(1))).await;
    let again = gateway
        .get(start, Some(&token::token(json!({ "sub": "other", "org_id": 1 }))))
        .await;
    let theirs = gateway.get(start, Some(&member(2))).await;
    let handle = |answer: &crate::support::raw::Answer| answer.header("electric-handle").unwrap().to_owned();
    assert_eq!(handle(&mine), handle(&again));
    assert!(handle(&mine).contains('~'));
    assert_eq!(gateway.origin.received().len(), 2);
    // The handle of another organisation's shape is none of this one's, kept answers or not.
    let target = format!(
        "/api/shapes/users?offset=0_0&where=id%20%3E%200&handle={}",
        handle(&theirs)
    );
    assert_eq!(gateway.get(&target, Some(&member(1))).await.status, 409);
    assert_eq!(gateway.origin.received().len(), 2);
}
