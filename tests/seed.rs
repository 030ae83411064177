//! The guide's own case: admins see all rows, members those of their organisation, nobody else sees anything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use serde_json::json;
use support::gateway::Gateway;
use support::token::{IDENTITY, admin, member, token};

const USERS: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules:
      - when: '"admin" in user.roles'
        rows: all
      - when: user.org_id != 0
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;

async fn gateway() -> Gateway {
    Gateway::start(&format!("{IDENTITY}{USERS}")).await
}

fn names(answer: &support::raw::Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let messages = answer.json();
    let rows = messages
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|message| message["value"]["name"].as_str());
    rows.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_member_gets_the_rows_of_their_organisation_and_the_upstream_sees_only_the_servers_shape() {
    let gateway = gateway().await;
    let answer = gateway.get("/api/shapes/users?offset=-1", Some(&member(1))).await;
    assert_eq!(names(&answer), ["Alice", "Bob"]);
    let received = gateway.received_one();
    assert_eq!(
        received.target,
        "/v1/shape?columns=%22id%22%2C%22name%22%2C%22org_id%22&log=full&offset=-1&params%5B1%5D=1\
         &queryable_columns=%22id%22%2C%22name%22%2C%22org_id%22&replica=default\
         &table=%22public%22.%22users%22&where=%28%22org_id%22%20%3D%20%241%29\
         &secret=electric-secret-of-the-tests-canary"
    );
    assert_eq!(received.header("authorization"), None);
}

#[tokio::test]
async fn members_of_two_organisations_never_see_each_others_rows() {
    let gateway = gateway().await;
    for (org, expected) in [(1, ["Alice", "Bob"]), (2, ["Carol", "David"])] {
        let answer = gateway
            .get("/api/shapes/users?offset=-1", Some(&member(org)))
            .await;
        assert_eq!(names(&answer), expected);
    }
}

#[tokio::test]
async fn an_admin_gets_all_rows() {
    let gateway = gateway().await;
    let answer = gateway.get("/api/shapes/users?offset=-1", Some(&admin())).await;
    assert_eq!(names(&answer), ["Alice", "Bob", "Carol", "David"]);
}

#[tokio::test]
async fn nobody_else_sees_anything() {
    let gateway = gateway().await;
    let answer = gateway.get("/api/shapes/users?offset=-1", None).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"));
    let answer = gateway
        .get("/api/shapes/users?offset=-1", Some(&token(json!({}))))
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    let answer = gateway
        .get("/api/shapes/users?offset=-1", Some("not.a.token"))
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_invalid"));
    gateway.received_nothing();
}
