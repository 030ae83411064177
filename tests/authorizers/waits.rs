//! Waits end with the answers that they were permitted by.

use std::time::Duration;

use serde_json::json;
use shapegate_origin::{Fault, Misbehaviour};

use crate::fake::Say;
use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};
use crate::world::{ALL, FIRST, PATH, World, allow, bob, deny, refused, shape, unavailable};

fn live(after: &Answer) -> String {
    let header = |name| after.header(name).unwrap().to_owned();
    format!(
        "{PATH}?offset={}&handle={}&live=true",
        header("electric-offset"),
        header("electric-handle")
    )
}

/// A poll that waits upstream, and where it stands.
async fn waiting(world: &World) -> (Raw, String) {
    let mut answer = world.first(&bob()).await;
    while answer.header("electric-up-to-date").is_none() {
        let header = |name| answer.header(name).unwrap().to_owned();
        let next = format!(
            "{PATH}?offset={}&handle={}",
            header("electric-offset"),
            header("electric-handle")
        );
        answer = world.gateway.get(&next, Some(&bob())).await;
    }
    let target = live(&answer);
    let mut client = world.gateway.connect().await;
    client.send(get(&target, Some(&bob()))).await;
    until("it waits upstream", || world.gateway.origin.waiting() == 1).await;
    (client, target)
}

#[tokio::test]
async fn a_poll_ends_with_nothing_new_when_the_answer_behind_it_ends_and_the_next_is_judged_anew() {
    let world = World::http(allow(), ", ttl: 15s", ALL).await;
    let (mut client, target) = waiting(&world).await;
    world.clock.advance(Duration::from_secs(14));
    tokio::task::yield_now().await;
    assert_eq!(world.gateway.origin.waiting(), 1, "the answer still holds");
    world.fake.says(deny());
    world.clock.advance(Duration::from_secs(1));
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("electric-up-to-date"), Some(""));
    assert_eq!(answer.json().as_array().unwrap().len(), 1, "nothing new");
    until("the upstream's poll ends", || world.gateway.origin.waiting() == 0).await;
    refused(
        &soon(client.ask(get(&target, Some(&bob())))).await,
        403,
        "forbidden",
    );
}

#[tokio::test]
async fn a_snapshot_that_takes_longer_than_the_answer_behind_it_holds_is_no_fault_of_the_credential() {
    let world = World::http(allow(), ", ttl: 15s", ALL).await;
    let stalls = Misbehaviour::always(Fault::Stall);
    world.gateway.origin.misbehave(stalls);
    let mut client = world.gateway.connect().await;
    client.send(get(FIRST, Some(&bob()))).await;
    until("it is asked for", || world.gateway.origin.received().len() == 1).await;
    world.clock.advance(Duration::from_secs(15));
    let answer = soon(client.answer()).await.unwrap();
    refused(&answer, 504, "upstream_timeout");
    assert_eq!(answer.header("www-authenticate"), None);
}

#[tokio::test]
async fn a_poll_goes_on_from_where_it_stood_when_the_answer_is_yes_again() {
    let world = World::http(allow(), ", ttl: 15s", ALL).await;
    let (mut client, _) = waiting(&world).await;
    world.clock.advance(Duration::from_secs(15));
    let early = soon(client.answer()).await.unwrap();
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    world.gateway.origin.insert("users", row).unwrap();
    let answer = soon(client.ask(get(&live(&early), Some(&bob())))).await;
    assert!(answer.text().contains("Eve"), "{}", answer.text());
    assert_eq!(world.fake.count(), 2);
}

#[tokio::test]
async fn a_change_of_the_rules_has_those_who_wait_judged_anew_with_a_new_answer() {
    let world = World::http(allow(), "", ALL).await;
    let (mut client, _) = waiting(&world).await;
    let authorize = format!("{{ http: {{ url: '{}/decide' }} }}", world.fake.url());
    world.gateway.reload(&shape(&authorize, ALL));
    until("it is asked again", || world.fake.count() == 2).await;
    assert_eq!(world.gateway.origin.waiting(), 1, "still permitted");
    world.fake.says(Say::Status(500, ""));
    world.gateway.reload(&shape(&authorize, ALL));
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!(
        (answer.status, answer.json().as_array().unwrap().len()),
        (200, 1),
        "nothing new"
    );
    unavailable(&world.gateway.get(FIRST, Some(&bob())).await);
}
