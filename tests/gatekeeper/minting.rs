//! What a token is minted for, what it says, and who gets none.

use serde_json::{Value, json};

use crate::support::gateway::request;
use crate::support::token::{admin, member, now, sign, token};
use crate::world::{URL, World, part};

#[tokio::test]
async fn the_answer_is_what_a_client_needs_and_the_token_says_what_the_rule_gives() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let shape = json!({
        "namespace": null, "table": "users", "where": "(\"org_id\" = $1)", "columns": "id,name,org_id",
        "params": { "1": "1" }, "replica": "default",
    });
    assert_eq!(
        config.0,
        json!({
            "url": URL,
            "headers": { "Authorization": format!("Bearer {}", config.token()) },
            "params": {
                "table": "users", "where": "(\"org_id\" = $1)", "columns": "id,name,org_id", "params": { "1": "1" },
            },
            "table": "users", "where": "(\"org_id\" = $1)", "columns": "id,name,org_id",
        })
    );
    assert_eq!(
        config.header(),
        json!({ "alg": "ES256", "typ": "shape+jwt", "kid": "one" })
    );
    let mut claims = config.claims();
    let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 22);
    let issued = claims["iat"].as_i64().unwrap();
    assert_eq!(
        claims,
        json!({
            "iss": "https://sync.example.com", "sub": "user_of_1", "aud": "default",
            "iat": issued, "nbf": issued, "exp": issued + 300, "shape": shape,
        })
    );
    world.gateway.received_nothing();
}

#[tokio::test]
async fn an_answer_with_a_token_is_kept_by_nobody_and_readable_by_pages() {
    let world = World::new().await;
    let answer = world.ask("users", Some(&admin()), None).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let preflight = request(
        "OPTIONS",
        "/gatekeeper/users",
        None,
        &[
            ("origin", "https://app.test"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ],
        "",
    );
    let answer = world.gateway.connect().await.ask(preflight).await;
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("POST, OPTIONS")
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("authorization,content-type")
    );
}

#[tokio::test]
async fn a_client_may_narrow_and_the_answer_says_what_was_signed() {
    let world = World::new().await;
    let body = json!({ "where": "name = 'Bob'", "columns": ["id", "name"], "replica": "full" });
    let config = world.mint("public.users", &member(1), Some(body)).await;
    let params = json!({
        "table": "users", "where": "((\"org_id\" = $1) AND (\"name\" = $2))", "columns": "id,name", "replica": "full",
        "params": { "1": "1", "2": "Bob" },
    });
    assert_eq!(config.0["params"], params);
    assert_eq!(config.claims()["shape"]["replica"], "full");
    let answer = world
        .get(&format!("offset=-1&{}", config.query()), Some(config.token()))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()[0]["value"], json!({ "id": "2", "name": "Bob" }));
}

#[tokio::test]
async fn form_query_and_json_are_three_ways_to_say_the_same() {
    let world = World::new().await;
    let filter = "name%20%3D%20%241&params%5B1%5D=Bob";
    let form = request(
        "POST",
        "/gatekeeper/users",
        Some(&member(1)),
        &[("content-type", "application/x-www-form-urlencoded")],
        &format!("where={filter}"),
    );
    let form = world.gateway.connect().await.ask(form).await;
    let query = world
        .ask(&format!("users?where={filter}"), Some(&member(1)), None)
        .await;
    let json = json!({ "where": "name = $1", "params": ["Bob"] });
    let json = world.ask("users", Some(&member(1)), Some(json)).await;
    for answer in [form, query, json] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["params"]["params"], json!({ "1": "1", "2": "Bob" }));
    }
}

#[tokio::test]
async fn what_the_shapes_path_captures_is_a_parameter_here() {
    let world = World::new().await;
    let config = world
        .mint(
            "memberships",
            &member(2),
            Some(json!({ "org": 2, "role": "member" })),
        )
        .await;
    assert_eq!(config.0["params"]["params"], json!({ "1": "2", "2": "member" }));
    for (query, status, code) in [
        ("?role=member", 400, "parameter_missing"),
        ("?org=x&role=member", 400, "parameter_malformed"),
        ("?org=1&role=member", 403, "forbidden"),
        ("?org=2", 403, "forbidden"),
    ] {
        let answer = world
            .ask(&format!("memberships{query}"), Some(&member(2)), None)
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}");
    }
}

