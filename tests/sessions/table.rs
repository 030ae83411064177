use std::sync::Arc;

use serde_json::json;
use shapegate::clock::SystemClock;
use shapegate_origin::Received;

use super::{SHAPES, ask, gateway, invalid, organisation, remembered, unavailable, verdict};
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::postgres::Server;

const TABLE: &str = "create table sessions (token_hash text primary key, user_id text, org_id int, role text, expires_at timestamptz,
                           ended boolean not null default false);
    create function log_in(token text, user_id text, org_id int) returns void language sql as
        $$ insert into sessions values (encode(sha256(token::bytea), 'hex'), user_id, org_id, null, 'tomorrow') $$;
    select log_in('alice-token', 'alice', 1), log_in('bob-token', 'bob', 2);";

async fn server() -> Server {
    let server = Server::start().await;
    server.execute(TABLE).await;
    server
}

fn method(server: &Server, more: &str) -> String {
    let url = server.url();
    format!(
        "  - postgres:\n      url: {url}\n      from: {{ header: authorization, scheme: bearer }}\n      hash: sha256\n      \
         query: \"select user_id as sub, org_id, role, expires_at as exp from sessions where token_hash = $1 and not ended\"\n      \
         {more}"
    )
}

async fn bearer(gateway: &Gateway, token: &str) -> crate::support::raw::Answer {
    ask(gateway, &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn a_row_is_who_asks_and_its_columns_are_claims() {
    let server = server().await;
    let gateway = gateway(&method(&server, "ttl: 30s")).await;
    for (token, org) in [("alice-token", "1"), ("bob-token", "2")] {
        assert_eq!(verdict(&soon(bearer(&gateway, token)).await).0, 200);
        assert_eq!(organisation(&gateway).as_deref(), Some(org));
    }
    server
        .execute("update sessions set role = 'admin' where user_id = 'bob'")
        .await;
    assert_eq!(verdict(&bearer(&gateway, "bob-token").await).0, 200);
    gateway.origin.forget_received();
    server
        .execute("select log_in('carol-token', 'carol', null)")
        .await;
    let carol = bearer(&gateway, "carol-token").await;
    assert_eq!(
        verdict(&carol),
        (403, "forbidden".to_owned()),
        "a null column is no claim"
    );
    gateway.received_nothing();
}

#[tokio::test]
async fn no_row_is_401_and_nothing_goes_upstream() {
    let server = server().await;
    let gateway = gateway(&method(&server, "ttl: 30s")).await;
    server.execute("select log_in('old-token', 'old', 1); update sessions set expires_at = 'yesterday' where user_id = 'old'").await;
    assert_eq!(verdict(&bearer(&gateway, "nobody").await), invalid());
    assert_eq!(
        verdict(&bearer(&gateway, "old-token").await),
        (401, "token_expired".to_owned())
    );
    assert_eq!(
        verdict(&ask(&gateway, &[]).await),
        (401, "token_missing".to_owned())
    );
    gateway.received_nothing();
}

#[tokio::test]
async fn what_a_token_holds_is_a_value_and_never_sql() {
    let server = server().await;
    let plain = method(&server, "ttl: 30s")
        .replace("hash: sha256", "hash: none")
        .replace("token_hash = $1", "user_id = $1");
    let uuid = method(&server, "ttl: 30s")
        .replace("hash: sha256", "hash: none")
        .replace("token_hash = $1", "$1::uuid is not null");
    for identity in [method(&server, "ttl: 30s"), plain, uuid] {
        let gateway = gateway(&identity).await;
        for token in [
            "'or'1'='1",
            "';drop/**/table/**/sessions;--",
            "$1",
            "\\'",
            "alice'--",
            "%",
            "_____",
            "1)or(1=1",
            "\"",
            "alice-token'",
            "{alice}",
            "E'\\x27'",
        ] {
            assert_eq!(verdict(&bearer(&gateway, token).await), invalid(), "{token}");
        }
        for odd in ["alice\u{e9}", "alice token", &"a".repeat(5_000)] {
            assert_eq!(verdict(&bearer(&gateway, odd).await).0, 401, "{odd}");
        }
        gateway.received_nothing();
    }
    let gateway = gateway(&method(&server, "ttl: 30s")).await;
    assert_eq!(
        verdict(&bearer(&gateway, "alice-token").await).0,
        200,
        "the table is still there"
    );
}

#[tokio::test]
async fn a_session_that_the_database_ends_by_notify_is_refused_at_once() {
    let server = server().await;
    let gateway = gateway(&method(&server, "ttl: 1h\n      notify: session_ended")).await;
    for token in ["alice-token", "bob-token"] {
        assert_eq!(verdict(&bearer(&gateway, token).await).0, 200);
    }
    assert_eq!(remembered(&gateway), 2);
    server.execute("update sessions set ended = true").await;
    assert_eq!(
        verdict(&bearer(&gateway, "alice-token").await).0,
        200,
        "nobody has told of it"
    );
    server
        .execute("select pg_notify('session_ended', encode(sha256('alice-token'::bytea), 'hex'))")
        .await;
    until("alice is forgotten", || remembered(&gateway) == 1).await;
    assert_eq!(verdict(&bearer(&gateway, "alice-token").await), invalid());
    assert_eq!(
        verdict(&bearer(&gateway, "bob-token").await).0,
        200,
        "only hers was told of"
    );
    server.execute("notify session_ended").await;
    until("all are forgotten", || remembered(&gateway) == 0).await;
    assert_eq!(verdict(&bearer(&gateway, "bob-token").await), invalid());
}

#[tokio::test]
async fn a_wait_ends_when_its_session_ends_and_others_go_on() {
    let server = server().await;
    let gateway = gateway(&method(&server, "ttl: 1h\n      notify: session_ended")).await;
    let mut polls = Vec::new();
    for token in ["alice-token", "bob-token"] {
        let first = bearer(&gateway, token).await;
        let (handle, offset) = (
            first.header("electric-handle").unwrap(),
            first.header("electric-offset").unwrap(),
        );
        let poll = format!("/api/shapes/users?offset={offset}&handle={handle}&live=true");
        let mut client = gateway.connect().await;
        client.send(get(&poll, Some(token))).await;
        polls.push((client, offset.to_owned()));
    }
    until("both wait", || gateway.origin.waiting() == 2).await;
    server
        .execute(
            "update sessions set ended = true where user_id = 'alice';
        select pg_notify('session_ended', (select token_hash from sessions where user_id = 'alice'))",
        )
        .await;
    let (alice, offset) = &mut polls[0];
    let answer = soon(alice.answer()).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("electric-offset")),
        (200, Some(offset.as_str()))
    );
    assert!(
        answer.header("electric-up-to-date").is_some(),
        "as Electric ends a poll"
    );
    until("hers is over", || gateway.origin.waiting() == 1).await;
    assert_eq!(verdict(&bearer(&gateway, "alice-token").await), invalid());
    let row = json!({ "id": 9, "name": "Eve", "org_id": 2 });
    gateway.origin.insert("users", row).unwrap();
    let answer = soon(polls[1].0.answer()).await.unwrap();
    assert!(answer.text().contains("Eve"), "{}", answer.text());
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_those_known_are_unaffected() {
    let mut server = server().await;
    let gateway = gateway(&method(&server, "ttl: 1h\n      timeout: 2s")).await;
    assert_eq!(verdict(&bearer(&gateway, "alice-token").await).0, 200);
    server.stop();
    let away = soon(bearer(&gateway, "bob-token")).await;
    assert_eq!(verdict(&away), unavailable());
    assert!(away.header("retry-after").is_some());
    assert_eq!(
        away.header("access-control-allow-origin"),
        None,
        "no origin asked"
    );
    assert_eq!(verdict(&bearer(&gateway, "alice-token").await).0, 200);
    server.resume().await;
    let mut back = soon(bearer(&gateway, "bob-token")).await;
    while verdict(&back) == unavailable() {
        back = soon(bearer(&gateway, "bob-token")).await;
    }
    assert_eq!(verdict(&back).0, 200);
}

#[tokio::test]
async fn nothing_is_remembered_while_nobody_hears_of_endings() {
    let mut server = server().await;
    let gateway = gateway(&method(&server, "ttl: 1h\n      notify: session_ended")).await;
    assert_eq!(verdict(&bearer(&gateway, "alice-token").await).0, 200);
    assert_eq!(remembered(&gateway), 1);
    server.stop();
    until("the loss is noticed", || remembered(&gateway) == 0).await;
    assert_eq!(
        verdict(&soon(bearer(&gateway, "alice-token")).await),
        unavailable()
    );
    server.resume().await;
    let mut looks = 0;
    while remembered(&gateway) == 0 {
        let answer = verdict(&soon(bearer(&gateway, "alice-token")).await);
        assert!(answer.0 == 200 || answer == unavailable(), "{answer:?}");
        looks += 1;
        assert!(looks < 100_000, "it never listens again");
    }
    server
        .execute("update sessions set ended = true; notify session_ended")
        .await;
    until("it is told", || remembered(&gateway) == 0).await;
    assert_eq!(verdict(&soon(bearer(&gateway, "alice-token")).await), invalid());
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_503() {
    let server = server().await;
    let slow = method(&server, "timeout: 100ms").replace("and not ended", "and pg_sleep(3600) is not null");
    let gateway = gateway(&slow).await;
    assert_eq!(
        verdict(&soon(bearer(&gateway, "alice-token")).await),
        unavailable()
    );
    gateway.received_nothing();
}

#[tokio::test]
async fn a_query_that_finds_several_is_nobodys_answer() {
    let server = server().await;
    let several = method(&server, "ttl: 30s").replace("token_hash = $1", "$1 <> ''");
    let gateway = gateway(&several).await;
    assert_eq!(
        verdict(&soon(bearer(&gateway, "alice-token")).await),
        unavailable()
    );
    gateway.received_nothing();
}

#[tokio::test]
async fn api_keys_may_be_rows_of_a_table_with_an_end_and_a_revocation() {
    let server = Server::start().await;
    server
        .execute(
            "create table api_keys (hash text primary key, name text, org_id int, ends timestamptz, revoked boolean not null default false);
            create function add(key text, ends timestamptz) returns void language sql as
                $$ insert into api_keys values (encode(sha256(key::bytea), 'hex'), key, 1, ends) $$;
            select add('sk_good', null), add('sk_dated', 'tomorrow'), add('sk_old', 'yesterday')",
        )
        .await;
    let identity = format!(
        "  - postgres: {{ url: '{}', from: {{ header: x-api-key }}, hash: sha256, notify: revoked, ttl: 1h, \
         query: \"select 'service:' || name as sub, org_id, ends as exp from api_keys where hash = $1 and not revoked\" }}",
        server.url()
    );
    let gateway = gateway(&identity).await;
    for key in ["sk_good", "sk_dated"] {
        assert_eq!(
            verdict(&ask(&gateway, &[("x-api-key", key)]).await).0,
            200,
            "{key}"
        );
        assert_eq!(organisation(&gateway).as_deref(), Some("1"));
    }
    let old = ask(&gateway, &[("x-api-key", "sk_old")]).await;
    assert_eq!(verdict(&old), (401, "token_expired".to_owned()));
    server
        .execute(
            "update api_keys set revoked = true where name = 'sk_good';
            select pg_notify('revoked', hash) from api_keys where revoked",
        )
        .await;
    until("it is told", || remembered(&gateway) == 2).await;
    assert_eq!(
        verdict(&ask(&gateway, &[("x-api-key", "sk_good")]).await),
        invalid()
    );
    assert_eq!(verdict(&ask(&gateway, &[("x-api-key", "sk_dated")]).await).0, 200);
}

#[tokio::test]
async fn who_was_waited_for_is_counted_and_who_is_remembered_is_not() {
    let mut server = server().await;
    let gateway = gateway(&method(&server, "ttl: 1h")).await;
    for _ in 0..3 {
        assert_eq!(verdict(&bearer(&gateway, "alice-token").await).0, 200);
    }
    assert_eq!(verdict(&bearer(&gateway, "nobody").await), invalid());
    server.stop();
    assert_eq!(verdict(&soon(bearer(&gateway, "bob-token")).await), unavailable());
    let metrics = gateway.state.metrics.render().unwrap();
    for line in [
        r#"shapegate_identity_waits_total{method="postgres",outcome="known"} 1"#,
        r#"shapegate_identity_waits_total{method="postgres",outcome="refused"} 1"#,
        r#"shapegate_identity_waits_total{method="postgres",outcome="unavailable"} 1"#,
        r#"shapegate_identity_wait_seconds_count{method="postgres"} 3"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn the_token_is_in_no_log_of_the_database_and_not_upstream() {
    let server = server().await;
    let gateway = gateway(&method(&server, "ttl: 30s")).await;
    assert_eq!(verdict(&bearer(&gateway, "alice-token").await).0, 200);
    let received: Received = gateway.received_one();
    assert!(!format!("{received:?}").contains("alice-token"));
}

#[tokio::test]
async fn minting_knows_sessions_as_well() {
    let server = server().await;
    let identity = method(&server, "ttl: 10m");
    let text = format!(
        "identity:\n{identity}\n{SHAPES}gatekeeper:\n  mint: {{ path: \"/gatekeeper/{{table}}\", \
         url: \"https://sync.example.com/v1/shape\", keys: [ {{ alg: HS256, secret: {{ env: JWT_SECRET }}, kid: k }} ] }}\n  shapes: [users]\n"
    );
    let gateway = Gateway::before(origin(), &text, Arc::new(SystemClock)).await;
    let mint = |token| {
        request(
            "POST",
            "/gatekeeper/users",
            Some(token),
            &[("content-length", "0")],
            "",
        )
    };
    let minted = soon(gateway.connect().await.ask(mint("alice-token"))).await;
    assert_eq!(minted.status, 200, "{}", minted.text());
    let refused = soon(gateway.connect().await.ask(mint("nobody"))).await;
    assert_eq!(verdict(&refused), invalid());
}
