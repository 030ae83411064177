//! H: exactly one spelling of a path is a route, and nothing in it is an operator's.

use crate::support::gateway::{get, request};
use crate::support::token::{member, token};
use crate::world::{ask, ask_with, assert_clean, assert_refused, assert_serves, start, users_with};
use serde_json::json;

#[tokio::test]
async fn h1_every_other_spelling_of_a_path_is_another_path() {
    let gateway = start().await;
    for path in [
        "/api/shapes/users/",
        "//api/shapes/users",
        "/api//shapes/users",
        "/api/./shapes/users",
        "/./api/shapes/users",
        "/api/x/../shapes/users",
        "/api/shapes/../shapes/users",
        "/../api/shapes/users",
        "/api/shapes/users;x",
        "/api/shapes/users;",
        "/api/%73hapes/users",
        "/%61pi/shapes/users",
        "/api%2fshapes%2fusers",
        "/api/shapes/users%2f",
        "/api/shapes/users%20",
        "/api/shapes/users%00",
        "/api/shapes/users%3f",
        "/api/shapes/users%0a",
        "/api/%2e%2e/api/shapes/users",
        "/api/%252e/shapes/users",
        "/api/shapes/%75sers",
        "\\api\\shapes\\users",
        "/api\\shapes\\users",
        "/API/shapes/users",
        "/api/shapes/Users",
        "/api/shapes/users.json",
        "/api/shapes/user",
        "/api/shapes/userss",
        "/api/shapes",
        "/",
        "*",
    ] {
        let answer = ask(&gateway, &format!("{path}?offset=-1")).await;
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
        gateway.received_nothing();
    }
    assert_serves(&gateway, "the route itself").await;
}

