//! Shapes that are rotated while answers are on their way.

use serde_json::json;

use crate::kept::{ELECTRICS_LOG, ELECTRICS_START, answered, good, scripted};
use crate::place::{held, synced, users};
use crate::support::gateway::{Gateway, get};
use crate::support::patience::{soon, until};
use crate::support::token::member;

const START: &str = "/api/shapes/users?offset=-1";
const LOG: &str = "/api/shapes/users?offset=0_0&handle=1-1";
const GONE: &str = "HTTP/1.1 409 Conflict\r\ncontent-type: application/json\r\nelectric-handle: 1-2\r\n\
    cache-control: public, max-age=60, must-revalidate\r\ncontent-length: 2\r\n\r\n[]";

#[tokio::test]
async fn whoever_asks_after_a_rotation_is_known_does_not_join_a_fetch_from_before_it() {
    let (gateway, upstream, _clock) = scripted().await;
    answered(&gateway, &upstream, LOG, &good("1-1", ELECTRICS_LOG, "[]")).await;
    let mut early = gateway.connect().await;
    early.send(get(START, Some(&member(1)))).await;
    let (mut old, _) = soon(upstream.asked()).await;
    let head = good("1-1", ELECTRICS_START, "").replace("content-length: 0", "transfer-encoding: chunked");
    old.send(head).await;
    old.send_chunk("[1").await;
    assert_eq!(
        soon(early.head()).await.unwrap().header("electric-handle"),
        Some("1-1")
    );

    let poll = format!("{LOG}&live=true");
    assert_eq!(answered(&gateway, &upstream, &poll, GONE).await.0.status, 409);
    let (late, _) = answered(&gateway, &upstream, START, &good("1-2", ELECTRICS_START, "[2]")).await;
    assert_eq!(
        (late.header("electric-handle"), late.text()),
        (Some("1-2"), "[2]")
    );

    // Who had begun reads to the end, and nobody else ever gets that.
    old.send_chunk("]").await;
    old.send_chunk("").await;
    assert_eq!(soon(early.chunk()).await.unwrap(), b"[1");
    assert_eq!(soon(early.chunk()).await.unwrap(), b"]");
    until("it is over", || gateway.state.hub.underway() == 0).await;
    assert_eq!(soon(gateway.get(START, Some(&member(1)))).await.text(), "[2]");
}

#[tokio::test]
async fn an_answer_that_was_asked_for_before_a_rotation_was_known_never_passes_for_the_new_shape() {
    let (gateway, upstream, _clock) = scripted().await;
    // Two ask at once, and nothing is known yet. The first answer to come is the newer one.
    let mut slow = gateway.connect().await;
    slow.send(get(LOG, Some(&member(1)))).await;
    let (mut old, _) = soon(upstream.asked()).await;
    answered(&gateway, &upstream, START, &good("1-2", ELECTRICS_START, "[2]")).await;
    old.send(good("1-1", ELECTRICS_LOG, "[1]")).await;
    assert_eq!(
        soon(slow.answer()).await.unwrap().text(),
        "[1]",
        "it is passed on, as it was asked for"
    );
    drop(old);
    // Which of both is alive is in doubt: the next one asks, and from then on it is known.
    let (next, _) = answered(&gateway, &upstream, START, &good("1-2", ELECTRICS_START, "[2]")).await;
    assert_eq!(next.text(), "[2]");
    assert_eq!(soon(gateway.get(START, Some(&member(1)))).await.text(), "[2]");
    let (log, _) = answered(&gateway, &upstream, LOG, GONE).await;
    assert_eq!(log.status, 409);
}

#[tokio::test]
async fn a_rotation_ends_the_stream_for_all_and_one_409_answers_them() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.connect().await;
        client.send(get(&place.events(), Some(&token))).await;
        clients.push(client);
    }
    held(&gateway, 20).await;
    for client in &mut clients {
        assert_eq!(soon(client.head()).await.unwrap().status, 200);
    }
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    for client in &mut clients {
        let event = String::from_utf8(soon(client.chunk()).await.unwrap()).unwrap();
        assert!(event.contains("Eve") && event.ends_with("\n\n"), "{event}");
    }
    gateway.origin.forget_received();
    assert!(gateway.origin.rotate(Some("users")).unwrap() > 0);
    for client in &mut clients {
        assert_eq!(soon(client.chunk()).await, Some(Vec::new()), "a clean end");
        // The connection serves the next request, which is told.
        let answer = soon(client.ask(get(&place.events(), Some(&token)))).await;
        assert_eq!(answer.status, 409);
        assert!(answer.text().contains("must-refetch"));
        assert_ne!(answer.header("electric-handle"), Some(place.handle.as_str()));
    }
    let asked = gateway.origin.received().len();
    assert!(asked <= 20, "{asked}");
    // With a handle to go to, it is kept for those who still stand in the old shape.
    let again = soon(gateway.get(&place.events(), Some(&token))).await;
    assert_eq!(again.status, 409);
}
