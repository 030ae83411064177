//! What a token is good for: the signed shape, however it is spelled, and nothing else.

use serde_json::json;

use crate::support::gateway::request;
use crate::support::token::{admin, member};
use crate::world::{PATH, World, partner, published};

#[tokio::test]
async fn the_upstream_gets_the_signed_definition_however_it_is_asked_for() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let written = "/v1/shape?columns=%22id%22%2C%22name%22%2C%22org_id%22&log=full&offset=-1&params%5B1%5D=1\
         &queryable_columns=%22id%22%2C%22name%22%2C%22org_id%22&replica=default\
         &table=%22public%22.%22users%22&where=%28%22org_id%22%20%3D%20%241%29\
         &secret=electric-secret-of-the-tests-canary";
    for query in [
        config.query(),
        "table=USERS&where=org_id=$1&params[1]=1&columns=org_id,name,id&unknown=1".to_owned(),
        "table=public.users&where=ORG_ID%20%20=%20'1'&columns=%22name%22,id,id,org_id&replica=default"
            .to_owned(),
    ] {
        let answer = world
            .get(&format!("offset=-1&{query}"), Some(config.token()))
            .await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let received = world.gateway.received_one();
        assert_eq!(received.target, written, "{query}");
        assert_eq!(received.header("authorization"), None);
        assert_eq!(answer.header("vary"), Some("authorization, accept-encoding"));
        assert!(answer.header("cache-control").unwrap().contains("private"));
    }
}

#[tokio::test]
async fn first_the_shape_is_missing_then_the_token_then_the_right() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let token = Some(config.token());
    for (query, token, status, code) in [
        ("offset=-1", None, 400, "shape_missing"),
        ("offset=-1", Some("not.a.token"), 400, "shape_missing"),
        ("offset=-1&table=", token, 400, "shape_missing"),
        ("table=users", token, 400, "parameter_missing"),
        ("offset=-1&table=users", None, 401, "token_missing"),
        ("offset=-1&table=users", Some("not.a.token"), 401, "token_invalid"),
        ("offset=-1&table=users", token, 403, "forbidden"),
        ("offset=-1&table=secrets", token, 403, "forbidden"),
    ] {
        let answer = world.get(query, token).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}");
        assert_eq!(
            answer.header("www-authenticate").is_some(),
            status == 401,
            "{query}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    world.gateway.received_nothing();
}

#[tokio::test]
async fn another_shape_than_the_signed_one_is_forbidden() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let ours = config.query();
    let swapped = |from: &str, to: &str| {
        assert!(ours.contains(from), "{ours}");
        ours.replace(from, to)
    };
    for query in [
        swapped("table=users", "table=memberships"),
        swapped("table=users", "table=app.users"),
        swapped("params%5B1%5D=1", "params%5B1%5D=2"),
        swapped("params%5B1%5D=1", "replica=default"),
        format!("{ours}&params[2]=2"),
        format!("{ours}&replica=full"),
        swapped("columns=id%2Cname%2Corg%5Fid", "columns=id,name"),
        swapped("columns=id%2Cname%2Corg%5Fid", "columns=id,name,org_id,ssn"),
        swapped("&where=", "&ignored="),
    ] {
        let answer = world
            .get(&format!("offset=-1&{query}"), Some(config.token()))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "forbidden"),
            "{query}"
        );
    }
    world.gateway.received_nothing();
}

