//! A: a handful of forged tokens end to end; all of them are in the tests of identity.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::token::{AUDIENCE, ISSUER, member, now};
use crate::world::{assert_clean, assert_refused, start, users_with};

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "forger", "org_id": 1, "exp": now() + 600 })
}

fn unsigned(header: &Value) -> String {
    format!("{}.{}.", part(header), part(&claims()))
}

#[tokio::test]
async fn a1_a2_an_unsigned_token_is_refused_however_none_is_spelled() {
    let gateway = start().await;
    let spellings = [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!("nOnE"),
        json!(""),
        json!(null),
        json!(["HS256"]),
    ];
    for alg in spellings {
        let answer = gateway
            .get(&users_with(""), Some(&unsigned(&json!({ "alg": alg }))))
            .await;
        assert_refused(&gateway, &answer, 401, "token_invalid", &alg.to_string());
    }
    let answer = gateway.get(&users_with(""), Some(&unsigned(&json!({})))).await;
    assert_refused(&gateway, &answer, 401, "token_invalid", "no alg");
}

#[tokio::test]
async fn a10_one_changed_character_anywhere_is_refused() {
    let gateway = start().await;
    let good = member(1);
    let answer = gateway.get(&users_with(""), Some(&good)).await;
    assert_clean(&gateway, &answer, "unchanged");
    let dots: Vec<_> = good.match_indices('.').map(|(at, _)| at).collect();
    for at in [3, dots[0] + 5, dots[1] + 5, good.len() - 2] {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let answer = gateway.get(&users_with(""), Some(&changed)).await;
        assert_refused(&gateway, &answer, 401, "token_invalid", &format!("byte {at}"));
    }
}

#[tokio::test]
async fn a19_a_token_of_any_number_of_parts_or_bytes_costs_a_401_or_431() {
    let gateway = start().await;
    for dots in [0, 1, 3, 4, 10_000] {
        let answer = gateway
            .get(&users_with(""), Some(&format!("a{}", ".a".repeat(dots))))
            .await;
        assert_refused(&gateway, &answer, 401, "token_invalid", &format!("{dots} dots"));
    }
    let answer = gateway.get(&users_with(""), Some(&"a".repeat(40 * 1024))).await;
    assert_refused(&gateway, &answer, 431, "headers_too_large", "40 KiB");
}

#[tokio::test]
async fn a20_duplicate_members_are_refused() {
    let gateway = start().await;
    let good = member(1);
    let signature = good.rsplit('.').next().unwrap();
    let doubled = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","alg":"HS256"}"#);
    let token = format!("{doubled}.{}.{signature}", part(&claims()));
    let answer = gateway.get(&users_with(""), Some(&token)).await;
    assert_refused(&gateway, &answer, 401, "token_invalid", "alg twice");
}
