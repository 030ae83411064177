//! Keys that come and go.

use std::time::Duration;

use serde_json::json;
use shapegate::identity::remote::REFRESH_INTERVAL;

use crate::provider::{Keys, Provider, key, set};
use crate::support::patience::{soon, until};
use crate::support::token::member;
use crate::world::{SHAPES, TARGET, World, method};

#[tokio::test]
async fn an_issuers_keys_are_found_by_its_name() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let answer = world.ask(&first.token(&provider.issuer(), &json!({}))).await;
    world.assert_served(&answer, "discovery");
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn keys_are_fetched_from_where_the_configuration_says() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let jwks = format!(", jwks_url: \"{}/keys\"", provider.issuer());
    let world = World::waiting(&method("elsewhere", &jwks)).await;
    world.has_keys().await;
    world.assert_served(
        &world.ask(&first.token("elsewhere", &json!({}))).await,
        "jwks_url",
    );
    let answer = world.ask(&first.token(&provider.issuer(), &json!({}))).await;
    assert_eq!(answer.status, 401, "the host of the keys is no issuer");
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn c9_of_two_issuers_with_one_set_of_keys_only_the_configured_one_is_taken() {
    let shared = key("shared");
    let provider = Provider::start(set(&[&shared])).await;
    let jwks = format!(", jwks_url: \"{}/keys\"", provider.issuer());
    let world = World::waiting(&method("https://issuer.test/a", &jwks)).await;
    world.has_keys().await;
    for other in [
        "https://issuer.test/b",
        "https://issuer.test/A",
        "https://issuer.test/a/",
        "https://issuer.test",
    ] {
        let answer = world.ask(&shared.token(other, &json!({}))).await;
        world.assert_refused(&answer, 401, "token_invalid", other);
    }
    assert_eq!(provider.fetches(), 1, "a token of nobody asks for no keys");
}

#[tokio::test]
async fn keys_are_fetched_again_after_five_minutes_and_not_before() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    world.clock.until_asleep(1).await;
    world
        .clock
        .advance(REFRESH_INTERVAL.checked_sub(Duration::from_millis(1)).unwrap());
    world.assert_served(
        &world.ask(&first.token(&provider.issuer(), &json!({}))).await,
        "meanwhile",
    );
    assert_eq!(provider.fetches(), 1);
    world.clock.advance(Duration::from_millis(1));
    world.has_keys().await;
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test]
async fn b1_a_new_key_is_fetched_for_the_first_token_that_names_it() {
    let (first, second) = (key("first"), key("second"));
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    provider.publish(set(&[&first, &second]));
    let token = second.token(&provider.issuer(), &json!({}));
    world.assert_served(&world.ask(&token).await, "the new key");
    world.assert_served(&world.ask(&token).await, "the new key again");
    world.assert_served(
        &world.ask(&first.token(&provider.issuer(), &json!({}))).await,
        "the old key",
    );
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test]
async fn many_tokens_of_a_new_key_at_once_are_one_fetch() {
    let (first, second) = (key("first"), key("second"));
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    provider.publish(set(&[&second]));
    let asking = (0..20).map(|number| {
        let token = second.token(&provider.issuer(), &json!({ "jti": number.to_string() }));
        let world = &world;
        async move { world.ask(&token).await.status }
    });
    let statuses = soon(futures_util::future::join_all(asking)).await;
    assert_eq!(statuses, [200; 20]);
    assert!(
        provider.fetches() <= 3,
        "{}: one, and one for those who came while it ran",
        provider.fetches()
    );
}

#[tokio::test]
async fn b14_what_a_key_vouched_for_ends_when_its_issuer_takes_it_back() {
    let (first, second) = (key("first"), key("second"));
    let provider = Provider::start(set(&[&first, &second])).await;
    let world = World::with(&provider).await;
    let of_first = first.token(&provider.issuer(), &json!({}));
    let of_second = second.token(&provider.issuer(), &json!({}));
    world.assert_served(&world.ask(&of_first).await, "first");
    world.assert_served(&world.ask(&of_second).await, "second");
    assert_eq!(world.gateway.signatures_checked(), 2);

    provider.publish(set(&[&second]));
    world.clock.until_asleep(1).await;
    world.clock.advance(REFRESH_INTERVAL);
    world.has_keys().await;
    world.gateway.origin.forget_received();
    let answer = world.ask(&of_first).await;
    world.assert_refused(&answer, 401, "token_invalid", "the key is gone");
    world.assert_served(&world.ask(&of_second).await, "the other key is not");
    assert_eq!(
        world.gateway.signatures_checked(),
        2,
        "what the other key vouched for is remembered still"
    );
}

#[tokio::test]
async fn a_key_that_changes_under_its_name_is_another_key() {
    let (first, twin) = (key("same"), key("same"));
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let of_first = first.token(&provider.issuer(), &json!({}));
    world.assert_served(&world.ask(&of_first).await, "first");
    provider.publish(set(&[&twin]));
    world.clock.until_asleep(1).await;
    world.clock.advance(REFRESH_INTERVAL);
    world.has_keys().await;
    world.gateway.origin.forget_received();
    world.assert_refused(&world.ask(&of_first).await, 401, "token_invalid", "the old key");
    world.assert_served(
        &world.ask(&twin.token(&provider.issuer(), &json!({}))).await,
        "the new key",
    );
}

#[tokio::test]
async fn a_wait_ends_when_the_key_behind_it_is_taken_back() {
    let (first, second) = (key("first"), key("second"));
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let token = first.token(&provider.issuer(), &json!({}));
    let snapshot = world.ask(&token).await;
    let (handle, offset) = (
        snapshot.header("electric-handle").unwrap(),
        snapshot.header("electric-offset").unwrap(),
    );
    let live = format!("/api/shapes/users?offset={offset}&handle={handle}&live=true");
    let waiting = world.gateway.get(&live, Some(&token));
    let revoking = async {
        until("the wait is held", || world.gateway.state.metrics.held.get() == 1).await;
        provider.publish(set(&[&second]));
        world
            .move_until("the keys are fetched", Duration::from_secs(60), || {
                provider.fetches() > 1
            })
            .await;
    };
    let (answer, ()) = soon(async { tokio::join!(waiting, revoking) }).await;
    assert_eq!(answer.status, 200, "as Electric ends a poll");
    assert_eq!(answer.header("electric-up-to-date"), Some(""));
    world.gateway.origin.forget_received();
    world.assert_refused(&world.ask(&token).await, 401, "token_invalid", "asked again");
}

#[tokio::test]
async fn a_new_configuration_takes_over_the_keys_that_are_there() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    provider.publish(Keys::Bytes(
        b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ));
    let identity = crate::support::token::IDENTITY;
    let methods = method(&provider.issuer(), ", claims: { org: org_id }");
    world.gateway.reload(&format!("{identity}{methods}{SHAPES}"));
    let answer = soon(
        world
            .gateway
            .get(TARGET, Some(&first.token(&provider.issuer(), &json!({})))),
    )
    .await;
    world.assert_served(&answer, "reloaded");
    world.assert_served(&world.ask(&member(1)).await, "the other issuer");
}
