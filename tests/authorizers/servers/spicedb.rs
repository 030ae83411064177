//! `SpiceDB` itself.

use serde_json::json;

use super::program::{Program, free_port, post};
use super::{away_and_back, revoked};
use crate::fake::Fake;
use crate::support::token::{self, IDENTITY};
use crate::world::{World, allow, bob, refused, sent, unavailable};

const KEY: &str = "spicedb-preshared-key";
const P1: &str = "/api/p1/users?offset=-1";
const SCHEMA: &str = "
definition user {}
caveat on_weekdays(weekday bool) {
    weekday
}
definition group {
    relation member: user
}
definition project {
    relation viewer: user | user with on_weekdays | group#member
    permission view = viewer
}
definition person {
    relation seen_by: user
    permission see = seen_by
}
";

struct Server {
    program: Program,
    ports: [u16; 2],
    url: String,
}

impl Server {
    /// One that knows the schema, and nobody.
    async fn start() -> Self {
        let (http, grpc) = (free_port(), free_port());
        let arguments = [
            "serve".to_owned(),
            format!("--grpc-preshared-key={KEY}"),
            "--http-enabled".to_owned(),
            format!("--http-addr=127.0.0.1:{http}"),
            format!("--grpc-addr=127.0.0.1:{grpc}"),
            "--datastore-engine=memory".to_owned(),
            "--metrics-enabled=false".to_owned(),
            "--telemetry-endpoint=".to_owned(),
            "--skip-release-check".to_owned(),
        ];
        let mut program = Program::start("spicedb", tempfile::tempdir().unwrap(), &arguments);
        for port in [grpc, http] {
            program.listens(port).await;
        }
        let url = format!("http://127.0.0.1:{http}");
        write_schema(&url).await;
        Self {
            program,
            ports: [grpc, http],
            url,
        }
    }
}

async fn write_schema(url: &str) {
    let schema = format!("{url}/v1/schema/write");
    post(&schema, Some(KEY), &json!({ "schema": SCHEMA })).await;
}

fn object(text: &str) -> serde_json::Value {
    let (kind, id) = text.split_once(':').unwrap();
    json!({ "objectType": kind, "objectId": id })
}

/// `(resource, relation, subject, caveat)`.
type Relationship<'t> = (&'t str, &'t str, &'t str, Option<&'t str>);

