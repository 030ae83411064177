//! Tenants that share a host and are told apart by a claim.

use serde_json::json;

use crate::place::{TEMPLATE, USERS, ask, of, outcome};
use crate::support::gateway::{Gateway, request};
use crate::support::token::token;

/// Two tenants in one place; `beta` is called something else in tokens.
fn grouped() -> String {
    let claim = |value: &str| format!("extends: base, claim: {{ from: tenant{value} }}");
    format!(
        "{}\ntenants:\n  acme: {{ {} }}\n  beta: {{ {}, member: user.tenant == \"b-1\" }}\n",
        TEMPLATE.replace("columns: [id, name]", "columns: [id, name, org_id]"),
        claim(""),
        claim(", value: b-1")
    )
}

#[tokio::test]
async fn a_claim_chooses_the_tenant_and_member_confirms_it() {
    let gateway = Gateway::start(&grouped()).await;
    for tenant in ["acme", "b-1"] {
        assert_eq!(
            outcome(&gateway, "any.test", USERS, Some(&of(tenant))).await.0,
            200,
            "{tenant}"
        );
    }
}

#[tokio::test]
async fn without_a_token_that_names_a_tenant_of_those_here_the_answer_is_401_and_never_tells_who_is_here() {
    let gateway = Gateway::start(&grouped()).await;
    assert_eq!(
        outcome(&gateway, "a.test", USERS, None).await,
        (401, "token_missing".to_owned())
    );
    let forged = |tenant: &str| {
        let real = of(tenant);
        let (signed, _) = real.rsplit_once('.').unwrap();
        format!("{signed}.{}", "A".repeat(43))
    };
    for refused in [
        forged("acme"),
        forged("nobody"),
        of("nobody"),
        of("beta"),
        token(json!({ "tenant": null })),
        token(json!({ "tenant": ["acme"] })),
        token(json!({ "tenant": { "id": "acme" } })),
        "a.b.c".to_owned(),
        "x".to_owned(),
    ] {
        let answer = ask(&gateway, "a.test", USERS, Some(&refused)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "token_invalid"),
            "{refused}"
        );
        assert!(answer.header("www-authenticate").is_some());
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn a_preflight_carries_no_token_and_is_answered_all_the_same() {
    let gateway = Gateway::start(&grouped()).await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let ask = |target: &'static str| request("OPTIONS", target, None, &preflight, "");
    let answer = gateway.connect().await.ask(ask("/api/shapes/users")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("authorization")
    );
    let answer = gateway.connect().await.ask(ask("/nowhere")).await;
    assert_eq!(answer.status, 404);
}
