//! What Electric's client relies on in a cache, and what it must not be talked into.

use crate::kept::{ELECTRICS_LOG, ELECTRICS_START, answered, good, scripted};
use crate::place::held;
use crate::support::gateway::{get, request};
use crate::support::patience::{soon, until};
use crate::support::token::member;

const START: &str = "/api/shapes/users?offset=-1";
const LOG: &str = "/api/shapes/users?offset=0_0&handle=1-1";

fn answer(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{more}content-length: 2\r\n\r\n[]")
}

#[tokio::test]
async fn whatever_the_first_of_a_group_is_answered_all_get_once_and_nothing_of_it_is_kept() {
    let not_kept = good("1-1", "cache-control: no-store\r\n", "[]");
    for (said, told) in [
        (answer("401", ELECTRICS_LOG), 502),
        (answer("400", ELECTRICS_LOG), 400),
        (
            answer("409", "cache-control: public, max-age=1, must-revalidate\r\n"),
            409,
        ),
        (answer("429", "retry-after: 3\r\n"), 429),
        (answer("500", ELECTRICS_LOG), 502),
        (answer("503", "retry-after: 3\r\n"), 503),
        (not_kept, 200),
    ] {
        let (gateway, upstream, _clock) = scripted().await;
        let poll = format!("{LOG}&live=true");
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = gateway.connect().await;
            client.send(get(&poll, Some(&member(1)))).await;
            clients.push(client);
        }
        held(&gateway, 20).await;
        let (mut exchange, _) = soon(upstream.asked()).await;
        exchange.send(&said).await;
        for client in &mut clients {
            let answer = soon(client.answer()).await.unwrap();
            assert_eq!((answer.status, answer.complete), (told, true), "{said}");
        }
        drop(exchange);
        assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1, "{said}");
        assert_eq!(
            (gateway.state.hub.kept(), gateway.state.hub.underway()),
            (0, 0),
            "{said}"
        );
        let (next, _) = answered(&gateway, &upstream, &poll, &good("1-3", ELECTRICS_LOG, "[]")).await;
        assert_eq!(next.status, 200, "{said}");
    }
}

#[tokio::test]
async fn an_upstream_that_goes_away_fails_a_group_once() {
    let (gateway, upstream, _clock) = scripted().await;
    let poll = format!("{LOG}&live=true");
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = gateway.connect().await;
        client.send(get(&poll, Some(&member(1)))).await;
        clients.push(client);
    }
    held(&gateway, 50).await;
    let (exchange, _) = soon(upstream.asked()).await;
    drop((exchange, upstream));
    for client in &mut clients {
        assert_eq!(soon(client.answer()).await.unwrap().status, 502);
    }
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);
    // Each of those who come back gets an answer, and they share the next try.
    assert_eq!(
        soon(clients[0].ask(get(&poll, Some(&member(1))))).await.status,
        502
    );
}

#[tokio::test]
async fn a_client_cannot_make_the_hub_ask_again_or_cut_an_answer_into_parts() {
    let (gateway, upstream, _clock) = scripted().await;
    answered(
        &gateway,
        &upstream,
        START,
        &good("1-1", ELECTRICS_START, "[1,2,3]"),
    )
    .await;
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("cache-control", "no-store"),
        ("cache-control", "max-age=0"),
        ("cache-control", "only-if-cached"),
        ("pragma", "no-cache"),
        ("range", "bytes=0-1"),
        ("range", "bytes=-1, 0-0"),
        ("if-range", "\"1-1:-1:0_0\""),
        ("if-match", "\"none\""),
        ("if-modified-since", "Mon, 01 Jan 2035 00:00:00 GMT"),
        ("if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT"),
    ] {
        let bytes = request("GET", START, Some(&member(1)), &[(name, value)], "");
        let answer = soon(gateway.connect().await.ask(bytes)).await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, "[1,2,3]"),
            "{name}: {value}"
        );
        assert_eq!(answer.header("accept-ranges"), None);
    }
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);
}

#[tokio::test]
async fn a_409_is_kept_where_it_says_where_to_go_and_for_those_alone_who_stand_in_the_old_shape() {
    let (gateway, upstream, _clock) = scripted().await;
    let gone = answer(
        "409",
        "electric-handle: 1-2\r\ncache-control: public, max-age=60, must-revalidate\r\n",
    );
    // Never for a client that has no handle yet: it would be sent away from where it is sent to.
    for _ in 0..2 {
        assert_eq!(answered(&gateway, &upstream, START, &gone).await.0.status, 409);
    }
    let with_handle = format!("{START}&handle=1-1");
    for _ in 0..2 {
        assert_eq!(
            answered(&gateway, &upstream, &with_handle, &gone).await.0.status,
            409
        );
    }
    let mut kept = 0;
    for target in [
        LOG.to_owned(),
        format!("{LOG}&live=true"),
        format!("{LOG}&live=true&live_sse=true"),
    ] {
        assert_eq!(answered(&gateway, &upstream, &target, &gone).await.0.status, 409);
        kept += 1;
        assert_eq!(gateway.state.hub.kept(), kept, "{target}");
        let again = soon(gateway.get(&target, Some(&member(1)))).await;
        assert_eq!(
            (again.status, again.header("electric-handle")),
            (409, Some("1-2")),
            "{target}"
        );
        assert_eq!(
            again.header("cache-control"),
            Some("private, no-store"),
            "by nobody else"
        );
    }
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 7);
}

#[tokio::test]
async fn every_position_is_an_answer_of_its_own() {
    let (gateway, upstream, _clock) = scripted().await;
    let targets = [
        START.to_owned(),
        "/api/shapes/users?offset=now".to_owned(),
        LOG.to_owned(),
        format!("{LOG}&live=true"),
        format!("{LOG}&live=true&cursor=20"),
        format!("{LOG}&live=true&cursor=40"),
        format!("{LOG}&expired_handle=1-0"),
        format!("{LOG}&log=changes_only"),
        LOG.replace("0_0", "0_1"),
    ];
    for (number, target) in targets.iter().enumerate() {
        let body = format!("[{number}]");
        answered(&gateway, &upstream, target, &good("1-1", ELECTRICS_LOG, &body)).await;
    }
    until("nothing is under way", || gateway.state.hub.underway() == 0).await;
    for (number, target) in targets.iter().enumerate() {
        let answer = soon(gateway.get(target, Some(&member(1)))).await;
        assert_eq!(answer.text(), format!("[{number}]"), "{target}");
    }
    // However it is spelled, it is the same question.
    let spelled = "/api/shapes/users?handle=1-1&live=true&cursor=20&offset=0_0";
    assert_eq!(soon(gateway.get(spelled, Some(&member(1)))).await.text(), "[4]");
    assert_eq!(
        gateway.state.metrics.hub.fetches_total.get(),
        targets.len() as u64
    );
}
