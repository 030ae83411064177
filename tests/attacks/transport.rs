//! D: how a token travels.

use crate::support::gateway::{get, request};
use crate::support::http2;
use crate::support::token::{member, token};
use crate::world::{ask_with, assert_clean, assert_refused, start, start_http2, users_with};
use serde_json::json;
use tokio::net::TcpStream;

fn with_authorization(values: &[&str]) -> String {
    let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
    request("GET", &users_with(""), None, &headers, "")
}

#[tokio::test]
async fn d1_two_authorization_headers_are_refused_in_either_order() {
    let gateway = start().await;
    let (good, bad) = (format!("Bearer {}", member(1)), "Bearer a.b.c".to_owned());
    for pair in [[&*good, &*bad], [&*bad, &*good], [&*good, &*good]] {
        let answer = gateway.connect().await.ask(with_authorization(&pair)).await;
        assert_refused(&gateway, &answer, 400, "malformed_request", &format!("{pair:?}"));
    }
}

#[tokio::test]
async fn d1_two_credentials_in_one_header_are_not_cut_to_the_first() {
    let gateway = start().await;
    let both = format!("Bearer {}, Bearer {}", member(1), member(2));
    let answer = gateway.connect().await.ask(with_authorization(&[&both])).await;
    assert_refused(&gateway, &answer, 401, "token_invalid", "list");
}

/// Spellings of the header, and whether each is a bearer credential.
fn spellings() -> Vec<(String, bool)> {
    let good = member(1);
    vec![
        (format!("Bearer {good}"), true),
        (format!("bearer {good}"), true),
        (format!("BEARER {good}"), true),
        (format!("bEaReR  {good}"), true),
        (format!("Bearer\t{good}"), false),
        (format!("Bearer{good}"), false),
        (format!("Bearer \"{good}\""), false),
        (format!("Bearer {good} extra"), false),
        (format!("Bearer={good}"), false),
        (format!("Basic {good}"), false),
        (format!("Token {good}"), false),
        (format!("DPoP {good}"), false),
        ("Bearer".to_owned(), false),
        (good, false),
    ]
}

#[tokio::test]
async fn d2_only_the_spellings_of_rfc_6750_are_credentials_over_http_1() {
    let gateway = start().await;
    let padded = (format!("Bearer {}  ", member(1)), true);
    for (value, good) in spellings().into_iter().chain([padded]) {
        let answer = gateway.connect().await.ask(with_authorization(&[&value])).await;
        if good {
            assert_clean(&gateway, &answer, &value);
        } else {
            assert_refused(&gateway, &answer, 401, "token_invalid", &value);
        }
    }
}

#[tokio::test]
async fn d2_the_same_spellings_are_credentials_over_http_2() {
    let gateway = start_http2().await;
    for (value, good) in spellings() {
        let request = http::Request::get(format!("http://gateway.test{}", users_with("")))
            .header("authorization", &value)
            .body(())
            .unwrap();
        let tcp = TcpStream::connect(gateway.address).await.unwrap();
        let answer = http2::ask(tcp, request, None).await;
        if good {
            assert_clean(&gateway, &answer, &value);
        } else {
            assert_refused(&gateway, &answer, 401, "token_invalid", &value);
        }
    }
}

#[tokio::test]
async fn d4_a_token_in_the_query_is_a_parameter_that_nobody_knows() {
    let gateway = start().await;
    for name in ["access_token", "token", "jwt", "authorization", "bearer"] {
        let alone = users_with(&format!("&{name}={}", member(1)));
        let answer = gateway.get(&alone, None).await;
        assert_refused(&gateway, &answer, 401, "token_missing", name);
        let beside = users_with(&format!("&{name}={}", member(2)));
        let answer = gateway.get(&beside, Some(&member(1))).await;
        assert_clean(&gateway, &answer, name);
        let strict = beside.replace("/users", "/strict");
        let answer = gateway.get(&strict, Some(&member(1))).await;
        assert_refused(&gateway, &answer, 400, "parameter_unknown", name);
    }
}

#[tokio::test]
async fn d5_a_token_in_a_cookie_is_no_credential() {
    let gateway = start().await;
    let cookie = format!("token={0}; session={0}; authorization={0}", member(1));
    for origin in ["https://evil.example", "null"] {
        let headers = [("cookie", &*cookie), ("origin", origin)];
        let bytes = request("GET", &users_with(""), None, &headers, "");
        let answer = gateway.connect().await.ask(bytes).await;
        assert_refused(&gateway, &answer, 401, "token_missing", origin);
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}

/// Headers that other gateways take a credential or an identity from.
fn impostors() -> Vec<(&'static str, String)> {
    let other = member(2);
    vec![
        ("proxy-authorization", format!("Bearer {other}")),
        ("x-forwarded-access-token", other.clone()),
        ("x-auth-request-user", "admin".to_owned()),
        ("x-auth-request-access-token", other.clone()),
        ("x-forwarded-user", "admin".to_owned()),
        ("x-remote-user", "admin".to_owned()),
        ("x-original-url", "/api/shapes/named".to_owned()),
        ("x-rewrite-url", "/api/shapes/named".to_owned()),
        ("x-api-key", other.clone()),
        ("electric-secret", "guess".to_owned()),
        ("sec-websocket-protocol", format!("bearer, {other}")),
        ("cookie", format!("authorization={other}")),
    ]
}

#[tokio::test]
async fn d7_d9_no_other_header_is_a_credential() {
    let gateway = start().await;
    for (name, value) in impostors() {
        let bytes = request("GET", &users_with(""), None, &[(name, &value)], "");
        let answer = gateway.connect().await.ask(bytes).await;
        assert_refused(&gateway, &answer, 401, "token_missing", name);
    }
}

#[tokio::test]
async fn d7_d8_no_credential_reaches_the_upstream_whatever_carries_it() {
    let gateway = start().await;
    let impostors = impostors();
    let headers: Vec<_> = impostors.iter().map(|(name, value)| (*name, &**value)).collect();
    let answer = ask_with(&gateway, &users_with(""), &headers).await;
    assert_clean(&gateway, &answer, "all at once");
}

#[tokio::test]
async fn one_connection_carries_several_users_and_each_request_is_judged_by_its_own_token() {
    let gateway = start().await;
    let mut connection = gateway.connect().await;
    for round in 0..3 {
        let answer = connection.ask(get(&users_with(""), Some(&member(1)))).await;
        assert_clean(&gateway, &answer, "first user");
        let answer = connection.ask(get(&users_with(""), None)).await;
        assert_refused(&gateway, &answer, 401, "token_missing", "nobody");
        let answer = connection.ask(get(&users_with(""), Some(&member(2)))).await;
        assert_eq!(answer.status, 200, "round {round}");
        let received = gateway.received_one();
        assert!(
            received.target.contains("params%5B1%5D=2&"),
            "{}",
            received.target
        );
        let answer = connection
            .ask(get(&users_with(""), Some(&token(json!({ "sub": "nobody" })))))
            .await;
        assert_refused(&gateway, &answer, 403, "forbidden", "no organisation");
    }
}
