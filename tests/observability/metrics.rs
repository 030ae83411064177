//! What is counted of requests and decisions.

use serde_json::json;
use shapegate::gateway::State;

use crate::journal::SHAPES;
use crate::support::gateway::{Gateway, get};
use crate::support::token::{IDENTITY, member, now, token};

fn rendered(state: &State) -> String {
    state.metrics.key_ages.take(state);
    state.metrics.unauthorized_loops.take(state.clock.now().monotonic);
    state.metrics.render().unwrap()
}

/// The samples of one metric, without its name.
fn samples(state: &State, name: &str) -> Vec<String> {
    let text = rendered(state);
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines
        .filter(|line| line.starts_with(['{', ' ']))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn decisions_are_counted_by_route_rule_and_reason() {
    let gateway = Gateway::start(&format!("{IDENTITY}{SHAPES}")).await;
    let users = "/api/shapes/users?offset=-1";
    for (target, token) in [
        (users, Some(member(1))),
        (users, Some(member(2))),
        (users, Some(token(json!({ "roles": ["admin"] })))),
        (users, Some(token(json!({})))),
        (users, None),
        ("/api/shapes/users?offset=-1&offset=-1", Some(member(1))),
        ("/api/shapes/items?offset=-1", None),
        ("/nowhere", None),
    ] {
        gateway.get(target, token.as_deref()).await;
    }
    assert_eq!(
        samples(&gateway.state, "shapegate_decisions_total"),
        [
            r#"{decision="allow",endpoint="shape",reason="rules[0]",route="items"} 1"#,
            r#"{decision="allow",endpoint="shape",reason="rules[0]",route="users"} 1"#,
            r#"{decision="allow",endpoint="shape",reason="rules[1]",route="users"} 2"#,
            r#"{decision="deny",endpoint="none",reason="not_found",route=""} 1"#,
            r#"{decision="deny",endpoint="none",reason="parameter_duplicate",route=""} 1"#,
            r#"{decision="deny",endpoint="shape",reason="forbidden",route="users"} 1"#,
            r#"{decision="deny",endpoint="shape",reason="token_missing",route="users"} 1"#,
        ]
    );
    assert_eq!(
        samples(&gateway.state, "shapegate_snapshot_first_byte_seconds_count"),
        [" 4"]
    );
}

#[tokio::test]
async fn only_the_first_bytes_of_snapshots_are_measured() {
    let gateway = Gateway::start(&format!("{IDENTITY}{SHAPES}")).await;
    let first = gateway.get("/api/shapes/items?offset=-1", None).await;
    let handle = first.header("electric-handle").unwrap();
    let offset = first.header("electric-offset").unwrap();
    for target in [
        "/api/shapes/items?offset=now".to_owned(),
        format!("/api/shapes/items?offset={offset}&handle={handle}"),
    ] {
        assert_eq!(gateway.get(&target, None).await.status, 200);
    }
    assert_eq!(
        samples(&gateway.state, "shapegate_snapshot_first_byte_seconds_count"),
        [" 1"]
    );
}

#[tokio::test]
async fn nobody_is_named_in_metrics_unless_that_is_asked_for() {
    for (more, named) in [("", false), ("metrics: { tenant_label: true }\n", true)] {
        let tenants = "
tenants:
  secretive:
    hosts: [gateway.test]
    electric: { url: { env: ELECTRIC_URL }, secret: { env: ELECTRIC_SECRET } }
    identity: [ { jwt: { issuer: 'https://issuer.example', audience: sync, jwks_url: 'https://issuer.example/jwks' } } ]
    shapes: { items: { table: items, columns: all, access: public, rules: [ { rows: all } ] } }
";
        let gateway = Gateway::start(&format!("{more}{tenants}")).await;
        assert_eq!(gateway.get("/api/shapes/items?offset=-1", None).await.status, 200);
        let text = rendered(&gateway.state);
        assert!(text.contains("shapegate_jwks_age_seconds"), "{text}");
        for name in ["secretive", "issuer.example"] {
            assert_eq!(text.contains(name), named, "{name} in {text}");
        }
    }
}

#[tokio::test]
async fn a_client_that_loops_on_401_is_seen_and_many_who_fail_once_are_not() {
    let gateway = Gateway::start(&format!("{IDENTITY}{SHAPES}")).await;
    let mut client = gateway.connect().await;
    for number in 0..30 {
        let token = format!("no.to.ken{number}");
        client.ask(get("/api/shapes/users?offset=-1", Some(&token))).await;
    }
    assert_eq!(samples(&gateway.state, "shapegate_unauthorized_loops"), [" 0"]);
    for _ in 0..12 {
        client
            .ask(get("/api/shapes/users?offset=-1", Some("no.to.ken")))
            .await;
    }
    assert_eq!(samples(&gateway.state, "shapegate_unauthorized_loops"), [" 1"]);
    assert_eq!(
        samples(&gateway.state, "shapegate_unauthorized_loops_total"),
        [" 1"]
    );
}

#[tokio::test]
async fn a_subject_that_comes_with_a_new_and_useless_token_each_time_is_seen_until_it_gets_in() {
    let gateway = Gateway::start(&format!("{IDENTITY}{SHAPES}")).await;
    let mut client = gateway.connect().await;
    let loops = |state: &State| samples(state, "shapegate_unauthorized_loops");
    for (what, useless) in [
        ("expired", json!({ "exp": now() - 300, "iat": now() - 600 })),
        ("for somebody else", json!({ "aud": "elsewhere" })),
        ("of another kind", json!({ "nbf": now() + 600 })),
    ] {
        for number in 0..12 {
            let mut claims = useless.clone();
            claims["jti"] = number.into();
            claims["sub"] = "user_of_1".into();
            let answer = client
                .ask(get("/api/shapes/users?offset=-1", Some(&token(claims))))
                .await;
            assert_eq!(answer.status, 401, "{what}");
        }
        assert_eq!(loops(&gateway.state), [" 1"], "{what}");
        // Somebody else gets in.
        assert_eq!(
            gateway
                .get("/api/shapes/users?offset=-1", Some(&member(2)))
                .await
                .status,
            200
        );
        assert_eq!(loops(&gateway.state), [" 1"], "{what}");
        assert_eq!(
            gateway
                .get("/api/shapes/users?offset=-1", Some(&member(1)))
                .await
                .status,
            200
        );
        assert_eq!(loops(&gateway.state), [" 0"], "{what}");
    }
    // Whoever signs a token himself is nobody: his name does not make another's loop.
    for number in 0..12 {
        let forged = format!("{}x", token(json!({ "sub": "user_of_1", "jti": number })));
        client
            .ask(get("/api/shapes/users?offset=-1", Some(&forged)))
            .await;
    }
    assert_eq!(loops(&gateway.state), [" 0"]);
    let text = rendered(&gateway.state);
    assert!(!text.contains("user_of_1"), "{text}");
}

#[tokio::test]
async fn a_replaced_configuration_counts_on() {
    let text = format!("{IDENTITY}{SHAPES}");
    let gateway = Gateway::start(&text).await;
    gateway.get("/api/shapes/items?offset=-1", None).await;
    gateway.reload(&text);
    gateway.state.metrics.decisions.forget_unserved();
    gateway.get("/api/shapes/items?offset=-1", None).await;
    assert_eq!(
        samples(&gateway.state, "shapegate_decisions_total"),
        [r#"{decision="allow",endpoint="shape",reason="rules[0]",route="items"} 2"#]
    );
}
