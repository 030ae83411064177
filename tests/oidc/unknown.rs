//! Names of keys that nobody has, which anybody can make up.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shapegate::identity::remote::{FETCHES_MAX, FETCHES_WINDOW, UNKNOWN_REMEMBERED};

use crate::provider::{NamedKey, Provider, key, set};
use crate::support::patience::soon;
use crate::support::token::{AUDIENCE, now};
use crate::world::{World, method};

fn token_of(key: &NamedKey, issuer: &str, kid: &Json) -> String {
    let header = json!({ "alg": "ES256", "kid": kid });
    let claims = json!({ "iss": issuer, "aud": AUDIENCE, "sub": "ann", "org_id": 1, "exp": now() + 600 });
    key.signer.token_of(&header.to_string(), &claims.to_string())
}

#[tokio::test]
async fn b2_any_number_of_made_up_names_is_ten_fetches_a_minute_and_hurts_nobody() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let good = first.token(&provider.issuer(), &json!({}));
    for round in 0..20 {
        let asking = (0..100).map(|number| {
            let token = token_of(&first, &provider.issuer(), &json!(format!("{round}-{number}")));
            let world = &world;
            async move { world.ask(&token).await.status }
        });
        for status in soon(futures_util::future::join_all(asking)).await {
            assert!([401, 503].contains(&status), "{status}");
        }
        world.assert_served(&world.ask(&good).await, "a known user");
    }
    assert!(provider.fetches() <= FETCHES_MAX, "{}", provider.fetches());
    let before = provider.fetches();
    world.clock.advance(FETCHES_WINDOW);
    let answer = world
        .ask(&token_of(&first, &provider.issuer(), &json!("another")))
        .await;
    assert_eq!(answer.status, 401);
    assert!(provider.fetches() > before, "a minute later there may be more");
    assert!(provider.fetches() <= 2 * FETCHES_MAX);
}

#[tokio::test]
async fn a_name_that_was_looked_for_in_vain_is_not_looked_for_again_for_a_while() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let token = token_of(&key("second"), &provider.issuer(), &json!("second"));
    for _ in 0..5 {
        let answer = world.ask(&token).await;
        world.assert_refused(&answer, 401, "token_invalid", "unknown");
    }
    assert_eq!(provider.fetches(), 2);
    world.clock.advance(UNKNOWN_REMEMBERED);
    assert_eq!(world.ask(&token).await.status, 401);
    assert_eq!(provider.fetches(), 3);
}

#[tokio::test]
async fn a_wrong_signature_under_a_known_name_asks_for_nothing() {
    let (first, forger) = (key("first"), key("first"));
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    for _ in 0..5 {
        let answer = world.ask(&forger.token(&provider.issuer(), &json!({}))).await;
        world.assert_refused(&answer, 401, "token_invalid", "forged");
    }
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn b3_names_that_are_none_ask_for_nothing() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let long = "k".repeat(300);
    for kid in [
        json!(""),
        json!("a\u{0}b"),
        json!(long),
        json!({ "a": 1 }),
        json!(["first"]),
        json!(7),
        json!(null),
    ] {
        let answer = world.ask(&token_of(&first, &provider.issuer(), &kid)).await;
        world.assert_refused(&answer, 401, "token_invalid", &kid.to_string());
    }
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn b3_names_that_mean_something_elsewhere_are_names() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    for kid in [
        "../../etc/passwd",
        "' OR 1=1--",
        "{{7*7}}",
        "https://evil.example/keys",
        "..%2f..%2fkeys",
    ] {
        let answer = world
            .ask(&token_of(&first, &provider.issuer(), &json!(kid)))
            .await;
        world.assert_refused(&answer, 401, "token_invalid", kid);
    }
    assert_eq!(
        provider.fetches(),
        provider.connections().max(provider.fetches()),
        "nothing else is asked for"
    );
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn a_token_without_a_name_is_tried_with_the_keys_that_are_there() {
    let (first, second) = (key("first"), key("second"));
    let provider = Provider::start(set(&[&first, &second])).await;
    let world = World::with(&provider).await;
    let claims =
        json!({ "iss": provider.issuer(), "aud": AUDIENCE, "sub": "ann", "org_id": 1, "exp": now() + 600 });
    let nameless = |key: &NamedKey| key.signer.token_of(r#"{"alg":"ES256"}"#, &claims.to_string());
    for known in [&first, &second] {
        world.assert_served(&world.ask(&nameless(known)).await, known.kid);
    }
    world.gateway.origin.forget_received();
    let forged = nameless(&key("third"));
    for _ in 0..5 {
        world.assert_refused(&world.ask(&forged).await, 401, "token_invalid", "forged");
    }
    assert_eq!(
        provider.fetches(),
        1,
        "keys that are this new are not fetched for it"
    );
    world.clock.advance(UNKNOWN_REMEMBERED);
    world.assert_refused(&world.ask(&forged).await, 401, "token_invalid", "forged");
    world.assert_refused(&world.ask(&forged).await, 401, "token_invalid", "forged");
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test]
async fn a16_keys_that_a_token_brings_along_or_points_at_are_not_looked_at() {
    let (first, stranger) = (key("first"), key("stranger"));
    let provider = Provider::start(set(&[&first])).await;
    let elsewhere = Provider::start(set(&[&stranger])).await;
    let world = World::with(&provider).await;
    let url = format!("{}/keys", elsewhere.issuer());
    for member in [
        json!({ "jwk": stranger.jwk() }),
        json!({ "jku": url }),
        json!({ "x5u": url }),
        json!({ "x5c": ["MIIB"] }),
    ] {
        let mut header = json!({ "alg": "ES256", "kid": "stranger" });
        header
            .as_object_mut()
            .unwrap()
            .extend(member.as_object().unwrap().clone());
        let claims = json!({ "iss": provider.issuer(), "aud": AUDIENCE, "sub": "ann", "org_id": 1, "exp": now() + 600 });
        let token = stranger.signer.token_of(&header.to_string(), &claims.to_string());
        world.assert_refused(
            &world.ask(&token).await,
            401,
            "token_invalid",
            &member.to_string(),
        );
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_name_nobody_has_is_answered_with_patience_while_its_issuer_is_away() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::waiting(&method(&provider.issuer(), "")).await;
    world.has_keys().await;
    provider.publish(crate::provider::Keys::Bytes(
        b"HTTP/1.1 503 Oh\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ));
    let token = token_of(&key("second"), &provider.issuer(), &json!("second"));
    for _ in 0..3 {
        let answer = world.ask(&token).await;
        world.assert_refused(&answer, 503, "identity_unavailable", "it may be a good one");
    }
    assert_eq!(provider.fetches(), 2, "one failure is enough for a while");
    world.assert_served(
        &world.ask(&first.token(&provider.issuer(), &json!({}))).await,
        "those who are known",
    );
    world.clock.advance(Duration::from_secs(1));
}
