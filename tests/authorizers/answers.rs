//! What answers do to what a client gets.

use serde_json::json;

use crate::fake::Say;
use crate::support::gateway::get;
use crate::world::{ALL, FIRST, PATH, World, allow, bob, deny, names, parameter, refused, sent, unavailable};

const ROLE: &str = "[{ when: 'has(decision.role) && decision.role == \"member\"', rows: all }]";

#[tokio::test]
async fn facts_decide_rules_and_become_parameters() {
    let world = World::http(
        Say::Json(json!({ "allow": true, "facts": { "role": "member" } })),
        "",
        ROLE,
    )
    .await;
    assert_eq!(world.first(&bob()).await.status, 200);
    world
        .fake
        .says(Say::Json(json!({ "allow": true, "facts": { "role": "guest" } })));
    world.clock.advance(std::time::Duration::from_secs(31));
    refused(&world.first(&bob()).await, 403, "forbidden");

    let rules =
        "[{ when: 'has(decision.orgs)', rows: { where: 'org_id = ANY($1)', params: [decision.orgs] } }]";
    let world = World::http(
        Say::Json(json!({ "allow": true, "facts": { "orgs": [1, 3] } })),
        "",
        rules,
    )
    .await;
    assert_eq!(world.first(&bob()).await.status, 200);
    assert_eq!(sent(&world, "params[1]"), "{1,3}");
}

#[tokio::test]
async fn a_fact_that_an_answer_lacks_has_its_default() {
    let rules = "[{ when: 'decision.role == \"guest\"', rows: all }]";
    let world = World::http(allow(), ", defaults: { role: guest }", rules).await;
    assert_eq!(world.first(&bob()).await.status, 200);
}

#[tokio::test]
async fn a_no_is_403_in_the_words_of_a_rule() {
    let world = World::http(deny(), "", ALL).await;
    let answer = world.first(&bob()).await;
    refused(&answer, 403, "forbidden");
    let by_rule = World::http(allow(), "", "[{ when: 'false', rows: all }]").await;
    assert_eq!(
        by_rule.first(&bob()).await.json()["message"],
        answer.json()["message"]
    );
    world.gateway.received_nothing();
}

#[tokio::test]
async fn a_returned_filter_is_anded_and_its_values_travel_as_parameters() {
    let evil = "x' OR '1'='1";
    let answer = json!({ "allow": true, "where": "name = $1 OR org_id = $2", "params": [evil, 1] });
    let rules = r#"[{ rows: { where: '"org_id" > $1', params: [{ value: 0 }] } }]"#;
    let world = World::http(Say::Json(answer), "", rules).await;
    assert_eq!(names(&world.first(&bob()).await), ["Alice", "Bob"]);
    let target = world.gateway.received_one().target;
    assert_eq!(
        parameter(&target, "where"),
        r#"(("org_id" > $1) AND (("name" = $2) OR ("org_id" = $3)))"#
    );
    assert_eq!(parameter(&target, "params[2]"), evil);
}

#[tokio::test]
async fn returned_columns_take_columns_away_and_add_none() {
    let answer = json!({ "allow": true, "columns": ["id", "name", "password"] });
    let world = World::http(Say::Json(answer), "", ALL).await;
    assert_eq!(world.first(&bob()).await.status, 200);
    let target = world.gateway.received_one().target;
    assert!(
        !target.contains("org_id") && !target.contains("password"),
        "{target}"
    );
    let world = World::http(
        Say::Json(json!({ "allow": true, "columns": ["password"] })),
        "",
        ALL,
    )
    .await;
    refused(&world.first(&bob()).await, 403, "forbidden");
    world.gateway.received_nothing();
}

#[tokio::test]
async fn an_answer_that_is_not_understood_in_full_is_none() {
    for answer in [
        json!({ "allow": "yes" }),
        json!({ "allow": true, "wehre": "org_id = 1" }),
        json!({ "allow": true, "where": "true) OR (true" }),
        json!({ "allow": true, "where": "org_id = $1" }),
        json!({ "allow": true, "columns": [] }),
        json!({}),
        json!(true),
    ] {
        let world = World::http(Say::Json(answer.clone()), "", ALL).await;
        unavailable(&world.first(&bob()).await);
        world.gateway.received_nothing();
    }
}

#[tokio::test]
async fn what_is_decided_from_answers_is_never_public() {
    let fake = crate::fake::Fake::saying(allow()).await;
    let text = format!(
        "shapes:\n  users:\n    table: users\n    columns: [id, name]\n    access: public\n    \
         authorize: {{ opa: {{ url: '{}', path: open, input: {{ tenant: tenant.id }} }} }}\n    rules: [{{ rows: all }}]\n",
        fake.url()
    );
    let world = World::of(fake, &text).await;
    world.fake.says(Say::Json(json!({ "result": true })));
    let answer = world.gateway.connect().await.ask(get(FIRST, None)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.header("cache-control").unwrap().contains("private"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_was_signed_away_for_one_is_not_given_to_another() {
    let fake = crate::fake::Fake::answering(|asked| {
        let subject = asked.json()["subject"].clone();
        Say::Json(json!({ "allow": true, "where": "name = $1", "params": [if subject == "bob" { "Bob" } else { "Alice" }] }))
    })
    .await;
    let authorize = format!("{{ http: {{ url: '{}' }} }}", fake.url());
    let world = World::of(fake, &crate::world::shape(&authorize, ALL)).await;
    let ada = crate::support::token::token(json!({ "sub": "ada" }));
    for _ in 0..20 {
        assert_eq!(world.names(&bob()).await, ["Bob"]);
        assert_eq!(world.names(&ada).await, ["Alice"]);
    }
    assert_eq!(world.fake.count(), 2, "each was asked about once");
    let later = format!("{PATH}?offset=-1&log=full");
    assert_eq!(names(&world.gateway.get(&later, Some(&ada)).await), ["Alice"]);
}
