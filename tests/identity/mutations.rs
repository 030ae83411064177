//! The same ways to spoil a token, for every algorithm: what a verifier gets wrong, it gets wrong for one.

use proptest::prelude::*;
use serde_json::json;
use shapegate::identity::{Algorithm, CredentialHeaders, IdentityMethods};
use shapegate_core::code::Code;

use crate::support::{
    Signer, assert_invalid, base64url, from_base64url, good_claims, hmac_signer, methods_of, signer, verdict,
};

/// The parts of a good token, and every way of joining too few of them, too many, or others.
fn spoilt_parts(token: &str) -> Vec<String> {
    let [h, p, s] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    [
        format!("{h}.{p}."),
        format!("{h}.{p}"),
        format!("{h}..{s}"),
        format!("{h}.{s}"),
        format!(".{p}.{s}"),
        format!("{p}.{s}"),
        format!(".{p}."),
        format!("..{s}"),
        p.to_owned(),
        String::new(),
        "..".to_owned(),
        format!("{h}.{p}.{s}."),
        format!("{h}.{p}.{s}.foo"),
        format!("{h}.{p}.{s}{s}"),
        format!("{h}{h}.{p}.{s}"),
        format!("{p}.{h}.{s}"),
        format!("{s}.{p}.{h}"),
        format!("{h} .{p}.{s}"),
        format!("{h}.{p}.{s} x"),
    ]
    .into()
}

/// Signatures that are not one: of other lengths, zeros, ones, another token's, one with bytes around it.
fn spoilt_signatures(signer: &Signer, good: &[u8]) -> Vec<Vec<u8>> {
    let zeros = vec![0; good.len()];
    let ones = vec![0xff; good.len()];
    let one = [vec![0; good.len() - 1], vec![1]].concat();
    let half = good.len() / 2;
    vec![
        zeros.clone(),
        ones,
        one,
        vec![0],
        good[..good.len() - 1].to_vec(),
        good[1..].to_vec(),
        good[..half].to_vec(),
        [good, &[0]].concat(),
        [&[0], good].concat(),
        [good, good].concat(),
        [&good[half..], &good[..half]].concat(),
        [&good[..half], &zeros[half..]].concat(),
        [&zeros[..half], &good[half..]].concat(),
        good.iter().rev().copied().collect(),
        signer.sign(b"another message"),
        signer.sign(b""),
        vec![0x30; 4_096],
    ]
}

#[test]
fn whatever_is_done_to_a_token_of_any_algorithm_makes_it_worthless() {
    for algorithm in Algorithm::ALL {
        let signer = signer(algorithm);
        let methods = methods_of(&signer);
        let token = signer.token(&good_claims());
        for spoilt in spoilt_parts(&token) {
            assert_invalid(&methods, &spoilt, &format!("{algorithm}: {spoilt}"));
        }
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for (number, spoilt) in spoilt_signatures(&signer, &from_base64url(signature))
            .iter()
            .enumerate()
        {
            let token = format!("{signed}.{}", base64url(spoilt));
            assert_invalid(&methods, &token, &format!("{algorithm}: signature {number}"));
        }
        assert_eq!(
            verdict(&methods, &token),
            None,
            "{algorithm}: and untouched it is good"
        );
    }
}

#[test]
fn no_algorithm_takes_what_another_signed_under_either_name() {
    let signers: Vec<Signer> = Algorithm::ALL.into_iter().map(signer).collect();
    for verifier in &signers {
        let methods = methods_of(verifier);
        for other in signers
            .iter()
            .filter(|other| other.algorithm != verifier.algorithm)
        {
            let what = format!("{} for {}", other.algorithm, verifier.algorithm);
            assert_invalid(&methods, &other.token(&good_claims()), &what);
            let renamed = json!({ "alg": verifier.algorithm.as_str() }).to_string();
            assert_invalid(
                &methods,
                &other.token_of(&renamed, &good_claims().to_string()),
                &what,
            );
        }
    }
}

#[test]
fn no_public_key_of_any_kind_is_a_shared_secret() {
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|one| !one.as_str().starts_with("HS"))
    {
        let signer = signer(algorithm);
        let methods = methods_of(&signer);
        let jwk = signer.jwk();
        let numbers = ["n", "x", "y"]
            .iter()
            .filter_map(|name| jwk[name].as_str())
            .map(from_base64url);
        let texts = [
            signer.pem().into_bytes(),
            signer.spki(),
            jwk.to_string().into_bytes(),
        ];
        for secret in numbers.chain(texts) {
            let token = hmac_signer(Algorithm::HS256, &secret).token(&good_claims());
            assert_invalid(&methods, &token, algorithm.as_str());
        }
    }
}

fn code_of(methods: &IdentityMethods, header: &[u8]) -> Option<Code> {
    methods
        .authenticate(&CredentialHeaders::new([header]), crate::support::now())
        .err()
        .map(|refusal| refusal.code)
}

proptest! {
    #[test]
    fn no_bytes_whatsoever_are_a_credential(header in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let methods = methods_of(&signer(Algorithm::HS256));
        let bearer = [b"Bearer ", header.as_slice()].concat();
        prop_assert_eq!(code_of(&methods, &header), Some(Code::TokenInvalid));
        prop_assert_eq!(code_of(&methods, &bearer), Some(Code::TokenInvalid));
    }

    #[test]
    fn no_json_that_another_key_signed_is_a_credential(header in ".{0,200}", claims in ".{0,400}") {
        let (ours, strange) = (signer(Algorithm::HS256), signer(Algorithm::HS256));
        let methods = methods_of(&ours);
        let bearer = format!("Bearer {}", strange.token_of(&header, &claims));
        prop_assert_eq!(code_of(&methods, bearer.as_bytes()), Some(Code::TokenInvalid));
    }

    #[test]
    fn a_good_token_with_one_byte_replaced_is_worthless(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let signer = signer(Algorithm::HS256);
        let methods = methods_of(&signer);
        let mut token = signer.token(&good_claims()).into_bytes();
        let place = place.index(token.len());
        prop_assume!(token[place] != byte);
        token[place] = byte;
        let code = code_of(&methods, &[b"Bearer ", token.as_slice()].concat());
        prop_assert_eq!(code, Some(Code::TokenInvalid));
    }
}
