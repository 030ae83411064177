//! Tokens that sign shapes, by issuers who publish their keys.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shapegate::identity::Algorithm;
use shapegate::identity::remote::{FETCHES_MAX, REFRESH_INTERVAL};

use crate::provider::{Keys, NamedKey, Provider, key, set};
use crate::signing::{base64url, hmac_signer};
use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::world::World;

const PATH: &str = "/proxy/v1/shape?table=users";

/// A gateway that only verifies, before its issuer's keys are fetched.
async fn waiting(provider: &Provider) -> World {
    let issuer = provider.issuer();
    World::of(&format!(
        "gatekeeper:
  verify:
    paths: [/proxy/v1/shape]
    issuers: [ {{ issuer: \"{issuer}\", audience: sync, insecure_allow_http: true, insecure_allow_private_addresses: true }} ]
"
    ))
    .await
}

async fn with(provider: &Provider) -> World {
    let world = waiting(provider).await;
    world.has_keys().await;
    world
}

fn signed(key: &NamedKey, provider: &Provider) -> String {
    key.token(&provider.issuer(), &json!({ "shape": { "table": "users" } }))
}

async fn ask(world: &World, token: &str) -> Answer {
    soon(world.gateway.get(&format!("{PATH}&offset=-1"), Some(token))).await
}

#[track_caller]
fn refused(world: &World, answer: &Answer, what: &str) {
    world.assert_refused(answer, 401, "token_invalid", what);
    world.gateway.received_nothing();
}

#[tokio::test]
async fn published_keys_verify_what_was_signed_and_the_first_request_with_a_new_one_succeeds() {
    let (first, second) = (key("first"), key("second"));
    let provider = Provider::start(set(&[&first])).await;
    let world = with(&provider).await;
    assert_eq!(ask(&world, &signed(&first, &provider)).await.status, 200);
    assert!(world.gateway.received_one().target.contains("users"));
    provider.publish(set(&[&first, &second]));
    assert_eq!(ask(&world, &signed(&second, &provider)).await.status, 200);
    assert_eq!(ask(&world, &signed(&first, &provider)).await.status, 200);
    assert_eq!(provider.fetches(), 2, "one for the new name");
}

#[tokio::test]
async fn a_key_that_is_taken_back_ends_what_was_remembered_on_its_word_and_who_waits_by_it() {
    let (first, second) = (key("first"), key("second"));
    let provider = Provider::start(set(&[&first])).await;
    let world = with(&provider).await;
    let token = signed(&first, &provider);
    let answer = ask(&world, &token).await;
    let (handle, offset) = (
        answer.header("electric-handle").unwrap(),
        answer.header("electric-offset").unwrap(),
    );
    let mut client = world.gateway.connect().await;
    let poll = format!("{PATH}&handle={handle}&offset={offset}&live=true");
    client.send(get(&poll, Some(&token))).await;
    until("it waits", || world.gateway.origin.waiting() == 1).await;
    provider.publish(set(&[&second]));
    world.clock.advance(REFRESH_INTERVAL);
    let ended = soon(client.answer()).await.unwrap();
    assert_eq!(
        (ended.status, ended.header("electric-offset")),
        (200, Some(offset))
    );
    world.gateway.origin.forget_received();
    refused(&world, &ask(&world, &token).await, "a key that is no more");
}

#[tokio::test]
async fn made_up_names_are_few_fetches_and_hurt_nobody() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = with(&provider).await;
    let good = signed(&first, &provider);
    for number in 0..100 {
        let header = json!({ "alg": "ES256", "kid": format!("none-{number}") });
        let claims = json!({ "iss": provider.issuer(), "aud": "sync", "exp": 9_999_999_999_i64, "shape": { "table": "users" } });
        let answer = ask(
            &world,
            &first.signer.token_of(&header.to_string(), &claims.to_string()),
        )
        .await;
        assert!([401, 503].contains(&answer.status), "{}", answer.text());
    }
    assert_eq!(ask(&world, &good).await.status, 200);
    assert!(provider.fetches() <= FETCHES_MAX, "{}", provider.fetches());
}

#[tokio::test]
async fn b4_shared_secrets_in_a_published_set_are_ignored_and_so_are_keys_that_a_token_names() {
    let first = key("first");
    let secret = [7_u8; 32];
    let Keys::Document(mut document) = set(&[&first]) else {
        unreachable!()
    };
    let shared = json!({ "kty": "oct", "alg": "HS256", "kid": "shared", "k": base64url(&secret) });
    document["keys"].as_array_mut().unwrap().push(shared);
    let provider = Provider::start(Keys::Document(document)).await;
    let world = with(&provider).await;
    let claims: Json = json!({ "iss": provider.issuer(), "aud": "sync", "iat": crate::support::token::now(),
        "exp": crate::support::token::now() + 600, "shape": { "table": "users" } });
    let hmac = hmac_signer(Algorithm::HS256, &secret);
    for kid in [json!("shared"), json!("first")] {
        let header = json!({ "alg": "HS256", "kid": kid });
        let token = hmac.token_of(&header.to_string(), &claims.to_string());
        refused(&world, &ask(&world, &token).await, "a shared secret");
    }
    let attacker = Provider::start(set(&[&key("first")])).await;
    let stranger = key("first");
    for (name, value) in [
        ("jwk", stranger.jwk()),
        ("jku", json!(format!("{}/keys", attacker.issuer()))),
        ("x5u", json!(format!("{}/cert", attacker.issuer()))),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = json!({ "alg": "ES256", "kid": "first", name: value });
        let token = stranger.signer.token_of(&header.to_string(), &claims.to_string());
        refused(&world, &ask(&world, &token).await, name);
    }
    assert_eq!(attacker.connections(), 0, "nobody is asked whom a token names");
    assert_eq!(ask(&world, &signed(&first, &provider)).await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_is_away_at_the_start_is_503_until_it_comes() {
    let first = key("first");
    let provider = Provider::start(Keys::Bytes(
        b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ))
    .await;
    let world = waiting(&provider).await;
    until("it was asked", || provider.fetches() >= 1).await;
    let token = signed(&first, &provider);
    let answer = world
        .ask_at_while_time_passes(&format!("{PATH}&offset=-1"), &token)
        .await;
    world.assert_refused(&answer, 503, "identity_unavailable", "no keys yet");
    let ready = |world: &World| {
        shapegate::admin::readiness::readiness(&world.gateway.state, None)
            .0
            .as_u16()
    };
    assert_eq!(ready(&world), 503);
    provider.publish(set(&[&first]));
    world
        .move_until("the keys come", Duration::from_secs(1), || ready(&world) == 200)
        .await;
    assert_eq!(ask(&world, &token).await.status, 200);
}
