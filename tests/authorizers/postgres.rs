//! A query as authoriser, asked of a real Postgres: its one row is what rules read, and nothing else lets pass.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::minting::claims;
use crate::support::gateway::{Gateway, origin, request};
use crate::support::patience::soon;
use crate::support::postgres::Server;
use crate::support::raw::Answer;
use crate::support::token::{self, IDENTITY};
use crate::world::{names, parameter, refused, unavailable};

const MEMBERS: &str = "create type role as enum ('owner', 'member', 'guest');
    create table members (user_id text, org_id int, role role, ids int[], primary key (user_id, org_id));
    insert into members values ('bob', 1, 'member', '{1,3}'), ('olga', 1, 'owner', '{}'), ('gus', 1, 'guest', '{2}');
    create function forbid(user_id text) returns text language plpgsql as
        $$ begin raise exception 'no % here', user_id; end $$;";

const QUERY: &str = "select role, ids from members where user_id = $1 and org_id = $2";
const PARAMS: &str = "[user.id, request.path.org]";
const RULES: &str = "
      - when: decision.role == 'owner'
        rows: { where: '\"org_id\" = $1', params: [request.path.org] }
      - when: decision.role in ['member', 'guest']
        rows: { where: '\"org_id\" = $1 AND \"id\" = ANY($2)', params: [request.path.org, decision.ids] }";

struct World {
    gateway: Gateway,
    clock: ManualClock,
}

async fn server() -> Server {
    let server = Server::start().await;
    server.execute(MEMBERS).await;
    server
}

