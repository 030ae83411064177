//! The end of the process, and what must be in no export.

use std::collections::BTreeMap;

use serde_json::json;
use shapegate_origin::{Fault, Misbehaviour};

use crate::collector::{Collector, Say};
use crate::fake::{Fake, Say as Answers};
use crate::program::{Program, Setup};
use crate::support::gateway::{ELECTRIC_SECRET, JWT_SECRET, request};
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, member, token};
use crate::world::{SHAPES, USERS, World};

const OTLP_TOKEN: &str = "Bearer canary-of-the-collector-0123456789";
const AUTHORIZER_TOKEN: &str = "canary-of-the-authoriser-0123456789";

fn setup(collector: &Collector, rest: &str) -> Setup {
    let mut setup = Setup::new();
    setup.variables = vec![
        ("OTLP_TOKEN", OTLP_TOKEN.to_owned()),
        ("AUTHORIZER_TOKEN", AUTHORIZER_TOKEN.to_owned()),
        ("RUST_LOG", "trace".to_owned()),
    ];
    setup.rest = format!(
        "traces: {{ otlp: {{ url: '{}', headers: {{ authorization: {{ env: OTLP_TOKEN }} }} }}, sample_ratio: 1 }}\n{rest}",
        collector.url()
    );
    setup
}

#[tokio::test]
async fn a_program_that_is_told_to_end_sends_what_is_left() {
    let collector = Collector::start().await;
    let mut program = setup(&collector, &format!("{IDENTITY}{SHAPES}")).start().await;
    for _ in 0..3 {
        assert_eq!(program.get(USERS, Some(&member(1))).await.status, 200);
    }
    program.signal("TERM");
    assert!(program.ended().await.success());
    let exports = collector.exports();
    assert!(!exports.is_empty());
    assert!(
        exports
            .iter()
            .all(|export| export.headers["authorization"] == OTLP_TOKEN)
    );
    let servers = collector.spans().into_iter().filter(|span| span.kind == "server");
    assert_eq!(
        servers
            .filter(|span| span.name == "GET /api/shapes/users")
            .count(),
        3
    );
}

#[tokio::test]
async fn an_upgrade_sends_what_the_old_process_has_left() {
    let collector = Collector::start().await;
    let mut setup = setup(&collector, &format!("{IDENTITY}{SHAPES}"));
    setup.server = format!(", upgrade_socket: '{}'", setup.path("upgrade.sock").display());
    let mut program = setup.start().await;
    assert_eq!(program.get(USERS, Some(&member(1))).await.status, 200);
    program.upgrade(None).await.unwrap();
    assert!(program.ended().await.success());
    until("the old one's spans", || {
        collector.spans().iter().any(|span| span.kind == "client")
    })
    .await;
    assert_eq!(program.get(USERS, Some(&member(2))).await.status, 200);
    program.signal("TERM");
    let of_users = |collector: &Collector| {
        let spans = collector.spans();
        spans
            .iter()
            .filter(|span| span.name == "GET /api/shapes/users")
            .count()
    };
    until("the new one's spans", || of_users(&collector) == 2).await;
    let instances: std::collections::BTreeSet<_> = collector
        .exports()
        .iter()
        .map(|export| export.resource()["service.instance.id"].clone())
        .collect();
    assert_eq!(instances.len(), 2, "two processes");
}

#[tokio::test]
async fn a_program_ends_although_its_collector_does_not_answer() {
    let collector = Collector::start().await;
    collector.says(vec![Say::Nothing]);
    let mut program = setup(&collector, &format!("{IDENTITY}{SHAPES}")).start().await;
    assert_eq!(program.get(USERS, Some(&member(1))).await.status, 200);
    program.signal("TERM");
    assert!(program.ended().await.success());
    assert_eq!(collector.count(), 1);
}

#[tokio::test]
async fn at_the_end_what_is_queued_is_sent_in_as_many_exports_as_it_takes() {
    let world = World::start().await;
    let mut client = world.gateway.connect().await;
    for _ in 0..700 {
        client.ask(request("GET", "/nowhere", None, &[], "")).await;
    }
    world.finish().await;
    assert_eq!(
        (world.collector.spans().len(), world.counted("exported")),
        (700, 700)
    );
    client.ask(request("GET", "/nowhere", None, &[], "")).await;
    world.rest().await;
    assert_eq!(world.counted("at_end"), 1, "what comes after the end is counted");
}

