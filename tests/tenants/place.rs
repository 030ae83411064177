//! Tenants for tests, and requests to them.

use serde_json::json;

use crate::support::gateway::Gateway;
use crate::support::raw::Answer;
use crate::support::token;

/// What all tenants here extend: an issuer, an Electric, and the users of one organisation.
pub const TEMPLATE: &str = r#"
templates:
  base:
    electric: { url: { env: ELECTRIC_URL }, secret: { env: ELECTRIC_SECRET } }
    identity:
      - jwt:
          issuer: https://issuer.test
          audience: sync
          keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ]
    member: user.tenant == tenant.id
    shapes:
      users:
        table: users
        columns: [id, name]
        rules: [ { when: has(user.org_id), rows: { where: '"org_id" = $1', params: [user.org_id] } } ]
"#;

/// The template, and these tenants.
pub fn tenants(written: &str) -> String {
    format!("{TEMPLATE}\ntenants:\n{written}")
}

/// Two with a host each.
pub fn two() -> String {
    tenants("  acme: { extends: base, hosts: acme.test }\n  beta: { extends: base, hosts: beta.test }\n")
}

pub const USERS: &str = "/api/shapes/users?offset=-1";

/// A token of somebody who belongs to a tenant.
pub fn of(tenant: &str) -> String {
    token::token(json!({ "tenant": tenant, "org_id": 1 }))
}

/// One GET for a host.
pub async fn ask(gateway: &Gateway, host: &str, target: &str, token: Option<&str>) -> Answer {
    let credential = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let credential = credential.unwrap_or_default();
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{credential}\r\n");
    gateway.connect().await.ask(request).await
}

/// Status and code of an answer; the code is empty where all went well.
pub async fn outcome(gateway: &Gateway, host: &str, target: &str, token: Option<&str>) -> (u16, String) {
    let answer = ask(gateway, host, target, token).await;
    let code = if answer.status == 200 {
        String::new()
    } else {
        answer.code()
    };
    (answer.status, code)
}
