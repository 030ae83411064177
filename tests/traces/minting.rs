//! What is told of tokens that sign shapes: that they were minted and used, and nothing that is in them.

use std::sync::Arc;

use serde_json::json;
use shapegate::clock::SystemClock;

use crate::support::gateway::request;
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, member};
use crate::world::{World, named, only};

const GATEKEEPER: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    client: { where: narrow }
    rules:
      - { when: '"admin" in user.roles', rows: all }
      - { when: user.org_id != 0, rows: { where: '"org_id" = $1', params: [user.org_id] } }
gatekeeper:
  mint:
    url: https://sync.example.com/proxy/v1/shape
    keys: [ { alg: HS256, secret: { env: JWT_SECRET }, kid: k } ]
  verify: { paths: [/proxy/v1/shape] }
  shapes: [users]
"#;

async fn world() -> World {
    let rest = format!("{IDENTITY}{GATEKEEPER}");
    World::of("sample_ratio: 1", &rest, Arc::new(SystemClock)).await
}

async fn mint(world: &World, table: &str, user: Option<&str>) -> Answer {
    let narrowing = json!({ "where": "name = 'canary-value'" }).to_string();
    let headers = [("content-type", "application/json")];
    let bytes = request(
        "POST",
        &format!("/gatekeeper/{table}"),
        user,
        &headers,
        &narrowing,
    );
    world.gateway.connect().await.ask(bytes).await
}

#[tokio::test]
async fn a_token_that_is_minted_is_one_span_and_what_it_is_used_for_another_request() {
    let world = world().await;
    let answer = mint(&world, "users", Some(&member(1))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    world.gateway.received_nothing();
    let minted = answer.json();
    let token = minted["headers"]["Authorization"].as_str().unwrap();
    let token = token.strip_prefix("Bearer ").unwrap();
    let target = "/proxy/v1/shape?offset=-1&table=users&columns=id,name,org_id\
                  &where=(%22org_id%22%20%3D%20%241)%20AND%20(%22name%22%20%3D%20%242)&params[1]=1&params[2]=canary-value";
    let read = world.get(target, Some(token)).await;
    assert_eq!(read.status, 200, "{}", read.text());

    let spans = world.spans().await;
    let minting = named(&spans, "POST /gatekeeper/{table}");
    let told = |key| minting.get(key);
    assert_eq!((minting.kind, minting.failed), ("server", false));
    assert_eq!(told("http.request.method"), Some("POST"));
    assert_eq!(told("http.route"), Some("/gatekeeper/{table}"));
    assert_eq!(told("http.response.status_code"), Some("200"));
    assert_eq!(told("shapegate.shape"), Some("users"));
    assert_eq!(told("shapegate.decision"), Some("allow"));
    assert_eq!(told("shapegate.rule"), Some("rules[1]"));
    assert_eq!(told("shapegate.request_id"), answer.header("x-request-id"));
    assert_eq!(told("shapegate.hub"), None);
    let parts = spans.iter().filter(|span| span.parent == minting.id);
    assert_eq!(parts.count(), 0, "nobody was asked for anything: {spans:#?}");

    let reading = named(&spans, "GET /proxy/v1/shape");
    assert_eq!(reading.get("shapegate.decision"), Some("allow"));
    assert_eq!(only(&spans, "client").parent, reading.id);
    assert_ne!(reading.trace, minting.trace);
    let signature = token.rsplit('.').next().unwrap();
    let all = format!("{spans:?}");
    assert!(!all.contains("canary") && !all.contains(signature), "{spans:#?}");
}

#[tokio::test]
async fn a_token_that_is_not_minted_or_not_taken_says_why() {
    let world = world().await;
    assert_eq!(mint(&world, "users", Some(&member(0))).await.status, 403);
    assert_eq!(mint(&world, "users", None).await.status, 401);
    assert_eq!(mint(&world, "canary_table", Some(&member(1))).await.status, 403);
    let target = "/proxy/v1/shape?offset=-1&table=users";
    assert_eq!(world.get(target, Some(&member(1))).await.status, 401);
    assert_eq!(world.get("/proxy/v1/shape?offset=-1", None).await.status, 400);
    world.gateway.received_nothing();
    let spans = world.spans().await;
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            assert!(!span.failed, "whoever asked is at fault: {span:?}");
            let status = span.get("http.response.status_code").unwrap();
            (&*span.name, status, span.get("shapegate.decision"))
        })
        .collect();
    let (minting, reading) = ("POST /gatekeeper/{table}", "GET /proxy/v1/shape");
    let deny = Some("deny");
    assert_eq!(
        told,
        [
            (minting, "403", deny),
            (minting, "401", deny),
            (minting, "403", deny),
            (reading, "401", deny),
            (reading, "400", deny),
        ]
    );
    assert!(spans.iter().all(|span| span.get("shapegate.reason").is_some()));
    assert!(!format!("{spans:?}").contains("canary"), "{spans:#?}");
}
