//! What one tenant has, another never gets.

use crate::place::{USERS, ask, of, tenants, two};
use crate::support::gateway::Gateway;

#[tokio::test]
async fn what_is_kept_for_one_tenant_is_asked_for_anew_by_another_of_the_same_electric() {
    let gateway = Gateway::start(&two()).await;
    for (host, tenant) in [
        ("acme.test", "acme"),
        ("beta.test", "beta"),
        ("acme.test", "acme"),
    ] {
        let answer = ask(&gateway, host, USERS, Some(&of(tenant))).await;
        assert_eq!(answer.status, 200);
    }
    let received = gateway.origin.received();
    assert_eq!(received.len(), 2, "one for each tenant: {received:?}");
    assert_eq!(received[0].target, received[1].target, "for the same shape");
}

#[tokio::test]
async fn a_handle_that_one_tenant_tagged_is_none_of_anothers() {
    let shapes = r#"
    shapes:
      users:
        table: users
        columns: [id, name, org_id]
        client: { where: narrow }
        rules: [ { rows: all } ]
"#;
    let one = |id: &str| format!("  {id}:\n    extends: base\n    hosts: {id}.test{shapes}");
    let gateway = Gateway::start(&tenants(&format!("{}{}", one("acme"), one("beta")))).await;
    let narrowed = "where=org_id%20%3D%201";
    let first = format!("/api/shapes/users?offset=-1&{narrowed}");
    let answer = ask(&gateway, "acme.test", &first, Some(&of("acme"))).await;
    let (handle, offset) = (
        answer.header("electric-handle").unwrap(),
        answer.header("electric-offset").unwrap(),
    );
    assert!(handle.contains('~'), "{handle}");
    let next = format!("/api/shapes/users?offset={offset}&handle={handle}&{narrowed}");
    assert_eq!(
        ask(&gateway, "acme.test", &next, Some(&of("acme"))).await.status,
        200
    );
    let before = gateway.origin.received().len();
    let foreign = ask(&gateway, "beta.test", &next, Some(&of("beta"))).await;
    assert_eq!(foreign.status, 409);
    assert_eq!(
        gateway.origin.received().len(),
        before,
        "nothing goes upstream for it"
    );
}

#[tokio::test]
async fn what_a_user_of_one_tenant_uses_up_a_namesake_of_another_has_still() {
    for limit in ["per_subject", "per_tenant"] {
        let limits = format!("limits: {{ {limit}: {{ requests_per_minute: 2 }} }}\n");
        let gateway = Gateway::start(&format!("{limits}{}", two())).await;
        for (tenant, status) in [("acme", 200), ("acme", 200), ("acme", 429), ("beta", 200)] {
            let answer = ask(&gateway, &format!("{tenant}.test"), USERS, Some(&of(tenant))).await;
            assert_eq!(answer.status, status, "{limit}, {tenant}: {}", answer.text());
        }
    }
}
