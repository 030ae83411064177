//! Forward authentication, as proxies speak it.

use serde_json::json;

use crate::fake::{Fake, Say};
use crate::support::gateway::request;
use crate::support::raw::Answer;
use crate::support::token::{self, IDENTITY};
use crate::world::{World, bob, refused, unavailable};

async fn world(say: Say, rules: &str) -> World {
    let fake = Fake::saying(say).await;
    let text = format!(
        "{IDENTITY}
shapes:
  users:
    path: /api/{{project:text}}/users
    query: {{ q: text }}
    table: users
    columns: [id, name]
    authorize:
      forward_auth:
        url: {}/verify
        public_url: https://sync.example.com
        headers: [authorization, cookie]
        copy_headers: [Remote-User, Remote-Groups]
        defaults: {{ remote_groups: none }}
    rules: {rules}
",
        fake.url()
    );
    World::of(fake, &text).await
}

async fn ask(world: &World, headers: &[(&str, &str)]) -> Answer {
    let target = "/api/p~1/users?offset=-1&q=a%26b%2F..&cursor=7&undeclared=x";
    let bytes = request("GET", target, Some(&bob()), headers, "");
    world.gateway.connect().await.ask(bytes).await
}

#[tokio::test]
async fn the_request_is_described_by_us_and_only_chosen_credentials_go_along() {
    let world = world(Say::Status(200, ""), "[{ rows: all }]").await;
    let spoofed = [
        ("cookie", "session=1"),
        ("x-forwarded-host", "evil.example.com"),
        ("x-forwarded-uri", "/public"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("remote-user", "admin"),
        ("x-other", "canary"),
    ];
    assert_eq!(ask(&world, &spoofed).await.status, 200);
    let asked = world.fake.asked_one();
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str(), asked.body.as_str()),
        ("GET", "/verify", "")
    );
    for (name, value) in [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "sync.example.com"),
        ("x-forwarded-uri", "/api/p~1/users?q=a%26b%2F.."),
        ("cookie", "session=1"),
    ] {
        assert_eq!(asked.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(asked.headers["authorization"], format!("Bearer {}", bob()));
    for name in ["x-forwarded-for", "remote-user", "x-other"] {
        assert_eq!(asked.headers.get(name), None, "{name}");
    }
}

#[tokio::test]
async fn its_status_decides_and_a_401_asks_for_another_credential() {
    for (status, expected) in [
        (200, (200, "")),
        (204, (200, "")),
        (401, (401, "token_invalid")),
        (403, (403, "forbidden")),
    ] {
        let world = world(
            Say::Status(status, "www-authenticate: Basic realm=\"other\"\r\n"),
            "[{ rows: all }]",
        )
        .await;
        let answer = ask(&world, &[]).await;
        assert_eq!(answer.status, expected.0, "{status}: {}", answer.text());
        if answer.status != 200 {
            refused(&answer, expected.0, expected.1);
            world.gateway.received_nothing();
        }
        if status == 401 {
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer"), "ours, not theirs: {challenge}");
        }
    }
    for status in [302, 307, 400, 404, 407, 429, 500, 503] {
        let world = world(
            Say::Status(status, "location: https://login.example.com/\r\n"),
            "[{ rows: all }]",
        )
        .await;
        unavailable(&ask(&world, &[]).await);
        world.gateway.received_nothing();
    }
}

#[tokio::test]
async fn chosen_headers_of_the_answer_are_facts_and_others_are_not() {
    let rules = "[{ when: 'has(decision.remote_user) && decision.remote_user == \"bob\" && decision.remote_groups == \"dev\"', rows: all }]";
    let world1 = world(
        Say::Status(200, "Remote-User: bob\r\nRemote-Groups: dev\r\n"),
        rules,
    )
    .await;
    assert_eq!(ask(&world1, &[]).await.status, 200);
    let world2 = world(Say::Status(200, "Remote-User: bob\r\n"), rules).await;
    refused(&ask(&world2, &[]).await, 403, "forbidden");
    let twice = world(
        Say::Status(200, "Remote-User: bob\r\nRemote-User: admin\r\n"),
        rules,
    )
    .await;
    unavailable(&ask(&twice, &[]).await);
}

#[tokio::test]
async fn another_credential_is_another_question() {
    let world = world(Say::Status(200, ""), "[{ rows: all }]").await;
    assert_eq!(ask(&world, &[("cookie", "a=1")]).await.status, 200);
    assert_eq!(ask(&world, &[("cookie", "a=1")]).await.status, 200);
    assert_eq!(world.fake.count(), 1);
    world.fake.says(Say::Status(403, ""));
    refused(&ask(&world, &[("cookie", "a=2")]).await, 403, "forbidden");
    let other = token::token(json!({ "sub": "other" }));
    let bytes = request(
        "GET",
        "/api/p~1/users?offset=-1",
        Some(&other),
        &[("cookie", "a=1")],
        "",
    );
    refused(&world.gateway.connect().await.ask(bytes).await, 403, "forbidden");
    assert_eq!(world.fake.count(), 3);
}
