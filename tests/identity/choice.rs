//! Which of an issuer's keys a token is tried against.

use serde_json::{Value as Json, json};
use shapegate::identity::Algorithm;
use shapegate_core::code::Code;

use crate::support::{
    Signer, assert_invalid, good_claims, issuer, jwks, methods, pem_source, signer, token_with_kid, verdict,
};

#[test]
fn an_rsa_key_that_names_no_algorithm_is_for_rs256_alone() {
    let mut key = signer(Algorithm::RS256).jwk();
    key.as_object_mut().unwrap().remove("alg");
    let methods = methods(vec![issuer(vec![jwks(&[key])])]);
    assert_eq!(
        verdict(&methods, &signer(Algorithm::PS256).token(&good_claims())),
        Some(Code::TokenInvalid)
    );
    assert_eq!(
        verdict(&methods, &signer(Algorithm::RS256).token(&good_claims())),
        None
    );
}

#[test]
fn a_token_with_a_kid_is_tried_against_the_key_of_that_name_alone() {
    let (first, second) = (signer(Algorithm::ES256), signer(Algorithm::ES256));
    let keys = [
        first.jwk_with(&json!({ "kid": "1" })),
        second.jwk_with(&json!({ "kid": "2" })),
    ];
    let methods = methods(vec![issuer(vec![jwks(&keys)])]);
    assert_invalid(&methods, &token_with_kid(&first, &json!("2")), "the other's name");
    assert_eq!(methods.signatures_checked(), 1);
    assert_invalid(&methods, &token_with_kid(&first, &json!("3")), "nobody's name");
    assert_eq!(methods.signatures_checked(), 1, "nothing was tried");
    assert_eq!(verdict(&methods, &token_with_kid(&second, &json!("2"))), None);
}

#[test]
fn a_key_without_a_name_serves_tokens_of_any_kid() {
    let signer = signer(Algorithm::ES256);
    let methods = methods(vec![issuer(vec![pem_source(Algorithm::ES256, &signer.pem())])]);
    assert_eq!(
        verdict(&methods, &token_with_kid(&signer, &json!("whatever"))),
        None
    );
}

#[test]
fn a_hostile_kid_is_refused_and_never_more_than_compared() {
    let signer = signer(Algorithm::ES256);
    let named = || {
        methods(vec![issuer(vec![jwks(&[
            signer.jwk_with(&json!({ "kid": "1" }))
        ])])])
    };
    let hostile = [
        json!("../../etc/passwd"),
        json!("' OR 1=1--"),
        json!("x".repeat(4_096)),
        json!("1\u{0}"),
        json!("{{7*7}}"),
        json!({ "kid": "1" }),
        json!(["1"]),
        json!(1),
        json!(null),
        json!(""),
        json!("\r\n"),
        json!("1 "),
    ];
    for kid in hostile {
        assert_invalid(&named(), &token_with_kid(&signer, &kid), &kid.to_string());
    }
}

#[test]
fn without_a_kid_a_few_keys_are_tried_and_many_are_not() {
    let verify = |count: usize| {
        let signers: Vec<Signer> = (0..count).map(|_| signer(Algorithm::ES256)).collect();
        let keys: Vec<Json> = signers
            .iter()
            .enumerate()
            .map(|(n, signer)| signer.jwk_with(&json!({ "kid": n.to_string() })))
            .collect();
        let methods = methods(vec![issuer(vec![jwks(&keys)])]);
        (
            verdict(&methods, &signers[count - 1].token(&good_claims())),
            methods.signatures_checked(),
        )
    };
    assert_eq!(verify(1), (None, 1));
    assert_eq!(verify(3), (None, 3));
    assert_eq!(verify(4), (None, 4));
    assert_eq!(verify(5), (Some(Code::TokenInvalid), 0));
    assert_eq!(verify(50), (Some(Code::TokenInvalid), 0));
}

#[test]
fn keys_of_other_algorithms_do_not_count_among_the_few() {
    let hmac = signer(Algorithm::HS256);
    let others: Vec<Json> = (0..20).map(|_| signer(Algorithm::ES256).jwk()).collect();
    let methods = methods(vec![issuer(vec![jwks(&others), hmac.source()])]);
    assert_eq!(verdict(&methods, &hmac.token(&good_claims())), None);
    assert_eq!(methods.signatures_checked(), 1);
}
