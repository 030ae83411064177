//! Verified tokens while the configuration changes around them: known as long as their own method is what it was.

use std::sync::Arc;

use serde_json::json;
use shapegate::clock::SystemClock;
use shapegate::revocation::{Kind, Source};

use crate::support::gateway::{Gateway, origin, request};
use crate::support::revocation::entry;
use crate::support::token;

const TARGET: &str = "/api/shapes/users?offset=-1";
const OTHER_SECRET: &str = "another-secret-of-32-bytes-or-more-x";
/// The key that tokens of these tests are signed with.
const KEY: &str = "{ alg: HS256, secret: { env: JWT_SECRET } }";
const ALL: &str = "[ { rows: all } ]";
const OF_ORG: &str = r#"[ { when: has(user.org), rows: { where: '"org_id" = $1', params: [user.org] } } ]"#;

/// A method of these settings, and what else is configured.
fn text(method: &str, rules: &str, more: &str) -> String {
    format!(
        "identity:
  - jwt: {{ issuer: https://issuer.test, {method} }}
{more}
shapes:
  users: {{ table: users, columns: [id, name, org_id], rules: {rules} }}
"
    )
}

fn method(key: &str, more: &str) -> String {
    format!("audience: sync, claims: {{ org: org_id }}, keys: [ {key} ]{more}")
}

struct World {
    gateway: Gateway,
    token: String,
}

impl World {
    /// A gateway that has verified a token.
    async fn knowing(method: &str) -> Self {
        let world = Self {
            gateway: Gateway::start(&text(method, OF_ORG, "")).await,
            token: token::token(json!({ "org_id": 1, "other": 2 })),
        };
        assert_eq!(world.status().await, 200);
        assert_ne!(world.checked(), 0);
        world
    }

    async fn status(&self) -> u16 {
        self.gateway.get(TARGET, Some(&self.token)).await.status
    }

    /// How many signatures were checked since the last change.
    fn checked(&self) -> u64 {
        self.gateway.signatures_checked()
    }
}

#[tokio::test]
async fn a_token_is_not_verified_again_after_a_reload_that_leaves_its_method_as_it_was() {
    let same = method(KEY, "");
    let world = World::knowing(&same).await;
    let another = "  - jwt: { issuer: https://second.test, audience: sync, keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ] }";
    for (rules, more, status) in [
        (ALL, "", 200),
        ("[ { when: 'user.id == \"nobody\"', rows: all } ]", "", 403),
        (OF_ORG, another, 200),
        (OF_ORG, "cors: { origins: ['https://app.example'] }", 200),
        // Written otherwise, and the same.
        (OF_ORG, "", 200),
    ] {
        world.gateway.reload(&text(&same, rules, more));
        assert_eq!(
            world.status().await,
            status,
            "the new rules decide: {rules} {more}"
        );
        assert_eq!(world.checked(), 0, "{rules} {more}");
    }
}

#[tokio::test]
async fn a_key_that_is_rotated_out_vouches_for_nothing_that_was_remembered() {
    let other = format!("{{ alg: HS256, secret: {{ insecure_value: {OTHER_SECRET} }} }}");
    let both = format!("{{ alg: HS256, kid: new, secret: {{ insecure_value: {OTHER_SECRET} }} }}, {KEY}");
    let world = World::knowing(&method(&both, "")).await;
    world.gateway.reload(&text(&method(&other, ""), OF_ORG, ""));
    assert_eq!(world.status().await, 401);
    assert_eq!(world.checked(), 1, "it was verified anew");
}

/// Each with the answer that a token of before gets: what was remembered would have been 200 with the first org.
#[tokio::test]
async fn whatever_of_a_method_is_tightened_nothing_that_was_remembered_outlives_it() {
    let before = method(KEY, "");
    let mapped = |claims: &str| format!("audience: sync, claims: {claims}, keys: [ {KEY} ]");
    for (what, after, status) in [
        (
            "the audience",
            before.replace("audience: sync", "audience: other"),
            401,
        ),
        (
            "the audience's kind",
            before.replace("audience: sync", "authorized_parties: [sync]"),
            401,
        ),
        ("the longest lifetime", method(KEY, ", lifetime_max: 5m"), 401),
        ("the type", method(KEY, ", token_type: at+jwt"), 401),
        (
            "a claim's type",
            mapped("{ org: { from: org_id, type: string } }"),
            403,
        ),
        ("a claim is mapped no more", mapped("{ somebody: sub }"), 403),
    ] {
        let world = World::knowing(&before).await;
        world.gateway.origin.forget_received();
        world.gateway.reload(&text(&after, OF_ORG, ""));
        assert_eq!(world.status().await, status, "{what}");
        world.gateway.received_nothing();
    }
}

#[tokio::test]
async fn a_claim_that_is_mapped_from_elsewhere_has_its_new_value_at_once() {
    let before = method(KEY, "");
    let world = World::knowing(&before).await;
    world.gateway.origin.forget_received();
    let after = before.replace("org: org_id", "org: other");
    world.gateway.reload(&text(&after, OF_ORG, ""));
    assert_eq!(world.status().await, 200);
    let target = world.gateway.received_one().target;
    assert!(target.contains("params%5B1%5D=2"), "{target}");
}

#[tokio::test]
async fn an_issuer_that_is_gone_has_no_users_whoever_else_is_there() {
    let world = World::knowing(&method(KEY, "")).await;
    let other = text(&method(KEY, ""), OF_ORG, "").replace("https://issuer.test", "https://second.test");
    world.gateway.reload(&other);
    assert_eq!(world.status().await, 401);
}

#[tokio::test]
async fn what_was_given_up_and_comes_back_remembers_nothing() {
    let before = method(KEY, "");
    let world = World::knowing(&before).await;
    let held = Arc::clone(&world.gateway.state.loaded());
    let tightened = before.replace("audience: sync", "audience: other");
    world.gateway.reload(&text(&tightened, OF_ORG, ""));
    assert_eq!(world.status().await, 401);
    world.gateway.reload(&text(&before, OF_ORG, ""));
    assert_eq!(world.status().await, 200);
    assert_eq!(world.checked(), 1, "nobody watched over it meanwhile");
    drop(held);
}

#[tokio::test]
async fn what_may_carry_a_token_is_asked_each_time_whatever_is_remembered_of_it() {
    const CORS: &str = "cors: { origins: ['https://app.example'], credentials: true }";
    let carried = |more: &str| text(&method(KEY, more), OF_ORG, CORS);
    let gateway = Gateway::start(&carried(", from: { cookie: t }")).await;
    let world = World {
        gateway,
        token: token::member(1),
    };
    let cookie = format!("t={}", world.token);
    let by_cookie = async |origin: Option<&str>| {
        let origin = origin.map(|origin| ("origin", origin));
        let headers: Vec<_> = [("cookie", &*cookie)].into_iter().chain(origin).collect();
        let ask = request("GET", TARGET, None, &headers, "");
        world.gateway.connect().await.ask(ask).await.status
    };
    assert_eq!(by_cookie(None).await, 200);
    world
        .gateway
        .reload(&text(&method(KEY, ", from: { cookie: t }"), ALL, CORS));
    assert_eq!(
        (
            by_cookie(Some("https://evil.example")).await,
            by_cookie(None).await
        ),
        (403, 200),
        "whose page asks is looked at each time"
    );
    world.gateway.reload(&carried(""));
    world.gateway.origin.forget_received();
    assert_eq!(by_cookie(None).await, 401, "cookies are no credentials any more");
    world.gateway.received_nothing();
    assert_eq!(world.status().await, 200);
    assert_eq!(world.checked(), 0, "and the token is what it was");
}

#[tokio::test]
async fn a_token_that_is_revoked_stays_so_through_reloads() {
    let same = method(KEY, "");
    let world = World::knowing(&same).await;
    let entry = entry(Kind::Subject, "user_1");
    let state = &world.gateway.state;
    let now = state.clock.now().wall;
    state.revocations.add(Source::Admin, vec![entry], now).unwrap();
    world.gateway.origin.forget_received();
    for rules in [ALL, OF_ORG] {
        world.gateway.reload(&text(&same, rules, ""));
        assert_eq!((world.status().await, world.checked()), (403, 0));
    }
    world.gateway.received_nothing();
}

#[tokio::test]
async fn tenants_do_not_know_each_others_tokens_after_a_reload_either() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("shapegate.yaml");
    let method = method(KEY, "");
    let tenants = |first: &str, second: &str| {
        let tenant = |id: &str, audience: &str| {
            let method = method.replace("audience: sync", &format!("audience: {audience}"));
            format!(
                "  {id}:
    hosts: {id}.test
    electric: {{ url: {{ env: ELECTRIC_URL }}, secret: {{ env: ELECTRIC_SECRET }} }}
    identity: [ {{ jwt: {{ issuer: https://issuer.test, {method} }} }} ]
    shapes: {{ users: {{ table: users, columns: [id], rules: {ALL} }} }}
"
            )
        };
        format!(
            "admin: off\ntenants:\n{}{}",
            tenant("a", first),
            tenant("b", second)
        )
    };
    std::fs::write(&path, tenants("sync", "other")).unwrap();
    let (gateway, reloader) = Gateway::of_files(origin(), vec![path.clone()], Arc::new(SystemClock)).await;
    let token = token::member(1);
    let status = async |host: &str| {
        let ask = format!("GET {TARGET} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n");
        gateway.connect().await.ask(ask).await.status
    };
    assert_eq!((status("a.test").await, status("b.test").await), (200, 401));
    // They change places: b has now the terms that a had.
    std::fs::write(&path, tenants("other", "sync")).unwrap();
    reloader.look(true).await;
    assert_eq!((status("a.test").await, status("b.test").await), (401, 200));
    let loaded = gateway.state.loaded();
    let checked = |id: &str| {
        loaded
            .snapshot
            .tenant(id)
            .unwrap()
            .identity()
            .signatures_checked()
    };
    assert_eq!((checked("a"), checked("b")), (1, 1), "each verified it itself");
}