#[tokio::test]
async fn a_table_and_claims_of_the_callers_own_are_not_heard() {
    let world = World::new().await;
    let body = json!({
        "table": "hidden", "namespace": "pg_catalog", "exp": 9e9, "iat": 0, "iss": "me", "sub": "root", "aud": "other",
        "jti": "mine", "shape": { "table": "hidden" }, "kid": "mine", "alg": "none",
    });
    let claims = world
        .mint(
            "users?nbf=0&queryable_columns=ssn&offset=0",
            &member(1),
            Some(body),
        )
        .await
        .claims();
    assert_eq!(claims["shape"]["table"], "users");
    assert_eq!(
        (
            claims["iss"].as_str(),
            claims["sub"].as_str(),
            claims["aud"].as_str()
        ),
        (
            Some("https://sync.example.com"),
            Some("user_of_1"),
            Some("default")
        )
    );
    assert!(claims["exp"].as_i64().unwrap() <= now() + 301 && claims["jti"] != "mine");
}

#[tokio::test]
async fn nobody_gets_a_token_but_by_a_rule() {
    let world = World::new().await;
    let stranger = token(json!({}));
    for (table, user, status, code) in [
        ("users", None, 401, "token_missing"),
        ("users", Some("not.a.token"), 401, "token_invalid"),
        ("users", Some(stranger.as_str()), 403, "forbidden"),
        ("hidden", Some(stranger.as_str()), 403, "forbidden"),
        ("nowhere", Some(stranger.as_str()), 403, "forbidden"),
        ("pg_catalog.pg_authid", Some(stranger.as_str()), 403, "forbidden"),
    ] {
        let answer = world.ask(table, user, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{table}");
    }
    let denied = world.ask("users", Some(&stranger), None).await.json();
    let unknown = world.ask("nowhere", Some(&stranger), None).await.json();
    assert_eq!(
        denied["message"], unknown["message"],
        "which tables have rules is not told"
    );
    let wide = world
        .ask("users", Some(&member(1)), Some(json!({ "columns": "id,ssn" })))
        .await;
    assert_eq!(
        (wide.status, wide.code().as_str()),
        (400, "parameter_not_allowed")
    );
    world.gateway.received_nothing();
}

#[tokio::test]
async fn what_everybody_may_read_is_minted_for_everybody() {
    let world = World::new().await;
    let answer = world.ask("items", None, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let claims = part(answer.json()["headers"]["Authorization"].as_str().unwrap(), 1);
    assert_eq!(claims.get("sub"), None);
    assert_eq!(answer.json()["params"], json!({ "table": "items" }));
    assert_eq!(claims["shape"]["where"], Value::Null);
}

#[tokio::test]
async fn a_token_lives_as_its_rule_says_and_never_longer_than_the_callers_credential() {
    let world = World::new().await;
    let life = |claims: &Value| claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life(&world.mint("users", &member(1), None).await.claims()), 300);
    let admin_for = |seconds: i64| token(json!({ "roles": ["admin"], "exp": now() + seconds }));
    assert_eq!(
        life(&world.mint("users", &admin_for(3000), None).await.claims()),
        600,
        "the rule's own ttl"
    );
    let short = world.mint("users", &admin_for(40), None).await.claims();
    assert!((38..=41).contains(&life(&short)), "{short}");
    let over = world.ask("users", Some(&admin_for(-30)), None).await;
    assert_eq!(
        (over.status, over.code().as_str()),
        (401, "token_expired"),
        "in the leeway nothing new is given"
    );
}

#[tokio::test]
async fn other_methods_are_not_for_tokens() {
    let world = World::new().await;
    for method in ["GET", "HEAD"] {
        let answer = request(method, "/gatekeeper/users", Some(&admin()), &[], "");
        let answer = world.gateway.connect().await.ask_as(method, answer).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = request(method, "/gatekeeper/users", Some(&admin()), &[], "");
        let answer = world.gateway.connect().await.ask(answer).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("POST, OPTIONS")),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_table_is_named_in_electrics_spelling_and_in_one_path_segment() {
    let world = World::new().await;
    let quoted = "app.%22Kitchen%20Sink%22";
    let config = world.mint(quoted, &admin(), None).await;
    assert_eq!(config.0["table"], "app.\"Kitchen Sink\"");
    assert_eq!(config.0["columns"], "\"Mixed Case\",\"a,b\",id");
    let shape = &config.claims()["shape"];
    assert_eq!(
        (&shape["namespace"], &shape["table"]),
        (&json!("app"), &json!("\"Kitchen Sink\""))
    );
    let rows = world
        .get(&format!("offset=-1&{}", config.query()), Some(config.token()))
        .await;
    assert_eq!(rows.status, 200, "{}", rows.text());
    assert_eq!(world.mint("%55SERS", &admin(), None).await.0["table"], "users");
    for (segment, status) in [
        ("users/", 404),
        ("users/x", 404),
        ("", 404),
        ("..", 404),
        ("users;x", 404),
        ("us*ers", 404),
        ("%zz", 400),
        ("%2", 400),
        ("%2500", 400),
        ("users%0a", 400),
        ("%00", 400),
        ("%ff", 400),
        ("a.b.c", 400),
        ("%22a%22%22%22b%22", 400),
        ("%22Users", 400),
        ("users%2f", 400),
        ("%22Users%22", 403),
        ("public.%22users%22", 200),
        ("%20users", 400),
    ] {
        let answer = world.ask(segment, Some(&admin()), None).await;
        assert_eq!(answer.status, status, "{segment}: {}", answer.text());
    }
}

#[tokio::test]
async fn bad_bodies_are_refused_before_anything_is_signed() {
    let world = World::new().await;
    let ask = async |content_type: &str, body: &str| {
        let bytes = request(
            "POST",
            "/gatekeeper/users",
            Some(&admin()),
            &[("content-type", content_type)],
            body,
        );
        let answer = world.gateway.connect().await.ask(bytes).await;
        (answer.status, answer.code())
    };
    for (content_type, body, status, code) in [
        ("application/json", "[]", 400, "body_malformed"),
        (
            "application/json",
            "{\"where\":\"a\",\"where\":\"b\"}",
            400,
            "body_malformed",
        ),
        (
            "application/json",
            "{\"where\":\"name = 'x') OR (1=1\"}",
            400,
            "parameter_malformed",
        ),
        (
            "application/json",
            "{\"where\":\"id IN (SELECT id FROM hidden)\"}",
            400,
            "parameter_malformed",
        ),
        (
            "application/json",
            "{\"where\":\"name = $1\"}",
            400,
            "parameter_malformed",
        ),
        (
            "application/json",
            "{\"where\":\"name = $1\",\"params\":[\"\\u0000\"]}",
            400,
            "parameter_malformed",
        ),
        (
            "application/json",
            "{\"params\":[\"x\"]}",
            400,
            "parameter_malformed",
        ),
        ("application/json", "\u{feff}{}", 400, "body_malformed"),
        ("text/plain", "where=a", 415, "media_type_unsupported"),
        (
            "multipart/form-data; boundary=x",
            "--x--",
            415,
            "media_type_unsupported",
        ),
    ] {
        assert_eq!(ask(content_type, body).await, (status, code.to_owned()), "{body}");
    }
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(
        ask("application/json", &deep).await,
        (400, "body_malformed".to_owned())
    );
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(300_000));
    assert_eq!(ask("application/json", &large).await.0, 413);
}

#[tokio::test]
async fn a_definition_that_electric_would_refuse_is_refused_here() {
    let world = World::new().await;
    let names: Vec<String> = (0..400).map(|n| format!("name-{n:0>30}")).collect();
    let filter = format!("name = ANY('{{{}}}')", names.join(","));
    let answer = world
        .ask("users", Some(&admin()), Some(json!({ "where": filter })))
        .await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "definition_too_large")
    );
}

