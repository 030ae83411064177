//! `OpenFGA` itself.

use serde_json::json;

use super::program::{Program, free_port, post};
use crate::fake::Fake;
use crate::support::token::{self, IDENTITY};
use crate::world::{World, allow, bob, refused, sent, unavailable};

struct Server {
    _program: Program,
    url: String,
    store: String,
    model: String,
}

const KEY: &str = "openfga-preshared-key";

async fn openfga() -> Server {
    let (http, grpc) = (free_port(), free_port());
    let arguments = [
        "run".to_owned(),
        format!("--http-addr=127.0.0.1:{http}"),
        format!("--grpc-addr=127.0.0.1:{grpc}"),
        "--playground-enabled=false".to_owned(),
        "--metrics-enabled=false".to_owned(),
        "--authn-method=preshared".to_owned(),
        format!("--authn-preshared-keys={KEY}"),
    ];
    let mut program = Program::start("openfga", tempfile::tempdir().unwrap(), &arguments);
    program.listens(grpc).await;
    program.listens(http).await;
    let url = format!("http://127.0.0.1:{http}");
    let store = post(
        &format!("{url}/stores"),
        Some(KEY),
        &json!({ "name": "shapegate" }),
    )
    .await;
    let store = store["id"].as_str().unwrap().to_owned();
    let direct = |relation: &str, kind: &str| {
        json!({ "relations": { relation: { "this": {} } },
        "metadata": { "relations": { relation: { "directly_related_user_types": [{ "type": kind }] } } } })
    };
    let model = json!({ "schema_version": "1.1", "type_definitions": [
        { "type": "user" },
        { "type": "project", "relations": direct("viewer", "user")["relations"], "metadata": direct("viewer", "user")["metadata"] },
        { "type": "person", "relations": direct("seen_by", "user")["relations"], "metadata": direct("seen_by", "user")["metadata"] },
    ] });
    let model = post(
        &format!("{url}/stores/{store}/authorization-models"),
        Some(KEY),
        &model,
    )
    .await;
    let model = model["authorization_model_id"].as_str().unwrap().to_owned();
    let tuple = |user: &str, relation: &str, object: &str| json!({ "user": user, "relation": relation, "object": object });
    let tuples = json!({ "writes": { "tuple_keys": [
        tuple("user:bob", "viewer", "project:p1"),
        tuple("user:bob", "seen_by", "person:1"),
        tuple("user:bob", "seen_by", "person:3"),
        tuple("user:eve", "seen_by", "person:2"),
    ] } });
    post(&format!("{url}/stores/{store}/write"), Some(KEY), &tuples).await;
    Server {
        _program: program,
        url,
        store,
        model,
    }
}

async fn world(server: &Server, limit: usize, key: &str) -> World {
    let text = format!(
        "{IDENTITY}
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
        consistency: higher_consistency
        check: {{ object: {{ type: project, id: request.path.project }}, relation: viewer, user: {{ type: user, id: user.id }} }}
        list_objects: {{ type: person, relation: seen_by, user: {{ type: user, id: user.id }}, limit: {limit} }}
        timeout: 2900ms
    rules: [{{ when: decision.allowed, rows: {{ where: 'id = ANY($1)', params: [decision.ids] }} }}]
",
        server.url, server.store, server.model
    );
    World::of(Fake::saying(allow()).await, &text).await
}

#[tokio::test]
async fn checks_and_lists_decide_as_openfga_says() {
    let server = openfga().await;
    let world1 = world(&server, 10, KEY).await;
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

    let few = world(&server, 1, KEY).await;
    let answer = few.gateway.get("/api/p1/users?offset=-1", Some(&bob())).await;
    refused(&answer, 403, "definition_too_large");

    let stranger = world(&server, 10, "another-key").await;
    unavailable(
        &stranger
            .gateway
            .get("/api/p1/users?offset=-1", Some(&bob()))
            .await,
    );
}