#[tokio::test]
async fn what_nobody_takes_at_the_end_is_counted() {
    let world = World::start().await;
    world.collector.says(vec![Say::Close]);
    let mut client = world.gateway.connect().await;
    for _ in 0..5 {
        client.ask(request("GET", "/nowhere", None, &[], "")).await;
    }
    world.finish().await;
    until("all are counted", || {
        world.counted("unanswered") + world.counted("at_end") == 5
    })
    .await;
}

/// What is secret, by what it is.
type Canaries = BTreeMap<&'static str, String>;

async fn ask(
    program: &Program,
    method: &str,
    target: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut client = program.connect().await;
    client.send(request(method, target, token, headers, "")).await;
    soon(client.answer()).await.unwrap()
}

fn canaries(user: &str) -> Canaries {
    let mut parts = user.split('.').skip(1);
    let mut canaries = Canaries::from([
        ("secret of Electric", ELECTRIC_SECRET.to_owned()),
        ("secret of tokens", JWT_SECRET.to_owned()),
        ("header of the collector", "canary-of-the-collector".to_owned()),
        ("header of the authoriser", AUTHORIZER_TOKEN.to_owned()),
        ("claims of a user", parts.next().unwrap().to_owned()),
        ("signature of a user", parts.next().unwrap().to_owned()),
    ]);
    for (what, text) in [
        ("subject", "canary-subject"),
        ("claim", "canary-claim"),
        ("value of a filter", "canary-value"),
        ("capture of a path", "canary-board"),
        ("path of no route", "canary-nowhere"),
        ("unknown parameter", "canary-unknown"),
        ("cookie", "canary-cookie"),
        ("user agent", "canary-agent"),
        ("opaque token", "canary-opaque"),
        ("answer of the authoriser", "canary-fact"),
    ] {
        canaries.insert(what, text.to_owned());
    }
    canaries
}

const MORE: &str = "  narrowed:
    path: /api/narrowed/{board:text}
    table: users
    columns: [id, name, org_id]
    client: { where: narrow }
    authorize: { http: { url: '{url}/decide', token: { env: AUTHORIZER_TOKEN }, defaults: { ok: false, name: nobody }, ttl: 30s } }
    rules:
      - { when: 'decision.ok && has(user.email)', rows: { where: '\"name\" <> $1 AND \"name\" <> $2', params: [user.email, decision.name] } }
";

#[tokio::test]
async fn no_secret_no_claim_and_no_value_is_in_any_export() {
    let authorizer = Fake::saying(Answers::Json(
        json!({ "allow": true, "facts": { "ok": true, "name": "canary-fact" } }),
    ))
    .await;
    let collector = Collector::start().await;
    let more = MORE.replace("{url}", &authorizer.url());
    let mut program = setup(&collector, &format!("{IDENTITY}{SHAPES}{more}"))
        .start()
        .await;
    let user = token(json!({ "sub": "canary-subject", "org_id": 1, "email": "canary-claim@example.test" }));
    let narrowed = "/api/narrowed/canary-board?offset=-1&where=name%20%3D%20'canary-value'&x=canary-unknown";
    let headers = [("cookie", "a=canary-cookie"), ("user-agent", "canary-agent")];
    assert_eq!(
        ask(&program, "GET", narrowed, Some(&user), &headers).await.status,
        200
    );
    for (method, target, token) in [
        ("GET", USERS, Some("canary-opaque")),
        ("GET", USERS, Some(&*user)),
        (
            "GET",
            "/api/boards/canary-board/items?offset=-1&secret=canary-value",
            None,
        ),
        ("GET", "/canary-nowhere", None),
        ("PUT", "/api/boards/canary-board/items", Some(&*user)),
    ] {
        ask(&program, method, target, token, &headers).await;
    }
    program
        .origin
        .misbehave(Misbehaviour::always(Fault::Unauthorized));
    ask(&program, "GET", &format!("{narrowed}2"), Some(&user), &headers).await;
    program.signal("TERM");
    assert!(program.ended().await.success());
    let spans = collector.spans();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert!(
        names.contains(&"authorize") && names.contains(&"GET /api/narrowed/{board:text}"),
        "{names:?}"
    );
    let output = program.output();
    assert!(output.contains("TRACE") || output.contains("DEBUG"));
    for (what, canary) in canaries(&user) {
        for export in collector.exports() {
            let found = export
                .body
                .windows(canary.len())
                .any(|bytes| bytes == canary.as_bytes());
            assert!(!found, "the {what} is in an export");
        }
    }
    for secret in [
        "canary-of-the-collector",
        AUTHORIZER_TOKEN,
        ELECTRIC_SECRET,
        JWT_SECRET,
    ] {
        assert!(!output.contains(secret), "{secret} is in the log");
    }
}
