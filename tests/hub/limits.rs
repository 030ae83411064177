//! How much one subject, one tenant and one address may ask for: 429 with a time, and nothing upstream.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::place::{held, polling, streaming, synced, unshared, users};
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::support::token::{self, member};

const START: &str = "/api/shapes/users?offset=-1";

/// A gateway with these limits, whose time stands still.
async fn limited(limits: &str, rest: &str) -> (Gateway, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let text = format!("limits: {{ {limits} }}\n{rest}");
    let gateway = Gateway::before(origin(), &text, Arc::new(clock.clone())).await;
    (gateway, clock)
}

fn user(name: &str) -> String {
    token::token(json!({ "sub": name, "org_id": 1 }))
}

async fn from(gateway: &Gateway, target: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
    let bytes = request("GET", target, Some(token), headers, "");
    soon(gateway.connect().await.ask(bytes)).await
}

fn assert_limited(answer: &Answer, retry_after: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert_eq!(answer.header("retry-after"), Some(retry_after));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_subject_has_so_many_waits_and_gets_them_back_whatever_way_they_end() {
    let (gateway, clock) = limited("per_subject: { held_polls: 3 }", &users()).await;
    let (mine, other) = (user("a"), user("b"));
    let place = synced(&gateway, &mine).await;
    let left = polling(&gateway, &place, &mine).await;
    let stream = streaming(&gateway, &place, &mine).await;
    let mut answered = polling(&gateway, &place, &mine).await;
    let refused = gateway.get(&place.poll(), Some(&mine)).await;
    assert_limited(&refused, "5");
    assert_eq!(gateway.state.metrics.held.get(), 3);
    // Another one of the same organisation waits, and reads that do not wait are nobody's waits.
    let others = polling(&gateway, &place, &other).await;
    assert_eq!(gateway.get(START, Some(&mine)).await.status, 200);

    drop(left);
    held(&gateway, 3).await;
    let again = polling(&gateway, &place, &mine).await;
    drop(stream);
    held(&gateway, 3).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    assert_eq!(soon(answered.answer()).await.unwrap().status, 200);
    drop((again, others, answered));
    held(&gateway, 0).await;
    until("nobody holds anything", || gateway.state.limits.holders() == 0).await;
    // Those that end with their permission are given back, too. Nothing kept is left from before the change.
    clock.advance(Duration::from_secs(100));
    let place = synced(&gateway, &mine).await;
    let mut ending = polling(&gateway, &place, &mine).await;
    clock.advance(Duration::from_secs(700));
    assert_eq!(soon(ending.answer()).await.unwrap().status, 200);
    until("nobody holds anything", || gateway.state.limits.holders() == 0).await;
}

#[tokio::test]
async fn another_token_of_the_same_subject_is_the_same_subject() {
    let (gateway, _clock) = limited("per_subject: { held_polls: 1 }", &users()).await;
    let renewed = token::token(json!({ "sub": "a", "org_id": 1, "exp": token::now() + 900 }));
    let place = synced(&gateway, &user("a")).await;
    let _held = polling(&gateway, &place, &user("a")).await;
    assert_limited(&gateway.get(&place.poll(), Some(&renewed)).await, "5");
}

#[tokio::test]
async fn a_tenant_and_an_address_have_so_many_waits() {
    for limits in ["per_tenant: { held_polls: 2 }", "per_address: { held_polls: 2 }"] {
        let (gateway, _clock) = limited(limits, &users()).await;
        let place = synced(&gateway, &user("a")).await;
        let one = polling(&gateway, &place, &user("a")).await;
        let _two = polling(&gateway, &place, &user("b")).await;
        assert_limited(&gateway.get(&place.poll(), Some(&user("c"))).await, "5");
        drop(one);
        held(&gateway, 1).await;
        let _three = polling(&gateway, &place, &user("c")).await;
    }
}

/// Whoever goes past caches makes Electric work each time; what is kept costs nobody anything.
#[tokio::test]
async fn a_subject_begins_so_many_shapes_a_minute_and_reads_what_is_kept_as_often_as_he_likes() {
    let (gateway, clock) = limited("per_subject: { new_shapes_per_minute: 5 }", &users()).await;
    let mine = user("a");
    for _ in 0..100 {
        assert_eq!(gateway.get(START, Some(&mine)).await.status, 200);
    }
    let busted = |n: usize, how: &str| format!("{START}&{how}={n}-1");
    for n in 0..4 {
        assert_eq!(
            gateway.get(&busted(n, "cache-buster"), Some(&mine)).await.status,
            200
        );
    }
    gateway.origin.forget_received();
    for how in ["cache-buster", "expired_handle"] {
        assert_limited(&gateway.get(&busted(99, how), Some(&mine)).await, "12");
    }
    let past = format!("/api/shapes/users?offset=now&cache-buster=99-{}", 1);
    assert_limited(&gateway.get(&past, Some(&mine)).await, "12");
    gateway.received_nothing();
    assert_eq!(gateway.get(START, Some(&mine)).await.status, 200, "kept");
    assert_eq!(
        gateway
            .get(&busted(5, "cache-buster"), Some(&user("b")))
            .await
            .status,
        200
    );
    clock.advance(Duration::from_secs(12));
    assert_eq!(
        gateway.get(&busted(6, "cache-buster"), Some(&mine)).await.status,
        200
    );
    assert_limited(&gateway.get(&busted(7, "cache-buster"), Some(&mine)).await, "12");
}

#[tokio::test]
async fn those_who_share_nothing_are_limited_as_well() {
    let (gateway, _clock) = limited("per_subject: { new_shapes_per_minute: 2 }", &unshared()).await;
    let mine = user("a");
    let place = synced(&gateway, &mine).await;
    assert_eq!(gateway.get(START, Some(&mine)).await.status, 200);
    gateway.origin.forget_received();
    let mut client = gateway.connect().await;
    assert_limited(&soon(client.ask(get(START, Some(&mine)))).await, "30");
    let head = request("HEAD", START, Some(&mine), &[], "");
    assert_eq!(soon(client.ask_as("HEAD", head)).await.status, 429);
    gateway.received_nothing();
    // Who follows a log goes on, on the same connection.
    let log = format!(
        "/api/shapes/users?offset={}&handle={}",
        place.offset, place.handle
    );
    assert_eq!(soon(client.ask(get(&log, Some(&mine)))).await.status, 200);
    until("no place is taken", || gateway.state.hub.loads().is_empty()).await;
}

#[tokio::test]
async fn a_subject_reads_so_many_subsets_a_minute() {
    let rest = users().replace(
        "    table: users\n",
        "    table: users\n    client: { subset: { limit_max: 10 } }\n",
    );
    let (gateway, _clock) = limited("per_subject: { subsets_per_minute: 2 }", &rest).await;
    let target = "/api/shapes/users?offset=-1&subset__limit=1&subset__order_by=id";
    for _ in 0..2 {
        let answer = gateway.get(target, Some(&user("a"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    gateway.origin.forget_received();
    assert_limited(&gateway.get(target, Some(&user("a"))).await, "30");
    let body = r#"{"limit":1,"order_by":"id"}"#;
    let headers = [("content-type", "application/json")];
    let post = request(
        "POST",
        "/api/shapes/users?offset=-1",
        Some(&user("a")),
        &headers,
        body,
    );
    assert_limited(&soon(gateway.connect().await.ask(post)).await, "30");
    gateway.received_nothing();
    assert_eq!(gateway.get(target, Some(&user("b"))).await.status, 200);
}

/// However many subjects they are, or however many addresses.
#[tokio::test]
async fn a_tenant_and_an_address_begin_so_many_shapes_and_read_so_many_subsets_a_minute() {
    let rest = users().replace(
        "    table: users\n",
        "    table: users\n    client: { subset: { limit_max: 10 } }\n",
    );
    for scope in ["per_tenant", "per_address"] {
        for (limit, target) in [
            ("new_shapes_per_minute", format!("{START}&cache-buster=")),
            (
                "subsets_per_minute",
                format!("{START}&subset__limit=1&subset__order_by=id&cache-buster="),
            ),
        ] {
            let (gateway, clock) = limited(&format!("{scope}: {{ {limit}: 3 }}"), &rest).await;
            let ask = async |n: usize| {
                gateway
                    .get(&format!("{target}{n}-1"), Some(&user(&n.to_string())))
                    .await
            };
            for n in 0..3 {
                let answer = ask(n).await;
                assert_eq!(answer.status, 200, "{scope} {limit}: {}", answer.text());
            }
            gateway.origin.forget_received();
            for n in 3..10 {
                assert_limited(&ask(n).await, "20");
            }
            gateway.received_nothing();
            clock.advance(Duration::from_secs(20));
            assert_eq!(ask(10).await.status, 200, "{scope} {limit}");
            assert_limited(&ask(11).await, "20");
        }
    }
}

#[tokio::test]
async fn requests_are_counted_by_subject_and_tenant_once_somebody_is_known() {
    let (gateway, _clock) = limited(
        "per_subject: { requests_per_minute: 2 }, per_tenant: { requests_per_minute: 3 }",
        &users(),
    )
    .await;
    for _ in 0..50 {
        assert_eq!(
            gateway.get(START, None).await.status,
            401,
            "nobody uses up a tenant's share"
        );
    }
    for _ in 0..2 {
        assert_eq!(gateway.get(START, Some(&user("a"))).await.status, 200);
    }
    for _ in 0..50 {
        assert_limited(&gateway.get(START, Some(&user("a"))).await, "30");
    }
    assert_eq!(gateway.get(START, Some(&user("b"))).await.status, 200);
    assert_limited(&gateway.get(START, Some(&user("b"))).await, "20");
}

#[tokio::test]
async fn requests_are_counted_by_address_before_anything_is_judged() {
    let (gateway, _clock) = limited("per_address: { requests_per_minute: 2 }", &users()).await;
    for _ in 0..2 {
        assert_eq!(gateway.get(START, Some("not.a.token")).await.status, 401);
    }
    assert_limited(&gateway.get(START, Some("not.a.token")).await, "30");
    assert_limited(&gateway.get(START, Some(&user("a"))).await, "30");
    // Who is no trusted proxy may say what he likes.
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip"] {
        let headers = [(name, "192.0.2.77")];
        assert_limited(&from(&gateway, START, &user("a"), &headers).await, "30");
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_its_clients_are_counted() {
    let rest = format!("server: {{ trusted_proxies: [127.0.0.0/8] }}\n{}", users());
    let (gateway, _clock) = limited("per_address: { requests_per_minute: 2 }", &rest).await;
    let ask = async |line: &str| {
        from(&gateway, START, &member(1), &[("x-forwarded-for", line)])
            .await
            .status
    };
    for line in ["192.0.2.1", "1.1.1.1, 192.0.2.1"] {
        assert_eq!(ask(line).await, 200);
    }
    for line in ["192.0.2.1", "2.2.2.2, 192.0.2.1", "3.3.3.3, 192.0.2.1, 127.0.0.9"] {
        assert_eq!(ask(line).await, 429, "{line}");
    }
    assert_eq!(ask("192.0.2.2").await, 200);
    // Neighbours of one /64 are one client.
    assert_eq!(ask("2001:db8::1").await, 200);
    assert_eq!(ask("2001:db8::2").await, 200);
    assert_eq!(ask("2001:db8::3").await, 429);
    assert_eq!(ask("2001:db8:0:1::3").await, 200);
}

#[tokio::test]
async fn a_reload_changes_the_numbers_and_forgets_nobody() {
    let (gateway, _clock) = limited("per_subject: { held_polls: 1, requests_per_minute: 3 }", &users()).await;
    let place = synced(&gateway, &user("a")).await;
    let waiting = polling(&gateway, &place, &user("a")).await;
    gateway.reload(&users());
    assert_limited(&gateway.get(&place.poll(), Some(&user("a"))).await, "20");
    assert_eq!(gateway.state.limits.holders(), 1);
    drop(waiting);
    until("nobody holds anything", || gateway.state.limits.holders() == 0).await;
}
