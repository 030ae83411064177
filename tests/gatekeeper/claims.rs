//! Tokens of others: which are taken, and what of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::token::{now, sign};
use crate::world::{PARTNER, World, partner, published};

const ITEMS: &str = "offset=-1&table=items";

async fn status(world: &World, token: &str) -> (u16, String) {
    let answer = world.get(ITEMS, Some(token)).await;
    let code = if answer.status == 200 {
        String::new()
    } else {
        answer.code()
    };
    (answer.status, code)
}

#[tokio::test]
async fn a_token_in_the_published_form_is_taken() {
    let world = World::new().await;
    let token = partner(
        Some(published("items")),
        &json!({ "jti": "303o3blt3s3vhv2usbk0002k2", "nbf": now() }),
    );
    assert_eq!(status(&world, &token).await, (200, String::new()));
    let received = world.gateway.received_one();
    assert!(
        received.target.contains("table=%22public%22.%22items%22&secret"),
        "{}",
        received.target
    );
}

#[tokio::test]
async fn a_valid_token_that_signs_no_shape_is_forbidden() {
    let world = World::new().await;
    let shapes = [
        None,
        Some(Value::Null),
        Some(json!({})),
        Some(json!("items")),
        Some(json!([published("items")])),
        Some(json!(1)),
        Some(json!({ "table": null })),
        Some(json!({ "table": ["items"] })),
        Some(json!({ "table": "Items" })),
        Some(json!({ "table": "items", "where": true })),
        Some(json!({ "table": "items", "columns": [] })),
        Some(json!({ "table": "items", "columns": [1] })),
        Some(json!({ "table": "items", "params": "x" })),
        Some(json!({ "table": "items", "limit": 1 })),
        Some(json!({ "table": "items", "where": "1=1) OR (1=1" })),
        Some(json!({ "table": "items", "where": "id = $1", "params": { "1": 1 } })),
    ];
    for shape in shapes {
        let token = partner(shape.clone(), &json!({}));
        assert_eq!(
            status(&world, &token).await,
            (403, "forbidden".to_owned()),
            "{shape:?}"
        );
    }
    world.gateway.received_nothing();
}

#[tokio::test]
async fn a_token_that_is_not_valid_here_is_refused_whatever_it_signs() {
    let world = World::new().await;
    let with = |claims: &Value| partner(Some(published("items")), claims);
    for claims in [
        json!({ "iss": "Joken" }),
        json!({ "iss": null }),
        json!({ "iss": "https://sync.example.com", "aud": "default" }),
        json!({ "aud": "other" }),
        json!({ "aud": null }),
        json!({ "exp": null }),
        json!({ "exp": "9999999999" }),
        json!({ "nbf": now() + 3600 }),
        json!({ "iat": now() + 3600 }),
        json!({ "iat": now(), "exp": now() + 100 * 86_400 }),
    ] {
        let (status, code) = status(&world, &with(&claims)).await;
        assert_eq!((status, code.as_str()), (401, "token_invalid"), "{claims}");
    }
    let claims = json!({ "iss": PARTNER, "aud": "shapes", "exp": now() + 60, "shape": published("items") });
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS512", "typ": "JWT" }),
        json!({ "alg": "ES256", "typ": "JWT" }),
        json!({ "alg": "HS256", "typ": "logout+jwt" }),
        json!({ "alg": "HS256", "typ": "JWT", "crit": ["x"] }),
    ] {
        assert_eq!(status(&world, &sign(&header, &claims)).await.0, 401, "{header}");
    }
    let good = sign(&json!({ "alg": "HS256" }), &claims);
    assert_eq!(status(&world, &good).await.0, 200, "a type is not needed");
    let mut forged = good.clone();
    forged.truncate(good.len() - 4);
    assert_eq!(status(&world, &format!("{forged}AAAA")).await.0, 401);
    assert_eq!(status(&world, &format!("{good}.x")).await.0, 401);
}

#[tokio::test]
async fn a_token_holds_to_its_end_and_the_skew_of_clocks_beyond() {
    let world = World::new().await;
    let start = now();
    let token = partner(
        Some(published("items")),
        &json!({ "iat": start + 30, "nbf": start + 30, "exp": start + 100 }),
    );
    assert_eq!(
        status(&world, &token).await.0,
        200,
        "a clock that is half a minute ahead"
    );
    world.clock.advance(Duration::from_secs(155));
    assert_eq!(
        status(&world, &token).await.0,
        200,
        "a remembered token in its leeway"
    );
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(status(&world, &token).await, (401, "token_expired".to_owned()));
}

#[tokio::test]
async fn a_token_of_another_tenant_is_refused_though_the_same_key_signed_it() {
    let world = World::new().await;
    let config = world.mint("items", &crate::support::token::admin(), None).await;
    assert_eq!(config.claims()["aud"], "default");
    // Signed for `acme` by a key that this gateway trusts, but for `shapes` alone.
    let token = partner(Some(published("items")), &json!({ "aud": "acme" }));
    assert_eq!(status(&world, &token).await.0, 401);
}

#[tokio::test]
async fn a_rule_that_is_tightened_ends_tokens_with_their_life_at_the_latest() {
    let world = World::new().await;
    let config = world.mint("users", &crate::support::token::member(1), None).await;
    let shapes = crate::world::usual(world.folder(), "").replace("user.org_id != 0", "user.org_id == 2");
    world.gateway.reload(&shapes);
    let query = format!("offset=-1&{}", config.query());
    assert_eq!(
        world.get(&query, Some(config.token())).await.status,
        200,
        "what was signed stays signed"
    );
    assert_eq!(
        world
            .ask("users", Some(&crate::support::token::member(1)), None)
            .await
            .status,
        403
    );
    world.clock.advance(Duration::from_secs(300 + 61));
    assert_eq!(world.get(&query, Some(config.token())).await.status, 401);
}
