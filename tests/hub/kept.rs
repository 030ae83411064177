//! Answers that are kept: as Electric allows, for those who are permitted them, and no longer than that.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::place::{Place, held, operations, synced, timeless, users};
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::support::scripted::{Exchange, Scripted};
use crate::support::token::{self, member};

const START: &str = "/api/shapes/users?offset=-1";

/// A gateway before a scripted upstream, whose time stands still.
pub async fn scripted() -> (Gateway, Scripted, ManualClock) {
    scripted_with(&format!("server: {{ cache_status: true }}\n{}", users())).await
}

/// The same, with another configuration.
pub async fn scripted_with(rest: &str) -> (Gateway, Scripted, ManualClock) {
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let upstream = Scripted::start();
    let gateway = Gateway::before_url(origin(), upstream.url(), rest, Arc::new(clock.clone())).await;
    (gateway, upstream, clock)
}

/// A good answer of the handle, with these headers besides.
pub fn good(handle: &str, more: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nelectric-handle: {handle}\r\n\
         electric-offset: 0_0\r\nelectric-schema: {{}}\r\nelectric-cursor: 7\r\netag: \"{handle}:-1:0_0\"\r\n\
         {more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub const ELECTRICS_START: &str =
    "cache-control: public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746\r\n";
const ELECTRICS_LIVE: &str = "cache-control: public, max-age=5, stale-while-revalidate=5\r\n";
pub const ELECTRICS_LOG: &str = "cache-control: public, max-age=60, stale-while-revalidate=300\r\n";

async fn ask(gateway: &Gateway, target: &str) -> Answer {
    soon(gateway.get(target, Some(&member(1)))).await
}

/// Asks, and has the upstream answer; gives what the upstream was asked, too.
pub async fn answered(
    gateway: &Gateway,
    upstream: &Scripted,
    target: &str,
    answer: &str,
) -> (Answer, String) {
    let upstreams = async {
        let (mut exchange, asked) = soon(upstream.asked()).await;
        exchange.send(answer).await;
        asked
    };
    tokio::join!(ask(gateway, target), upstreams)
}

/// Asserts that the upstream is asked for `target` by whoever wants it next.
async fn is_asked_for(gateway: &Gateway, upstream: &Scripted, target: &str, answer: &str) -> String {
    let before = gateway.state.metrics.hub.fetches_total.get();
    let (_, asked) = answered(gateway, upstream, target, answer).await;
    assert_eq!(
        gateway.state.metrics.hub.fetches_total.get(),
        before + 1,
        "{target}"
    );
    asked
}

#[tokio::test]
async fn the_start_of_a_log_is_kept_for_a_minute_and_then_revalidated() {
    let (gateway, upstream, clock) = scripted().await;
    let (first, _) = answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, "[1]")).await;
    assert_eq!(first.header("cache-status"), Some("shapegate; fwd=uri-miss"));
    assert_eq!(first.header("age"), None);

    clock.advance(Duration::from_secs(40));
    let second = ask(&gateway, START).await;
    assert_eq!((second.status, second.text()), (200, "[1]"));
    assert_eq!(second.header("age"), Some("40"));
    assert_eq!(second.header("cache-status"), Some("shapegate; hit; ttl=20"));
    assert_eq!(
        second.header("cache-control"),
        Some("private, no-cache"),
        "for nobody else"
    );
    assert_eq!(second.header("vary"), Some("authorization, accept-encoding"));
    assert_eq!(second.header("content-length"), Some("3"));

    // Electric says a week, and a month of staleness: it is asked all the same, and says that nothing changed.
    clock.advance(Duration::from_secs(21));
    let not_modified = format!(
        "HTTP/1.1 304 Not Modified\r\nelectric-handle: 1-1\r\n{ELECTRICS_START}etag: \"1-1:-1:0_0\"\r\n\r\n"
    );
    let (third, asked) = answered(&gateway, &upstream, START, &not_modified).await;
    assert!(asked.contains("\"1-1:-1:0_0\""), "{asked}");
    assert_eq!((third.status, third.text()), (200, "[1]"));
    assert_eq!(third.header("cache-status"), Some("shapegate; fwd=stale"));
    clock.advance(Duration::from_secs(59));
    assert_eq!(ask(&gateway, START).await.header("age"), Some("59"));
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 2);
}

