//! A credential that is revoked while its holder waits, reads, or comes again.

use serde_json::json;
use shapegate::revocation::{Entry, Kind, Source};
use shapegate_core::time::UnixMillis;

use crate::place::{
    assert_nothing_new, held, operations, polling, streaming, synced, timeless, unshared, users,
};
use crate::support::gateway::{Gateway, get, request};
use crate::support::patience::{soon, until};
use crate::support::revocation::entry;
use crate::support::token::{self, admin, member};

const JSON: (&str, &str) = ("content-type", "application/json");

pub fn revoke(gateway: &Gateway, entry: Entry) {
    let now = gateway.state.clock.now().wall;
    let revocations = &gateway.state.revocations;
    revocations.add(Source::Admin, vec![entry], now).unwrap();
}

fn take_back(gateway: &Gateway, entry: &Entry) {
    let now = gateway.state.clock.now().wall;
    let names = [entry.name.clone()];
    assert_eq!(gateway.state.revocations.remove(Source::Admin, &names, now), 1);
}

/// A member's token with an id, signed with a key of that name.
pub fn marked(id: &str, kid: &str) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
    token::sign(
        &header,
        &json!({
            "iss": token::ISSUER, "aud": token::AUDIENCE, "sub": "user_of_1", "org_id": 1, "jti": id,
            "iat": token::now(), "exp": token::now() + 600,
        }),
    )
}

fn row() -> serde_json::Value {
    json!({ "id": 9, "name": "Eve", "org_id": 1 })
}

#[tokio::test]
async fn whatever_is_revoked_ends_the_poll_and_the_next_request_says_whether_to_come_again() {
    for (kind, value, answer) in [
        (Kind::TokenId, "id-1", (401, "token_revoked")),
        (Kind::KeyId, "2026-11", (401, "token_revoked")),
        (Kind::Subject, "user_of_1", (403, "revoked")),
        (Kind::Tenant, "default", (403, "revoked")),
    ] {
        let gateway = Gateway::start(&users()).await;
        let token = marked("id-1", "2026-11");
        let place = synced(&gateway, &token).await;
        let mut client = polling(&gateway, &place, &token).await;
        revoke(&gateway, entry(kind, value));
        let early = soon(client.answer()).await.unwrap();
        assert_nothing_new(&early, &place);
        until("the upstream's poll ends", || gateway.origin.waiting() == 0).await;
        held(&gateway, 0).await;
        let next = soon(client.ask(get(&place.poll(), Some(&token)))).await;
        assert_eq!((next.status, next.code().as_str()), answer, "{value}");
        let challenge = next.header("www-authenticate").is_some();
        assert_eq!(challenge, answer.0 == 401, "{value}");
        assert_eq!(next.header("access-control-allow-origin"), Some("*"));
        assert_eq!(gateway.origin.received().len(), 1, "only the poll went upstream");
        take_back(&gateway, &entry(kind, value));
        let again = gateway.get("/api/shapes/users?offset=-1", Some(&token)).await;
        assert_eq!(again.status, 200, "{value}");
    }
}

#[tokio::test]
async fn a_revocation_ends_only_the_waits_that_it_names() {
    let gateway = Gateway::start(&users()).await;
    let (mine, theirs) = (marked("mine", "a"), marked("theirs", "b"));
    let place = synced(&gateway, &mine).await;
    let mut me = polling(&gateway, &place, &mine).await;
    let mut them = polling(&gateway, &place, &theirs).await;
    revoke(&gateway, entry(Kind::TokenId, "theirs"));
    assert_nothing_new(&soon(them.answer()).await.unwrap(), &place);
    held(&gateway, 1).await;
    for other in ["m", "min", "mine ", "MINE", "user_of_1x", ""] {
        revoke(&gateway, entry(Kind::TokenId, other));
        revoke(&gateway, entry(Kind::Subject, other));
    }
    revoke(&gateway, entry(Kind::Subject, "mine"));
    revoke(&gateway, entry(Kind::Tenant, "other"));
    gateway.origin.insert("users", row()).unwrap();
    let answer = soon(me.answer()).await.unwrap();
    assert_eq!(operations(&answer)[0].1["name"], "Eve");
    assert_eq!(
        gateway.origin.received().len(),
        1,
        "both shared it, and it went on for one"
    );
}

#[tokio::test]
async fn a_stream_of_events_ends_cleanly_when_its_subject_is_revoked() {
    let gateway = Gateway::start(&users()).await;
    let (mine, theirs) = (admin(), member(1));
    let my_place = synced(&gateway, &mine).await;
    let their_place = synced(&gateway, &theirs).await;
    let mut me = streaming(&gateway, &my_place, &mine).await;
    let mut them = streaming(&gateway, &their_place, &theirs).await;
    revoke(&gateway, entry(Kind::Subject, "user_of_1"));
    assert_eq!(soon(them.chunk()).await, Some(Vec::new()), "a clean end");
    gateway.origin.insert("users", row()).unwrap();
    let event = String::from_utf8(soon(me.chunk()).await.unwrap()).unwrap();
    assert!(event.contains("Eve"), "{event}");
}