#[tokio::test]
async fn what_two_parsers_could_read_differently_is_malformed() {
    let world = World::new().await;
    let token = partner(Some(published("users")), &json!({}));
    for query in [
        "table=users&table=secrets",
        "table=secrets&table=users",
        "table=users&table%5B%5D=secrets",
        "table=users&columns=id&columns[]=ssn",
        "table=users&params=x",
        "table=users&subset[where]=true",
        "table=users&%74able=secrets",
        "table=users%00",
        "table=users%0a",
        "table=users&where=%ff",
        "table=users&queryable_columns=id",
        "table=users&secret=x",
        "table=users&api_secret=x",
        "table=users&log=x",
        "table=a\"b",
        "table=%22a%22%22%22b%22",
    ] {
        let answer = world.get(&format!("offset=-1&{query}"), Some(&token)).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
    let spelled = world
        .gateway
        .get(&format!("{PATH}/?offset=-1&table=users"), Some(&token))
        .await;
    assert_eq!(spelled.status, 404);
    world.gateway.received_nothing();
}

#[tokio::test]
async fn head_and_subsets_are_served_and_nothing_is_deleted() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let target = |position: &str| format!("{PATH}?{position}&{}", config.query());
    let head = request("HEAD", &target("offset=-1"), Some(config.token()), &[], "");
    let answer = world.gateway.connect().await.ask_as("HEAD", head).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.header("electric-handle").unwrap().contains('~'),
        "bound to the definition"
    );

    world.gateway.origin.forget_received();
    let body = r#"{"subset":{"where":"name = 'Bob'","order_by":"id","limit":10}}"#;
    let json = [("content-type", "application/json")];
    let post = request("POST", &target("offset=-1"), Some(config.token()), &json, body);
    let answer = world.gateway.connect().await.ask(post).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("Bob") && !answer.text().contains("Carol"));

    for (body, target, status) in [
        (r#"{"subset":{"where":"ssn = '1'"}}"#, target("offset=-1"), 400),
        (
            r#"{"subset":{"order_by":"id","limit":101}}"#,
            target("offset=-1"),
            400,
        ),
        (r#"{"subset":{},"table":"secrets"}"#, target("offset=-1"), 400),
        (
            r#"{"subset":{"limit":1,"order_by":"id"}}"#,
            format!("{PATH}?offset=-1&table=users"),
            403,
        ),
    ] {
        let post = request("POST", &target, Some(config.token()), &json, body);
        let answer = world.gateway.connect().await.ask(post).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let delete = request("DELETE", &target("offset=-1"), Some(config.token()), &[], "");
    let answer = world.gateway.connect().await.ask(delete).await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD, POST, OPTIONS"))
    );
}

#[tokio::test]
async fn a_handle_of_another_shape_must_be_fetched_anew() {
    let world = World::new().await;
    let one = world.mint("users", &member(1), None).await;
    let other = world.mint("users", &member(2), None).await;
    let first = world
        .get(&format!("offset=-1&{}", one.query()), Some(one.token()))
        .await;
    let (handle, offset) = (
        first.header("electric-handle").unwrap(),
        first.header("electric-offset").unwrap(),
    );
    let go_on = |query: String| format!("offset={offset}&handle={handle}&{query}");
    assert_eq!(
        world.get(&go_on(one.query()), Some(one.token())).await.status,
        200
    );
    world.gateway.origin.forget_received();
    assert_eq!(
        world.get(&go_on(other.query()), Some(other.token())).await.status,
        409
    );
    world.gateway.received_nothing();
    let renewed = world.mint("users", &member(1), None).await;
    assert_ne!(renewed.token(), one.token());
    assert_eq!(
        world
            .get(&go_on(renewed.query()), Some(renewed.token()))
            .await
            .status,
        200,
        "another token for the same shape goes on from the same place"
    );
}

#[tokio::test]
async fn a_token_is_verified_once_and_remembered() {
    let world = World::new().await;
    let config = world.mint("users", &admin(), None).await;
    for _ in 0..5 {
        let answer = world
            .get(&format!("offset=-1&{}", config.query()), Some(config.token()))
            .await;
        assert_eq!(answer.status, 200);
    }
    let loaded = world.gateway.state.loaded();
    let verifier = loaded
        .snapshot
        .tenant("default")
        .unwrap()
        .gatekeeper()
        .verifier
        .as_ref()
        .unwrap();
    assert_eq!(verifier.signatures_checked(), 1);
}
