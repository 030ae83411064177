//! Open Policy Agent itself.

use serde_json::json;

use super::program::{Program, free_port};
use crate::fake::Fake;
use crate::support::token::{self, IDENTITY};
use crate::world::{World, allow, bob, names, refused, sent, unavailable};

const POLICY: &str = r#"
package shapes

default allow := false

allow if input.user == "bob"

answer := {"allow": true, "where": "org_id = $1", "params": [input.org], "facts": {"role": "member"}, "ttl": 10} if {
    input.user == "bob"
}
"#;

async fn opa() -> (Program, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.rego"), POLICY).unwrap();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let arguments = [
        "run",
        "--server",
        "--skip-version-check",
        "--addr",
        &address,
        "policy.rego",
    ];
    let mut program = Program::start("opa", folder, &arguments.map(str::to_owned));
    program.listens(port).await;
    (program, format!("http://{address}"))
}

async fn world(url: &str, path: &str, rules: &str) -> World {
    let text = format!(
        "{IDENTITY}
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    authorize: {{ opa: {{ url: '{url}', path: {path}, input: {{ user: user.id, org: user.org_id }} }} }}
    rules: {rules}
"
    );
    World::of(Fake::saying(allow()).await, &text).await
}

#[tokio::test]
async fn a_boolean_policy_decides_and_one_that_is_undefined_denies() {
    let (_opa, url) = opa().await;
    let other = token::token(json!({ "sub": "eve", "org_id": 1 }));
    let shapes = world(&url, "shapes/allow", "[{ rows: all }]").await;
    assert_eq!(shapes.first(&bob()).await.status, 200);
    refused(&shapes.first(&other).await, 403, "forbidden");
    let undefined = world(&url, "shapes/nothing", "[{ rows: all }]").await;
    refused(&undefined.first(&bob()).await, 403, "forbidden");
    let package = world(&url, "shapes", "[{ rows: all }]").await;
    unavailable(&package.first(&bob()).await);
}

#[tokio::test]
async fn a_policy_returns_a_filter_facts_and_a_time() {
    let (_opa, url) = opa().await;
    let rules = "[{ when: 'has(decision.role) && decision.role == \"member\"', rows: all }]";
    let shapes = world(&url, "shapes/answer", rules).await;
    assert_eq!(names(&shapes.first(&bob()).await), ["Alice", "Bob"]);
    assert_eq!(sent(&shapes, "where"), r#"("org_id" = $1)"#);
    let other = token::token(json!({ "sub": "eve", "org_id": 1 }));
    refused(&shapes.first(&other).await, 403, "forbidden");
}

#[tokio::test]
async fn it_goes_away_and_comes_back_is_told_apart_from_a_no() {
    let (opa, url) = opa().await;
    let shapes = world(&url, "shapes/allow", "[{ rows: all }]").await;
    drop(opa);
    unavailable(&shapes.first(&bob()).await);
}