#[tokio::test]
async fn a_revocation_and_an_answer_at_once_never_hand_out_the_row() {
    for text in [users(), unshared()] {
        for _ in 0..10 {
            let gateway = Gateway::start(&text).await;
            let token = member(1);
            let place = synced(&gateway, &token).await;
            let mut client = polling(&gateway, &place, &token).await;
            // No await in between: the gateway learns of both at once, or of the revocation first.
            revoke(&gateway, entry(Kind::Subject, "user_of_1"));
            gateway.origin.insert("users", row()).unwrap();
            let answer = soon(client.answer()).await.unwrap();
            assert_eq!(operations(&answer), [], "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_is_revoked_between_being_admitted_and_listening_for_it_is_not_handed_out() {
    let text = users().replace(
        "    table: users\n",
        "    table: users\n    client: { subset: { limit_max: 10 } }\n",
    );
    let gateway = Gateway::start(&text).await;
    let token = member(1);
    let body = r#"{"limit": 5, "order_by": "id"}"#;
    let whole = request("POST", "/api/shapes/users?offset=-1", Some(&token), &[JSON], body);
    let answer = soon(gateway.connect().await.ask(whole.clone())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let gateway = Gateway::start(&text).await;
    let (head, rest) = whole.split_at(whole.len() - body.len());
    let mut client = gateway.connect().await;
    client.send(head).await;
    // One thread serves both sides: once the signature is checked, the gateway waits for the body.
    until("the token is taken", || {
        let loaded = gateway.state.loaded();
        let tenant = loaded.snapshot.tenants().next().unwrap();
        tenant.identity().signatures_checked() == 1
    })
    .await;
    revoke(&gateway, entry(Kind::Subject, "user_of_1"));
    client.send(rest).await;
    let answer = soon(client.answer()).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "revoked"));
}

#[tokio::test]
async fn what_is_kept_for_others_is_refused_to_who_was_revoked() {
    let gateway = Gateway::start(&users()).await;
    let (mine, theirs) = (marked("mine", "a"), marked("theirs", "b"));
    let target = "/api/shapes/users?offset=-1";
    for token in [&mine, &theirs] {
        assert_eq!(gateway.get(target, Some(token)).await.status, 200);
    }
    revoke(&gateway, entry(Kind::TokenId, "theirs"));
    let (me, them) = (
        gateway.get(target, Some(&mine)).await,
        gateway.get(target, Some(&theirs)).await,
    );
    assert_eq!((me.status, them.status), (200, 401));
    assert!(!them.text().contains("electric"), "{}", them.text());
    assert_eq!(gateway.origin.received().len(), 1, "all of it was kept");
}

#[tokio::test]
async fn a_key_is_revoked_by_its_own_name_whatever_a_token_says() {
    let named = users().replace(
        "secret: { env: JWT_SECRET } }",
        "secret: { env: JWT_SECRET }, kid: leaked }",
    );
    let gateway = Gateway::start(&named).await;
    // No `kid` at all: the token is tried with every key.
    let token = member(1);
    let target = "/api/shapes/users?offset=-1";
    assert_eq!(gateway.get(target, Some(&token)).await.status, 200);
    revoke(&gateway, entry(Kind::KeyId, "leaked"));
    let answer = gateway.get(target, Some(&token)).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_revoked"));
}

#[tokio::test]
async fn a_revocation_of_older_tokens_leaves_newer_ones() {
    let (gateway, _clock) = timeless().await;
    let target = "/api/shapes/users?offset=-1";
    let issued = |seconds: Option<i64>| {
        let issued = seconds.map(|seconds| token::now() + seconds);
        token::token(json!({ "sub": "user_of_1", "org_id": 1, "iat": issued }))
    };
    let before = Entry {
        issued_before: Some(UnixMillis::from_seconds(token::now())),
        ..entry(Kind::Subject, "user_of_1")
    };
    revoke(&gateway, before);
    for (seconds, status) in [(Some(-1), 401), (None, 401), (Some(0), 200), (Some(1), 200)] {
        let answer = gateway.get(target, Some(&issued(seconds))).await;
        assert_eq!(answer.status, status, "{seconds:?}");
        if status == 401 {
            assert_eq!(answer.code(), "token_revoked", "a new token is good");
        }
    }
}

#[tokio::test]
async fn a_revocation_holds_for_its_tenant_and_issuer_alone() {
    let gateway = Gateway::start(&users()).await;
    let token = marked("id-1", "a");
    let target = "/api/shapes/users?offset=-1";
    let scoped = |tenant: Option<&str>, issuer: Option<&str>| {
        let mut entry = entry(Kind::Subject, "user_of_1");
        entry.name.tenant = tenant.map(Into::into);
        entry.name.issuer = issuer.map(Into::into);
        entry
    };
    for elsewhere in [
        scoped(Some("other"), None),
        scoped(None, Some("https://other.test")),
        scoped(Some("default"), Some("https://other.test")),
        scoped(Some("other"), Some(token::ISSUER)),
    ] {
        revoke(&gateway, elsewhere);
    }
    assert_eq!(gateway.get(target, Some(&token)).await.status, 200);
    for here in [
        scoped(Some("default"), None),
        scoped(None, Some(token::ISSUER)),
        scoped(Some("default"), Some(token::ISSUER)),
    ] {
        revoke(&gateway, here.clone());
        assert_eq!(gateway.get(target, Some(&token)).await.status, 403);
        take_back(&gateway, &here);
        assert_eq!(gateway.get(target, Some(&token)).await.status, 200);
    }
}

#[tokio::test]
async fn a_revocation_ends_with_its_own_time() {
    let (gateway, clock) = timeless().await;
    let token = member(1);
    let target = "/api/shapes/users?offset=-1";
    let now = gateway.state.clock.now().wall;
    let brief = Entry {
        expires: Some(now.plus(std::time::Duration::from_secs(60))),
        ..entry(Kind::Subject, "user_of_1")
    };
    revoke(&gateway, brief);
    clock.advance(std::time::Duration::from_secs(59));
    assert_eq!(gateway.get(target, Some(&token)).await.status, 403);
    clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(gateway.get(target, Some(&token)).await.status, 200);
    gateway.state.revocations.sweep(gateway.state.clock.now().wall);
    assert_eq!(gateway.state.revocations.list(Source::Admin), []);
}

#[tokio::test]
async fn a_revoked_tenant_gives_nothing_of_what_is_public() {
    let public =
        "shapes: { items: { table: items, columns: all, access: public, rules: [{ rows: all }] } }\n";
    let gateway = Gateway::start(public).await;
    let target = "/api/shapes/items?offset=-1";
    let first = gateway.get(target, None).await;
    assert_eq!(first.status, 200);
    let place = crate::place::Place::after(&first);
    let poll = format!(
        "/api/shapes/items?handle={}&offset={}&live=true",
        place.handle, place.offset
    );
    let mut client = gateway.connect().await;
    client.send(get(&poll, None)).await;
    until("the poll waits", || gateway.origin.waiting() == 1).await;
    revoke(&gateway, entry(Kind::Tenant, "default"));
    let early = soon(client.answer()).await.unwrap();
    assert_eq!(operations(&early), []);
    assert_eq!(gateway.get(target, None).await.code(), "revoked");
}

#[tokio::test]
async fn what_one_source_takes_back_another_may_still_deny() {
    let gateway = Gateway::start(&users()).await;
    let token = member(1);
    let target = "/api/shapes/users?offset=-1";
    let now = gateway.state.clock.now().wall;
    let revocations = &gateway.state.revocations;
    let denied = entry(Kind::Subject, "user_of_1");
    for source in Source::ALL {
        revocations.replace(source, [denied.clone()], now).unwrap();
    }
    for source in Source::ALL {
        assert_eq!(gateway.get(target, Some(&token)).await.status, 403, "{source:?}");
        revocations.replace(source, [], now).unwrap();
    }
    assert_eq!(gateway.get(target, Some(&token)).await.status, 200);
}

#[tokio::test]
async fn no_more_is_kept_than_fits_and_nothing_is_lost_by_trying() {
    let gateway = Gateway::start(&users()).await;
    let revocations = &gateway.state.revocations;
    let now = gateway.state.clock.now().wall;
    let many = |count: usize| (0..count).map(|number| entry(Kind::TokenId, &format!("id-{number}")));
    let most = shapegate::revocation::ENTRIES_MAX;
    revocations.replace(Source::File, many(most), now).unwrap();
    let denied = entry(Kind::Subject, "user_of_1");
    assert!(revocations.add(Source::File, vec![denied.clone()], now).is_err());
    assert!(revocations.replace(Source::File, many(most + 1), now).is_err());
    assert_eq!(revocations.list(Source::File).len(), most);
    // The same names again are no more of them.
    revocations.add(Source::File, many(10).collect(), now).unwrap();
    assert_eq!(
        revocations.remove(Source::File, &[entry(Kind::TokenId, "id-0").name], now),
        1
    );
    revocations.add(Source::File, vec![denied], now).unwrap();
    let answer = gateway.get("/api/shapes/users?offset=-1", Some(&member(1))).await;
    assert_eq!(answer.status, 403);
}
