//! `member` holds before any rule does.

use serde_json::json;

use crate::place::{USERS, of, outcome, tenants, two};
use crate::support::gateway::Gateway;
use crate::support::token::{self, token};

#[tokio::test]
async fn a_user_of_one_tenant_is_nobody_in_another_even_though_the_token_is_good_there() {
    let gateway = Gateway::start(&two()).await;
    for (host, tenant, status) in [
        ("acme.test", "acme", 200),
        ("acme.test", "beta", 403),
        ("beta.test", "beta", 200),
        ("beta.test", "acme", 403),
    ] {
        let (answered, code) = outcome(&gateway, host, USERS, Some(&of(tenant))).await;
        assert_eq!(answered, status, "{tenant} at {host}");
        assert_eq!(code == "forbidden", status == 403, "{code}");
    }
    assert_eq!(gateway.origin.received().len(), 2, "the two that were permitted");
}

#[tokio::test]
async fn whoever_lacks_the_claim_or_has_another_kind_of_it_is_no_member() {
    let gateway = Gateway::start(&two()).await;
    for claim in [
        json!(null),
        json!(""),
        json!(1),
        json!(true),
        json!(["acme"]),
        json!({ "id": "acme" }),
        json!("ACME"),
        json!("acme "),
    ] {
        let token = token(json!({ "tenant": claim, "org_id": 1 }));
        let (status, code) = outcome(&gateway, "acme.test", USERS, Some(&token)).await;
        assert_eq!((status, code.as_str()), (403, "forbidden"), "{claim}");
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn somebody_unknown_is_no_member_where_others_need_no_credential_and_everybody_may_see_what_is_public()
{
    let shapes = r#"
    shapes:
      maybe: { table: users, columns: [id], access: optional, rules: [ { rows: all } ] }
      open: { table: users, columns: [id, name], access: public, rules: [ { rows: all } ] }
"#;
    let text = tenants(&format!(
        "  acme:\n    extends: base\n    hosts: acme.test{shapes}"
    ));
    let gateway = Gateway::start(&text).await;
    let maybe = "/api/shapes/maybe?offset=-1";
    let (status, code) = outcome(&gateway, "acme.test", maybe, None).await;
    assert_eq!((status, code.as_str()), (401, "token_missing"));
    let (status, _) = outcome(&gateway, "acme.test", maybe, Some(&of("beta"))).await;
    assert_eq!(status, 403);
    assert_eq!(
        outcome(&gateway, "acme.test", maybe, Some(&of("acme"))).await.0,
        200
    );
    let open = "/api/shapes/open?offset=-1";
    assert_eq!(outcome(&gateway, "acme.test", open, None).await.0, 200);
}

#[tokio::test]
async fn a_member_is_still_judged_by_the_rules() {
    let gateway = Gateway::start(&two()).await;
    let token = token::token(json!({ "tenant": "acme" }));
    let (status, code) = outcome(&gateway, "acme.test", USERS, Some(&token)).await;
    assert_eq!((status, code.as_str()), (403, "forbidden"), "no rule holds");
}
