use std::fmt::Write as _;

use super::{ask, gateway, invalid, organisation, unavailable, verdict};
use crate::support::gateway::Gateway;
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::support::scripted::Scripted;

const COOKIE: &str = "better-auth.session_token";
const SESSION: &str = r#"{"session":{"id":"s1"},"user":{"id":"alice","org":{"id":1}}}"#;

fn method(endpoint: &Scripted) -> String {
    format!(
        "  - session: {{ url: \"{}/api/auth/get-session\", from: {{ cookie: {COOKIE} }}, subject: user.id, \
         claims: {{ org_id: user.org.id }}, ttl: 1h, timeout: 1s }}",
        endpoint.url()
    )
}

async fn world() -> (Scripted, Gateway) {
    let endpoint = Scripted::start();
    let gateway = gateway(&method(&endpoint)).await;
    (endpoint, gateway)
}

fn json(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn cookie(gateway: &Gateway, value: &str) -> Answer {
    let cookies = format!("theme=dark; {COOKIE}={value}; other=canary");
    let headers = [
        ("cookie", cookies.as_str()),
        ("user-agent", "canary"),
        ("x-forwarded-for", "1.2.3.4"),
    ];
    ask(gateway, &headers).await
}

/// Asks with a cookie while the endpoint answers so; gives what it was asked, too.
async fn answered(endpoint: &Scripted, gateway: &Gateway, value: &str, answer: &str) -> (Answer, String) {
    let serving = async {
        let mut exchange = endpoint.accept().await;
        let asked = exchange.request().await.unwrap();
        exchange.try_send(answer).await;
        (asked, exchange)
    };
    let (client, (asked, _open)) = tokio::join!(soon(cookie(gateway, value)), soon(serving));
    (client, asked)
}

#[tokio::test]
async fn the_endpoint_gets_the_one_cookie_and_nothing_else_of_the_client() {
    let (endpoint, gateway) = world().await;
    let (answer, asked) = answered(&endpoint, &gateway, "tok%2Fen.sig%3D", &json("200 OK", SESSION)).await;
    assert_eq!(verdict(&answer).0, 200, "{}", answer.text());
    assert_eq!(organisation(&gateway).as_deref(), Some("1"));
    assert!(
        asked.starts_with("GET /api/auth/get-session HTTP/1.1\r\n"),
        "{asked}"
    );
    let asked = asked.to_ascii_lowercase();
    assert!(
        asked.contains(&format!("\r\ncookie: {COOKIE}=tok%2fen.sig%3d\r\n")),
        "{asked}"
    );
    assert!(
        !asked.contains("canary") && !asked.contains("forwarded") && !asked.contains("theme"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_known_session_asks_nobody_again_even_when_the_endpoint_is_gone() {
    let (endpoint, gateway) = world().await;
    let (answer, _) = answered(&endpoint, &gateway, "s1", &json("200 OK", SESSION)).await;
    assert_eq!(verdict(&answer).0, 200);
    drop(endpoint);
    for _ in 0..5 {
        assert_eq!(verdict(&cookie(&gateway, "s1").await).0, 200);
    }
    assert_eq!(verdict(&soon(cookie(&gateway, "s2")).await), unavailable());
}

#[tokio::test]
async fn those_who_come_together_ask_once() {
    let (endpoint, gateway) = world().await;
    let asking = futures_util::future::join_all((0..20).map(|_| cookie(&gateway, "s1")));
    let serving = async {
        let mut exchange = endpoint.accept().await;
        exchange.request().await.unwrap();
        until("all wait", || gateway.state.metrics.in_flight.get() == 20).await;
        exchange.send(json("200 OK", SESSION)).await;
        exchange
    };
    let (answers, _open) = tokio::join!(soon(asking), soon(serving));
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(endpoint.is_left_alone().await);
}

#[tokio::test]
async fn whoever_the_endpoint_does_not_know_is_401() {
    let (endpoint, gateway) = world().await;
    for (number, (status, body)) in [
        ("401 Unauthorized", ""),
        ("403 Forbidden", "<html>"),
        ("200 OK", "null"),
        ("200 OK", "{}"),
        ("200 OK", r#"{"user":null}"#),
        ("200 OK", r#"{"user":{"id":null}}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let (answer, _) = answered(&endpoint, &gateway, &format!("n{number}"), &json(status, body)).await;
        assert_eq!(verdict(&answer), invalid(), "{status} {body}");
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn an_endpoint_that_makes_no_sense_is_503_and_never_401() {
    let html = "<html><body>Sign in</body></html>";
    let large = format!(r#"{{"user":{{"id":"a","x":"{}"}}}}"#, "x".repeat(20_000));
    let mut many = String::from(r#"{"user":{"id":"a""#);
    (0..3_000).for_each(|number| write!(many, r#","m{number}":1"#).unwrap());
    many += "}}";
    for (status, body) in [
        ("200 OK", html),
        ("200 OK", "[]"),
        ("200 OK", "true"),
        ("200 OK", r#"{"user":{"id":"a","id":"b"}}"#),
        ("200 OK", r#"{"user":{"id":["a"]}}"#),
        ("200 OK", ""),
        ("200 OK", large.as_str()),
        ("200 OK", many.as_str()),
        ("204 No Content", ""),
        ("302 Found\r\nlocation: /login", ""),
        ("404 Not Found", "null"),
        ("429 Too Many Requests", ""),
        ("500 Internal Server Error", SESSION),
        ("502 Bad Gateway", html),
    ] {
        let (endpoint, gateway) = world().await;
        let (answer, _) = answered(&endpoint, &gateway, "s1", &json(status, body)).await;
        assert_eq!(verdict(&answer), unavailable(), "{status} {}", body.len());
        assert!(answer.header("retry-after").is_some());
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn an_endpoint_that_never_ends_is_given_up_within_bounds() {
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n".to_owned();
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned();
    let slow = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n".to_owned();
    let gzip = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\u{1f}abc".to_owned();
    for answer in [
        huge,
        cut,
        slow,
        gzip,
        "SSH-2.0-OpenSSH\r\n".to_owned(),
        String::new(),
    ] {
        let (endpoint, gateway) = world().await;
        let (client, _) = answered(&endpoint, &gateway, "s1", &answer).await;
        assert_eq!(verdict(&client), unavailable(), "{answer:?}");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn fifty_mebibytes_are_not_read() {
    let (endpoint, gateway) = world().await;
    let serving = async {
        let mut exchange = endpoint.accept().await;
        exchange.request().await.unwrap();
        exchange
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let piece = format!("10000\r\n{}\r\n", "x".repeat(65_536));
        let mut sent = 0;
        while sent < 800 && exchange.try_send(&piece).await {
            sent += 1;
        }
        sent
    };
    let (client, sent) = tokio::join!(soon(cookie(&gateway, "s1")), soon(serving));
    assert_eq!(verdict(&client), unavailable());
    assert!(sent < 200, "{sent} of 64 KiB were taken");
}

#[tokio::test]
async fn an_endpoint_that_fails_again_and_again_is_left_alone() {
    let (endpoint, gateway) = world().await;
    for number in 0..5 {
        let (answer, _) = answered(&endpoint, &gateway, &format!("s{number}"), &json("500 Oops", "")).await;
        assert_eq!(verdict(&answer), unavailable());
    }
    let answer = soon(cookie(&gateway, "another")).await;
    assert_eq!(verdict(&answer), unavailable());
    assert!(endpoint.is_left_alone().await);
}

#[tokio::test]
async fn a_header_goes_to_the_endpoint_as_it_is() {
    let endpoint = Scripted::start();
    let identity = format!(
        "  - session: {{ url: \"{}/me\", from: {{ header: authorization }}, subject: user.id, claims: {{ org_id: user.org.id }} }}",
        endpoint.url()
    );
    let gateway = gateway(&identity).await;
    let serving = async {
        let mut exchange = endpoint.accept().await;
        let asked = exchange.request().await.unwrap();
        exchange.send(json("200 OK", SESSION)).await;
        (asked, exchange)
    };
    let headers = [("authorization", "bearer opaque"), ("cookie", "sid=canary")];
    let (answer, (asked, _open)) = tokio::join!(soon(ask(&gateway, &headers)), soon(serving));
    assert_eq!(verdict(&answer).0, 200);
    let asked = asked.to_ascii_lowercase();
    assert!(
        asked.contains("\r\nauthorization: bearer opaque\r\n") && !asked.contains("canary"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_page_of_another_origin_has_nobody_asked_about_its_cookie() {
    let (endpoint, gateway) = world().await;
    let cookie = format!("{COOKIE}=tok");
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![
            ("origin", "https://app.example.com"),
            ("origin", "https://evil.example"),
        ],
    ] {
        let all = [vec![("cookie", cookie.as_str())], headers].concat();
        let answer = soon(ask(&gateway, &all)).await;
        assert_eq!(
            verdict(&answer),
            (403, "origin_not_allowed".to_owned()),
            "{all:?}"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    assert!(endpoint.is_left_alone().await);
    gateway.received_nothing();
    let listed = [
        ("cookie", cookie.as_str()),
        ("origin", "https://app.example.com"),
        ("sec-fetch-site", "cross-site"),
    ];
    let serving = async {
        let mut exchange = endpoint.accept().await;
        exchange.request().await;
        exchange.send(json("200 OK", SESSION)).await;
        exchange
    };
    let (answer, _open) = tokio::join!(soon(ask(&gateway, &listed)), soon(serving));
    assert_eq!(verdict(&answer).0, 200);
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    let evil = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    assert_eq!(
        verdict(&soon(ask(&gateway, &evil)).await).0,
        403,
        "remembered or not"
    );
}