#[tokio::test]
async fn a_condition_that_names_what_is_kept_is_answered_304_after_the_decision() {
    let (gateway, upstream, _clock) = scripted().await;
    let (first, _) = answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, "[1]")).await;
    let etag = first.header("etag").unwrap();
    let conditional =
        |token: Option<&str>, tag: &str| request("GET", START, token, &[("if-none-match", tag)], "");
    let own = member(1);
    for tag in [
        etag.to_owned(),
        format!("W/{etag}"),
        format!("\"1-9:-1:0_0\", {etag}"),
    ] {
        let mut client = gateway.connect().await;
        let answer = soon(client.ask(conditional(Some(&own), &tag))).await;
        assert_eq!((answer.status, answer.body.as_slice()), (304, &b""[..]), "{tag}");
        let weak = if tag.starts_with("W/") { "W/" } else { "" };
        assert_eq!(answer.header("etag"), Some(format!("{weak}{etag}").as_str()));
        assert_eq!(answer.header("electric-handle"), Some("1-1"));
        assert_eq!(answer.header("content-length"), None);
        // The connection is in step.
        assert_eq!(soon(client.ask(get(START, Some(&own)))).await.text(), "[1]");
    }
    let answer = soon(
        gateway
            .connect()
            .await
            .ask(conditional(Some(&own), "\"1-1:-1:0_1\"")),
    )
    .await;
    assert_eq!(answer.status, 200);
    // Whoever is not permitted learns nothing of the tag that he holds; another user's shape is another answer.
    let answer = soon(gateway.connect().await.ask(conditional(None, etag))).await;
    assert_eq!(answer.status, 401);
    let mut other = gateway.connect().await;
    other.send(conditional(Some(&member(2)), etag)).await;
    let (mut exchange, asked) = soon(upstream.asked()).await;
    assert!(
        !asked.contains("if-none-match"),
        "a shared request has no condition of a client's: {asked}"
    );
    exchange.send(good("2-2", ELECTRICS_START, "[2]")).await;
    let answer = soon(other.answer()).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "[2]"));
}

#[tokio::test]
async fn a_live_answer_serves_late_joiners_for_five_seconds_and_is_never_served_stale() {
    let (gateway, upstream, clock) = scripted().await;
    let poll = "/api/shapes/users?offset=0_0&handle=1-1&live=true&cursor=20";
    answered(&gateway, &upstream, poll, &good("1-1", ELECTRICS_LIVE, "[1]")).await;
    clock.advance(Duration::from_secs(4));
    assert_eq!(ask(&gateway, poll).await.text(), "[1]");
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);
    // The next cursor is another question.
    let next = poll.replace("cursor=20", "cursor=40");
    is_asked_for(&gateway, &upstream, &next, &good("1-1", ELECTRICS_LIVE, "[]")).await;
    // Six seconds later it waits upstream again, without a condition.
    clock.advance(Duration::from_secs(2));
    let asked = is_asked_for(&gateway, &upstream, poll, &good("1-1", ELECTRICS_LIVE, "[]")).await;
    assert!(!asked.contains("if-none-match"), "{asked}");
}

#[tokio::test]
async fn what_escapes_caches_escapes_this_one() {
    let (gateway, upstream, _clock) = scripted().await;
    answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, "[1]")).await;
    for more in ["&cache-buster=1-a", "&cache-buster=1-a", "&expired_handle=1-0"] {
        let target = format!("{START}{more}");
        is_asked_for(&gateway, &upstream, &target, &good("1-1", ELECTRICS_START, "[]")).await;
    }
    assert_eq!(ask(&gateway, START).await.text(), "[1]");
    assert_eq!(
        gateway.state.hub.kept(),
        2,
        "nothing under a word that is used once"
    );
}

