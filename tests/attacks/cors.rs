//! Pages of other origins: preflights before anybody is asked who they are, and errors that pages can read.

use serde_json::json;

use crate::support::gateway::{Gateway, get, request};
use crate::support::raw::Answer;
use crate::support::token::{member, now, token};
use crate::world::{ask, assert_refusal, assert_refused, config, start, users_with};

async fn preflight(gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("access-control-request-method", "GET")];
    all.extend_from_slice(headers);
    gateway
        .connect()
        .await
        .ask(request("OPTIONS", target, None, &all, ""))
        .await
}

#[tokio::test]
async fn a_preflight_is_answered_before_authentication_and_stays_here() {
    let gateway = start().await;
    let names: Vec<_> = (0..32).map(|n| format!("X-Name-{n}")).collect();
    for target in [
        users_with(""),
        "/api/shapes/users".to_owned(),
        "/api/shapes/strict?nonsense&&%".to_owned(),
    ] {
        let headers = [
            ("origin", "https://a.example"),
            ("access-control-request-headers", &*names.join(", ")),
        ];
        let answer = preflight(&gateway, &target, &headers).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{target}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(
            answer.header("access-control-allow-methods"),
            Some("GET, HEAD, OPTIONS")
        );
        let granted = answer.header("access-control-allow-headers").unwrap();
        assert_eq!(granted, names.join(",").to_lowercase());
        gateway.received_nothing();
    }
    let answer = preflight(
        &gateway,
        "/api/shapes/subsets",
        &[("origin", "https://a.example")],
    )
    .await;
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("GET, HEAD, POST, OPTIONS")
    );
}

#[tokio::test]
async fn a_preflight_for_too_many_or_malformed_names_grants_none_of_them() {
    let gateway = start().await;
    let many: Vec<_> = (0..33).map(|n| format!("x-{n}")).collect();
    for names in [&*many.join(","), "bad name", "a,b;c", "x\u{e9}", "\"x\""] {
        let headers = [
            ("origin", "https://a.example"),
            ("access-control-request-headers", names),
        ];
        let answer = preflight(&gateway, &users_with(""), &headers).await;
        assert_eq!(answer.status, 204, "{names}");
        assert_eq!(answer.header("access-control-allow-headers"), None, "{names}");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn a_preflight_to_nowhere_is_404_and_options_without_one_is_405() {
    let gateway = start().await;
    let answer = preflight(&gateway, "/nowhere", &[("origin", "https://a.example")]).await;
    assert_refused(&gateway, &answer, 404, "not_found", "nowhere");
    let answer = gateway
        .connect()
        .await
        .ask(request("OPTIONS", &users_with(""), None, &[], ""))
        .await;
    assert_refused(&gateway, &answer, 405, "method_not_allowed", "no preflight");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn only_listed_origins_may_read_answers_and_errors() {
    let listed = r#"cors: { origins: ["https://app.example.com", "https://*.acme.app"], credentials: true }"#;
    let gateway = Gateway::start(&format!("{}{listed}\n", config())).await;
    for (origin, granted) in [
        ("https://app.example.com", true),
        ("https://x.acme.app", true),
        ("https://x.y.acme.app", false),
        ("https://acme.app", false),
        ("https://app.example.com.evil.example", false),
        ("https://evil.example/https://app.example.com", false),
        ("http://app.example.com", false),
        ("https://APP.example.com", false),
        ("https://app.example.com:444", false),
        ("null", false),
        ("", false),
    ] {
        for token in [None, Some(member(1))] {
            let bytes = request(
                "GET",
                &users_with(""),
                token.as_deref(),
                &[("origin", origin)],
                "",
            );
            let answer = gateway.connect().await.ask(bytes).await;
            assert_eq!(answer.status, if token.is_some() { 200 } else { 401 });
            let expected = granted.then_some(origin);
            assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}");
            let credentials = answer.header("access-control-allow-credentials");
            assert_eq!(credentials.is_some(), granted, "{origin}");
            assert!(answer.header("vary").unwrap().contains("origin"), "{origin}");
        }
    }
    let received = gateway.origin.received();
    assert!(
        received.iter().all(|one| one.header("origin").is_none()),
        "{received:?}"
    );
}

#[tokio::test]
async fn every_kind_of_refusal_is_json_that_pages_can_read() {
    let gateway = start().await;
    let expired = token(json!({ "org_id": 1, "exp": now() - 120 }));
    for (answer, status, code) in [
        (gateway.get(&users_with(""), None).await, 401, "token_missing"),
        (
            gateway.get(&users_with(""), Some("x")).await,
            401,
            "token_invalid",
        ),
        (
            gateway.get(&users_with(""), Some(&expired)).await,
            401,
            "token_expired",
        ),
        (
            gateway.get(&users_with(""), Some(&token(json!({})))).await,
            403,
            "forbidden",
        ),
        (ask(&gateway, "/nowhere").await, 404, "not_found"),
        (ask(&gateway, "/api/shapes/users").await, 400, "parameter_missing"),
        (
            ask(&gateway, &users_with("&table=items")).await,
            400,
            "parameter_not_allowed",
        ),
    ] {
        assert_refused(&gateway, &answer, status, code, code);
    }
    let answer = gateway.get(&users_with(""), Some(&expired)).await;
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .contains("error=\"invalid_token\"")
    );
    let answer = gateway.get(&users_with(""), None).await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    let answer = ask(&gateway, &users_with("&table=items")).await;
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("table") && message.contains("any_of"),
        "{message}"
    );
}

#[tokio::test]
async fn a_refusal_repeats_nothing_that_a_page_could_run() {
    let gateway = start().await;
    let script = "%3Cscript%3Ealert(1)%3C/script%3E";
    for target in [
        format!("/{script}"),
        users_with(&format!("&{script}=1&{script}=2")),
        users_with(&format!("&table={script}")),
    ] {
        let answer = ask(&gateway, &target).await;
        assert_refusal(&answer, answer.status, &answer.code(), &target);
        gateway.received_nothing();
    }
    let answer = gateway
        .connect()
        .await
        .ask(get("/%0d%0aset-cookie:x=1", None))
        .await;
    assert_refused(&gateway, &answer, 404, "not_found", "a split header");
    assert_eq!(answer.header("set-cookie"), None);
}
