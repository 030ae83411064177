//! Clients that leave.

use serde_json::json;

use crate::place::{held, polling, streaming, synced, users};
use crate::support::gateway::{Gateway, get, origin};
use crate::support::patience::{soon, until};
use crate::support::scripted::{GOOD_HEAD, Scripted};
use crate::support::token::member;

#[tokio::test]
async fn a_client_that_leaves_its_poll_ends_the_poll_upstream() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let client = polling(&gateway, &place, &token).await;
    held(&gateway, 1).await;
    drop(client);
    until("the upstream's poll ends", || gateway.origin.waiting() == 0).await;
    held(&gateway, 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_ends_the_stream_upstream() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let client = streaming(&gateway, &place, &token).await;
    drop(client);
    until("the upstream's stream ends", || gateway.origin.waiting() == 0).await;
    held(&gateway, 0).await;
}

#[tokio::test]
async fn two_hundred_waiters_that_leave_at_once_leave_nothing_behind() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = gateway.connect().await;
        client.send(get(&place.poll(), Some(&token))).await;
        clients.push(client);
    }
    until("all wait", || gateway.origin.waiting() == 200).await;
    held(&gateway, 200).await;
    drop(clients);
    held(&gateway, 0).await;
    until("no poll is left upstream", || gateway.origin.waiting() == 0).await;
    until("nothing is in flight", || {
        gateway.state.metrics.in_flight.get() == 0
    })
    .await;

    let mut client = polling(&gateway, &place, &token).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    assert_eq!(soon(client.answer()).await.unwrap().status, 200);
}

#[tokio::test]
async fn one_of_many_that_leaves_disturbs_none_of_the_others() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let place = synced(&gateway, &token).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(polling(&gateway, &place, &token).await);
    }
    drop(clients.remove(0));
    held(&gateway, 9).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    for client in &mut clients {
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!(crate::place::operations(&answer)[0].1["name"], "Eve");
    }
}

/// The upstream has begun to answer a poll and then says nothing more.
#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_ends_it_upstream() {
    let upstream = Scripted::start();
    let gateway = Gateway::before_url(
        origin(),
        upstream.url(),
        &users(),
        std::sync::Arc::new(shapegate::clock::SystemClock),
    )
    .await;
    let target = "/api/shapes/users?offset=0_0&handle=1-1&live=true";
    let mut client = gateway.connect().await;
    client.send(get(target, Some(&member(1)))).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(GOOD_HEAD).await;
    exchange.send_chunk("[").await;
    assert_eq!(soon(client.head()).await.unwrap().status, 200);
    assert_eq!(soon(client.chunk()).await.unwrap(), b"[");
    drop(client);
    soon(exchange.closed()).await;
    held(&gateway, 0).await;
}
