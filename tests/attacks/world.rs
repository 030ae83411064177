//! The routes that are attacked, and what the upstream may see of them.

use std::sync::Arc;

use shapegate::clock::SystemClock;
use shapegate_origin::Received;

use crate::support::gateway::{ELECTRIC_SECRET, Gateway, get, origin, request};
use crate::support::raw::Answer;
use crate::support::token::member;
use crate::support::{http2, logs};

const HEAD: &str = r#"
identity:
  - jwt:
      issuer: https://issuer.test
      audience: sync
      keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ]
      claims:
        roles: { from: roles, type: list, default: [] }
        org_id: { from: org_id, type: int, default: 0 }
        team: { from: team, type: string }
limits: { body_bytes_max: 64KiB, header_bytes_max: 32KiB }
"#;

const SHAPES: &str = r#"
  named:
    table: users
    columns: [id, name]
    rules: [ { when: has(user.team), rows: { where: '"name" = $1', params: [user.team] } } ]
  broken:
    table: users
    columns: [id, column_nobody_has]
    rules: [ { when: user.org_id != 0, rows: all } ]
  captured:
    path: /orgs/{org:int}/users
    table: users
    columns: [id, name, org_id]
    rules: [ { when: user.org_id == request.path.org, rows: { where: '"org_id" = $1', params: [request.path.org] } } ]
  open:
    path: /v1/shape
    table: { any_of: ["public.users"] }
    where: any
    rules: [ { when: '"service" in user.roles', rows: all } ]
"#;

/// One table and one rule under several routes, which differ by what they leave to clients.
pub(crate) fn config() -> String {
    let shape = |name: &str, more: &str| {
        format!(
            "  {name}:\n    table: users\n    columns: [id, name, org_id]\n    {more}\n    rules:\n      \
             - when: user.org_id != 0\n        rows: {{ where: '\"org_id\" = $1', params: [user.org_id] }}\n"
        )
    };
    let shapes = [
        shape("users", ""),
        shape("strict", "strict: true"),
        shape("ignoring", "client: { ignore: [table, where, columns, replica] }"),
        shape("subsets", "client: { subset: { limit_max: 10 } }"),
        shape(
            "narrow",
            "client: { where: narrow, columns: subset, replica: [default, full], subset: { limit_max: 10 } }",
        ),
    ];
    format!("{HEAD}shapes:\n{}{SHAPES}", shapes.concat())
}

/// A gateway over HTTP/1.1.
pub(crate) async fn start() -> Gateway {
    logs::keep();
    Gateway::start(&config()).await
}

/// A gateway over HTTP/2.
pub(crate) async fn start_http2() -> Gateway {
    logs::keep();
    let origin = origin();
    let url = origin.url();
    Gateway::speaking(http2::negotiated, origin, url, &config(), Arc::new(SystemClock)).await
}

/// The server's own shape for a member of organisation 1, from the start, and nothing else.
pub(crate) fn clean_target() -> String {
    clean_target_at("offset=-1")
}

/// The same at another position; `position` is what stands around `log=full&`.
pub(crate) fn clean_target_at(offset: &str) -> String {
    format!(
        "/v1/shape?columns=%22id%22%2C%22name%22%2C%22org_id%22&log=full&{offset}&params%5B1%5D=1\
         &queryable_columns=%22id%22%2C%22name%22%2C%22org_id%22&replica=default\
         &table=%22public%22.%22users%22&where=%28%22org_id%22%20%3D%20%241%29&secret={ELECTRIC_SECRET}"
    )
}

/// Header names that go upstream with a read.
pub(crate) const READ_HEADERS: [&str; 4] = ["accept", "accept-encoding", "host", "x-request-id"];

/// Asserts that a request is a read with the server's own headers and no body.
pub(crate) fn assert_bare_read(received: &Received, what: &str) {
    let mut names: Vec<_> = received.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, READ_HEADERS, "{what}");
    assert_eq!(
        (received.method.as_str(), received.body.len()),
        ("GET", 0),
        "{what}"
    );
}

/// Asserts that the answer has rows and that the upstream saw the server's own shape and nothing else.
pub(crate) fn assert_clean(gateway: &Gateway, answer: &Answer, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    let received = gateway.received_one();
    assert_eq!(received.target, clean_target(), "{what}");
    assert_bare_read(&received, what);
}

/// Asserts a refusal in our form, readable by pages of other origins, of which the upstream heard nothing.
pub(crate) fn assert_refused(gateway: &Gateway, answer: &Answer, status: u16, code: &str, what: &str) {
    assert_refusal(answer, status, code, what);
    gateway.received_nothing();
}

/// The answer's half of [`assert_refused`].
pub(crate) fn assert_refusal(answer: &Answer, status: u16, code: &str, what: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, status, "{what}: {text}");
    assert_eq!(answer.code(), code, "{what}: {text}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{what}");
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    assert!(exposed.contains("x-request-id"), "{what}: {exposed}");
    let id = answer.json()["request_id"].as_str().map(str::to_owned);
    assert_eq!(answer.header("x-request-id"), id.as_deref(), "{what}");
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert_eq!(
        challenge.starts_with("Bearer"),
        status == 401,
        "{what}: {challenge}"
    );
    assert_eq!(answer.header("server"), None, "{what}");
}

/// The usual target with more in its query.
pub(crate) fn users_with(more: &str) -> String {
    format!("/api/shapes/users?offset=-1{more}")
}

/// Lets the gateway learn the upstream's version, which it asks for once before the first subset.
pub(crate) async fn warm_up(gateway: &Gateway) {
    let target = "/api/shapes/subsets?offset=-1&subset__limit=1&subset__order_by=id";
    let answer = ask(gateway, target).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let targets: Vec<_> = gateway
        .origin
        .received()
        .into_iter()
        .map(|one| one.target)
        .collect();
    assert_eq!(targets, ["/v1/health".to_owned(), clean_target()]);
    gateway.origin.forget_received();
}

/// A GET by a member of organisation 1.
pub(crate) async fn ask(gateway: &Gateway, target: &str) -> Answer {
    gateway.get(target, Some(&member(1))).await
}

/// The same with headers.
pub(crate) async fn ask_with(gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> Answer {
    let bytes = request("GET", target, Some(&member(1)), headers, "");
    gateway.connect().await.ask(bytes).await
}

/// A POST by a member of organisation 1.
pub(crate) async fn post(gateway: &Gateway, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let bytes = request("POST", target, Some(&member(1)), headers, body);
    gateway.connect().await.ask(bytes).await
}

/// Asserts that a plain request on the same gateway is still served: what was refused has broken nothing.
pub(crate) async fn assert_serves(gateway: &Gateway, what: &str) {
    gateway.origin.forget_received();
    let answer = gateway
        .connect()
        .await
        .ask(get(&users_with(""), Some(&member(1))))
        .await;
    assert_clean(gateway, &answer, what);
}

/// Checks that [`clean_target`] is what a plain request makes, so that comparing with it means something.
#[tokio::test]
async fn a_plain_request_is_clean() {
    let gateway = start().await;
    assert_serves(&gateway, "plain").await;
}
