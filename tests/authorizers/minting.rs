//! Authorisers before a token is minted.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shapegate::gatekeeper::{SigningAlgorithm, generate_private_key};

use crate::fake::{Fake, Say};
use crate::support::gateway::request;
use crate::support::raw::Answer;
use crate::support::token::{self, IDENTITY};
use crate::world::{World, allow, bob, deny, refused, unavailable};

/// A gatekeeper whose rules depend on what is found out.
async fn gatekeeper(say: Say, more: &str) -> (World, tempfile::TempDir) {
    let fake = Fake::saying(say).await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let der = STANDARD.encode(generate_private_key(SigningAlgorithm::Es256).unwrap());
    std::fs::write(
        &key,
        format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"),
    )
    .unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "{IDENTITY}
shapes:
  users:
    path: /api/orgs/{{org:int}}/users
    table: users
    columns: [id, name]
    authorize: {{ http: {{ url: '{}'{more} }} }}
    rules: [{{ when: 'has(decision.role)', rows: {{ where: 'org_id = $1', params: [request.path.org] }} }}]
gatekeeper:
  mint: {{ url: 'https://sync.example.com/proxy/v1/shape', ttl: 5m, keys: [ {{ alg: ES256, file: {}, kid: one }} ] }}
  shapes: [users]
",
        fake.url(),
        key.display()
    );
    (World::of(fake, &text).await, folder)
}

async fn mint(world: &World, user: &str) -> Answer {
    let bytes = request("POST", "/gatekeeper/users?org=7", Some(user), &[], "");
    world.gateway.connect().await.ask(bytes).await
}

pub fn claims(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let config = answer.json();
    let token = config["headers"]["Authorization"].as_str().unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn member() -> Say {
    Say::Json(json!({ "allow": true, "facts": { "role": "member" }, "where": "id > 0" }))
}

#[tokio::test]
async fn a_token_signs_what_rules_and_authorisers_allow_together() {
    let (world, _folder) = gatekeeper(member(), "").await;
    let claims = claims(&mint(&world, &bob()).await);
    assert_eq!(claims["shape"]["where"], r#"(("org_id" = $1) AND ("id" > 0))"#);
    assert_eq!(claims["shape"]["params"]["1"], "7");
    let asked = world.fake.asked_one().json();
    assert_eq!(asked["path"], json!({ "org": 7 }));
    assert_eq!(asked["method"], "POST");
    assert_eq!(asked["subject"], "bob");
}

#[tokio::test]
async fn a_no_mints_nothing_in_the_words_of_a_table_that_there_is_not() {
    let (world, _folder) = gatekeeper(deny(), "").await;
    let answer = mint(&world, &bob()).await;
    refused(&answer, 403, "forbidden");
    let bytes = request("POST", "/gatekeeper/nothing", Some(&bob()), &[], "");
    let unknown = world.gateway.connect().await.ask(bytes).await;
    assert_eq!(unknown.json()["message"], answer.json()["message"]);
    world.fake.says(Say::Status(500, ""));
    unavailable(&mint(&world, &token::token(json!({ "sub": "other" }))).await);
}

#[tokio::test]
async fn a_token_is_minted_from_an_answer_of_now_and_lives_no_longer_than_it() {
    let (world, _folder) = gatekeeper(member(), ", ttl: 120s").await;
    let first = claims(&mint(&world, &bob()).await);
    assert_eq!(
        first["exp"].as_i64().unwrap() - first["iat"].as_i64().unwrap(),
        120
    );
    world.clock.advance(Duration::from_secs(100));
    let second = claims(&mint(&world, &bob()).await);
    assert_eq!(
        second["exp"].as_i64().unwrap() - second["iat"].as_i64().unwrap(),
        120
    );
    assert_eq!(
        world.fake.count(),
        2,
        "what was said before is no ground for a new token"
    );
    world.fake.says(deny());
    refused(&mint(&world, &bob()).await, 403, "forbidden");
    world.fake.says(allow());
    refused(&mint(&world, &bob()).await, 403, "forbidden");
    assert_eq!(world.fake.count(), 3, "a no is remembered");
}

#[tokio::test]
async fn a_tokens_own_time_is_shorter_than_an_answers_that_holds_for_long() {
    let (world, _folder) = gatekeeper(member(), ", ttl: 1h").await;
    let claims = claims(&mint(&world, &bob()).await);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
}
