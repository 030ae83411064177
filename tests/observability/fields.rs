//! Every field of both logs: those that lines have are those that are documented, and each says what it should.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::journal::Logged;
use crate::support::gateway::{get, request};
use crate::support::patience::{soon, until};
use crate::support::token::{IDENTITY, member};

/// As a client may have it, and a gatekeeper beside it.
const MORE: &str = "server: { trusted_proxies: [127.0.0.1] }\n";
const SHAPES: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    client: { where: narrow, columns: subset, replica: [default, full], subset: { limit_max: 100 } }
    rules:
      - { when: user.org_id != 0, rows: { where: '"org_id" = $1', params: [user.org_id] } }
gatekeeper:
  mint:
    url: https://sync.example.com/proxy/v1/shape
    keys: [ { alg: HS256, secret: { env: JWT_SECRET }, kid: k } ]
  verify: { paths: [/proxy/v1/shape] }
  shapes: [users]
"#;
const USERS: &str = "/api/shapes/users?offset=-1";

async fn logged() -> Logged {
    Logged::of(MORE, &format!("{IDENTITY}{SHAPES}")).await
}

/// The fields that a table of the documentation has, those of the table before where it says so.
fn documented(section: &str) -> BTreeSet<String> {
    let page = include_str!("../../docs/observability.md");
    let start = page.find(&format!("### {section}\n")).unwrap();
    let rest = &page[start + 4..];
    let rest = &rest[..rest.find("\n#").unwrap_or(rest.len())];
    let rows = rest.lines().filter_map(|line| line.strip_prefix("| `"));
    let fields = rows.map(|row| format!("`{}", row.split(" |").next().unwrap()));
    fields
        .flat_map(|cell| {
            let names = cell.split('`').skip(1).step_by(2);
            names.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn fields(lines: &[Value]) -> BTreeSet<String> {
    let all = lines.iter().flat_map(|line| line.as_object().unwrap().keys());
    all.cloned().collect()
}

#[tokio::test]
async fn lines_have_every_field_that_is_documented_and_no_other() {
    let logged = logged().await;
    let token = member(1);
    let first = logged.gateway.get(USERS, Some(&token)).await;
    assert_eq!(first.status, 200);
    assert_eq!(logged.gateway.get(USERS, None).await.status, 401);
    let of = |name: &str| first.header(name).unwrap().to_owned();
    let (handle, offset) = (of("electric-handle"), of("electric-offset"));
    let poll = format!("/api/shapes/users?handle={handle}&offset={offset}&live=true");
    let mut waiting = logged.gateway.connect().await;
    waiting.send(get(&poll, Some(&token))).await;
    until("it waits", || logged.gateway.state.metrics.held.get() == 1).await;
    let changed = SHAPES.replace("user.org_id != 0", "user.org_id == 2");
    logged.gateway.reload(&format!("{MORE}{IDENTITY}{changed}"));
    assert_eq!(soon(waiting.answer()).await.unwrap().status, 200);
    // Twenty denials of a kind are told, and the next line says how many were not.
    for _ in 0..30 {
        logged.gateway.get(USERS, Some(&member(0))).await;
    }
    let narrowed = format!("{USERS}&where=name%20%3D%20'x'");
    until_suppressed(&logged, &narrowed).await;

    let access = logged.lines("access", 33).await;
    assert_eq!(fields(&access), documented("Access log"));
    let decisions = logged.lines("decisions", 23).await;
    assert_eq!(fields(&decisions), documented("Decision log"));
}

/// Asks for what is denied until a line says how many were left out before it: a second later at most.
async fn until_suppressed(logged: &Logged, target: &str) {
    let asking = async {
        loop {
            logged.gateway.get(target, Some(&member(0))).await;
            let lines = logged.lines("decisions", 1).await;
            if lines.iter().any(|line| line.get("suppressed").is_some()) {
                return;
            }
        }
    };
    soon(asking).await;
}

#[tokio::test]
async fn the_decision_log_says_what_was_asked_for_and_none_of_its_values() {
    let logged = logged().await;
    let token = member(1);
    let target = format!("{USERS}&table=users&columns=id,name&replica=full&where=name%20%3D%20'canary'");
    let answer = logged.gateway.get(&target, Some(&token)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let subset = json!({ "limit": 5, "order_by": "id", "where": "name = 'canary'" }).to_string();
    let json_body = [("content-type", "application/json")];
    let asking = request("POST", USERS, Some(&token), &json_body, &subset);
    let answer = logged.gateway.connect().await.ask(asking).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lines = logged.lines("decisions", 2).await;
    assert_eq!(
        lines[0]["asked"],
        json!({
            "table": r#""public"."users""#, "columns": r#""id","name""#, "replica": "full",
            "where": r#"("name" = $1)"#,
        })
    );
    assert_eq!(lines[1]["asked"], json!({ "subset": true }));
    assert!(!format!("{lines:?}").contains("canary"), "{lines:#?}");
}

#[tokio::test]
async fn the_address_is_the_clients_behind_a_trusted_proxy() {
    let logged = logged().await;
    for forwarded in ["203.0.113.9", "198.51.100.1, 203.0.113.9"] {
        let headers = [("x-forwarded-for", forwarded)];
        let bytes = request("GET", USERS, Some(&member(1)), &headers, "");
        assert_eq!(logged.gateway.connect().await.ask(bytes).await.status, 200);
    }
    for log in ["access", "decisions"] {
        for line in logged.lines(log, 2).await {
            assert_eq!(line["address"], "203.0.113.9", "{log}: {line}");
        }
    }
}

#[tokio::test]
async fn minting_is_told_with_what_was_signed_and_its_use_with_who_it_was_signed_for() {
    let logged = logged().await;
    let json_body = [("content-type", "application/json")];
    let narrowing = json!({ "where": "name = 'canary'" }).to_string();
    let asking = request(
        "POST",
        "/gatekeeper/users",
        Some(&member(1)),
        &json_body,
        &narrowing,
    );
    let minted = logged.gateway.connect().await.ask(asking).await;
    assert_eq!(minted.status, 200, "{}", minted.text());
    let access = logged.line("access").await;
    let told = |name: &str| access[name].clone();
    assert_eq!(
        (told("method"), told("path")),
        (json!("POST"), json!("/gatekeeper/users"))
    );
    assert_eq!(
        (told("status"), told("subject")),
        (json!(200), json!("user_of_1"))
    );
    assert!(access.get("hub").is_none() && access.get("upstream_status").is_none());
    let decision = logged.line("decisions").await;
    assert_eq!(
        (&decision["decision"], &decision["rule"], &decision["shape"]),
        (&json!("allow"), &json!("rules[0]"), &json!("users"))
    );
    assert_eq!(
        decision["permitted"]["where"],
        r#"(("org_id" = $1) AND ("name" = $2))"#
    );
    assert_eq!(decision["permitted"]["params_count"], 2);
    let token = minted.json()["headers"]["Authorization"].as_str().unwrap()["Bearer ".len()..].to_owned();
    let refused = logged
        .gateway
        .get("/proxy/v1/shape?offset=-1&table=users", Some(&token))
        .await;
    assert_eq!(refused.status, 403, "not what was signed: {}", refused.text());
    let lines = logged.lines("decisions", 2).await;
    assert_eq!(
        (&lines[1]["decision"], &lines[1]["subject"]),
        (&json!("deny"), &json!("user_of_1"))
    );
    let all = format!("{access}{lines:?}");
    assert!(!all.contains("canary") && !all.contains(&token), "{all}");
}
