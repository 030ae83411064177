//! Tokens that verified with published keys, while the configuration changes around them.

use std::sync::Arc;

use serde_json::json;
use shapegate::identity::remote::{FETCHES_MAX, REFRESH_INTERVAL, STALE_MAX_DEFAULT};
use tokio::sync::Notify;

use crate::provider::{Keys, NamedKey, Provider, held, key, set};
use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::token::{IDENTITY, member};
use crate::world::{SHAPES, TARGET, World, method};

const OTHER_RULES: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name]
    rules: [ { when: has(user.org_id) && user.org_id == 1, rows: { where: '"org_id" = $1', params: [user.org_id] } } ]
"#;

fn checked(world: &World) -> u64 {
    let loaded = world.gateway.state.loaded();
    let tenant = loaded.snapshot.tenant("default").unwrap();
    tenant.identity().signatures_checked()
}

/// A provider with two keys, and a token of each.
async fn provider() -> (Provider, [NamedKey; 2], [String; 2]) {
    let keys = [key("first"), key("second")];
    let provider = Provider::start(set(&[&keys[0], &keys[1]])).await;
    let issuer = provider.issuer();
    let tokens = [&keys[0], &keys[1]].map(|key| key.token(&issuer, &json!({})));
    (provider, keys, tokens)
}

async fn both_served(world: &World, tokens: &[String; 2], what: &str) {
    for token in tokens {
        world.assert_served(&world.ask(token).await, what);
    }
}

/// Time for the next fetch comes, and the first key is taken back.
async fn first_is_taken_back(world: &World, provider: &Provider, keys: &[NamedKey; 2]) {
    provider.publish(set(&[&keys[1]]));
    world.clock.advance(REFRESH_INTERVAL);
    world.has_keys().await;
    world.gateway.origin.forget_received();
}

#[tokio::test]
async fn what_a_key_vouched_for_before_a_reload_ends_when_it_is_taken_back_after_it() {
    let (provider, keys, tokens) = provider().await;
    let world = World::with(&provider).await;
    let methods = method(&provider.issuer(), "");
    both_served(&world, &tokens, "before").await;
    for rules in [OTHER_RULES, SHAPES] {
        world.gateway.reload(&format!("{IDENTITY}{methods}{rules}"));
        both_served(&world, &tokens, "after a reload").await;
        assert_eq!(checked(&world), 0, "both are known still");
    }
    first_is_taken_back(&world, &provider, &keys).await;
    let answer = world.ask(&tokens[0]).await;
    world.assert_refused(&answer, 401, "token_invalid", "the key is gone");
    let before = checked(&world);
    world.assert_served(&world.ask(&tokens[1]).await, "the other key is not");
    assert_eq!(checked(&world), before, "and what it vouched for is known still");
}