fn shape(server: &Server, query: &str, params: &str, more: &str, rules: &str) -> String {
    format!(
        "users:
    path: /api/orgs/{{org:int}}/users
    table: users
    columns: [id, name, org_id]
    authorize: {{ postgres: {{ url: '{}', query: \"{query}\", params: {params}{more} }} }}
    rules: {rules}
",
        server.url()
    )
}

impl World {
    /// The usual query.
    async fn start(server: &Server) -> Self {
        Self::asking(server, QUERY, PARAMS, "").await
    }

    async fn asking(server: &Server, query: &str, params: &str, more: &str) -> Self {
        let shape = shape(server, query, params, more, RULES);
        Self::serving(&format!("shapes:\n  {shape}")).await
    }

    async fn serving(shapes: &str) -> Self {
        let text = format!("{IDENTITY}\nlimits: {{ hub_bytes_max: 0KiB }}\n{shapes}");
        let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
        let gateway = Gateway::before(origin(), &text, Arc::new(clock.clone())).await;
        Self { gateway, clock }
    }

    async fn first(&self, user: &str) -> Answer {
        self.of_org(user, "1").await
    }

    async fn of_org(&self, user: &str, org: &str) -> Answer {
        let user = token::token(json!({ "sub": user, "exp": token::now() + 80_000 }));
        let target = format!("/api/orgs/{org}/users?offset=-1");
        soon(self.gateway.get(&target, Some(&user))).await
    }
}

#[tokio::test]
async fn the_row_of_who_asks_decides_which_rows_they_get() {
    let server = server().await;
    let world = World::start(&server).await;
    let owner = names(&world.first("olga").await);
    let sent = world.gateway.received_one().target;
    assert_eq!(parameter(&sent, "where"), r#"("org_id" = $1)"#);
    assert_eq!(parameter(&sent, "params[1]"), "1");
    world.first("bob").await;
    let sent = world.gateway.received_one().target;
    assert_eq!(
        parameter(&sent, "where"),
        r#"(("org_id" = $1) AND ("id" = ANY ($2)))"#
    );
    assert_eq!(parameter(&sent, "params[2]"), "{1,3}", "an array is a list");
    world.first("gus").await;
    let sent = world.gateway.received_one().target;
    assert_eq!(parameter(&sent, "params[2]"), "{2}");
    assert!(!owner.is_empty());
}

#[tokio::test]
async fn no_row_is_403_and_nothing_goes_upstream() {
    let server = server().await;
    let world = World::start(&server).await;
    for (user, org) in [("nobody", "1"), ("bob", "2"), ("bob", "-1"), ("BOB", "1")] {
        refused(&world.of_org(user, org).await, 403, "forbidden");
    }
    world.gateway.received_nothing();
    server
        .execute("insert into members values ('nobody', 1, 'owner', '{}')")
        .await;
    refused(&world.first("nobody").await, 403, "forbidden");
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(
        world.first("nobody").await.status,
        200,
        "a no is forgotten after `deny_ttl`"
    );
}

#[tokio::test]
async fn a_row_that_is_taken_away_counts_until_its_time_is_over_and_no_longer() {
    let server = server().await;
    let world = World::asking(&server, QUERY, PARAMS, ", ttl: 30s").await;
    assert_eq!(world.first("bob").await.status, 200);
    server.execute("delete from members where user_id = 'bob'").await;
    world.clock.advance(Duration::from_millis(29_999));
    assert_eq!(world.first("bob").await.status, 200);
    world.gateway.origin.forget_received();
    world.clock.advance(Duration::from_millis(1));
    refused(&world.first("bob").await, 403, "forbidden");
    world.gateway.received_nothing();
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_who_is_remembered_is_served_meanwhile() {
    let mut server = server().await;
    let world = World::asking(&server, QUERY, PARAMS, ", ttl: 60s").await;
    assert_eq!(world.first("bob").await.status, 200);
    world.gateway.origin.forget_received();
    server.stop();
    for _ in 0..7 {
        unavailable(&world.first("olga").await);
    }
    world.gateway.received_nothing();
    assert_eq!(world.first("bob").await.status, 200);
    server.resume().await;
    unavailable(&world.first("olga").await);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.first("olga").await.status, 200, "the trial after its pause");
    server.stop();
    world.clock.advance(Duration::from_secs(30));
    unavailable(&world.first("bob").await);
}

#[tokio::test]
async fn a_value_that_is_none_of_the_parameters_type_denies_and_has_nobody_left_alone() {
    let server = server().await;
    for (query, params) in [
        ("select 'owner' as role where $1::uuid is not null", "[user.id]"),
        ("select 'owner' as role where $1::int > 0", "[user.id]"),
        ("select 'owner' as role where $1::text <> ''", "[1.5]"),
        ("select 'owner' as role where $1::text <> ''", "[user.claims]"),
        ("select 'owner' as role where 1 / $1::int = 1", "[{ value: 0 }]"),
    ] {
        let world = World::asking(&server, query, params, "").await;
        for user in 0..10 {
            let answer = world.first(&format!("user-{user}")).await;
            refused(&answer, 403, "forbidden");
        }
        world.gateway.received_nothing();
    }
    let world = World::asking(
        &server,
        "select 'owner' as role where $1::uuid is not null",
        "[user.id]",
        "",
    )
    .await;
    for user in 0..10 {
        refused(&world.first(&format!("user-{user}")).await, 403, "forbidden");
    }
    let known = world.first("6f1c1b9e-9a0b-4d8e-9c49-0d6f4f3a3f52").await;
    assert_eq!(known.status, 200, "{}", known.text());
}

#[tokio::test]
async fn what_is_missing_is_equal_to_nothing_whatever_the_query_does_with_it() {
    let server = server().await;
    let text = "select 'owner' as role where $1 is not distinct from null::text or $1 = '' or $1 like '%'";
    let list = "select 'owner' as role where '' = any($1::text[])";
    for (query, param) in [
        (text, r#""'team' in user ? user.team : null""#),
        (text, r#""has(user.name) ? user.name : ''""#),
        (list, r#""['']""#),
        (list, r#""[user.id, '']""#),
    ] {
        let world = World::asking(&server, query, &format!("[{param}]"), "").await;
        refused(&world.first("bob").await, 403, "forbidden");
        world.gateway.received_nothing();
    }
    let world = World::asking(&server, text, "[user.id]", "").await;
    assert_eq!(world.first("bob").await.status, 200);
}

#[tokio::test]
async fn what_is_told_is_a_value_and_never_sql() {
    let server = server().await;
    let world = World::start(&server).await;
    for user in [
        "' or '1'='1",
        "'; drop table members; --",
        "$2",
        "bob'--",
        "\\'",
        "%",
        "{bob}",
        "bob\u{0}",
        "bob ",
        "bob\u{2028}",
    ] {
        let answer = world.first(user).await;
        assert!([401, 403].contains(&answer.status), "{user:?}: {}", answer.text());
    }
    world.gateway.received_nothing();
    assert_eq!(
        world.first("bob").await.status,
        200,
        "the table is still there, and asked"
    );
}

#[tokio::test]
async fn an_answer_that_could_mean_several_things_denies_its_question_and_no_other() {
    let server = server().await;
    for query in [
        "select role from members where $1 = 'many' or user_id = $1",
        "select (select role from members where $1 = 'many' or user_id = $1) as role",
        "select case $1 when 'many' then forbid($1) else 'owner' end as role",
        "select 'owner' as role, case $1 when 'many' then repeat('x', 10000000) end as text",
        "select case $1 when 'many' then 'NaN'::float8 else 1 end as n, 'owner' as role",
    ] {
        let world = World::asking(&server, query, "[user.id]", "").await;
        for _ in 0..7 {
            refused(&world.first("many").await, 403, "decision_failed");
            world.clock.advance(Duration::from_secs(5));
        }
        world.gateway.received_nothing();
        assert_eq!(world.first("olga").await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn a_query_that_does_not_work_lets_nobody_pass() {
    let server = server().await;
    for query in [
        "select role from nowhere where user_id = $1",
        "select role from members where user_id = $1 and org_id = $2",
        "insert into members values ($1, 9, 'owner') returning role",
        "select role from members where user_id = $1; select 1",
    ] {
        let world = World::asking(&server, query, "[user.id]", "").await;
        unavailable(&world.first("bob").await);
        world.gateway.received_nothing();
    }
    let mistyped = World::asking(
        &server,
        "select role as rolle from members where user_id = $1",
        "[user.id]",
        "",
    )
    .await;
    refused(&mistyped.first("bob").await, 403, "decision_failed");
    mistyped.gateway.received_nothing();
}

#[tokio::test]
async fn a_slow_query_is_given_up_in_its_time_by_the_server_too() {
    let server = server().await;
    let slow = "select 'owner' as role from pg_sleep(case $1 when 'slow' then 3600 else 0 end)";
    let world = World::asking(&server, slow, "[user.id]", ", timeout: 200ms").await;
    unavailable(&world.first("slow").await);
    let client = server.client().await;
    let running =
        "select count(*) from pg_stat_activity where application_name = 'shapegate' and state = 'active'";
    let row = client.query_one(running, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    assert_eq!(world.first("bob").await.status, 200);
}

#[tokio::test]
async fn shapes_that_ask_one_database_share_its_connections() {
    let server = server().await;
    let one = shape(&server, QUERY, PARAMS, ", pool_size: 1", RULES);
    let other = one.replace("users:\n    path: /api/orgs", "again:\n    path: /api/again");
    let world = World::serving(&format!("shapes:\n  {one}  {other}")).await;
    assert_eq!(world.first("bob").await.status, 200);
    let user = token::token(json!({ "sub": "bob" }));
    let again = world
        .gateway
        .get("/api/again/1/users?offset=-1", Some(&user))
        .await;
    assert_eq!(again.status, 200, "{}", again.text());
    let client = server.client().await;
    let open = "select count(*) from pg_stat_activity where application_name = 'shapegate'";
    assert_eq!(client.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_token_signs_what_the_row_of_now_allows_and_lives_no_longer_than_it() {
    let server = server().await;
    let shape = shape(&server, QUERY, PARAMS, ", ttl: 120s", RULES);
    let world = World::serving(&format!(
        "shapes:\n  {shape}gatekeeper:\n  mint: {{ url: 'https://sync.example.com/v1/shape', ttl: 5m, \
         keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }}, kid: k }} ] }}\n  shapes: [users]\n"
    ))
    .await;
    let mint = async |user: &str| {
        let token = token::token(json!({ "sub": user }));
        let bytes = request("POST", "/gatekeeper/users?org=1", Some(&token), &[], "");
        soon(world.gateway.connect().await.ask(bytes)).await
    };
    let minted = mint("bob").await;
    let first = claims(&minted);
    assert_eq!(first["shape"]["params"]["2"], "{1,3}");
    assert_eq!(
        first["exp"].as_i64().unwrap() - first["iat"].as_i64().unwrap(),
        120
    );
    server
        .execute("update members set role = 'owner', ids = null where user_id = 'bob'; delete from members where user_id = 'gus'")
        .await;
    let second = claims(&mint("bob").await);
    assert_eq!(
        second["shape"]["params"].get("2"),
        None,
        "what was said before is no ground for a token"
    );
    refused(&mint("gus").await, 403, "forbidden");
    world.gateway.received_nothing();
}

#[tokio::test]
async fn the_database_of_sessions_is_asked_where_no_other_is_named() {
    let server = server().await;
    server
        .execute(
            "create table sessions (token text, user_id text); insert into sessions values ('bobs', 'bob')",
        )
        .await;
    let url = server.url();
    let shape = shape(&server, QUERY, PARAMS, "", RULES).replace(&format!("url: '{url}', "), "");
    let text = format!(
        "identity:
  - postgres: {{ url: '{url}', from: {{ header: authorization, scheme: bearer }}, hash: none, query: select user_id as sub from sessions where token = $1 }}
shapes:
  {shape}"
    );
    let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
    let gateway = Gateway::before(origin(), &text, Arc::new(clock)).await;
    let answer = soon(gateway.get("/api/orgs/1/users?offset=-1", Some("bobs"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = gateway.received_one().target;
    assert_eq!(parameter(&sent, "params[2]"), "{1,3}");
    refused(
        &soon(gateway.get("/api/orgs/2/users?offset=-1", Some("bobs"))).await,
        403,
        "forbidden",
    );
}
