//! What services are asked: values in their places, and nothing of the request besides.

use serde_json::json;

use crate::fake::{Fake, Say};
use crate::support::gateway::{get, request};
use crate::support::token::{self, IDENTITY};
use crate::world::{ALL, World, allow, bob, refused, sent, shape};

#[tokio::test]
async fn a_service_is_told_who_asks_for_what_by_the_names_that_were_chosen() {
    let fake = Fake::saying(allow()).await;
    let text = format!(
        "{IDENTITY}
shapes:
  issues:
    path: /api/orgs/{{org:int}}/users
    query: {{ tag: text, deep: bool }}
    table: users
    columns: [id, name]
    authorize:
      http:
        url: {}/internal/decide
        token: {{ insecure_value: token-of-the-authoriser }}
        claims: [org_id, roles, missing]
        headers: [x-team]
    rules: [{{ rows: all }}]
",
        fake.url()
    );
    let world = World::of(fake, &text).await;
    let token = token::token(
        json!({ "sub": "o'brien\"; --", "org_id": 7, "roles": ["a", "b"], "secret": "not for you" }),
    );
    let target = "/api/orgs/9/users?offset=-1&tag=%2e%2e%2F%22%0a&undeclared=x".replace("%0a", "");
    let headers = [
        ("x-team", "blue"),
        ("cookie", "session=canary"),
        ("x-other", "canary"),
    ];
    let answer = world
        .gateway
        .connect()
        .await
        .ask(request("GET", &target, Some(&token), &headers, ""))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let asked = world.fake.asked_one();
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/internal/decide")
    );
    assert_eq!(
        asked.json(),
        json!({
            "tenant": "default",
            "shape": "issues",
            "table": "public.users",
            "method": "GET",
            "subject": "o'brien\"; --",
            "path": { "org": 9 },
            "query": { "tag": "../\"" },
            "claims": { "org_id": 7, "roles": ["a", "b"] },
            "headers": { "x-team": "blue" },
        })
    );
    assert_eq!(asked.headers["authorization"], "Bearer token-of-the-authoriser");
    assert_eq!(asked.headers["content-type"], "application/json");
    let everything = format!("{asked:?}");
    for canary in ["canary", &token, "not for you", "offset", "undeclared"] {
        assert!(!everything.contains(canary), "{canary} in {everything}");
    }
}

#[tokio::test]
async fn a_policy_of_opa_is_told_its_input_in_a_body_and_its_path_is_the_configurations() {
    let fake = Fake::saying(Say::Json(json!({ "result": true }))).await;
    let text = format!(
        "{IDENTITY}
shapes:
  users:
    path: /api/{{project:text}}/users
    table: users
    columns: [id, name]
    authorize:
      opa:
        url: {}
        path: shapes/allow
        input: {{ user: user.id, project: request.path.project, app: {{ value: web }} }}
    rules: [{{ rows: all }}]
",
        fake.url()
    );
    let world = World::of(fake, &text).await;
    let answer = world
        .gateway
        .get("/api/..x-%2e/users?offset=-1", Some(&bob()))
        .await;
    assert_eq!(answer.status, 404, "a capture has no escapes");
    let answer = world.gateway.get("/api/x..y/users?offset=-1", Some(&bob())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = world.fake.asked_one();
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/v1/data/shapes/allow")
    );
    assert_eq!(
        asked.json(),
        json!({ "input": { "user": "bob", "project": "x..y", "app": "web" } })
    );
}

fn relations(kind: &str, rest: &str, rules: &str) -> String {
    format!(
        "{IDENTITY}
shapes:
  users:
    path: /api/{{project:text}}/users
    query: {{ q: text }}
    table: users
    columns: [id, name]
    authorize: {{ {kind}: {{ {rest} }} }}
    rules: {rules}
"
    )
}