#[tokio::test]
async fn for_validators_that_compare_no_parameters_none_are_signed() {
    let world = World::minting("audience: external").await;
    let answer = world.ask("users", Some(&member(1)), None).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    assert!(answer.text().contains("parameters"), "{}", answer.text());
    let config = world.mint("users", &admin(), None).await;
    assert_eq!(
        config.0["params"],
        json!({ "table": "users", "columns": "id,name,org_id" })
    );
}

#[tokio::test]
async fn a_shape_token_is_nobodys_credential_and_a_users_token_signs_no_shape() {
    let world = World::new().await;
    let config = world.mint("users", &admin(), None).await;
    let minting = world.ask("users", Some(config.token()), None).await;
    assert_eq!((minting.status, minting.code().as_str()), (401, "token_invalid"));
    let named = world
        .gateway
        .get("/api/shapes/users?offset=-1", Some(config.token()))
        .await;
    assert_eq!((named.status, named.code().as_str()), (401, "token_invalid"));
    let proxied = world
        .get(&format!("offset=-1&{}", config.query()), Some(&admin()))
        .await;
    assert_eq!((proxied.status, proxied.code().as_str()), (401, "token_invalid"));
    // Even a user's token that has a shape in it, of the right issuer but not of the right type.
    let claims = config.claims();
    let posing = sign(&json!({ "alg": "HS256", "typ": "shape+jwt" }), &claims);
    let proxied = world
        .get(&format!("offset=-1&{}", config.query()), Some(&posing))
        .await;
    assert_eq!(proxied.status, 401, "our keys signed it not");
    world.gateway.received_nothing();
}
