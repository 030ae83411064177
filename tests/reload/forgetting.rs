//! Decisions that nobody can ask for any more take up no room.

use std::sync::Arc;

use serde_json::json;
use shapegate::tenant::Found;
use shapegate_core::policy::{Facts, HeaderValue, Headers, RequestFacts};
use shapegate_core::request::{Asked, Verb};

use crate::place::{BASE, USERS, World};
use crate::support::gateway::Gateway;
use crate::support::patience::until;
use crate::support::token::token;

/// So many users of a tenant ask, each for himself.
async fn ask(world: &World, tenant: &str, users: usize) {
    for user in 0..users {
        let token = token(json!({ "tenant": tenant, "org_id": 1, "sub": format!("user_{user}") }));
        let target = format!("{USERS}?offset=-1");
        let answer = world.ask(&format!("{tenant}.test"), &target, &token).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn remembered(world: &World) -> usize {
    world.gateway.state.loaded().decisions.len()
}

async fn left(world: &World, count: usize) {
    until(&format!("{count} decisions are left"), || {
        remembered(world) == count
    })
    .await;
}

#[tokio::test]
async fn what_was_decided_for_a_tenant_is_forgotten_with_it_and_for_others_remembered() {
    let world = World::start().await;
    ask(&world, "acme", 30).await;
    ask(&world, "beta", 20).await;
    assert_eq!(remembered(&world), 50);
    for round in 0..5 {
        let origins = format!("cors: {{ origins: ['https://{round}.test'] }}\n");
        world.files.tenant("acme", &origins);
        world.look().await;
        left(&world, 20).await;
        ask(&world, "acme", 30).await;
        ask(&world, "beta", 20).await;
        assert_eq!(remembered(&world), 50, "those of beta were known still");
    }
    world.files.remove("tenants/beta.yaml");
    world.look().await;
    left(&world, 30).await;
    world.files.write(
        "templates/base.yaml",
        &BASE.replace("[id, name, org_id]", "[id, name]"),
    );
    world.look().await;
    left(&world, 0).await;
}

struct NoHeaders;

impl Headers for NoHeaders {
    fn header(&self, _: &str) -> HeaderValue<'_> {
        HeaderValue::Absent
    }
}

#[tokio::test]
async fn what_is_decided_by_a_request_that_outlasts_its_tenant_is_not_remembered() {
    let public =
        "shapes: { items: { table: items, columns: all, access: public, rules: [{ rows: all }] } }\n";
    let gateway = Gateway::start(public).await;
    let before = Arc::clone(&gateway.state.loaded());
    let tenant = before.snapshot.tenant("default").unwrap();
    let Some(Found::Shapes(endpoint)) = tenant.find("/api/shapes/items") else {
        panic!("no shapes there");
    };
    let asked = Asked::parse(Verb::Get, "offset=-1", endpoint.declared()).unwrap();
    let shape = endpoint.choose(&asked).unwrap();
    let request = RequestFacts {
        method: "GET",
        path: &[],
        query: &asked.query,
        headers: &NoHeaders,
    };
    let key = shape.policy().memory_key(None, &request, &asked).unwrap();
    let key = (shape.number(), key);
    let now = gateway.state.clock.now();
    let judged = shape.policy().judge(None, &request, &asked, &Facts::none(), now);
    let allowed = judged.unwrap();
    before.decisions.remember(shape, &key, &allowed);
    assert!(before.decisions.get(&key).is_some());
    gateway.reload(public);
    until("it is forgotten", || before.decisions.get(&key).is_none()).await;
    before.decisions.remember(shape, &key, &allowed);
    assert_eq!(
        (before.decisions.get(&key).is_none(), before.decisions.len()),
        (true, 0)
    );
}