#[tokio::test]
async fn h1_an_absolute_target_is_no_route() {
    let gateway = start().await;
    for target in [
        "http://gateway.test/api/shapes/users?offset=-1",
        "http://evil.example/api/shapes/users?offset=-1",
        "https://gateway.test/api/shapes/users?offset=-1",
        "file:///api/shapes/users?offset=-1",
        "gateway.test/api/shapes/users?offset=-1",
        "api/shapes/users?offset=-1",
        "?offset=-1",
    ] {
        let answer = ask(&gateway, target).await;
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn h1_a_fragment_is_refused_wherever_it_stands() {
    let gateway = start().await;
    for target in [
        "/api/shapes/users#x",
        "/api/shapes/users#?offset=-1",
        "/api/shapes/users?offset=-1#x",
        "/api/shapes/users?offset=-1#&where=true",
    ] {
        let answer = ask(&gateway, target).await;
        assert_refused(&gateway, &answer, 400, "malformed_request", target);
    }
}

#[tokio::test]
async fn h1_bytes_that_no_target_may_hold_reach_nobody() {
    let gateway = start().await;
    for target in [
        &b"/api/shapes/users\x00?offset=-1"[..],
        b"/api/shapes/users\x7f?offset=-1",
        b"/api/shapes/\xc3\xbcsers?offset=-1",
        b"/api/shapes/\xff?offset=-1",
        b"/api/shapes/us\ters?offset=-1",
        b"/api/shapes/us ers?offset=-1",
        b" /api/shapes/users?offset=-1",
        b"/api/shapes/users HTTP/1.1?offset=-1",
    ] {
        let mut bytes = b"GET ".to_vec();
        bytes.extend_from_slice(target);
        bytes.extend_from_slice(
            format!(
                " HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {}\r\n\r\n",
                member(1)
            )
            .as_bytes(),
        );
        let mut connection = gateway.connect().await;
        connection.send(bytes).await;
        let status = connection.answer().await.map(|answer| answer.status);
        assert!(matches!(status, Some(400 | 404) | None), "{target:?}: {status:?}");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn h1_an_empty_query_is_the_path_and_lacks_its_offset() {
    let gateway = start().await;
    for target in [
        "/api/shapes/users",
        "/api/shapes/users?",
        "/api/shapes/users?&",
        "/api/shapes/users?&&",
    ] {
        let answer = ask(&gateway, target).await;
        assert_refused(&gateway, &answer, 400, "parameter_missing", target);
    }
}

#[tokio::test]
async fn h1_a_second_question_mark_is_text() {
    let gateway = start().await;
    let answer = ask(&gateway, "/api/shapes/users?offset=-1?where=true").await;
    assert_refused(&gateway, &answer, 400, "parameter_malformed", "in a value");
    let answer = ask(
        &gateway,
        "/api/shapes/users?offset=-1&x=/../../v1/shape?table=secrets",
    )
    .await;
    assert_clean(&gateway, &answer, "in what is dropped");
}

#[tokio::test]
async fn h1_a_capture_takes_one_plain_spelling_of_its_type() {
    let gateway = start().await;
    for org in [
        "01",
        "+1",
        "1.0",
        "%31",
        "1%20",
        "-0",
        "0x1",
        "1;2",
        "",
        "..",
        "1%2f2",
        "99999999999999999999",
    ] {
        let answer = ask(&gateway, &format!("/orgs/{org}/users?offset=-1")).await;
        assert_refused(&gateway, &answer, 404, "not_found", org);
    }
    let answer = ask(&gateway, "/orgs/2/users?offset=-1").await;
    assert_refused(&gateway, &answer, 403, "forbidden", "another organisation");
    let answer = ask(&gateway, "/orgs/1/users?offset=-1").await;
    assert_clean(&gateway, &answer, "its own");
}

#[tokio::test]
async fn h1_the_upstream_path_is_the_same_for_every_route() {
    let gateway = start().await;
    for target in [
        "/api/shapes/users?offset=-1",
        "/orgs/1/users?offset=-1",
        "/api/shapes/narrow?offset=-1",
    ] {
        assert_eq!(ask(&gateway, target).await.status, 200, "{target}");
        let received = gateway.received_one();
        assert!(
            received.target.starts_with("/v1/shape?columns="),
            "{}",
            received.target
        );
    }
}

#[tokio::test]
async fn h3_operators_paths_are_not_on_the_public_listener() {
    let gateway = start().await;
    for path in [
        "/metrics",
        "/admin",
        "/healthz",
        "/readyz",
        "/health",
        "/status",
        "/.well-known/jwks.json",
        "/api/shapes",
    ] {
        for token in [None, Some(member(1))] {
            let answer = gateway.get(path, token.as_deref()).await;
            assert_refused(&gateway, &answer, 404, "not_found", path);
        }
    }
}

#[tokio::test]
async fn h3_a_probes_user_agent_opens_nothing() {
    let gateway = start().await;
    for agent in [
        "kube-probe/1.0",
        "GoogleHC/1.0",
        "ELB-HealthChecker/2.0",
        "shapegate",
    ] {
        let bytes = request("GET", &users_with(""), None, &[("user-agent", agent)], "");
        let answer = gateway.connect().await.ask(bytes).await;
        assert_refused(&gateway, &answer, 401, "token_missing", agent);
        let answer = ask_with(&gateway, "/metrics", &[("user-agent", agent)]).await;
        assert_refused(&gateway, &answer, 404, "not_found", agent);
    }
}

#[tokio::test]
async fn h3_an_open_routes_health_needs_nobody_and_tells_nothing_more() {
    let gateway = start().await;
    let answer = gateway
        .connect()
        .await
        .ask(get("/v1/health?secret=guess&table=users", None))
        .await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"active"}"#));
    let received = gateway.received_one();
    assert_eq!(received.target, "/v1/health");
    let names: Vec<_> = received.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host"]);
}

#[tokio::test]
async fn an_open_route_gives_no_table_that_is_not_listed() {
    let gateway = start().await;
    let service = token(json!({ "roles": ["service"] }));
    for table in [
        "items",
        "public.items",
        "pg_catalog.pg_user",
        "%22public%22.%22Users%22",
        "users.users",
        "other.users",
    ] {
        let target = format!("/v1/shape?offset=-1&table={table}");
        let answer = gateway.get(&target, Some(&service)).await;
        assert_refused(&gateway, &answer, 400, "parameter_not_allowed", table);
    }
    let answer = gateway
        .get("/v1/shape?offset=-1&table=users", Some(&service))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
