use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use shapegate::clock::{Clock as _, SystemClock};

use super::{ask, gateway, invalid, organisation, unavailable, verdict};
use crate::support::gateway::{Gateway, JWT_SECRET};
use crate::support::patience::soon;
use crate::support::raw::Answer;
use crate::support::scripted::Scripted;

fn method(server: &Scripted, more: &str) -> String {
    format!(
        "  - introspection: {{ url: \"{}/introspect\", client_id: \"gate way\", client_secret: {{ env: JWT_SECRET }}, \
         audience: sync, issuer: \"https://as.example\", ttl: 1h, timeout: 1s{more} }}",
        server.url()
    )
}

async fn world() -> (Scripted, Gateway) {
    let server = Scripted::start();
    let gateway = gateway(&method(&server, "")).await;
    (server, gateway)
}

fn now() -> i64 {
    SystemClock.now().wall.seconds()
}

fn active() -> Json {
    json!({ "active": true, "sub": "alice", "aud": "sync", "iss": "https://as.example", "org_id": 1, "exp": now() + 600 })
}

async fn answered(
    server: &Scripted,
    gateway: &Gateway,
    token: &str,
    status: &str,
    body: &str,
) -> (Answer, String) {
    let serving = async {
        let mut exchange = server.accept().await;
        let head = exchange.request().await.unwrap();
        let lower = head.to_ascii_lowercase();
        let length = lower
            .split("content-length: ")
            .nth(1)
            .unwrap()
            .split("\r\n")
            .next()
            .unwrap();
        let asked = head.clone() + &exchange.body(length.parse().unwrap()).await;
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange.send(answer).await;
        (asked, exchange)
    };
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let (client, (asked, _open)) = tokio::join!(soon(ask(gateway, &headers)), soon(serving));
    (client, asked)
}

#[tokio::test]
async fn an_active_token_is_who_asks_and_the_client_authenticates_by_basic() {
    let (server, gateway) = world().await;
    let (answer, asked) = answered(&server, &gateway, "t+o/k=en", "200 OK", &active().to_string()).await;
    assert_eq!(verdict(&answer).0, 200, "{}", answer.text());
    assert_eq!(organisation(&gateway).as_deref(), Some("1"));
    assert!(asked.starts_with("POST /introspect HTTP/1.1\r\n"), "{asked}");
    assert!(
        asked.ends_with("\r\n\r\ntoken=t%2Bo%2Fk%3Den&token_type_hint=access_token"),
        "{asked}"
    );
    let basic = STANDARD.encode(format!("gate%20way:{JWT_SECRET}"));
    assert!(asked.contains(&format!("Basic {basic}\r\n")), "{asked}");
    assert!(
        asked
            .to_ascii_lowercase()
            .contains("content-type: application/x-www-form-urlencoded\r\n")
    );
    let again = ask(&gateway, &[("authorization", "Bearer t+o/k=en")]).await;
    assert_eq!(verdict(&again).0, 200);
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn the_client_may_authenticate_in_the_body() {
    let server = Scripted::start();
    let gateway = gateway(&method(&server, ", auth: post")).await;
    let (answer, asked) = answered(&server, &gateway, "token", "200 OK", &active().to_string()).await;
    assert_eq!(verdict(&answer).0, 200);
    assert!(
        asked.ends_with(&format!("&client_id=gate%20way&client_secret={JWT_SECRET}")),
        "{asked}"
    );
    assert!(!asked.to_ascii_lowercase().contains("authorization:"));
}

#[tokio::test]
async fn what_is_not_active_or_for_another_is_401() {
    let (server, gateway) = world().await;
    let with = |name: &str, value: Json| {
        let mut claims = active();
        claims[name] = value;
        claims
    };
    let mut no_audience = active();
    no_audience.as_object_mut().unwrap().remove("aud");
    for (number, body) in [
        json!({ "active": false }),
        with("active", json!(false)),
        with("aud", json!("another")),
        with("aud", json!(["one", "two"])),
        no_audience,
        with("iss", json!("https://as.example/")),
        with("iss", json!(1)),
        with("nbf", json!(now() + 3_600)),
        with("sub", json!("")),
    ]
    .into_iter()
    .enumerate()
    {
        let (answer, _) = answered(
            &server,
            &gateway,
            &format!("t{number}"),
            "200 OK",
            &body.to_string(),
        )
        .await;
        assert_eq!(verdict(&answer), invalid(), "{body}");
    }
    let past = with("exp", json!(now() - 1));
    let (answer, _) = answered(&server, &gateway, "past", "200 OK", &past.to_string()).await;
    assert_eq!(verdict(&answer), (401, "token_expired".to_owned()));
    gateway.received_nothing();
}

#[tokio::test]
async fn a_server_that_refuses_us_or_makes_no_sense_is_503() {
    for (status, body) in [
        ("401 Unauthorized", "{}"),
        ("403 Forbidden", "{}"),
        ("500 Oops", "{}"),
        ("302 Found\r\nlocation: /", ""),
        ("200 OK", "<html>"),
        ("200 OK", "null"),
        ("200 OK", "{}"),
        ("200 OK", r#"{"active":"true","sub":"a","aud":"sync"}"#),
        ("200 OK", r#"{"active":1,"sub":"a","aud":"sync"}"#),
        (
            "200 OK",
            r#"{"active":false,"active":true,"sub":"a","aud":"sync"}"#,
        ),
        ("200 OK", r#"{"active":true,"sub":"a","aud":"sync","exp":"soon"}"#),
    ] {
        let (server, gateway) = world().await;
        let (answer, _) = answered(&server, &gateway, "token", status, body).await;
        assert_eq!(verdict(&answer), unavailable(), "{status} {body}");
        gateway.received_nothing();
    }
}
