//! Issuers that are not there.

use std::time::Duration;

use serde_json::json;
use shapegate::admin::readiness::readiness;
use shapegate::identity::remote::{REFRESH_INTERVAL, RETRY_INTERVAL, STALE_MAX_DEFAULT};
use shapegate_core::time::UnixMillis;

use crate::provider::{Keys, Provider, key, set};
use crate::support::logs;
use crate::support::token::{member, now};
use crate::world::{SHAPES, World, method};

const GONE: &[u8] = b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";

fn gone() -> Keys {
    Keys::Bytes(GONE.to_vec())
}

#[tokio::test]
async fn r1_an_issuer_that_is_down_at_the_start_delays_its_own_tokens_and_no_others() {
    let first = key("first");
    let provider = Provider::start(gone()).await;
    let token = first.token(&provider.issuer(), &json!({}));
    let world = World::waiting(&method(&provider.issuer(), "")).await;
    world.assert_refused(&world.ask(&token).await, 503, "identity_unavailable", "down");
    world.assert_served(&world.ask(&member(1)).await, "another issuer");
    world.gateway.origin.forget_received();
    assert_eq!(
        readiness(&world.gateway.state, None).0,
        200,
        "somebody can be served"
    );
    world.assert_refused(
        &world.ask(&token).await,
        503,
        "identity_unavailable",
        "still down",
    );

    provider.publish(set(&[&first]));
    let waited = world
        .move_until("the keys come", Duration::from_secs(1), || world.age().is_some())
        .await;
    assert!(waited <= RETRY_INTERVAL + Duration::from_secs(5), "{waited:?}");
    world.assert_served(&world.ask(&token).await, "up");
}

#[tokio::test]
async fn r1_a_tenant_whose_only_issuer_is_down_at_the_start_is_not_ready() {
    let first = key("first");
    let provider = Provider::start(gone()).await;
    let world = World::of(&format!("identity:\n{}{SHAPES}", method(&provider.issuer(), ""))).await;
    for tenant in [None, Some("default")] {
        let (status, text) = readiness(&world.gateway.state, tenant);
        assert_eq!(status, 503, "{text}");
        assert_eq!(text, "1 of 1 tenants wait for their issuers' keys\n");
    }
    assert_eq!(readiness(&world.gateway.state, Some("nobody")).0, 404);
    provider.publish(set(&[&first]));
    world
        .move_until("the keys come", Duration::from_secs(1), || world.age().is_some())
        .await;
    assert_eq!(readiness(&world.gateway.state, None).0, 200);

    provider.publish(gone());
    world.clock.advance(2 * STALE_MAX_DEFAULT);
    assert_eq!(
        readiness(&world.gateway.state, None).0,
        200,
        "an outage later takes nobody out of service"
    );
}

#[tokio::test]
async fn a_request_that_comes_before_the_first_keys_waits_for_them() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::waiting(&method(&provider.issuer(), "")).await;
    let answer = world.ask(&first.token(&provider.issuer(), &json!({}))).await;
    world.assert_served(&answer, "at once");
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn a_request_waits_for_a_silent_issuer_for_a_moment_only() {
    let first = key("first");
    let provider = Provider::start(Keys::Bytes(Vec::new())).await;
    let world = World::waiting(&method(&provider.issuer(), "")).await;
    let answer = world
        .ask_while_time_passes(&first.token(&provider.issuer(), &json!({})))
        .await;
    world.assert_refused(&answer, 503, "identity_unavailable", "silence");
}

#[tokio::test]
async fn r2_keys_are_used_for_an_hour_after_their_issuer_went_away_and_no_longer() {
    logs::keep();
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let remembered = first.token(&provider.issuer(), &json!({}));
    world.assert_served(&world.ask(&remembered).await, "before");
    provider.publish(gone());
    let step = Duration::from_secs(30);
    for minute in 0..119_u32 {
        world.clock.until_asleep(1).await;
        world.clock.advance(step);
        let fresh = first.token(&provider.issuer(), &json!({ "jti": minute.to_string() }));
        if minute % 20 == 0 {
            world.assert_served(&world.ask(&fresh).await, "a token that nobody knows yet");
            world.assert_served(&world.ask(&remembered).await, "a token that is remembered");
        }
    }
    assert_eq!(world.age(), Some(STALE_MAX_DEFAULT - step));
    world.gateway.origin.forget_received();
    world.clock.advance(step);
    for token in [
        &remembered,
        &first.token(&provider.issuer(), &json!({ "jti": "new" })),
    ] {
        world.assert_refused(
            &world.ask(token).await,
            503,
            "identity_unavailable",
            "an hour later",
        );
    }
    let lines = logs::lines();
    let complaints = lines
        .iter()
        .filter(|line| line.contains(&provider.issuer()) && line.contains("s old"))
        .count();
    assert!(
        (50..=60).contains(&complaints),
        "{complaints} lines, one a minute: {lines:?}"
    );

    provider.publish(set(&[&first]));
    world
        .move_until("the keys come", Duration::from_secs(1), || {
            world.age() < Some(REFRESH_INTERVAL)
        })
        .await;
    world.assert_served(&world.ask(&remembered).await, "when it is back");
}

#[tokio::test]
async fn how_long_stale_keys_are_used_is_the_operators_to_say() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::waiting(&method(&provider.issuer(), ", jwks_stale_max: 10m")).await;
    world.has_keys().await;
    provider.publish(gone());
    let token = first.token(&provider.issuer(), &json!({}));
    world.clock.advance(Duration::from_secs(599));
    world.assert_served(&world.ask(&token).await, "nine minutes");
    world.gateway.origin.forget_received();
    world.clock.advance(Duration::from_secs(1));
    world.assert_refused(
        &world.ask(&token).await,
        503,
        "identity_unavailable",
        "ten minutes",
    );
}

#[tokio::test]
async fn the_age_of_keys_is_a_metric() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    world.clock.advance(Duration::from_secs(90));
    let state = &world.gateway.state;
    state.metrics.key_ages.take(state);
    let metrics = state.metrics.render().unwrap();
    assert!(metrics.contains("shapegate_jwks_age_seconds 90\n"), "{metrics}");
    assert!(
        !metrics.contains(&provider.issuer()),
        "nobody is named unless that is asked for"
    );
}

#[tokio::test]
async fn r17_a_wall_clock_that_jumps_makes_no_key_older_or_younger() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let token = first.token(&provider.issuer(), &json!({ "iat": now() - 7_200 }));
    world.assert_served(&world.ask(&token).await, "before");
    for jump in [-3_600, 3_600] {
        world.clock.set_wall(UnixMillis::from_seconds(now() + jump));
        assert_eq!(world.age(), Some(Duration::ZERO));
        let fresh = first.token(
            &provider.issuer(),
            &json!({ "iat": now() - 7_200, "jti": jump.to_string() }),
        );
        world.assert_served(&world.ask(&token).await, "remembered");
        world.assert_served(&world.ask(&fresh).await, "not remembered");
    }
    assert_eq!(provider.fetches(), 1);
}
