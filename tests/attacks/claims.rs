//! C: a handful of wrong claims end to end; all of them are in the tests of identity.

use serde_json::json;

use crate::support::token::{now, token};
use crate::world::{assert_refused, start, users_with};

#[tokio::test]
async fn c1_c2_a_token_without_a_future_end_is_refused() {
    let gateway = start().await;
    for exp in [
        json!(null),
        json!("1999999999"),
        json!(-1),
        json!(true),
        json!([now() + 600]),
        json!(1e300),
    ] {
        let answer = gateway
            .get(&users_with(""), Some(&token(json!({ "org_id": 1, "exp": exp }))))
            .await;
        assert_eq!(answer.status, 401, "{exp}: {}", answer.text());
        assert_refused(&gateway, &answer, 401, &answer.code(), &exp.to_string());
    }
    let over = token(json!({ "org_id": 1, "exp": now() - 120 }));
    let answer = gateway.get(&users_with(""), Some(&over)).await;
    assert_refused(&gateway, &answer, 401, "token_expired", "two minutes ago");
}

#[tokio::test]
async fn c6_c7_another_issuer_or_audience_is_refused() {
    let gateway = start().await;
    for claims in [
        json!({ "iss": "https://issuer.test/" }),
        json!({ "iss": "https://ISSUER.test" }),
        json!({ "iss": null }),
        json!({ "aud": null }),
        json!({ "aud": "" }),
        json!({ "aud": [] }),
        json!({ "aud": ["other"] }),
        json!({ "aud": "sync.evil" }),
    ] {
        let answer = gateway.get(&users_with(""), Some(&token(claims.clone()))).await;
        assert_refused(&gateway, &answer, 401, "token_invalid", &claims.to_string());
    }
}

#[tokio::test]
async fn c8_c11_c14_a_missing_claim_or_one_of_another_type_never_selects_rows() {
    let gateway = start().await;
    for org in [
        json!(null),
        json!("1"),
        json!(1.5),
        json!(true),
        json!({ "id": 1 }),
        json!([1]),
    ] {
        let answer = gateway
            .get(&users_with(""), Some(&token(json!({ "org_id": org }))))
            .await;
        assert_refused(&gateway, &answer, 403, &answer.code(), &org.to_string());
    }
    for team in [json!(null), json!(""), json!(7), json!("a\u{0}b")] {
        let answer = gateway
            .get(
                "/api/shapes/named?offset=-1",
                Some(&token(json!({ "team": team }))),
            )
            .await;
        assert_refused(&gateway, &answer, 403, &answer.code(), &team.to_string());
    }
}

#[tokio::test]
async fn c11_an_integer_beyond_63_bits_travels_exactly_or_not_at_all() {
    let gateway = start().await;
    let org = json!(9_223_372_036_854_775_808_u64);
    let answer = gateway
        .get(&users_with(""), Some(&token(json!({ "org_id": org }))))
        .await;
    assert_ne!(answer.status, 200);
    for received in gateway.origin.received() {
        assert!(
            received.target.contains("params%5B1%5D=9223372036854775808&"),
            "{}",
            received.target
        );
    }
}
