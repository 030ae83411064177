//! Answers that are remembered: until a fixed moment, for exactly the question that they were given to.

use std::time::Duration;

use serde_json::json;

use crate::fake::{Fake, Say};
use crate::support::gateway::{get, request};
use crate::support::patience::{soon, until};
use crate::support::token;
use crate::world::{ALL, FIRST, PATH, World, allow, bob, deny, refused, shape, unavailable};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_yes_that_is_read_every_second_for_an_hour_is_asked_for_anew_whenever_its_time_is_over() {
    let world = World::http(allow(), ", ttl: 60s", ALL).await;
    for second in 0..3600 {
        assert_eq!(world.first(&bob()).await.status, 200, "second {second}");
        world.clock.advance(seconds(1));
    }
    assert_eq!(world.fake.count(), 60, "reading prolongs nothing");
}

#[tokio::test]
async fn a_yes_then_a_no_is_honoured_within_the_time_of_the_yes_and_a_no_is_forgotten_sooner() {
    let world = World::http(allow(), ", ttl: 30s, deny_ttl: 5s", ALL).await;
    assert_eq!(world.first(&bob()).await.status, 200);
    world.fake.says(deny());
    world.clock.advance(seconds(29));
    assert_eq!(world.first(&bob()).await.status, 200, "still remembered");
    world.clock.advance(seconds(1));
    refused(&world.first(&bob()).await, 403, "forbidden");
    world.fake.says(allow());
    world.clock.advance(seconds(4));
    refused(&world.first(&bob()).await, 403, "forbidden");
    assert_eq!(world.fake.count(), 2, "a no is remembered, too");
    world.clock.advance(seconds(1));
    assert_eq!(world.first(&bob()).await.status, 200);
    assert_eq!(world.fake.count(), 3);
}

#[tokio::test]
async fn a_clock_that_jumps_back_prolongs_nothing_and_one_that_jumps_forward_ends() {
    let world = World::http(allow(), ", ttl: 30s", ALL).await;
    assert_eq!(world.first(&bob()).await.status, 200);
    let now = shapegate_core::time::UnixMillis::from_seconds(token::now());
    world
        .clock
        .set_wall(shapegate_core::time::UnixMillis(now.0 - 3_600_000));
    world.clock.advance(seconds(30));
    world.fake.says(Say::Status(500, ""));
    assert_ne!(world.first(&bob()).await.status, 200);

    let world = World::http(allow(), ", ttl: 30s", ALL).await;
    assert_eq!(world.first(&bob()).await.status, 200);
    world.clock.set_wall(now.plus(seconds(3600)));
    world.fake.says(deny());
    refused(&world.first(&bob()).await, 403, "forbidden");
}

#[tokio::test]
async fn an_answer_may_hold_less_long_than_configured_and_never_longer() {
    let lasting = |ttl: u64| Say::Json(json!({ "allow": true, "ttl": ttl }));
    for (own, holds) in [(10, 10), (3_600, 30), (0, 1)] {
        let world = World::http(lasting(own), ", ttl: 30s", ALL).await;
        assert_eq!(world.first(&bob()).await.status, 200);
        world.clock.advance(seconds(holds) - Duration::from_millis(1));
        assert_eq!(world.first(&bob()).await.status, 200);
        assert_eq!(world.fake.count(), 1, "{own}");
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(world.first(&bob()).await.status, 200);
        assert_eq!(world.fake.count(), 2, "{own}");
    }
}

#[tokio::test]
async fn the_time_of_an_answer_counts_from_the_question() {
    let world = World::http(Say::Held(json!({ "allow": true })), ", ttl: 3s", ALL).await;
    let mut client = world.gateway.connect().await;
    client.send(get(FIRST, Some(&bob()))).await;
    until("it is asked", || world.fake.count() == 1).await;
    world.clock.advance(Duration::from_millis(1_900));
    world.fake.release();
    assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    world.fake.says(deny());
    world.clock.advance(Duration::from_millis(1_099));
    assert_eq!(world.first(&bob()).await.status, 200);
    world.clock.advance(Duration::from_millis(1));
    refused(&world.first(&bob()).await, 403, "forbidden");
}

#[tokio::test]
async fn a_hundred_who_ask_the_same_at_once_are_one_question() {
    let world = World::http(Say::Held(json!({ "allow": true })), "", ALL).await;
    let mut clients = Vec::new();
    for n in 0..100 {
        let mut client = world.gateway.connect().await;
        let target = format!("{PATH}?offset=-1&cache-buster={n}");
        client.send(get(&target, Some(&bob()))).await;
        clients.push(client);
    }
    until("all have come", || {
        world.gateway.state.metrics.in_flight.get() == 100
    })
    .await;
    until("one is asked", || world.fake.count() == 1).await;
    // Some may still be on their way to the question: they join it, or find it answered.
    world.fake.release();
    for client in &mut clients {
        assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    }
    assert_eq!(world.fake.count(), 1);
}