/// Writes relationships, and gives their ZedToken.
async fn write(url: &str, relationships: &[Relationship<'_>]) -> String {
    change(url, "OPERATION_TOUCH", relationships).await
}

async fn change(url: &str, operation: &str, relationships: &[Relationship<'_>]) -> String {
    let update = |(resource, relation, subject, caveat): &Relationship<'_>| {
        let (subject, subjects_relation) = subject.split_once('#').unwrap_or((subject, ""));
        let mut relationship = json!({
            "resource": object(resource),
            "relation": relation,
            "subject": { "object": object(subject), "optionalRelation": subjects_relation },
        });
        if let Some(caveat) = caveat {
            relationship["optionalCaveat"] = json!({ "caveatName": caveat });
        }
        json!({ "operation": operation, "relationship": relationship })
    };
    let updates: Vec<_> = relationships.iter().map(update).collect();
    let answer = post(
        &format!("{url}/v1/relationships/write"),
        Some(KEY),
        &json!({ "updates": updates }),
    )
    .await;
    answer["writtenAt"]["token"].as_str().unwrap().to_owned()
}

async fn world(url: &str, consistency: &str, limit: usize, key: &str) -> World {
    let text = format!(
        "{IDENTITY}
limits: {{ hub_bytes_max: 0KiB }}
shapes:
  users:
    path: /api/{{project:text}}/users
    query: {{ zed: text }}
    table: users
    columns: [id, name]
    authorize:
      spicedb:
        url: {url}
        token: {{ insecure_value: {key} }}
        check: {{ resource: {{ type: project, id: request.path.project }}, permission: view, subject: {{ type: user, id: user.id }} }}
        lookup: {{ resource: person, permission: see, subject: {{ type: user, id: user.id }}, limit: {limit} }}
        consistency: {consistency}
        timeout: 20s
    rules: [{{ when: decision.allowed, rows: {{ where: 'id = ANY($1)', params: [decision.ids] }} }}]
"
    );
    World::of(Fake::saying(allow()).await, &text).await
}

#[tokio::test]
async fn checks_and_lookups_decide_as_spicedb_says() {
    let server = Server::start().await;
    let url = &server.url;
    write(
        url,
        &[
            ("project:p1", "viewer", "user:bob", None),
            ("project:p2", "viewer", "user:bob", Some("on_weekdays")),
            ("project:p3", "viewer", "group:dev#member", None),
            ("group:dev", "member", "user:bob", None),
            ("person:1", "seen_by", "user:bob", None),
            ("person:3", "seen_by", "user:bob", None),
            ("person:2", "seen_by", "user:eve", None),
        ],
    )
    .await;
    let world1 = world(url, "fully_consistent", 10, KEY).await;
    let get = async |project: &str, token: &str| {
        world1
            .gateway
            .get(&format!("/api/{project}/users?offset=-1"), Some(token))
            .await
    };
    let answer = get("p1", &bob()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(sent(&world1, "params[1]"), "{1,3}");
    refused(&get("p2", &bob()).await, 403, "forbidden");
    assert_eq!(get("p3", &bob()).await.status, 200, "by a group");
    refused(&get("nothing", &bob()).await, 403, "forbidden");
    refused(
        &get("p1", &token::token(json!({ "sub": "eve" }))).await,
        403,
        "forbidden",
    );

    let few = world(url, "fully_consistent", 1, KEY).await;
    let answer = few.gateway.get("/api/p1/users?offset=-1", Some(&bob())).await;
    refused(&answer, 403, "definition_too_large");

    let stranger = world(url, "fully_consistent", 10, "another-key").await;
    unavailable(
        &stranger
            .gateway
            .get("/api/p1/users?offset=-1", Some(&bob()))
            .await,
    );
}

#[tokio::test]
async fn a_zed_token_makes_a_new_relationship_seen_at_once_and_a_forged_one_gives_nothing() {
    let server = Server::start().await;
    let url = &server.url;
    let fresh = "{ at_least_as_fresh: 'has(request.query.zed) ? request.query.zed : null' }";
    let world1 = world(url, fresh, 10, KEY).await;
    let token = write(
        url,
        &[
            ("project:p1", "viewer", "user:bob", None),
            ("person:1", "seen_by", "user:bob", None),
        ],
    )
    .await;
    let token = percent_encoding::utf8_percent_encode(&token, percent_encoding::NON_ALPHANUMERIC).to_string();
    let target = format!("/api/p1/users?offset=-1&zed={token}");
    let answer = world1.gateway.get(&target, Some(&bob())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let forged = world1
        .gateway
        .get("/api/p1/users?offset=-1&zed=forged", Some(&bob()))
        .await;
    refused(&forged, 403, "forbidden");
    for _ in 0..10 {
        let odd = token::token(json!({ "sub": "日本" }));
        refused(
            &world1.gateway.get("/api/p1/users?offset=-1", Some(&odd)).await,
            403,
            "forbidden",
        );
    }
    let answer = world1.gateway.get(&target, Some(&bob())).await;
    assert_eq!(answer.status, 200, "nobody's odd id has the engine left alone");
}

/// What Bob has in the tests below.
const OF_BOB: [Relationship<'static>; 3] = [
    ("project:p1", "viewer", "user:bob", None),
    ("person:1", "seen_by", "user:bob", None),
    ("person:3", "seen_by", "user:bob", None),
];

#[tokio::test]
async fn a_relationship_that_is_deleted_denies_once_the_yes_is_over_and_a_resource_is_no_longer_found() {
    let server = Server::start().await;
    let url = &server.url;
    write(url, &OF_BOB).await;
    let world = world(url, "fully_consistent", 10, KEY).await;
    assert_eq!(world.gateway.get(P1, Some(&bob())).await.status, 200);
    assert_eq!(sent(&world, "params[1]"), "{1,3}");
    change(url, "OPERATION_DELETE", &OF_BOB[1..2]).await;
    world.clock.advance(shapegate::authorizer::TTL_DEFAULT);
    assert_eq!(world.gateway.get(P1, Some(&bob())).await.status, 200);
    assert_eq!(sent(&world, "params[1]"), "{3}");
    revoked(&world, P1, async || {
        change(url, "OPERATION_DELETE", &OF_BOB[..1]).await;
    })
    .await;
}

#[tokio::test]
async fn every_consistency_is_understood() {
    let server = Server::start().await;
    let url = &server.url;
    let zed = write(url, &OF_BOB).await;
    let at_least = format!("{{ at_least_as_fresh: {{ value: '{zed}' }} }}");
    let unsaid = "{ at_least_as_fresh: 'has(request.query.zed) ? request.query.zed : null' }";
    for consistency in ["minimize_latency", "fully_consistent", &at_least, unsaid] {
        let world = world(url, consistency, 10, KEY).await;
        // Minimal latency may give the state of some seconds ago, in which nobody was known.
        let seen = async {
            while world.gateway.get(P1, Some(&bob())).await.status != 200 {
                world.clock.advance(shapegate::authorizer::TTL_DEFAULT);
            }
        };
        crate::support::patience::soon(seen).await;
        assert_eq!(sent(&world, "params[1]"), "{1,3}", "{consistency}");
    }
}

#[tokio::test]
async fn while_it_is_away_nobody_is_told_no_and_it_is_asked_again_when_it_is_back() {
    let mut server = Server::start().await;
    let url = server.url.clone();
    write(&url, &OF_BOB).await;
    let world = world(&url, "fully_consistent", 10, KEY).await;
    let restore = async || {
        // It forgets everything with its process.
        write_schema(&url).await;
        write(&url, &OF_BOB).await;
    };
    away_and_back(&world, P1, &mut server.program, &server.ports, restore).await;
}
