//! Open Policy Agent itself.

use std::time::Duration;

use serde_json::json;

use super::program::{Program, free_port, put};
use super::{away_and_back, revoked};
use crate::fake::Fake;
use crate::support::token::{self, IDENTITY};
use crate::world::{FIRST, World, allow, bob, names, refused, sent, unavailable};

const POLICY: &str = r#"
package shapes

default allow := false

allow if input.user == "bob"

# Data that comes and goes while the server runs.
member if data.members[input.user]

answer := {"allow": true, "where": "org_id = $1", "params": [input.org], "facts": {"role": "member"}, "ttl": 10} if {
    input.user == "bob"
}
"#;

struct Server {
    program: Program,
    port: u16,
    url: String,
}

impl Server {
    async fn start() -> Self {
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
        Self {
            program,
            port,
            url: format!("http://{address}"),
        }
    }

    /// Makes somebody a member, or none.
    async fn member(&self, name: &str, is_member: bool) {
        let url = format!("{}/v1/data/members", self.url);
        put(&url, &json!({ name: is_member })).await;
    }
}

async fn world(url: &str, path: &str, rules: &str) -> World {
    let text = format!(
        "{IDENTITY}
limits: {{ hub_bytes_max: 0KiB }}
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    authorize: {{ opa: {{ url: '{url}', path: {path}, input: {{ user: user.id, org: user.org_id }}, timeout: 20s }} }}
    rules: {rules}
"
    );
    World::of(Fake::saying(allow()).await, &text).await
}

#[tokio::test]
async fn a_boolean_policy_decides_and_one_that_is_undefined_denies() {
    let opa = Server::start().await;
    let url = &opa.url;
    let other = token::token(json!({ "sub": "eve", "org_id": 1 }));
    let shapes = world(url, "shapes/allow", "[{ rows: all }]").await;
    assert_eq!(shapes.first(&bob()).await.status, 200);
    refused(&shapes.first(&other).await, 403, "forbidden");
    let undefined = world(url, "shapes/nothing", "[{ rows: all }]").await;
    refused(&undefined.first(&bob()).await, 403, "forbidden");
    let package = world(url, "shapes", "[{ rows: all }]").await;
    unavailable(&package.first(&bob()).await);
}

#[tokio::test]
async fn a_policy_returns_a_filter_facts_and_a_time() {
    let opa = Server::start().await;
    let url = &opa.url;
    let rules = "[{ when: 'has(decision.role) && decision.role == \"member\"', rows: all }]";
    let shapes = world(url, "shapes/answer", rules).await;
    assert_eq!(names(&shapes.first(&bob()).await), ["Alice", "Bob"]);
    assert_eq!(sent(&shapes, "where"), r#"("org_id" = $1)"#);
    let other = token::token(json!({ "sub": "eve", "org_id": 1 }));
    refused(&shapes.first(&other).await, 403, "forbidden");
}

#[tokio::test]
async fn who_may_no_more_is_denied_once_the_yes_is_over() {
    let opa = Server::start().await;
    opa.member("bob", true).await;
    let shapes = world(&opa.url, "shapes/member", "[{ rows: all }]").await;
    revoked(&shapes, FIRST, async || opa.member("bob", false).await).await;
}

#[tokio::test]
async fn while_it_is_away_nobody_is_told_no_and_it_is_asked_again_when_it_is_back() {
    let mut opa = Server::start().await;
    let shapes = world(&opa.url, "shapes/allow", "[{ rows: all }]").await;
    away_and_back(&shapes, FIRST, &mut opa.program, &[opa.port], async || {}).await;
    let other = token::token(json!({ "sub": "eve", "org_id": 1 }));
    shapes.clock.advance(Duration::from_secs(60));
    refused(&shapes.first(&other).await, 403, "forbidden");
}