#[tokio::test]
async fn whoever_asked_first_may_leave_and_the_others_get_the_answer() {
    let world = World::http(Say::Held(json!({ "allow": true })), "", ALL).await;
    let mut first = world.gateway.connect().await;
    first.send(get(FIRST, Some(&bob()))).await;
    until("one is asked", || world.fake.count() == 1).await;
    let mut second = world.gateway.connect().await;
    second.send(get(FIRST, Some(&bob()))).await;
    until("both are there", || {
        world.gateway.state.metrics.in_flight.get() == 2
    })
    .await;
    drop(first);
    world.fake.release();
    assert_eq!(soon(second.answer()).await.unwrap().status, 200);
    assert_eq!(world.fake.count(), 1);
}

/// A shape whose answers depend on everything that a question can hold.
fn wide(url: &str) -> String {
    format!(
        "{}
limits: {{ hub_bytes_max: 0KiB }}
shapes:
  users:
    path: /api/{{a:text}}/{{b:text}}/users
    query: {{ q: text, r: text }}
    table: users
    columns: [id, name]
    authorize: {{ http: {{ url: '{url}', claims: [x, y], headers: [x-team] }} }}
    rules: [{{ rows: all }}]
",
        token::IDENTITY
    )
}

#[tokio::test]
async fn whatever_decides_is_part_of_what_an_answer_is_remembered_for() {
    let fake = Fake::saying(allow()).await;
    let text = wide(&fake.url());
    let world = World::of(fake, &text).await;
    let ask = async |target: &str, claims: serde_json::Value, team: &str| {
        let headers = if team.is_empty() {
            vec![]
        } else {
            vec![("x-team", team)]
        };
        let bytes = request("GET", target, Some(&token::token(claims)), &headers, "");
        let answer = world.gateway.connect().await.ask(bytes).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        world.fake.count()
    };
    let same = || json!({ "sub": "s", "x": "1" });
    let first = "/api/a/bc/users?offset=-1";
    assert_eq!(ask(first, same(), "").await, 1);
    assert_eq!(
        ask(first, json!({ "sub": "s", "x": "1", "other": 2 }), "").await,
        1,
        "what is not told decides nothing"
    );
    assert_eq!(ask(&format!("{first}&log=full"), same(), "").await, 1);
    assert_eq!(ask("/api/ab/c/users?offset=-1", same(), "").await, 2);
    assert_eq!(ask(&format!("{first}&q=x"), same(), "").await, 3);
    assert_eq!(ask(&format!("{first}&r=x"), same(), "").await, 4);
    assert_eq!(ask(&format!("{first}&q=x&r=x"), same(), "").await, 5);
    assert_eq!(ask(first, json!({ "sub": "s", "x": 1 }), "").await, 6);
    assert_eq!(ask(first, json!({ "sub": "s", "y": "1" }), "").await, 7);
    assert_eq!(ask(first, json!({ "sub": "s1", "x": "" }), "").await, 8);
    assert_eq!(ask(first, same(), "blue").await, 9);
    assert_eq!(
        ask(first, same(), "").await,
        9,
        "and the first is still remembered"
    );
}

#[tokio::test]
async fn other_rules_and_another_authoriser_know_nothing_of_what_was_said_before() {
    let world = World::http(allow(), "", ALL).await;
    assert_eq!(world.first(&bob()).await.status, 200);
    world.fake.says(deny());
    let authorize = format!("{{ http: {{ url: '{}/decide' }} }}", world.fake.url());
    world.gateway.reload(&shape(&authorize, ALL));
    refused(&world.first(&bob()).await, 403, "forbidden");
}

#[tokio::test]
async fn a_failure_is_not_remembered_and_replaces_nothing() {
    let world = World::http(Say::Status(500, ""), "", ALL).await;
    unavailable(&world.first(&bob()).await);
    world.fake.says(allow());
    assert_eq!(world.first(&bob()).await.status, 200);
    assert_eq!(world.fake.count(), 2);
}

#[tokio::test]
async fn lookups_answers_and_times_are_counted_by_authoriser() {
    let world = World::http(allow(), "", ALL).await;
    let narrowed = format!("{FIRST}&replica=default");
    for target in [FIRST, &narrowed, &narrowed] {
        assert_eq!(world.gateway.get(target, Some(&bob())).await.status, 200);
    }
    world.fake.says(deny());
    let other = token::token(json!({ "sub": "other" }));
    refused(&world.first(&other).await, 403, "forbidden");
    let metrics = world.gateway.state.metrics.render().unwrap();
    for line in [
        r#"shapegate_authorizer_answers_total{authorizer="http",outcome="allowed"} 1"#,
        r#"shapegate_authorizer_answers_total{authorizer="http",outcome="denied"} 1"#,
        r#"shapegate_authorizer_lookups_total{authorizer="http",result="hit"} 2"#,
        r#"shapegate_authorizer_lookups_total{authorizer="http",result="miss"} 2"#,
        r#"shapegate_authorizer_seconds_count{authorizer="http"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