/// Two lines of fetched keys, of which each must go on with what was verified by it.
#[tokio::test]
async fn the_same_holds_where_the_issuer_signs_shapes_as_well() {
    let (provider, keys, tokens) = provider().await;
    let issuer = provider.issuer();
    let config = |rules: &str| {
        format!(
            "{IDENTITY}{}{rules}
gatekeeper:
  verify:
    paths: [/proxy/v1/shape]
    issuers: [ {{ issuer: \"{issuer}\", audience: shapes, insecure_allow_http: true, insecure_allow_private_addresses: true }} ]
",
            method(&issuer, "")
        )
    };
    let world = World::of(&config(SHAPES)).await;
    world.has_keys().await;
    until("the shapes' keys are fetched, too", || provider.fetches() == 2).await;
    both_served(&world, &tokens, "before").await;
    world.gateway.reload(&config(OTHER_RULES));
    both_served(&world, &tokens, "after a reload").await;
    assert_eq!(checked(&world), 0);
    first_is_taken_back(&world, &provider, &keys).await;
    let answer = world.ask(&tokens[0]).await;
    world.assert_refused(&answer, 401, "token_invalid", "the key is gone");
}

#[tokio::test]
async fn a_method_that_changes_keeps_its_keys_and_no_token() {
    let (provider, _, tokens) = provider().await;
    let world = World::with(&provider).await;
    world.assert_served(&world.ask(&tokens[0]).await, "before");
    let issuer = provider.issuer();
    for (more, status) in [
        (", claims: { org_id: { from: org_id, type: int } }", 200),
        (", lifetime_max: 1m", 401),
        (", jwks_stale_max: 10m", 200),
    ] {
        let methods = method(&issuer, more);
        world.gateway.reload(&format!("{IDENTITY}{methods}{SHAPES}"));
        let answer = world.ask_while_time_passes(&tokens[0]).await;
        assert_eq!(answer.status, status, "{more}: {}", answer.text());
        assert_ne!(checked(&world), 0, "{more}: it is verified anew");
    }
}

#[tokio::test]
async fn keys_and_tokens_that_a_reload_kept_grow_old_as_they_would_have_without_it() {
    let (provider, _, tokens) = provider().await;
    let world = World::with(&provider).await;
    both_served(&world, &tokens, "before").await;
    provider.publish(Keys::Bytes(
        b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ));
    let half = STALE_MAX_DEFAULT / 2;
    world.clock.advance(half);
    let methods = method(&provider.issuer(), "");
    world.gateway.reload(&format!("{IDENTITY}{methods}{OTHER_RULES}"));
    both_served(&world, &tokens, "half an hour later").await;
    world.clock.advance(half - std::time::Duration::from_millis(1));
    both_served(&world, &tokens, "an hour later, nearly").await;
    assert_eq!(checked(&world), 0);
    world.clock.advance(std::time::Duration::from_millis(1));
    world.gateway.origin.forget_received();
    let answer = world.ask_while_time_passes(&tokens[0]).await;
    world.assert_refused(&answer, 503, "identity_unavailable", "an hour later");
}

/// A client with the first token of a new key, for which the keys are being asked for.
async fn first_of_a_new_key(world: &World, provider: &Provider, token: &str) -> Raw {
    let before = provider.fetches();
    let mut client = world.gateway.connect().await;
    client.send(get(TARGET, Some(token))).await;
    until("the keys are asked for", || provider.fetches() > before).await;
    client
}

#[tokio::test]
async fn who_waits_for_a_new_key_during_a_reload_is_answered_by_the_fetch_under_way() {
    let (old, new) = (key("old"), key("new"));
    let provider = Provider::start(set(&[&old])).await;
    let world = World::with(&provider).await;
    let (issuer, gate) = (provider.issuer(), Arc::new(Notify::new()));
    provider.publish(held(&gate, &[&old, &new]));
    let token = new.token(&issuer, &json!({}));
    let mut client = first_of_a_new_key(&world, &provider, &token).await;
    for rules in [OTHER_RULES, SHAPES] {
        let methods = method(&issuer, "");
        world.gateway.reload(&format!("{IDENTITY}{methods}{rules}"));
        // Whatever a reload does beside requests has happened when another one has been answered.
        world.assert_served(&world.ask(&member(1)).await, "another issuer's");
        world.assert_served(&world.ask(&old.token(&issuer, &json!({}))).await, "an old key's");
    }
    gate.notify_one();
    let answer = soon(client.answer()).await.unwrap();
    world.assert_served(&answer, "by the fetch that it waited for");
    world.assert_served(&world.ask(&token).await, "by what is configured now");
    assert_eq!(provider.fetches(), 2, "the first ones, and for the new key");
}

#[tokio::test]
async fn who_waits_for_keys_of_a_place_that_is_given_up_is_told_to_come_again() {
    let (old, new) = (key("old"), key("new"));
    let provider = Provider::start(set(&[&old])).await;
    let world = World::with(&provider).await;
    let (issuer, gate) = (provider.issuer(), Arc::new(Notify::new()));
    provider.publish(held(&gate, &[&old, &new]));
    let token = new.token(&issuer, &json!({}));
    let mut client = first_of_a_new_key(&world, &provider, &token).await;
    provider.publish(set(&[&old, &new]));
    let elsewhere = method(&issuer, &format!(", jwks_url: \"{issuer}/keys\""));
    world.gateway.reload(&format!("{IDENTITY}{elsewhere}{SHAPES}"));
    let answer = soon(client.answer()).await.unwrap();
    world.assert_refused(&answer, 503, "identity_unavailable", "at once, without the clock");
    world.has_keys().await;
    world.assert_served(&soon(client.ask(get(TARGET, Some(&token)))).await, "again");
}

#[tokio::test]
async fn b2_reloads_do_not_let_made_up_names_ask_an_issuer_more_often() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let world = World::with(&provider).await;
    let methods = method(&provider.issuer(), "");
    for round in 0..30 {
        let made_up = NamedKey {
            kid: Box::leak(format!("made-up-{round}").into_boxed_str()),
            ..key("other")
        };
        let answer = world.ask(&made_up.token(&provider.issuer(), &json!({}))).await;
        assert!([401, 503].contains(&answer.status), "{}", answer.text());
        let rules = [SHAPES, OTHER_RULES][round % 2];
        world.gateway.reload(&format!("{IDENTITY}{methods}{rules}"));
    }
    assert_eq!(provider.fetches(), FETCHES_MAX);
    world.assert_served(
        &world.ask(&first.token(&provider.issuer(), &json!({}))).await,
        "a known user",
    );
}
