//! A credential that ends while its holder waits.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::place::{assert_nothing_new, held, polling, streaming, synced, timeless, users};
use crate::support::gateway::{Gateway, get, origin};
use crate::support::many;
use crate::support::patience::{soon, until};
use crate::support::token;

/// Seconds that a token is taken beyond its `exp`.
const SKEW: u64 = 60;

/// A member's token that ends in so many seconds.
fn ending_in(seconds: i64) -> String {
    token::token(json!({ "sub": "short", "org_id": 1, "exp": token::now() + seconds }))
}

#[tokio::test]
async fn a_poll_ends_with_nothing_new_when_its_token_ends_and_the_next_request_is_401() {
    let (gateway, clock) = timeless().await;
    let token = ending_in(30);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;

    clock.advance(Duration::from_secs(30 + SKEW - 2));
    tokio::task::yield_now().await;
    assert_eq!(gateway.origin.waiting(), 1, "the token still holds");

    clock.advance(Duration::from_secs(3));
    let answer = soon(client.answer()).await.unwrap();
    assert_nothing_new(&answer, &place);
    until("the upstream's poll ends", || gateway.origin.waiting() == 0).await;
    held(&gateway, 0).await;

    let answer = soon(client.ask(get(&place.poll(), Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_expired"));
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(gateway.origin.received().len(), 1, "only the poll went upstream");
}

#[tokio::test]
async fn a_poll_that_ended_early_goes_on_with_a_renewed_token_and_misses_nothing() {
    let (gateway, clock) = timeless().await;
    let short = ending_in(10);
    let place = synced(&gateway, &short).await;
    let mut client = polling(&gateway, &place, &short).await;
    clock.advance(Duration::from_secs(10 + SKEW + 20));
    let early = soon(client.answer()).await.unwrap();
    assert_nothing_new(&early, &place);

    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let renewed = token::token(json!({ "sub": "short", "org_id": 1 }));
    let next = crate::place::Place::after(&early);
    let answer = soon(client.ask(get(&next.poll(), Some(&renewed)))).await;
    assert_eq!(crate::place::operations(&answer)[0].1["name"], "Eve");
}

#[tokio::test]
async fn a_stream_of_events_ends_cleanly_when_its_token_ends() {
    let (gateway, clock) = timeless().await;
    let token = ending_in(30);
    let place = synced(&gateway, &token).await;
    let mut client = streaming(&gateway, &place, &token).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let event = soon(client.chunk()).await.unwrap();
    assert!(event.ends_with(b"\n\n"));

    clock.advance(Duration::from_secs(30 + SKEW + 20));
    assert_eq!(soon(client.chunk()).await, Some(Vec::new()), "the last chunk");
    until("the upstream's stream ends", || gateway.origin.waiting() == 0).await;
    held(&gateway, 0).await;

    let answer = soon(client.ask(get(&place.events(), Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_expired"));
}

#[tokio::test]
async fn a_stream_whose_upstream_is_silent_from_the_start_ends_as_a_stream() {
    let (gateway, clock) = timeless().await;
    let token = ending_in(30);
    let place = synced(&gateway, &token).await;
    gateway.origin.misbehave(shapegate_origin::Misbehaviour::always(
        shapegate_origin::Fault::Stall,
    ));
    let mut client = gateway.connect().await;
    client.send(get(&place.events(), Some(&token))).await;
    held(&gateway, 1).await;
    until("it is asked", || gateway.origin.received().len() == 1).await;
    clock.advance(Duration::from_secs(30 + SKEW + 20));
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.complete);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("electric-offset"), Some(place.offset.as_str()));
    assert!(answer.text().ends_with("\n\n"), "{:?}", answer.text());
    assert!(!answer.text().contains("data:"), "no event: {:?}", answer.text());
}

#[tokio::test]
async fn an_answer_that_comes_after_the_end_is_not_handed_out() {
    let (gateway, clock) = timeless().await;
    let token = ending_in(30);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    // Only the wall clock: a machine that slept has a monotonic clock that did not notice.
    clock.set_wall(UnixMillis::from_seconds(token::now() + 3600));
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let answer = soon(client.answer()).await.unwrap();
    assert_nothing_new(&answer, &place);
}

#[tokio::test]
async fn an_event_that_comes_after_the_end_is_not_handed_out() {
    let (gateway, clock) = timeless().await;
    let token = ending_in(30);
    let place = synced(&gateway, &token).await;
    let mut client = streaming(&gateway, &place, &token).await;
    clock.set_wall(UnixMillis::from_seconds(token::now() + 3600));
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    assert_eq!(
        soon(client.chunk()).await,
        Some(Vec::new()),
        "nothing but the end"
    );
}

#[tokio::test]
async fn a_wall_clock_that_goes_back_lengthens_no_wait() {
    let (gateway, clock) = timeless().await;
    let token = ending_in(30);
    let place = synced(&gateway, &token).await;
    let mut client = polling(&gateway, &place, &token).await;
    clock.set_wall(UnixMillis::from_seconds(token::now() - 3600));
    clock.advance(Duration::from_secs(30 + SKEW + 20));
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(answer.header("electric-up-to-date"), Some(""));
    assert_eq!(answer.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_that_end_at_different_times_end_only_their_own_waits() {
    let (gateway, clock) = timeless().await;
    let (short, long) = (ending_in(30), ending_in(300));
    let place = synced(&gateway, &short).await;
    let mut first = polling(&gateway, &place, &short).await;
    let mut second = polling(&gateway, &place, &long).await;
    clock.advance(Duration::from_secs(30 + SKEW + 20));
    assert_nothing_new(&soon(first.answer()).await.unwrap(), &place);
    until("one poll is left", || gateway.origin.waiting() == 1).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    let answer = soon(second.answer()).await.unwrap();
    assert_eq!(crate::place::operations(&answer)[0].1["name"], "Eve");
}

/// Goal R6; ten thousand of them in `make test-long`, or as many as files may be open for.
#[tokio::test]
async fn r6_of_many_streams_and_polls_each_ends_cleanly_with_its_token_and_the_next_request_is_401() {
    // Each client is a connection on both of its sides; some files are for other tests.
    let open_files = shapegate::process::open_files::raise_limit();
    let room = open_files.map_or(usize::MAX, |files| usize::try_from(files / 5 * 2).unwrap());
    let count = many("SHAPEGATE_STREAMS", 500).min(room);
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let config = format!("limits: {{ connections_per_address_max: 100000 }}\n{}", users());
    let gateway = Gateway::before(origin(), &config, Arc::new(clock.clone())).await;
    let place = synced(&gateway, &ending_in(30)).await;
    let mut clients = Vec::new();
    for number in 0..count {
        let claims = json!({ "sub": format!("short_{number}"), "org_id": 1, "exp": token::now() + 30 });
        let (mut client, token) = (gateway.connect().await, token::token(claims));
        let target = if number % 2 == 0 {
            place.poll()
        } else {
            place.events()
        };
        client.send(get(&target, Some(&token))).await;
        clients.push((client, target, token));
    }
    held(&gateway, i64::try_from(count).unwrap()).await;
    clock.advance(Duration::from_secs(30 + SKEW + 1));
    for (client, target, token) in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
        let next = soon(client.ask(get(target, Some(token)))).await;
        assert_eq!((next.status, next.code().as_str()), (401, "token_expired"));
    }
    held(&gateway, 0).await;
    until("nobody waits upstream", || gateway.origin.waiting() == 0).await;
    assert!(
        gateway.origin.received().len() <= 2,
        "one for the polls, one for the streams"
    );
}