#[tokio::test]
async fn spicedb_is_asked_by_its_http_api_with_ids_that_we_join() {
    let fake = Fake::answering(|asked| match asked.target.as_str() {
        "/v1/permissions/check" => Say::Json(json!({ "permissionship": "PERMISSIONSHIP_HAS_PERMISSION" })),
        _ => Say::Text(
            [3, 1]
                .map(|id| {
                    let permissionship = "LOOKUP_PERMISSIONSHIP_HAS_PERMISSION";
                    json!({ "result": { "resourceObjectId": id.to_string(), "permissionship": permissionship } }).to_string()
                })
                .join("\n"),
        ),
    })
    .await;
    let rest = format!(
        "url: '{}', token: {{ insecure_value: spicedb-key }},
         check: {{ resource: {{ type: project, id: [tenant.id, request.path.project] }}, permission: view,
                   subject: {{ type: user, id: user.id, relation: member }} }},
         lookup: {{ resource: acme/person, permission: see, subject: {{ type: user, id: user.id }}, limit: 10 }},
         consistency: {{ at_least_as_fresh: 'has(request.query.q) ? request.query.q : null' }}",
        fake.url()
    );
    let rules = "[{ when: decision.allowed, rows: { where: 'id = ANY($1)', params: [decision.ids] } }]";
    let world = World::of(fake, &relations("spicedb", &rest, rules)).await;
    let answer = world
        .gateway
        .get("/api/p1/users?offset=-1&q=zed", Some(&bob()))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(sent(&world, "params[1]"), "{1,3}");

    let mut asked = world.fake.asked();
    asked.sort_by(|one, two| one.target.cmp(&two.target));
    assert_eq!(asked.len(), 2);
    let user = json!({ "objectType": "user", "objectId": "bob" });
    let fresh = json!({ "atLeastAsFresh": { "token": "zed" } });
    assert_eq!(asked[0].target, "/v1/permissions/check");
    assert_eq!(
        asked[0].json(),
        json!({
            "consistency": fresh,
            "resource": { "objectType": "project", "objectId": "default/p1" },
            "permission": "view",
            "subject": { "object": user, "optionalRelation": "member" },
        })
    );
    assert_eq!(asked[0].headers["authorization"], "Bearer spicedb-key");
    assert_eq!(asked[1].target, "/v1/permissions/resources");
    assert_eq!(
        asked[1].json(),
        json!({
            "consistency": fresh,
            "resourceObjectType": "acme/person",
            "permission": "see",
            "subject": { "object": user },
            "optionalLimit": 11,
        })
    );
}

