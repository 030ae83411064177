//! Who waits while files change: those whose permission changed go, the others stay.

use serde_json::json;

use crate::place::{NOBODY, World};
use crate::support::patience::{soon, until};

fn row() -> serde_json::Value {
    json!({ "id": 9, "name": "Eve", "org_id": 1 })
}

#[tokio::test]
async fn a_rule_that_takes_a_permission_ends_the_tenants_polls_and_nobody_elses() {
    let world = World::start().await;
    let (acme, mut beta) = (world.waiting("acme").await, world.waiting("beta").await);
    world.files.tenant("acme", NOBODY);
    world.look().await;
    assert_eq!(acme.ended().await.status, 403);
    world.gateway.origin.insert("users", row()).unwrap();
    let answer = soon(beta.client.answer()).await.unwrap();
    assert!(
        answer.text().contains("Eve"),
        "the other's poll was there to get the change"
    );
}

#[tokio::test]
async fn a_change_that_leaves_the_decision_leaves_the_poll_and_its_request_to_the_upstream() {
    let world = World::start().await;
    let mut acme = world.waiting("acme").await;
    world.gateway.origin.forget_received();
    let labels = "shapes: { labels: { table: users, columns: [id], rules: [ { rows: all } ] } }\n";
    for more in [
        labels,
        "cors: { origins: ['https://a.test'] }\n",
        "# a comment\n",
        "",
    ] {
        world.files.tenant("acme", more);
        world.look().await;
    }
    let main = world.files.path("shapegate.yaml");
    let text = std::fs::read_to_string(&main).unwrap();
    std::fs::write(main, format!("# read anew as a whole\n{text}")).unwrap();
    world.look().await;
    assert_eq!(world.gateway.state.metrics.held.get(), 1);
    world.gateway.origin.insert("users", row()).unwrap();
    let answer = soon(acme.client.answer()).await.unwrap();
    assert!(answer.text().contains("Eve"));
    world.gateway.received_nothing();
}

#[tokio::test]
async fn a_tenant_that_is_removed_ends_its_polls_and_is_not_found_while_others_sync() {
    let world = World::start().await;
    let (acme, mut beta) = (world.waiting("acme").await, world.waiting("beta").await);
    world.files.remove("tenants/acme.yaml");
    world.look().await;
    assert_eq!(acme.ended().await.status, 404);
    until("only the other waits", || world.gateway.origin.waiting() == 1).await;
    world.gateway.origin.insert("users", row()).unwrap();
    assert!(soon(beta.client.answer()).await.unwrap().text().contains("Eve"));
}

#[tokio::test]
async fn keys_that_change_end_the_polls_of_tokens_that_they_do_not_verify() {
    let world = World::start().await;
    let acme = world.waiting("acme").await;
    world
        .files
        .write("jwt-secret", "another-secret-of-32-bytes-or-more!!");
    world.look().await;
    let next = acme.ended().await;
    assert_eq!((next.status, next.code().as_str()), (401, "token_invalid"));
}

#[tokio::test]
async fn a_change_of_electric_ends_polls_at_the_old_one() {
    let world = World::start().await;
    let acme = world.waiting("acme").await;
    let other = crate::support::gateway::origin();
    world
        .files
        .tenant("acme", &format!("electric: {{ url: '{}' }}\n", other.url()));
    world.look().await;
    assert_ne!(acme.ended().await.status, 500);
    assert!(
        !other.received().is_empty(),
        "the next request goes to the new one"
    );
}

#[tokio::test]
async fn many_polls_of_one_tenant_are_judged_again_and_those_of_another_are_not_even_asked() {
    let world = World::start().await;
    let mut waits = Vec::new();
    for _ in 0..30 {
        let first = world
            .ask(
                "acme.test",
                "/api/shapes/users?offset=-1",
                &crate::place::of("acme"),
            )
            .await;
        let (handle, offset) = (
            first.header("electric-handle").unwrap(),
            first.header("electric-offset").unwrap(),
        );
        let target = format!("/api/shapes/users?handle={handle}&offset={offset}&live=true");
        let mut client = world.gateway.connect().await;
        client
            .send(crate::place::get("acme.test", &target, &crate::place::of("acme")))
            .await;
        waits.push(client);
    }
    until("all wait", || world.gateway.state.metrics.held.get() == 30).await;
    let beta = world.waiting("beta").await;
    world.files.tenant("acme", NOBODY);
    world.look().await;
    for client in &mut waits {
        assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    }
    assert_eq!(world.gateway.state.metrics.held.get(), 1);
    drop(beta);
}
