//! A process that goes away while clients wait.

use crate::place::{Place, assert_nothing_new, held, polling, streaming, synced, users};
use crate::support::gateway::{Gateway, get};
use crate::support::patience::{soon, until};
use crate::support::token::member;

#[tokio::test]
async fn draining_ends_every_wait_and_refuses_what_comes_next() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(polling(&gateway, &place, &token).await);
    }
    let mut stream = streaming(&gateway, &place, &token).await;
    held(&gateway, 21).await;
    let mut kept = gateway.connect().await;

    gateway.state.drain.begin();
    assert_eq!(soon(stream.chunk()).await, Some(Vec::new()), "a clean end");
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_nothing_new(&answer, &place);
        assert_eq!(
            answer.header("connection"),
            Some("close"),
            "it finds another process"
        );
    }
    held(&gateway, 0).await;
    until("no poll is left upstream", || gateway.origin.waiting() == 0).await;
    until("nothing is in flight", || {
        gateway.state.metrics.in_flight.get() == 0
    })
    .await;

    let answer = soon(kept.ask(get(&place.poll(), Some(&token)))).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(
        soon(kept.is_closed()).await,
        "the client must find another process"
    );
}

#[tokio::test]
async fn draining_lets_a_snapshot_that_has_begun_finish() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    gateway.origin.misbehave(shapegate_origin::Misbehaviour::once(
        shapegate_origin::Fault::Slow { ms: 200 },
    ));
    let mut client = gateway.connect().await;
    client
        .send(get("/api/shapes/users?offset=-1", Some(&token)))
        .await;
    until("the snapshot is asked for", || {
        gateway.origin.received().len() == 1
    })
    .await;
    gateway.state.drain.begin();
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.complete);
    assert_eq!(crate::place::operations(&answer).len(), 2);
    assert!(Place::after(&answer).offset.starts_with("0_"));
}

#[tokio::test]
async fn draining_refuses_new_requests_before_anything_goes_upstream() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let answer = gateway.get("/api/shapes/users?offset=-1", Some(&token)).await;
    assert_eq!(answer.status, 200);
    gateway.state.drain.begin();
    let answer = gateway.get("/api/shapes/users?offset=-1", Some(&token)).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert_eq!(gateway.origin.received().len(), 1, "nothing new goes upstream");
}
