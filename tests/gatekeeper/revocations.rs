//! Shape tokens are revoked as users' tokens are, and with those that they were minted for.

use serde_json::json;
use shapegate::revocation::{Kind, Source};

use crate::support::gateway::get;
use crate::support::patience::{soon, until};
use crate::support::revocation::entry;
use crate::support::token::{self, member};
use crate::world::{PATH, World};

fn revoke(world: &World, kind: Kind, value: &str) {
    let entry = entry(kind, value);
    let state = &world.gateway.state;
    let now = state.clock.now().wall;
    state.revocations.replace(Source::Admin, [entry], now).unwrap();
}

#[tokio::test]
async fn a_poll_ends_with_whatever_is_revoked_of_its_shape_token_or_of_the_token_behind_it() {
    let user = token::token(json!({ "sub": "user_of_1", "org_id": 1, "jti": "behind it" }));
    for (name, of_user) in [
        ("jti", false),
        ("sub", false),
        ("kid", false),
        ("behind it", true),
    ] {
        let world = World::new().await;
        let config = world.mint("users", &user, None).await;
        let (header, claims) = (config.header(), config.claims());
        assert_eq!(claims["origin_jti"], json!(["behind it"]));
        let (kind, value) = match name {
            "jti" => (Kind::TokenId, claims["jti"].as_str().unwrap()),
            "sub" => (Kind::Subject, claims["sub"].as_str().unwrap()),
            "kid" => (Kind::KeyId, header["kid"].as_str().unwrap()),
            _ => (Kind::TokenId, name),
        };
        let first = world
            .get(&format!("offset=-1&{}", config.query()), Some(config.token()))
            .await;
        let (handle, offset) = (
            first.header("electric-handle").unwrap(),
            first.header("electric-offset").unwrap(),
        );
        let poll = format!(
            "{PATH}?handle={handle}&offset={offset}&live=true&{}",
            config.query()
        );
        let mut client = world.gateway.connect().await;
        client.send(get(&poll, Some(config.token()))).await;
        until("the poll waits", || world.gateway.origin.waiting() == 1).await;
        revoke(&world, kind, value);
        let early = soon(client.answer()).await.unwrap();
        assert_eq!(
            (early.status, early.header("electric-offset")),
            (200, Some(offset)),
            "{name}"
        );
        until("the upstream's poll ends", || world.gateway.origin.waiting() == 0).await;
        let next = soon(client.ask(get(&poll, Some(config.token())))).await;
        let code = if kind == Kind::Subject {
            "revoked"
        } else {
            "token_revoked"
        };
        assert_eq!(next.code(), code, "{name}");
        let mint = world.ask("users", Some(&user), None).await;
        let mints = kind == Kind::KeyId || (kind == Kind::TokenId && !of_user);
        assert_eq!(mint.status == 200, mints, "{name}: {}", mint.text());
    }
}

#[tokio::test]
async fn a_token_without_an_id_mints_one_that_names_none() {
    let world = World::new().await;
    let config = world.mint("users", &member(1), None).await;
    let claims = config.claims();
    assert!(claims.get("origin_jti").is_none(), "{claims}");
}