#[tokio::test]
async fn openfga_is_asked_in_its_store_and_by_its_model() {
    let fake = Fake::answering(|asked| match asked.target.ends_with("/check") {
        true => Say::Json(json!({ "allowed": true })),
        false => Say::Text("{\"result\":{\"object\":\"person:2\"}}\n".to_owned()),
    })
    .await;
    let rest = format!(
        "url: '{}', store: 01STORE, model: 01MODEL, consistency: higher_consistency,
         check: {{ object: {{ type: project, id: request.path.project }}, relation: viewer, user: {{ type: user, id: user.id }} }},
         list_objects: {{ type: person, relation: seen_by, user: {{ type: user, id: user.id }} }}",
        fake.url()
    );
    let rules = "[{ when: decision.allowed, rows: { where: 'id = ANY($1)', params: [decision.ids] } }]";
    let world = World::of(fake, &relations("openfga", &rest, rules)).await;
    let answer = world.gateway.get("/api/p1/users?offset=-1", Some(&bob())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut asked = world.fake.asked();
    asked.sort_by(|one, two| one.target.cmp(&two.target));
    assert_eq!(asked[0].target, "/stores/01STORE/check");
    assert_eq!(
        asked[0].json(),
        json!({
            "authorization_model_id": "01MODEL",
            "consistency": "HIGHER_CONSISTENCY",
            "tuple_key": { "user": "user:bob", "relation": "viewer", "object": "project:p1" },
        })
    );
    assert_eq!(asked[1].target, "/stores/01STORE/streamed-list-objects");
    assert_eq!(
        asked[1].json(),
        json!({
            "authorization_model_id": "01MODEL",
            "consistency": "HIGHER_CONSISTENCY",
            "user": "user:bob",
            "relation": "seen_by",
            "type": "person",
        })
    );
}

#[tokio::test]
async fn an_id_that_could_be_read_as_more_denies_and_nobody_is_asked() {
    for kind in ["spicedb", "openfga"] {
        let fake = Fake::saying(allow()).await;
        let (object, user, more) = match kind {
            "spicedb" => ("resource", "subject", "permission: view"),
            _ => ("object", "user", "relation: view"),
        };
        let store = if kind == "openfga" { "store: S, " } else { "" };
        let rest = format!(
            "url: '{}', {store}check: {{ {object}: {{ type: project, id: request.query.q }}, {more}, \
             {user}: {{ type: user, id: user.id }} }}",
            fake.url()
        );
        let world = World::of(
            fake,
            &relations(kind, &rest, "[{ when: decision.allowed, rows: all }]"),
        )
        .await;
        for (subject, q) in [
            ("bob", "a:b"),
            ("bob", "a%23member"),
            ("bob", "a@b"),
            ("bob", "..%2Fb"),
            ("bob", "*"),
            ("bob", "a%20b"),
            ("*", "ok"),
            ("user:x", "ok"),
            ("x#member", "ok"),
            ("a b", "ok"),
            ("a\nb", "ok"),
        ] {
            let token = token::token(json!({ "sub": subject }));
            let answer = world
                .gateway
                .get(&format!("/api/p/users?offset=-1&q={q}"), Some(&token))
                .await;
            refused(&answer, 403, "forbidden");
        }
        assert_eq!(world.fake.count(), 0, "{kind}");
        world.gateway.received_nothing();
    }
}

#[tokio::test]
async fn nobody_is_asked_about_requests_that_do_not_get_that_far() {
    let world = World::http(allow(), "", ALL).await;
    let expired = token::token(json!({ "exp": token::now() - 61 }));
    for (target, token, status) in [
        ("/api/shapes/users?offset=-1", None, 401),
        ("/api/shapes/users?offset=-1", Some("nonsense"), 401),
        ("/api/shapes/users?offset=-1", Some(expired.as_str()), 401),
        ("/api/shapes/users?offset=x", Some(&bob()), 400),
        ("/api/shapes/users", Some(&bob()), 400),
        ("/api/shapes/users/", Some(&bob()), 404),
    ] {
        let answer = world.gateway.connect().await.ask(get(target, token)).await;
        assert_eq!(answer.status, status, "{target}");
    }
    assert_eq!(world.fake.count(), 0);
}

#[tokio::test]
async fn several_authorisers_are_asked_at_once_and_any_no_is_a_no() {
    let fake = Fake::answering(|asked| match asked.target.as_str() {
        "/a" => Say::Json(
            json!({ "allow": true, "where": "org_id = $1", "params": [1], "facts": { "role": "x" } }),
        ),
        "/b" => Say::Json(json!({ "allow": true, "where": "id > 0", "facts": { "plan": "pro" } })),
        _ => Say::Json(json!({ "allow": false })),
    })
    .await;
    let url = fake.url();
    let authorize =
        format!("{{ one: {{ http: {{ url: '{url}/a' }} }}, two: {{ http: {{ url: '{url}/b' }} }} }}");
    let rules = "[{ when: 'has(decision.one.role) && decision.one.role == \"x\" && has(decision.two.plan)', rows: all }]";
    let world = World::of(fake, &shape(&authorize, rules)).await;
    assert_eq!(world.names(&bob()).await, ["Alice", "Bob"]);
    assert_eq!(world.fake.count(), 2);
    let sent = world.gateway.received_one().target;
    assert!(sent.contains("AND"), "{sent}");

    let authorize =
        format!("{{ one: {{ http: {{ url: '{url}/a' }} }}, two: {{ http: {{ url: '{url}/no' }} }} }}");
    world.gateway.reload(&shape(&authorize, ALL));
    refused(&world.first(&bob()).await, 403, "forbidden");
}
