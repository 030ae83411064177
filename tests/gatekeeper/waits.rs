//! A wait with a shape token ends with the token, and with the key behind it.

use std::time::Duration;

use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::token::member;
use crate::world::{PATH, World};

#[tokio::test]
async fn a_poll_ends_with_its_token_and_goes_on_with_the_next() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let first = world
        .get(&format!("offset=-1&{}", config.query()), Some(config.token()))
        .await;
    let (handle, offset) = (
        first.header("electric-handle").unwrap(),
        first.header("electric-offset").unwrap(),
    );
    let poll = format!(
        "{PATH}?handle={handle}&offset={offset}&live=true&{}",
        config.query()
    );
    let mut client = world.gateway.connect().await;
    client.send(get(&poll, Some(config.token()))).await;
    until("the poll waits", || world.gateway.origin.waiting() == 1).await;

    world.clock.advance(Duration::from_secs(300 + 62));
    let early = soon(client.answer()).await.unwrap();
    assert_eq!(
        (early.status, early.header("electric-offset")),
        (200, Some(offset))
    );
    assert_eq!(early.header("electric-handle"), Some(handle));
    until("the upstream's poll ends", || world.gateway.origin.waiting() == 0).await;
    let over = soon(client.ask(get(&poll, Some(config.token())))).await;
    assert_eq!((over.status, over.code().as_str()), (401, "token_expired"));

    let renewed = world.mint("users", &member(1), None).await;
    client.send(get(&poll, Some(renewed.token()))).await;
    until("the next poll waits at the same place", || {
        world.gateway.origin.waiting() == 1
    })
    .await;
    let row = serde_json::json!({ "id": 9, "name": "Eve", "org_id": 1 });
    world.gateway.origin.insert("users", row).unwrap();
    let news = soon(client.answer()).await.unwrap();
    assert!(news.text().contains("Eve"), "{}", news.text());
}

#[tokio::test]
async fn a_poll_ends_when_its_key_is_taken_away() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let first = world
        .get(&format!("offset=-1&{}", config.query()), Some(config.token()))
        .await;
    let (handle, offset) = (
        first.header("electric-handle").unwrap(),
        first.header("electric-offset").unwrap(),
    );
    let poll = format!(
        "{PATH}?handle={handle}&offset={offset}&live=true&{}",
        config.query()
    );
    let mut client = world.gateway.connect().await;
    client.send(get(&poll, Some(config.token()))).await;
    until("the poll waits", || world.gateway.origin.waiting() == 1).await;
    let same = crate::world::usual(world.folder(), "");
    world.gateway.reload(&same);
    std::fs::remove_file(world.folder().join("one.pem")).unwrap();
    world.gateway.reload(&crate::world::usual(world.folder(), ""));
    let early = soon(client.answer()).await.unwrap();
    assert_eq!(
        (early.status, early.header("electric-offset")),
        (200, Some(offset))
    );
    assert_eq!(
        soon(client.ask(get(&poll, Some(config.token())))).await.status,
        401
    );
}
