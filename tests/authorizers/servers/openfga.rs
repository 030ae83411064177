//! `OpenFGA` itself.

use serde_json::{Value, json};

use super::program::{Program, free_port, post, run};
use super::{away_and_back, revoked};
use crate::fake::Fake;
use crate::support::token::{self, IDENTITY};
use crate::world::{World, allow, bob, refused, sent, unavailable};

const KEY: &str = "openfga-preshared-key";
const P1: &str = "/api/p1/users?offset=-1";

struct Server {
    program: Program,
    ports: [u16; 2],
    url: String,
    store: String,
    model: String,
}

fn tuple(user: &str, relation: &str, object: &str) -> Value {
    json!({ "user": user, "relation": relation, "object": object })
}

fn model() -> Value {
    let kind = |name: &str, relation: &str| {
        json!({
            "type": name,
            "relations": { relation: { "this": {} } },
            "metadata": { "relations": { relation: { "directly_related_user_types": [{ "type": "user" }] } } },
        })
    };
    json!({
        "schema_version": "1.1",
        "type_definitions": [{ "type": "user" }, kind("project", "viewer"), kind("person", "seen_by")],
    })
}

impl Server {
    /// One that remembers what it said itself, and whose store is a file that outlives it.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = [
            "--datastore-engine=sqlite".to_owned(),
            format!("--datastore-uri=file:{}/store.db", folder.path().display()),
        ];
        run("openfga", &[&["migrate".to_owned()][..], &database].concat());
        let (http, grpc) = (free_port(), free_port());
        let arguments = [
            "run".to_owned(),
            format!("--http-addr=127.0.0.1:{http}"),
            format!("--grpc-addr=127.0.0.1:{grpc}"),
            "--playground-enabled=false".to_owned(),
            "--metrics-enabled=false".to_owned(),
            "--authn-method=preshared".to_owned(),
            format!("--authn-preshared-keys={KEY}"),
            "--check-query-cache-enabled=true".to_owned(),
            "--check-query-cache-ttl=1h".to_owned(),
        ];
        let mut program = Program::start("openfga", folder, &[&arguments[..], &database].concat());
        for port in [grpc, http] {
            program.listens(port).await;
        }
        let url = format!("http://127.0.0.1:{http}");
        let store = post(
            &format!("{url}/stores"),
            Some(KEY),
            &json!({ "name": "shapegate" }),
        )
        .await;
        let store = store["id"].as_str().unwrap().to_owned();
        let models = format!("{url}/stores/{store}/authorization-models");
        let model = post(&models, Some(KEY), &model()).await;
        let model = model["authorization_model_id"].as_str().unwrap().to_owned();
        let server = Self {
            program,
            ports: [grpc, http],
            url,
            store,
            model,
        };
        server
            .change(
                "writes",
                &[
                    tuple("user:bob", "viewer", "project:p1"),
                    tuple("user:bob", "seen_by", "person:1"),
                    tuple("user:bob", "seen_by", "person:3"),
                    tuple("user:eve", "seen_by", "person:2"),
                ],
            )
            .await;
        server
    }

    /// Writes or deletes tuples.
    async fn change(&self, how: &str, tuples: &[Value]) {
        let url = format!("{}/stores/{}/write", self.url, self.store);
        post(&url, Some(KEY), &json!({ how: { "tuple_keys": tuples } })).await;
    }
}

async fn world(server: &Server, limit: usize, key: &str, consistency: &str) -> World {
    let text = format!(
        "{IDENTITY}
limits: {{ hub_bytes_max: 0KiB }}
shapes:
  users:
    path: /api/{{project:text}}/users
    table: users
    columns: [id, name]
    authorize:
      openfga:
        url: {}
        token: {{ insecure_value: {key} }}
        store: {}
        model: {}
        consistency: {consistency}
        check: {{ object: {{ type: project, id: request.path.project }}, relation: viewer, user: {{ type: user, id: user.id }} }}
        list_objects: {{ type: person, relation: seen_by, user: {{ type: user, id: user.id }}, limit: {limit} }}
        timeout: 2900ms
    rules: [{{ when: decision.allowed, rows: {{ where: 'id = ANY($1)', params: [decision.ids] }} }}]
",
        server.url, server.store, server.model
    );
    World::of(Fake::saying(allow()).await, &text).await
}

async fn consistent(server: &Server) -> World {
    world(server, 10, KEY, "higher_consistency").await
}

#[tokio::test]
async fn checks_and_lists_decide_as_openfga_says() {
    let server = Server::start().await;
    let world1 = consistent(&server).await;
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
    let eve = token::token(json!({ "sub": "eve" }));
    refused(&get("p1", &eve).await, 403, "forbidden");

    let few = world(&server, 1, KEY, "higher_consistency").await;
    let answer = few.gateway.get(P1, Some(&bob())).await;
    refused(&answer, 403, "definition_too_large");

    let stranger = world(&server, 10, "another-key", "higher_consistency").await;
    unavailable(&stranger.gateway.get(P1, Some(&bob())).await);
}

#[tokio::test]
async fn a_tuple_that_is_deleted_denies_once_the_yes_is_over_and_an_object_is_no_longer_listed() {
    let server = Server::start().await;
    let world = consistent(&server).await;
    assert_eq!(world.gateway.get(P1, Some(&bob())).await.status, 200);
    assert_eq!(sent(&world, "params[1]"), "{1,3}");
    server
        .change("deletes", &[tuple("user:bob", "seen_by", "person:1")])
        .await;
    world.clock.advance(shapegate::authorizer::TTL_DEFAULT);
    assert_eq!(world.gateway.get(P1, Some(&bob())).await.status, 200);
    assert_eq!(sent(&world, "params[1]"), "{3}");
    revoked(&world, P1, async || {
        let viewer = [tuple("user:bob", "viewer", "project:p1")];
        server.change("deletes", &viewer).await;
    })
    .await;
}

/// The server remembers its own answers for an hour, and is asked past them only where that is wanted.
#[tokio::test]
async fn higher_consistency_sees_at_once_what_minimal_latency_may_see_later() {
    let server = Server::start().await;
    let (fast, consistent) = (
        world(&server, 10, KEY, "minimize_latency").await,
        consistent(&server).await,
    );
    for world in [&fast, &consistent] {
        assert_eq!(world.gateway.get(P1, Some(&bob())).await.status, 200);
    }
    let viewer = [tuple("user:bob", "viewer", "project:p1")];
    server.change("deletes", &viewer).await;
    for (world, status) in [(&fast, 200), (&consistent, 403)] {
        world.clock.advance(shapegate::authorizer::TTL_DEFAULT);
        assert_eq!(world.gateway.get(P1, Some(&bob())).await.status, status);
    }
}

#[tokio::test]
async fn while_it_is_away_nobody_is_told_no_and_it_is_asked_again_when_it_is_back() {
    let mut server = Server::start().await;
    let world = consistent(&server).await;
    away_and_back(&world, P1, &mut server.program, &server.ports, async || {}).await;
}
