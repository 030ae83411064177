//! A credential that is revoked while an answer is awaited that comes as soon as it can.

use std::sync::Arc;

use shapegate::clock::SystemClock;
use shapegate::revocation::Kind;
use shapegate_origin::{Fault, Misbehaviour};

use crate::place::{unshared, users};
use crate::revocations::{marked, revoke};
use crate::support::gateway::{Gateway, get, origin, request};
use crate::support::patience::{soon, until};
use crate::support::revocation::entry;
use crate::support::scripted::{GOOD_HEAD, Scripted};
use crate::support::token::member;

const SNAPSHOT: &str = "/api/shapes/users?offset=-1";

/// What is revoked, and what the next request with it gets: 401 where a new credential helps.
const REVOKED: [(Kind, &str, (u16, &str)); 4] = [
    (Kind::TokenId, "id-1", (401, "token_revoked")),
    (Kind::KeyId, "2026-11", (401, "token_revoked")),
    (Kind::Subject, "user_of_1", (403, "revoked")),
    (Kind::Tenant, "default", (403, "revoked")),
];

#[tokio::test]
async fn a_read_that_is_awaited_ends_at_once_with_what_the_next_one_gets() {
    for text in [users(), unshared()] {
        for (kind, value, told) in REVOKED {
            let gateway = Gateway::start(&text).await;
            gateway.origin.misbehave(Misbehaviour::always(Fault::Stall));
            let token = marked("id-1", "2026-11");
            let mut client = gateway.connect().await;
            client.send(get(SNAPSHOT, Some(&token))).await;
            until("it is asked for", || gateway.origin.received().len() == 1).await;
            revoke(&gateway, entry(kind, value));
            let ended = soon(client.answer()).await.unwrap();
            let next = soon(client.ask(get(SNAPSHOT, Some(&token)))).await;
            for answer in [ended, next] {
                assert_eq!((answer.status, answer.code().as_str()), told, "{value}");
                assert_eq!(answer.header("www-authenticate").is_some(), told.0 == 401);
                assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
                assert!(!answer.text().contains("electric"), "{}", answer.text());
            }
            assert_eq!(gateway.origin.received().len(), 1, "only the first went upstream");
        }
    }
}

#[tokio::test]
async fn a_read_that_is_awaited_is_left_alone_by_revocations_of_others() {
    for text in [users(), unshared()] {
        let upstream = Scripted::start();
        let gateway = Gateway::before_url(origin(), upstream.url(), &text, Arc::new(SystemClock)).await;
        let mut client = gateway.connect().await;
        client.send(get(SNAPSHOT, Some(&member(1)))).await;
        let (mut exchange, _) = upstream.asked().await;
        for other in ["user_of_2", "user_of_11", ""] {
            revoke(&gateway, entry(Kind::Subject, other));
        }
        exchange.send(GOOD_HEAD).await;
        exchange.send_chunk("[]").await;
        exchange.send_chunk("").await;
        let answer = soon(client.answer()).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "[]"));
    }
}

/// What Pingora passes on cannot be woken while it waits; what comes is refused.
#[tokio::test]
async fn a_header_that_comes_after_a_revocation_is_not_handed_out() {
    let upstream = Scripted::start();
    let gateway = Gateway::before_url(origin(), upstream.url(), &users(), Arc::new(SystemClock)).await;
    let mut client = gateway.connect().await;
    client
        .send(request("HEAD", SNAPSHOT, Some(&member(1)), &[], ""))
        .await;
    let (mut exchange, head) = upstream.asked().await;
    assert!(head.starts_with("HEAD "), "{head}");
    revoke(&gateway, entry(Kind::Subject, "user_of_1"));
    exchange.send(GOOD_HEAD).await;
    let told = soon(client.head()).await.unwrap();
    assert_eq!(told.status, 403);
    assert_eq!(told.header("electric-handle"), None);
}
