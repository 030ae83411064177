//! D5: tokens in cookies, which browsers send whoever's page asks.

use serde_json::json;

use crate::support::gateway::{Gateway, problems, request};
use crate::support::patience::soon;
use crate::support::raw::Answer;
use crate::support::token::{member, token};

const SHAPES: &str = r#"
shapes:
  users:
    table: users
    hub: off
    columns: [id, name, org_id]
    client: { subset: { limit_max: none } }
    rules:
      - when: has(user.org_id)
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;
const CORS: &str = "cors: { origins: [\"https://app.example.com\"], credentials: true }\n";
const LISTED: (&str, &str) = ("origin", "https://app.example.com");
const TARGET: &str = "/api/shapes/users?offset=-1";

fn identity(cookie: &str) -> String {
    format!(
        "identity:\n  - jwt: {{ issuer: https://issuer.test, audience: sync, from: {{ cookie: \"{cookie}\" }}, \
         keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }} }} ] }}\n"
    )
}

async fn start() -> Gateway {
    Gateway::start(&format!("{}{CORS}{SHAPES}", identity("__session"))).await
}

async fn ask(gateway: &Gateway, method: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    gateway.origin.forget_received();
    let bytes = request(method, TARGET, None, headers, body);
    soon(gateway.connect().await.ask_as(method, bytes)).await
}

fn cookie() -> String {
    format!("theme=dark; __session={}; other=1", member(1))
}

#[tokio::test]
async fn a_token_in_a_cookie_is_a_credential_for_pages_that_are_listed_and_for_programs() {
    let gateway = start().await;
    let cookie = cookie();
    for headers in [
        vec![],
        vec![("sec-fetch-site", "same-origin")],
        vec![("sec-fetch-site", "none")],
        vec![LISTED],
        vec![LISTED, ("sec-fetch-site", "cross-site")],
        vec![LISTED, ("sec-fetch-site", "same-site")],
    ] {
        let all = [vec![("cookie", &*cookie)], headers].concat();
        let answer = ask(&gateway, "GET", &all, "").await;
        assert_eq!(answer.status, 200, "{all:?}: {}", answer.text());
        let received = gateway.received_one();
        assert!(
            received.target.contains("params%5B1%5D=1&"),
            "{}",
            received.target
        );
        assert_eq!(received.header("cookie"), None);
        let vary = answer.header("vary").unwrap();
        assert!(
            ["authorization", "cookie", "origin"]
                .iter()
                .all(|name| vary.contains(name)),
            "{vary}"
        );
        let listed = all.contains(&LISTED);
        let credentials = answer.header("access-control-allow-credentials");
        assert_eq!(credentials, listed.then_some("true"), "{all:?}");
        let granted = answer.header("access-control-allow-origin");
        assert_eq!(granted, listed.then_some(LISTED.1), "{all:?}");
    }
}

#[tokio::test]
async fn d5_a_token_in_a_cookie_is_refused_to_every_other_page() {
    let gateway = start().await;
    let cookie = cookie();
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "https://app.example.com.evil.example")],
        vec![("origin", "http://app.example.com")],
        vec![
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ],
        vec![LISTED, ("origin", "https://evil.example")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "anything")],
    ] {
        for method in ["GET", "HEAD"] {
            let all = [vec![("cookie", &*cookie)], headers.clone()].concat();
            let answer = ask(&gateway, method, &all, "").await;
            assert_eq!(answer.status, 403, "{method} {all:?}: {}", answer.text());
            if method == "GET" {
                assert!(
                    answer.text().contains("\"code\":\"origin_not_allowed\""),
                    "{}",
                    answer.text()
                );
            }
            gateway.received_nothing();
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
}

#[tokio::test]
async fn a_post_with_a_cookie_needs_a_listed_origin() {
    let gateway = start().await;
    let cookie = cookie();
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![], 403),
        (vec![("sec-fetch-site", "same-origin")], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![LISTED], 200),
    ] {
        let all = [vec![("cookie", &*cookie), json], headers].concat();
        let answer = ask(&gateway, "POST", &all, "{\"where\":\"id > 0\"}").await;
        assert_eq!(answer.status, status, "{all:?}: {}", answer.text());
        if status == 403 {
            gateway.received_nothing();
        }
    }
}

#[tokio::test]
async fn a_header_comes_before_a_cookie_and_no_page_is_asked_for() {
    let gateway = start().await;
    let other = format!("__session={}", member(2));
    let bearer = format!("Bearer {}", member(1));
    for headers in [
        vec![("cookie", &*other), ("authorization", &*bearer)],
        vec![
            ("cookie", &*other),
            ("authorization", &*bearer),
            ("origin", "https://evil.example"),
        ],
        vec![("authorization", &*bearer), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = ask(&gateway, "GET", &headers, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(gateway.received_one().target.contains("params%5B1%5D=1&"));
    }
    let headers = [("cookie", &*other), ("authorization", "Bearer a.b.c")];
    let answer = ask(&gateway, "GET", &headers, "").await;
    assert_eq!(answer.status, 401, "a bad header is not made good by a cookie");
    gateway.received_nothing();
}

#[tokio::test]
async fn a_cookie_is_found_by_its_exact_name_and_once() {
    let gateway = start().await;
    let good = member(1);
    for (cookie, status) in [
        (format!("__session={good}"), 200),
        (format!("a=b;__session={good}"), 200),
        (format!("__Session={good}"), 401),
        (format!("x__session={good}"), 401),
        (format!("__session_x={good}"), 401),
        ("__session=".to_owned(), 401),
        ("__session=a.b.c".to_owned(), 401),
        (format!("__session={good}; __session={good}"), 400),
        (format!("__session={}; __session={good}", member(2)), 400),
    ] {
        let answer = ask(&gateway, "GET", &[("cookie", &cookie)], "").await;
        assert_eq!(answer.status, status, "{cookie}: {}", answer.text());
        if status != 200 {
            gateway.received_nothing();
        }
    }
    let expired = token(
        json!({ "exp": crate::support::token::now() - 3_600, "iat": crate::support::token::now() - 7_200 }),
    );
    let answer = ask(
        &gateway,
        "GET",
        &[("cookie", &format!("__session={expired}"))],
        "",
    )
    .await;
    assert!(answer.text().contains("token_expired"), "{}", answer.text());
}

#[test]
fn a_cookie_that_any_origin_could_send_is_refused_when_it_is_configured() {
    for cors in ["", "cors: { origins: any }\n"] {
        let told = problems(&format!("{}{cors}{SHAPES}", identity("__session"))).unwrap();
        assert!(
            told.contains("any origin may send it") && told.contains("cors: { origins: ["),
            "{told}"
        );
        assert!(told.contains("test.yaml:4:"), "{told}");
    }
    assert_eq!(
        problems(&format!("{}{CORS}{SHAPES}", identity("__session"))),
        None
    );
    let told = problems(&format!("{}{CORS}{SHAPES}", identity("a b"))).unwrap();
    assert!(told.contains("is no name of a cookie"), "{told}");
}
