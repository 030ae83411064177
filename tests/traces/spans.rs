//! What spans say of requests.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use shapegate::clock::SystemClock;
use shapegate_origin::{Fault, Misbehaviour};

use crate::collector::Told;
use crate::fake::{Fake, Say};
use crate::support::gateway::{get, request};
use crate::support::patience::{soon, until};
use crate::support::ports::free_address;
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, admin, member, token};
use crate::world::{ITEMS, SHAPES, USERS, World, named, only};

/// Attributes of a span but for those that differ from run to run.
fn said(span: &Told) -> BTreeSet<String> {
    let varying = ["shapegate.request_id", "server.port", "http.response.body.size"];
    let pairs = span.attributes.iter();
    pairs
        .filter(|(key, _)| !varying.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

fn set<const N: usize>(said: [&str; N]) -> BTreeSet<String> {
    said.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_snapshot_is_a_request_with_the_one_upstream_as_its_part() {
    let world = World::start().await;
    let answer = world.get(USERS, Some(&member(1))).await;
    assert_eq!(answer.status, 200);
    let port = world.gateway.origin.address().port().to_string();
    let traceparent = world.received_traceparent();
    let spans = world.spans().await;
    let (server, client) = (only(&spans, "server"), only(&spans, "client"));
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert_eq!(server.name, "GET /api/shapes/users");
    assert_eq!(
        said(server),
        set([
            "http.request.method=GET",
            "http.response.status_code=200",
            "http.route=/api/shapes/users",
            "network.protocol.version=1.1",
            "server.address=gateway.test",
            "shapegate.decision=allow",
            "shapegate.hub=miss",
            "shapegate.rule=rules[1]",
            "shapegate.shape=users",
            "shapegate.tenant=default",
            "url.scheme=http",
        ])
    );
    assert_eq!(server.get("shapegate.request_id"), answer.header("x-request-id"));
    assert_eq!(
        server.get("http.response.body.size").unwrap(),
        answer.body.len().to_string()
    );
    assert_eq!((server.parent.as_str(), server.failed), ("", false));
    assert_eq!(client.name, "GET");
    assert_eq!(
        said(client),
        set([
            "http.request.method=GET",
            "http.response.status_code=200",
            "server.address=127.0.0.1",
            "url.template=/v1/shape",
        ])
    );
    assert_eq!(client.get("server.port"), Some(&*port));
    assert_eq!(
        (&client.parent, &client.trace, client.failed),
        (&server.id, &server.trace, false)
    );
    assert!(
        server.start <= client.start && client.start <= client.end,
        "{spans:#?}"
    );
    assert_eq!(traceparent, format!("00-{}-{}-01", server.trace, client.id));
}

#[tokio::test]
async fn the_process_says_what_it_is() {
    let traces = "sample_ratio: 1, service_name: edge, resource: { deployment.environment.name: production }";
    let world = World::with(traces, "").await;
    world.get("/nowhere", None).await;
    world.finish().await;
    let exports = world.collector.exports();
    assert_eq!(exports.len(), 1);
    assert_eq!(exports[0].target, "POST /v1/traces HTTP/1.1");
    assert_eq!(exports[0].headers["content-type"], "application/x-protobuf");
    let resource = exports[0].resource();
    assert_eq!(resource["service.name"], "edge");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "production");
    assert_eq!(resource["service.instance.id"].len(), 32);
}

#[tokio::test]
async fn a_span_is_named_by_the_route_as_it_is_configured() {
    let world = World::start().await;
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "BREW"] {
        let headers: &[(&str, &str)] = match method {
            "OPTIONS" => &[
                ("origin", "https://app.example"),
                ("access-control-request-method", "GET"),
            ],
            _ => &[],
        };
        let bytes = request(method, ITEMS, None, headers, "");
        world.gateway.connect().await.ask_as(method, bytes).await;
    }
    world.get("/canary-nowhere", None).await;
    let spans = world.spans().await;
    let servers = spans.iter().filter(|span| span.kind == "server");
    let names: Vec<(&str, Option<&str>)> = servers
        .map(|span| (span.name.as_str(), span.get("http.response.status_code")))
        .collect();
    let route = "/api/boards/{board:text}/items";
    let expected = [
        ("GET", "200"),
        ("HEAD", "200"),
        ("OPTIONS", "204"),
        ("PUT", "405"),
        ("HTTP", "405"),
    ];
    let mut expected: Vec<(String, Option<&str>)> = expected
        .iter()
        .map(|(method, status)| (format!("{method} {route}"), Some(*status)))
        .collect();
    expected.push(("GET".to_owned(), Some("404")));
    let names: Vec<_> = names
        .into_iter()
        .map(|(name, status)| (name.to_owned(), status))
        .collect();
    assert_eq!(names, expected);
    assert!(
        !format!("{spans:?}").contains("canary"),
        "no raw path: {spans:#?}"
    );
    let made_up = named(&spans, &format!("HTTP {route}"));
    assert_eq!(made_up.get("http.request.method"), Some("_OTHER"));
}

#[tokio::test]
async fn a_head_goes_upstream_as_a_part_of_its_trace_too() {
    let world = World::start().await;
    let bytes = request("HEAD", USERS, Some(&admin()), &[], "");
    let answer = world.gateway.connect().await.ask_as("HEAD", bytes).await;
    assert_eq!(answer.status, 200);
    let traceparent = world.received_traceparent();
    let spans = world.spans().await;
    let (server, client) = (only(&spans, "server"), only(&spans, "client"));
    assert_eq!(
        (server.name.as_str(), client.name.as_str()),
        ("HEAD /api/shapes/users", "HEAD")
    );
    assert_eq!(
        (&client.parent, client.get("http.response.status_code")),
        (&server.id, Some("200"))
    );
    assert_eq!(client.get("shapegate.given_up"), None);
    assert_eq!(traceparent, format!("00-{}-{}-01", server.trace, client.id));
}

#[tokio::test]
async fn only_what_is_no_fault_of_the_clients_is_a_failure() {
    let world = World::start().await;
    world.get(USERS, None).await;
    world.get(USERS, Some(&token(json!({})))).await;
    world.get("/nowhere", None).await;
    world.get("/api/shapes/users?offset=x", Some(&member(1))).await;
    world
        .gateway
        .origin
        .misbehave(Misbehaviour::always(Fault::Unauthorized));
    world.get(USERS, Some(&member(1))).await;
    let status = Fault::Status {
        status: 503,
        retry_after: None,
    };
    world.gateway.origin.behave();
    world.gateway.origin.misbehave(Misbehaviour::always(status));
    world.get(USERS, Some(&member(2))).await;
    let spans = world.spans().await;
    let told = |span: &Told| {
        let get = |key| span.get(key).unwrap_or("-").to_owned();
        let keys = [
            "http.response.status_code",
            "shapegate.decision",
            "shapegate.reason",
            "shapegate.code",
        ];
        (keys.map(get).join(" "), get("error.type"), span.failed)
    };
    let servers: Vec<_> = spans
        .iter()
        .filter(|span| span.kind == "server")
        .map(told)
        .collect();
    let expected = [
        ("401 deny token_missing token_missing", "-", false),
        ("403 deny forbidden forbidden", "-", false),
        ("404 deny not_found not_found", "-", false),
        ("400 deny parameter_malformed parameter_malformed", "-", false),
        (
            "502 allow - upstream_misconfigured",
            "upstream_misconfigured",
            true,
        ),
        ("503 allow - upstream_unavailable", "upstream_unavailable", true),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(all, error, failed)| ((*all).to_owned(), (*error).to_owned(), *failed))
        .collect();
    assert_eq!(servers, expected);
    let clients: Vec<_> = spans.iter().filter(|span| span.kind == "client").collect();
    assert_eq!(clients.len(), 2, "{clients:#?}");
    for (span, status) in clients.iter().zip(["401", "503"]) {
        assert_eq!((span.get("error.type"), span.failed), (Some(status), true));
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_fails_its_own_span_and_the_requests() {
    let nowhere = format!("http://{}", free_address());
    let world = World::before_url(nowhere, "sample_ratio: 1").await;
    assert_eq!(world.get(USERS, Some(&member(1))).await.status, 502);
    let spans = world.spans().await;
    for kind in ["server", "client"] {
        let span = only(&spans, kind);
        assert_eq!(
            (span.get("error.type"), span.failed),
            (Some("upstream_unreachable"), true)
        );
    }
}

/// Where a client stands that has read everything.
fn live(answer: &Answer) -> String {
    let header = |name| answer.header(name).unwrap();
    format!(
        "/api/shapes/users?offset={}&handle={}&live=true",
        header("electric-offset"),
        header("electric-handle")
    )
}

#[tokio::test]
async fn who_joins_a_wait_has_a_wait_and_no_upstream_request_of_his_own() {
    let world = World::start().await;
    let first = world.get(USERS, Some(&admin())).await;
    let poll = live(&first);
    let mut clients = Vec::new();
    for count in 1..=3 {
        let mut client = world.gateway.connect().await;
        client.send(get(&poll, Some(&admin()))).await;
        until("it waits", || world.gateway.state.metrics.held.get() == count).await;
        clients.push(client);
    }
    until("one asks", || world.gateway.origin.waiting() == 1).await;
    world
        .gateway
        .origin
        .insert("users", json!({ "id": 9, "name": "Eve", "org_id": 1 }))
        .unwrap();
    for client in &mut clients {
        assert_eq!(soon(client.answer()).await.unwrap().status, 200);
    }
    let spans = world.spans().await;
    let servers: Vec<_> = spans.iter().filter(|span| span.kind == "server").collect();
    let hub: Vec<_> = servers
        .iter()
        .map(|span| span.get("shapegate.hub").unwrap())
        .collect();
    assert_eq!(hub, ["miss", "miss", "joined", "joined"]);
    for span in &servers[1..] {
        let mine: Vec<_> = spans.iter().filter(|part| part.parent == span.id).collect();
        let wait = mine.iter().find(|part| part.name == "wait").unwrap();
        assert_eq!(
            (wait.kind, wait.get("shapegate.ended_by")),
            ("internal", Some("answer"))
        );
        let asks = mine.iter().filter(|part| part.kind == "client").count();
        let is_first = span.get("shapegate.hub") == Some("miss");
        assert_eq!(asks, usize::from(is_first), "{mine:#?}");
        let fetch = spans
            .iter()
            .find(|part| part.parent == servers[1].id && part.kind == "client")
            .unwrap();
        let link = (!is_first).then(|| (fetch.trace.clone(), fetch.id.clone()));
        assert_eq!(span.links, Vec::from_iter(link), "whose answer it was");
    }
    assert!(
        spans
            .iter()
            .all(|span| span.kind == "server" || span.links.is_empty())
    );
}

#[tokio::test]
async fn who_joins_what_nobody_records_has_no_link_to_it_and_who_leaves_before_has_one() {
    let trusting = "server: { trusted_proxies: [127.0.0.1] }\n";
    let world = World::with("sample_ratio: 0, sampled_flag: trusted_proxies", trusting).await;
    let sampled = |flags: &str| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    let poll = live(&world.get(USERS, Some(&admin())).await);
    let ask = async |target: &str, flags: &str, held: i64| {
        let mut client = world.gateway.connect().await;
        let bytes = request(
            "GET",
            target,
            Some(&admin()),
            &[("traceparent", &*sampled(flags))],
            "",
        );
        client.send(bytes).await;
        until("it waits", || world.gateway.state.metrics.held.get() == held).await;
        client
    };
    let unrecorded = ask(&poll, "00", 1).await;
    until("it is asked", || world.gateway.origin.waiting() == 1).await;
    let joining = ask(&poll, "01", 2).await;
    let another = format!("{poll}&cache-buster=another");
    let recorded = ask(&another, "01", 3).await;
    until("it is asked", || world.gateway.origin.waiting() == 2).await;
    let leaving = ask(&another, "01", 4).await;
    drop((joining, leaving));
    until("they left", || world.gateway.state.metrics.held.get() == 2).await;
    drop((unrecorded, recorded));
    let spans = world.spans().await;
    let fetch = only(&spans, "client");
    let mut links: Vec<_> = spans
        .iter()
        .filter(|span| span.kind == "server")
        .map(|span| span.links.clone())
        .collect();
    links.sort();
    assert_eq!(
        links,
        [vec![], vec![], vec![(fetch.trace.clone(), fetch.id.clone())]]
    );
}

#[tokio::test]
async fn a_wait_says_what_ended_it() {
    let world = World::start().await;
    let poll = live(&world.get(USERS, Some(&admin())).await);
    let metrics = &world.gateway.state.metrics;
    let mut leaving = world.gateway.connect().await;
    leaving.send(get(&poll, Some(&admin()))).await;
    until("it waits", || metrics.held.get() == 1).await;
    drop(leaving);
    until("it left", || metrics.held.get() == 0).await;
    let mut staying = world.gateway.connect().await;
    staying.send(get(&poll, Some(&admin()))).await;
    until("it waits", || metrics.held.get() == 1).await;
    world.gateway.state.drain.begin();
    assert_eq!(soon(staying.answer()).await.unwrap().status, 200);
    drop(staying);
    let spans = world.spans().await;
    let waits = spans.iter().filter(|span| span.name == "wait");
    let ended: Vec<_> = waits
        .map(|span| span.get("shapegate.ended_by").unwrap())
        .collect();
    assert_eq!(ended, ["client", "drain"]);
    let servers: Vec<_> = spans
        .iter()
        .filter(|span| span.kind == "server")
        .skip(1)
        .collect();
    assert_eq!(servers[0].get("shapegate.client_left"), Some("true"));
    assert_eq!(servers[0].get("http.response.status_code"), None);
    assert_eq!(servers[1].get("shapegate.hub"), Some("ended"));
    assert!(servers.iter().all(|span| !span.failed), "{servers:#?}");
    let given_up = spans
        .iter()
        .filter(|span| span.get("shapegate.given_up").is_some());
    assert!(given_up.clone().all(|span| span.kind == "client"));
    assert_eq!(
        given_up.count(),
        2,
        "whoever waits last takes the upstream request along: {spans:#?}"
    );
}

const SESSION: &str = "
cors: { origins: ['https://app.example.com'], credentials: true }
identity:
  - session: { url: '{url}/session', from: { cookie: session }, subject: user.id, ttl: 1h }
shapes:
  users: { table: users, columns: all, rules: [{ rows: all }] }
";

#[tokio::test]
async fn who_must_be_asked_who_asks_is_a_part_of_the_trace_until_he_is_remembered() {
    let app = Fake::saying(Say::Json(json!({ "user": { "id": "canary-subject" } }))).await;
    let rest = SESSION.replace("{url}", &app.url());
    let world = World::of("sample_ratio: 1", &rest, Arc::new(SystemClock)).await;
    for _ in 0..2 {
        let answer = world
            .get_with(USERS, None, &[("cookie", "session=canary-session")])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    app.says(Say::Status(500, ""));
    assert_eq!(
        world
            .get_with(USERS, None, &[("cookie", "session=another")])
            .await
            .status,
        503
    );
    let spans = world.spans().await;
    let asked: Vec<_> = spans.iter().filter(|span| span.name == "authenticate").collect();
    let told: Vec<_> = asked
        .iter()
        .map(|span| (span.get("shapegate.method"), span.get("error.type"), span.failed))
        .collect();
    let unavailable = Some("identity_unavailable");
    assert_eq!(
        told,
        [
            (Some("session"), None, false),
            (Some("session"), unavailable, true)
        ]
    );
    let servers: Vec<_> = spans.iter().filter(|span| span.kind == "server").collect();
    assert_eq!(
        (&asked[0].parent, &asked[1].parent),
        (&servers[0].id, &servers[2].id)
    );
    assert_eq!(servers[2].get("error.type"), unavailable);
    assert!(!format!("{spans:?}").contains("canary"), "{spans:#?}");
}

#[tokio::test]
async fn each_authoriser_that_is_asked_is_a_part_of_the_trace_until_it_is_remembered() {
    let yes = || Say::Json(json!({ "allow": true, "facts": { "ok": true } }));
    let (members, billing) = (Fake::saying(yes()).await, Fake::saying(yes()).await);
    let shapes = format!(
        "shapes:
  users:
    table: users
    columns: all
    authorize:
      membership: {{ http: {{ url: '{}/canary', defaults: {{ ok: false }}, ttl: 30s }} }}
      billing: {{ http: {{ url: '{}/canary', defaults: {{ ok: false }}, ttl: 30s }} }}
    rules: [ {{ when: decision.membership.ok, rows: all }} ]
",
        members.url(),
        billing.url()
    );
    let world = World::of(
        "sample_ratio: 1",
        &format!("{IDENTITY}{shapes}"),
        Arc::new(SystemClock),
    )
    .await;
    for _ in 0..2 {
        assert_eq!(world.get(USERS, Some(&member(1))).await.status, 200);
    }
    billing.says(Say::Status(500, ""));
    assert_eq!(world.get(USERS, Some(&member(2))).await.status, 503);
    let spans = world.spans().await;
    let servers: Vec<_> = spans.iter().filter(|span| span.kind == "server").collect();
    let of = |server: &Told| {
        let parts = spans
            .iter()
            .filter(|span| span.name == "authorize" && span.parent == server.id);
        let told = parts.map(|span| (span.get("shapegate.authorizer").unwrap(), span.get("error.type")));
        told.collect::<BTreeSet<_>>()
    };
    let failed = ("billing", Some("decision_unavailable"));
    assert_eq!(of(servers[0]), [("billing", None), ("membership", None)].into());
    assert_eq!(of(servers[1]), [].into());
    assert_eq!(of(servers[2]), [failed, ("membership", None)].into());
    assert!(!format!("{spans:?}").contains("canary"), "{spans:#?}");
}

#[tokio::test]
async fn every_attribute_and_name_is_documented() {
    let page = include_str!("../../docs/observability.md");
    let world = World::with("sample_ratio: 1", "").await;
    for (target, token) in [(USERS, Some(member(1))), (USERS, None), ("/nowhere", None)] {
        world.get(target, token.as_deref()).await;
    }
    world
        .gateway
        .origin
        .misbehave(Misbehaviour::always(Fault::Unauthorized));
    world.get(USERS, Some(&member(3))).await;
    let spans = world.spans().await;
    assert!(spans.len() >= 5 && SHAPES.contains("users"));
    for key in spans.iter().flat_map(|span| span.attributes.keys()) {
        assert!(page.contains(&format!("`{key}`")), "{key} is not documented");
    }
    for name in ["authenticate", "authorize", "wait"] {
        assert!(
            page.contains(&format!("| `{name}` |")),
            "{name} is not documented"
        );
    }
}
