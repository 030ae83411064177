//! What one tenant has, another never gets.

use serde_json::json;

use crate::place::{USERS, ask, of, tenants, two};
use crate::support::gateway::{Gateway, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};

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

/// A GET for a tenant, by one who belongs to it.
fn bytes(tenant: &str, target: &str) -> String {
    let token = of(tenant);
    format!("GET {target} HTTP/1.1\r\nhost: {tenant}.test\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// So many of a tenant who wait where the log stands now.
async fn waiting(gateway: &Gateway, tenant: &str, now: &Answer, count: usize) -> Vec<Raw> {
    let header = |name| now.header(name).unwrap();
    let (handle, offset) = (header("electric-handle"), header("electric-offset"));
    let poll = format!("/api/shapes/users?handle={handle}&offset={offset}&live=true");
    let before = gateway.state.metrics.held.get();
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = gateway.connect().await;
        client.send(bytes(tenant, &poll)).await;
        clients.push(client);
    }
    let all = before + i64::try_from(count).unwrap();
    until("all wait", || gateway.state.metrics.held.get() == all).await;
    clients
}

#[tokio::test]
async fn who_waits_with_the_definition_of_another_tenant_waits_for_a_request_of_his_own() {
    let gateway = Gateway::start(&two()).await;
    let place = USERS.replace("-1", "now");
    let now = ask(&gateway, "acme.test", &place, Some(&of("acme"))).await;
    gateway.origin.forget_received();
    let acme = waiting(&gateway, "acme", &now, 20).await;
    let mut beta = waiting(&gateway, "beta", &now, 20).await;
    until("each tenant has one", || gateway.origin.waiting() == 2).await;
    let received = gateway.origin.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].target, received[1].target, "for the same shape");

    // That all of one tenant leave is nothing to the other.
    drop(acme);
    until("its request ends", || gateway.origin.waiting() == 1).await;
    let row = json!({ "id": 9, "name": "Eve", "org_id": 1 });
    gateway.origin.insert("users", row).unwrap();
    for client in &mut beta {
        assert!(soon(client.answer()).await.unwrap().text().contains("Eve"));
    }
    assert_eq!(gateway.origin.received().len(), 2);
}

/// The same table, columns, filter and values, of another database.
#[tokio::test]
async fn two_tenants_with_equal_definitions_alternate_ten_thousand_times_and_never_meet() {
    let other = origin();
    let url = other.url();
    let own = format!("electric: {{ url: '{url}', secret: {{ env: ELECTRIC_SECRET }} }}");
    let gateway = Gateway::start(&tenants(&format!(
        "  acme: {{ extends: base, hosts: acme.test }}\n  beta: {{ extends: base, hosts: beta.test, {own} }}\n"
    )))
    .await;
    let row = |id: i64, name: &str| json!({ "id": id, "name": name, "org_id": 1 });
    gateway.origin.insert("users", row(101, "of acme")).unwrap();
    other.insert("users", row(101, "of beta")).unwrap();
    let mut clients = [gateway.connect().await, gateway.connect().await];
    let names = ["acme", "beta"];
    let asks = names.map(|tenant| bytes(tenant, USERS));
    for turn in 0..10_000 {
        let answer = soon(clients[turn % 2].ask(&asks[turn % 2])).await;
        let (mine, others) = (names[turn % 2], names[1 - turn % 2]);
        assert!(answer.text().contains(&format!("of {mine}")), "turn {turn}");
        assert!(!answer.text().contains(&format!("of {others}")), "turn {turn}");
    }
    assert_eq!((gateway.origin.received().len(), other.received().len()), (1, 1));
    assert_eq!(gateway.state.metrics.hub.hits.get(), 9_998);
}