#[tokio::test]
async fn a_409_purges_its_shape_and_is_kept_for_those_with_the_old_handle_alone() {
    let (gateway, upstream, _clock) = scripted().await;
    answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, "[1]")).await;
    let log = "/api/shapes/users?offset=0_0&handle=1-1";
    answered(&gateway, &upstream, log, &good("1-1", ELECTRICS_LOG, "[2]")).await;
    assert_eq!(ask(&gateway, log).await.text(), "[2]");

    let poll = format!("{log}&live=true");
    let gone = "HTTP/1.1 409 Conflict\r\ncontent-type: application/json\r\nelectric-handle: 1-2\r\n\
        cache-control: public, max-age=60, must-revalidate\r\ncontent-length: 44\r\n\r\n\
        [{\"headers\":{\"control\":\"must-refetch\"}}]    ";
    let (answer, _) = answered(&gateway, &upstream, &poll, gone).await;
    assert_eq!(answer.status, 409);
    assert_eq!(gateway.state.metrics.hub.must_refetch.get(), 1);
    assert_eq!(
        ask(&gateway, &poll).await.status,
        409,
        "the same question, the same answer"
    );

    // Nothing of the old incarnation is handed out: neither the start of its log nor what follows.
    let asked = is_asked_for(&gateway, &upstream, START, &good("1-2", ELECTRICS_START, "[3]")).await;
    assert!(!asked.contains("if-none-match"), "{asked}");
    is_asked_for(&gateway, &upstream, log, gone).await;
    assert_eq!(ask(&gateway, START).await.text(), "[3]");
}

#[tokio::test]
async fn a_new_handle_ends_what_was_kept_of_the_old_one() {
    let (gateway, upstream, _clock) = scripted().await;
    answered(&gateway, &upstream, START, &good("1-1", ELECTRICS_START, "[1]")).await;
    let past = format!("{START}&cache-buster=1-a");
    answered(&gateway, &upstream, &past, &good("1-2", ELECTRICS_START, "[2]")).await;
    is_asked_for(&gateway, &upstream, START, &good("1-2", ELECTRICS_START, "[3]")).await;
    // An answer of the old one that was under way for long is passed on, and not kept.
    let log = "/api/shapes/users?offset=0_0&handle=1-1";
    is_asked_for(&gateway, &upstream, log, &good("1-1", ELECTRICS_LOG, "[4]")).await;
    is_asked_for(&gateway, &upstream, log, &good("1-1", ELECTRICS_LOG, "[4]")).await;
    assert_eq!(ask(&gateway, START).await.text(), "[3]");
}

