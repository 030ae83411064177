//! `/v1/health` beside an open route, in Electric's form.

use crate::support::gateway::{Gateway, origin, request};
use crate::support::patience::soon;
use crate::support::raw::Answer;
use crate::support::scripted::Scripted;
use crate::support::token::IDENTITY;

const OPEN: &str = r#"
shapes:
  any:
    path: /v1/shape
    table: { any_of: ["public.*"] }
    where: any
    rules: [ { when: '"admin" in user.roles', rows: all } ]
"#;

async fn before(url: String) -> Gateway {
    let clock = std::sync::Arc::new(shapegate::clock::SystemClock);
    Gateway::before_url(origin(), url, &format!("{IDENTITY}{OPEN}"), clock).await
}

fn assert_health(answer: &Answer, status: u16, word: &str) {
    assert_eq!(
        (answer.status, answer.text()),
        (status, format!(r#"{{"status":"{word}"}}"#).as_str())
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        answer.header("cache-control"),
        Some("no-cache, no-store, must-revalidate")
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn an_upstream_that_serves_is_active() {
    let gateway = Gateway::start(&format!("{IDENTITY}{OPEN}")).await;
    assert_health(&gateway.get("/v1/health", None).await, 200, "active");
    assert_eq!(gateway.received_one().target, "/v1/health");
}

/// What the gateway says when the upstream's health is `status` and `body`.
async fn told(status: &str, body: &str) -> Answer {
    let upstream = Scripted::start();
    let gateway = before(upstream.url()).await;
    let mut client = gateway.connect().await;
    client.send(request("GET", "/v1/health", None, &[], "")).await;
    let mut exchange = soon(upstream.accept()).await;
    let head = soon(exchange.request()).await.unwrap();
    assert!(head.starts_with("GET /v1/health HTTP/1.1"), "{head}");
    assert!(!head.contains("canary"), "no secret is needed: {head}");
    let length = body.len();
    exchange
        .send(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
    soon(client.answer()).await.unwrap()
}

#[tokio::test]
async fn each_state_of_electric_is_told_as_electric_tells_it() {
    assert_health(&told("200 OK", r#"{"status":"active"}"#).await, 200, "active");
    assert_health(
        &told("202 Accepted", r#"{"status":"waiting"}"#).await,
        202,
        "waiting",
    );
    assert_health(
        &told("202 Accepted", r#"{"status":"starting"}"#).await,
        202,
        "starting",
    );
    assert_health(&told("502 Bad Gateway", "<html>").await, 202, "starting");
    assert_health(&told("200 OK", "").await, 202, "starting");
}

#[tokio::test]
async fn an_upstream_that_is_down_is_starting() {
    let gateway = before(format!("http://{}", crate::program::free_address())).await;
    assert_health(&gateway.get("/v1/health", None).await, 202, "starting");
}

#[tokio::test]
async fn many_questions_in_a_second_are_one_upstream() {
    let clock = shapegate::clock::ManualClock::at(shapegate_core::time::UnixMillis(0));
    let counted = Gateway::before(
        origin(),
        &format!("{IDENTITY}{OPEN}"),
        std::sync::Arc::new(clock.clone()),
    )
    .await;
    for _ in 0..20 {
        assert_eq!(counted.get("/v1/health", None).await.status, 200);
    }
    assert_eq!(counted.origin.received().len(), 1);
    clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(counted.get("/v1/health", None).await.status, 200);
    assert_eq!(counted.origin.received().len(), 2);
}

#[tokio::test]
async fn a_gateway_without_an_open_route_has_no_such_path() {
    let shapes = crate::program::USERS;
    let gateway = Gateway::start(&format!("{IDENTITY}{shapes}")).await;
    assert_eq!(gateway.get("/v1/health", None).await.status, 404);
    gateway.received_nothing();
}

#[tokio::test]
async fn only_reads_are_taken() {
    let gateway = Gateway::start(&format!("{IDENTITY}{OPEN}")).await;
    for method in ["POST", "PUT", "DELETE"] {
        let bytes = request(method, "/v1/health", None, &[("content-length", "0")], "");
        let answer = soon(gateway.connect().await.ask(bytes)).await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.header("allow").unwrap().contains("GET"));
    }
    gateway.received_nothing();
}
