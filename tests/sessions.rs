//! Who asks, where somebody else knows: tables, endpoints, authorisation servers, files of keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

#[path = "sessions/api_keys.rs"]
mod api_keys;
#[path = "sessions/configuration.rs"]
mod configuration;
#[path = "sessions/endpoint.rs"]
mod endpoint;
#[path = "sessions/introspection.rs"]
mod introspection;
#[path = "sessions/reloading.rs"]
mod reloading;
#[path = "sessions/secrets.rs"]
mod secrets;
#[path = "sessions/table.rs"]
mod table;

use support::gateway::{Gateway, request};
use support::raw::Answer;

const SHAPES: &str = r#"
cors: { origins: ["https://app.example.com"], credentials: true }
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules:
      - when: has(user.role) && user.role == "admin"
        rows: all
      - when: has(user.org_id)
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;

const SNAPSHOT: &str = "/api/shapes/users?offset=-1";

async fn gateway(identity: &str) -> Gateway {
    Gateway::start(&format!("identity:\n{identity}\n{SHAPES}")).await
}

async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    gateway
        .connect()
        .await
        .ask(request("GET", SNAPSHOT, None, headers, ""))
        .await
}

/// The answer's status, and its code where it is refused.
fn verdict(answer: &Answer) -> (u16, String) {
    let code = match answer.status {
        200 => String::new(),
        _ => answer.json()["code"].as_str().unwrap().to_owned(),
    };
    (answer.status, code)
}

fn invalid() -> (u16, String) {
    (401, "token_invalid".to_owned())
}

fn unavailable() -> (u16, String) {
    (503, "identity_unavailable".to_owned())
}

/// How many answers are remembered.
fn remembered(gateway: &Gateway) -> usize {
    let loaded = gateway.state.loaded();
    let tenants = loaded.snapshot.tenants();
    tenants.map(|tenant| tenant.identity().answers_remembered()).sum()
}

/// What the organisation's filter was asked with, upstream.
fn organisation(gateway: &Gateway) -> Option<String> {
    let target = gateway.received_one().target;
    let (_, rest) = target.split_once("params%5B1%5D=")?;
    Some(rest.split('&').next().unwrap_or(rest).to_owned())
}