#[tokio::test]
async fn what_must_not_be_kept_is_asked_for_each_time() {
    let (gateway, upstream, _clock) = scripted().await;
    let log = "/api/shapes/users?offset=0_0&handle=1-1";
    let error = |status: &str| {
        format!(
            "HTTP/1.1 {status} x\r\n{ELECTRICS_LOG}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        )
    };
    let mut answers = vec![
        good("1-1", "cache-control: no-store\r\n", "[]"),
        good("1-1", "cache-control: private, max-age=60\r\n", "[]"),
        good("1-1", "", "[]"),
        good("1-1", &format!("{ELECTRICS_LOG}set-cookie: a=b\r\n"), "[]"),
        good("1-1", &format!("{ELECTRICS_LOG}vary: origin\r\n"), "[]"),
        good("1-1", &format!("{ELECTRICS_LOG}vary: *\r\n"), "[]"),
        good("1-1", &format!("{ELECTRICS_LOG}age: 61\r\n"), "[]"),
        // A 409 without a handle is shared, and not kept.
        error("409"),
    ];
    answers.extend(["400", "401", "404", "429", "500", "503"].map(error));
    for answer in answers {
        is_asked_for(&gateway, &upstream, log, &answer).await;
    }
    // After the 409 the handle is known to be gone; another one is kept.
    let log = &log.replace("1-1", "1-2");
    is_asked_for(&gateway, &upstream, log, &good("1-2", ELECTRICS_LOG, "[1]")).await;
    assert_eq!(ask(&gateway, log).await.text(), "[1]");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_kept() {
    let (gateway, upstream, _clock) = scripted().await;
    let whole = good("1-1", ELECTRICS_START, "[1,2,3]");
    let client = async { ask(&gateway, START).await };
    let cut = async {
        let (mut exchange, _) = soon(upstream.asked()).await;
        exchange.send(&whole[..whole.len() - 3]).await;
    };
    let (answer, ()) = tokio::join!(client, cut);
    assert_ne!((answer.status, answer.complete), (200, true));
    assert_eq!(gateway.state.hub.kept(), 0);
    is_asked_for(&gateway, &upstream, START, &whole).await;
}

/// Ten thousand users of two organisations; every answer shows the asker's own rows, and Electric was asked twice.
#[tokio::test]
async fn ten_thousand_users_alternate_and_none_meets_the_other_organisations_rows() {
    let (gateway, _clock) = timeless().await;
    for org in [1, 2] {
        let row = json!({ "id": 100 + org, "name": format!("of {org}"), "org_id": org });
        gateway.origin.insert("users", row).unwrap();
    }
    let mut client = gateway.connect().await;
    for user in 0..10_000 {
        let (mine, other) = (user % 2 + 1, 2 - user % 2);
        let token = token::token(json!({ "sub": format!("user {user}"), "org_id": mine }));
        let answer = soon(client.ask(get(START, Some(&token)))).await;
        assert!(answer.text().contains(&format!("of {mine}")), "user {user}");
        assert!(!answer.text().contains(&format!("of {other}")), "user {user}");
    }
    assert_eq!(gateway.origin.received().len(), 2);
}

/// Users of two organisations turn about; every answer shows the asker's own rows, and Electric was asked twice.
#[tokio::test]
async fn two_users_with_different_rows_alternate_ten_thousand_times_and_never_meet() {
    let (gateway, _clock) = timeless().await;
    let row = |id: i64, org: i64| json!({ "id": id, "name": format!("of {org}"), "org_id": org });
    for org in [1, 2] {
        gateway.origin.insert("users", row(100 + org, org)).unwrap();
    }
    let mut clients = [gateway.connect().await, gateway.connect().await];
    let asks = [1, 2].map(|org| get(START, Some(&member(org))));
    for turn in 0..10_000 {
        let (mine, other) = (turn % 2 + 1, 2 - turn % 2);
        let answer = soon(clients[turn % 2].ask(&asks[turn % 2])).await;
        assert!(answer.text().contains(&format!("of {mine}")), "turn {turn}");
        assert!(!answer.text().contains(&format!("of {other}")), "turn {turn}");
    }
    assert_eq!(gateway.origin.received().len(), 2);
    assert_eq!(gateway.state.metrics.hub.hits.get(), 9_998);
}

#[tokio::test]
async fn users_who_may_see_the_same_share_and_each_is_decided_first() {
    let (gateway, clock) = timeless().await;
    let token = |sub: &str| token::token(json!({ "sub": sub, "org_id": 1 }));
    for user in ["a", "b", "c"] {
        assert_eq!(gateway.get(START, Some(&token(user))).await.status, 200);
    }
    assert_eq!(gateway.origin.received().len(), 1);
    assert_eq!(gateway.get(START, None).await.status, 401);
    let stranger = token::token(json!({ "sub": "x" }));
    assert_eq!(gateway.get(START, Some(&stranger)).await.status, 403);
    // What is kept does not outlive the permission.
    clock.advance(Duration::from_secs(670));
    assert_eq!(gateway.get(START, Some(&token("a"))).await.status, 401);
}

#[tokio::test]
async fn a_change_of_the_rules_is_felt_by_the_next_request_though_the_answer_is_kept() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    assert_eq!(gateway.get(START, Some(&token)).await.status, 200);
    gateway.reload(&users().replace("user.org_id != 0", "user.org_id == 77"));
    assert_eq!(gateway.get(START, Some(&token)).await.status, 403);
}

#[tokio::test]
async fn a_client_catches_up_from_what_is_kept_and_misses_nothing() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    synced(&gateway, &token).await;
    gateway.received_nothing();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.connect().await;
        client.send(get(&place.poll(), Some(&token))).await;
        clients.push(client);
    }
    held(&gateway, 2).await;
    until("it waits upstream", || gateway.origin.waiting() == 1).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(operations(&answer)[0].1["name"], "Eve");
        assert_ne!(Place::after(&answer), place);
    }
    // One who comes a moment later with the same cursor need not wait.
    let late = soon(gateway.get(&place.poll(), Some(&token))).await;
    assert_eq!(operations(&late)[0].1["name"], "Eve");
    assert_eq!(gateway.origin.received().len(), 1);
}

/// A snapshot of which the upstream has sent the header and a first piece.
async fn half_sent(gateway: &Gateway, upstream: &Scripted) -> (Raw, Exchange) {
    let mut client = gateway.connect().await;
    client.send(get(START, Some(&member(1)))).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    let head = good("1-1", ELECTRICS_START, "").replace("content-length: 0", "transfer-encoding: chunked");
    exchange.send(head).await;
    exchange.send_chunk("[1,").await;
    (client, exchange)
}

#[tokio::test]
async fn a_snapshot_streams_to_all_while_it_fills_and_is_kept_when_it_is_whole() {
    let (gateway, upstream, _clock) = scripted().await;
    let (mut first, mut exchange) = half_sent(&gateway, &upstream).await;
    assert_eq!(soon(first.head()).await.unwrap().status, 200);
    assert_eq!(soon(first.chunk()).await.unwrap(), b"[1,");
    let mut second = gateway.connect().await;
    second.send(get(START, Some(&member(1)))).await;
    let head = soon(second.head()).await.unwrap();
    assert_eq!(
        head.header("cache-status"),
        Some("shapegate; fwd=uri-miss; collapsed")
    );
    assert_eq!(soon(second.chunk()).await.unwrap(), b"[1,");
    assert_eq!(gateway.state.hub.kept(), 0);
    exchange.send_chunk("2]").await;
    exchange.send_chunk("").await;
    for client in [&mut first, &mut second] {
        assert_eq!(soon(client.chunk()).await.unwrap(), b"2]");
        assert_eq!(soon(client.chunk()).await.unwrap(), b"");
    }
    assert_eq!(gateway.state.hub.kept(), 1);
    assert_eq!(ask(&gateway, START).await.text(), "[1,2]");
}

#[tokio::test]
async fn the_first_client_of_a_snapshot_leaves_and_the_second_gets_all_of_it() {
    let (gateway, upstream, _clock) = scripted().await;
    let (first, mut exchange) = half_sent(&gateway, &upstream).await;
    let mut second = gateway.connect().await;
    second.send(get(START, Some(&member(1)))).await;
    assert_eq!(soon(second.head()).await.unwrap().status, 200);
    drop(first);
    until("one is left", || gateway.state.metrics.in_flight.get() == 1).await;
    exchange.send_chunk("2]").await;
    exchange.send_chunk("").await;
    assert_eq!(soon(second.chunk()).await.unwrap(), b"[1,");
    assert_eq!(soon(second.chunk()).await.unwrap(), b"2]");
}

#[tokio::test]
async fn a_permission_that_ends_while_a_snapshot_is_awaited_ends_that_wait() {
    let (gateway, upstream, clock) = scripted().await;
    let (mut client, _exchange) = half_sent(&gateway, &upstream).await;
    assert_eq!(soon(client.head()).await.unwrap().status, 200);
    assert_eq!(soon(client.chunk()).await.unwrap(), b"[1,");
    clock.advance(Duration::from_secs(670));
    assert_eq!(soon(client.chunk()).await, None, "and does not look whole");

    let mut client = gateway.connect().await;
    let renewed = token::token(json!({ "org_id": 1, "exp": token::now() + 700 }));
    let target = START.replace("-1", "now");
    client.send(get(&target, Some(&renewed))).await;
    let (_exchange, _) = soon(upstream.asked()).await;
    clock.advance(Duration::from_secs(120));
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_expired"));
}
