//! Which keys load, and which of them a token is tried against.

use serde_json::{Value as Json, json};
use shapegate::identity::{
    Algorithm, IdentityError, IdentityMethods, IdentitySources, IdentityWarning, IssuerError, KeyError,
    KeySource,
};
use shapegate_core::code::Code;

use crate::support::{
    base64url, good_claims, hmac_signer, issuer, jwks, methods, pem, pem_source, random, signer, strange_rsa,
    token_with_kid, verdict,
};

fn load(keys: Vec<KeySource>) -> Result<(IdentityMethods, Vec<IdentityWarning>), (usize, KeyError)> {
    let sources = IdentitySources {
        issuers: vec![issuer(keys)],
        ..IdentitySources::default()
    };
    IdentityMethods::compile(sources).map_err(|mut errors| match errors.pop().unwrap() {
        IdentityError::Issuer {
            error: IssuerError::Key { place, error },
            ..
        } => (place, error),
        other => panic!("{other}"),
    })
}

#[track_caller]
fn refused(key: KeySource) -> KeyError {
    load(vec![key]).map(|_| ()).unwrap_err().1
}

fn jwk(key: &Json) -> KeySource {
    KeySource::Jwk {
        algorithm: None,
        json: key.to_string().into_bytes(),
    }
}

fn secrets(keys: &[Json]) -> KeySource {
    KeySource::Jwks {
        json: json!({ "keys": keys }).to_string().into_bytes(),
        symmetric: true,
    }
}

#[test]
fn a_secret_shorter_than_its_hash_does_not_load() {
    for (algorithm, min) in [
        (Algorithm::HS256, 32),
        (Algorithm::HS384, 48),
        (Algorithm::HS512, 64),
    ] {
        let source = |bytes: usize| KeySource::Hmac {
            algorithm,
            secret: random(bytes),
            kid: None,
        };
        for has in [0, 1, 31, min - 1] {
            assert_eq!(
                refused(source(has)),
                KeyError::SecretTooShort { algorithm, min, has }
            );
        }
        assert!(load(vec![source(min)]).is_ok());
        let short = json!({ "kty": "oct", "alg": algorithm.as_str(), "k": base64url(&random(min - 1)) });
        let source = KeySource::Jwk {
            algorithm: Some(algorithm),
            json: short.to_string().into_bytes(),
        };
        assert_eq!(
            refused(source),
            KeyError::SecretTooShort {
                algorithm,
                min,
                has: min - 1
            }
        );
    }
}

#[test]
fn a_secret_is_for_hmac_alone() {
    let source = KeySource::Hmac {
        algorithm: Algorithm::RS256,
        secret: random(64),
        kid: None,
    };
    assert_eq!(refused(source), KeyError::AlgorithmMismatch(Algorithm::RS256));
}

#[test]
fn a_public_key_in_pem_verifies_in_each_form_that_it_has() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ] {
        let signer = signer(algorithm);
        let token = signer.token(&good_claims());
        assert_eq!(
            verdict(
                &methods(vec![issuer(vec![pem_source(algorithm, &signer.pem())])]),
                &token
            ),
            None
        );
    }
    let rsa = signer(Algorithm::RS256);
    let pkcs1 = pem_source(Algorithm::RS256, &pem("RSA PUBLIC KEY", &rsa.pkcs1()));
    assert_eq!(
        verdict(&methods(vec![issuer(vec![pkcs1])]), &rsa.token(&good_claims())),
        None
    );
}

#[test]
fn a_pem_that_is_not_one_public_key_of_the_algorithm_does_not_load() {
    let (rsa, ec) = (signer(Algorithm::RS256), signer(Algorithm::ES256));
    assert_eq!(
        refused(pem_source(Algorithm::ES256, &rsa.pem())),
        KeyError::AlgorithmMismatch(Algorithm::ES256)
    );
    assert_eq!(
        refused(pem_source(Algorithm::RS256, &ec.pem())),
        KeyError::AlgorithmMismatch(Algorithm::RS256)
    );
    assert_eq!(
        refused(pem_source(Algorithm::ES384, &ec.pem())),
        KeyError::AlgorithmMismatch(Algorithm::ES384)
    );
    assert_eq!(
        refused(pem_source(Algorithm::EdDSA, &ec.pem())),
        KeyError::AlgorithmMismatch(Algorithm::EdDSA)
    );
    assert_eq!(
        refused(pem_source(Algorithm::HS256, &rsa.pem())),
        KeyError::AlgorithmMismatch(Algorithm::HS256)
    );
    let certificate = pem("CERTIFICATE", &rsa.spki());
    assert_eq!(
        refused(pem_source(Algorithm::RS256, &certificate)),
        KeyError::Certificate
    );
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ] {
        let private = pem(label, &rsa.spki());
        assert_eq!(
            refused(pem_source(Algorithm::RS256, &private)),
            KeyError::PrivateKey,
            "{label}"
        );
    }
    let two = format!("{}{}", rsa.pem(), strange_rsa(Algorithm::RS256).pem());
    for text in [two.as_str(), "", "hello", "-----BEGIN ", "-----BEGIN PUBLIC KEY"] {
        assert_eq!(
            refused(pem_source(Algorithm::RS256, text)),
            KeyError::NotPem,
            "{text}"
        );
    }
    let large = "x".repeat(1 << 20);
    assert_eq!(
        refused(pem_source(Algorithm::RS256, &large)),
        KeyError::TooLarge(1 << 20)
    );
}

#[test]
fn rsa_keys_that_are_small_or_have_a_bad_exponent_do_not_load() {
    let key = |n: &[u8], e: &[u8]| jwk(&json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) }));
    let modulus = |bits: usize| [&[0x80][..], &vec![0x5b; bits / 8 - 2], &[0x01]].concat();
    for bits in [512, 1024, 2040] {
        assert_eq!(refused(key(&modulus(bits), &[1, 0, 1])), KeyError::RsaSize(bits));
    }
    assert_eq!(refused(key(&modulus(8200), &[1, 0, 1])), KeyError::RsaSize(8200));
    let padded = [&[0; 128][..], &modulus(1024)].concat();
    assert_eq!(
        refused(key(&padded, &[1, 0, 1])),
        KeyError::RsaSize(1024),
        "zeros in front do not count"
    );
    for exponent in [&[1][..], &[0], &[0, 1], &[2], &[4], &[1, 0, 0], &[7; 8]] {
        assert_eq!(
            refused(key(&modulus(2048), exponent)),
            KeyError::RsaExponent,
            "{exponent:?}"
        );
    }
    for exponent in [&[3][..], &[17], &[1, 0, 1]] {
        assert!(load(vec![key(&modulus(2048), exponent)]).is_ok(), "{exponent:?}");
    }
    assert_eq!(
        refused(key(&modulus(1024), &[3])),
        KeyError::RsaSize(1024),
        "3 is no excuse"
    );
}

#[test]
fn a_point_that_is_not_on_its_curve_does_not_load() {
    let good = signer(Algorithm::ES256);
    let (x, y) = (good.jwk()["x"].clone(), good.jwk()["y"].clone());
    let with = |more: &Json| refused(jwk(&good.jwk_with(more)));
    assert_eq!(with(&json!({ "x": y, "y": x })), KeyError::Invalid, "swapped");
    assert_eq!(with(&json!({ "y": base64url(&[1; 32]) })), KeyError::Invalid);
    assert_eq!(
        with(&json!({ "x": base64url(&[0; 32]), "y": base64url(&[0; 32]) })),
        KeyError::Invalid
    );
    assert_eq!(with(&json!({ "y": base64url(&[1; 31]) })), KeyError::Base64("y"));
    assert_eq!(
        with(&json!({ "crv": "P-384" })),
        KeyError::Base64("x"),
        "the wrong length for it"
    );
    assert_eq!(
        with(&json!({ "crv": "P-521" })),
        KeyError::CurveUnknown("P-521".to_owned())
    );
    assert_eq!(
        with(&json!({ "crv": "secp256k1" })),
        KeyError::CurveUnknown("secp256k1".to_owned())
    );
    assert_eq!(
        with(&json!({ "alg": "ES384" })),
        KeyError::AlgorithmMismatch(Algorithm::ES384)
    );
    assert_eq!(
        with(&json!({ "alg": "RS256" })),
        KeyError::AlgorithmMismatch(Algorithm::RS256)
    );
    assert_eq!(
        with(&json!({ "alg": "ES512" })),
        KeyError::AlgorithmUnknown("ES512".to_owned())
    );
    let ed = signer(Algorithm::EdDSA);
    assert_eq!(
        refused(jwk(&ed.jwk_with(&json!({ "crv": "X25519" })))),
        KeyError::CurveUnknown("X25519".to_owned())
    );
    let short = ed.jwk_with(&json!({ "x": base64url(&[1; 31]) }));
    assert_eq!(
        refused(jwk(&short)),
        KeyError::AlgorithmMismatch(Algorithm::EdDSA)
    );
}

#[test]
fn a_key_for_encryption_or_for_signing_alone_is_not_used() {
    let signer = signer(Algorithm::RS256);
    let with = |more: Json| jwk(&signer.jwk_with(&more));
    assert_eq!(refused(with(json!({ "use": "enc" }))), KeyError::NotForSignatures);
    assert_eq!(refused(with(json!({ "use": "" }))), KeyError::NotForSignatures);
    assert_eq!(refused(with(json!({ "use": null }))), KeyError::Member("use"));
    assert_eq!(
        refused(with(json!({ "key_ops": ["sign"] }))),
        KeyError::NotForVerifying
    );
    assert_eq!(refused(with(json!({ "key_ops": [] }))), KeyError::NotForVerifying);
    assert_eq!(
        refused(with(json!({ "key_ops": "verify" }))),
        KeyError::Member("key_ops")
    );
    assert_eq!(
        refused(with(json!({ "use": "enc", "key_ops": ["verify"] }))),
        KeyError::NotForSignatures
    );
    assert!(load(vec![with(json!({ "use": "sig", "key_ops": ["sign", "verify"] }))]).is_ok());
}

#[test]
fn a_private_key_is_refused_where_a_public_one_is_meant() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        assert_eq!(
            refused(jwk(&signer(algorithm).jwk_with(&json!({ "d": "AAAA" })))),
            KeyError::PrivateKey
        );
    }
}

#[test]
fn a_text_that_is_no_jwk_does_not_load_and_no_error_quotes_a_secret() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"kty":1}"#,
        r#"{"kty":"RSA","kty":"oct"}"#,
        "\u{feff}{}",
        "{\"kty\":\"RSA\"}",
    ] {
        let error = refused(KeySource::Jwk {
            algorithm: None,
            json: text.as_bytes().to_vec(),
        });
        assert!(
            matches!(error, KeyError::Json(_) | KeyError::Member(_)),
            "{text}: {error}"
        );
    }
    let unknown = jwk(&json!({ "kty": "AKP", "pub": "AAAA" }));
    assert_eq!(refused(unknown), KeyError::TypeUnknown("AKP".to_owned()));
    let padded =
        json!({ "kty": "oct", "alg": "HS256", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2Vj=" });
    let source = KeySource::Jwk {
        algorithm: Some(Algorithm::HS256),
        json: padded.to_string().into_bytes(),
    };
    assert!(!format!("{source:?}").contains("c2Vj"));
    assert_eq!(refused(source), KeyError::Base64("k"));
}

#[test]
fn a_shared_secret_in_a_jwk_loads_only_when_the_configuration_says_hmac() {
    let secret = json!({ "kty": "oct", "alg": "HS256", "k": base64url(&random(32)) });
    assert_eq!(refused(jwk(&secret)), KeyError::AlgorithmMissing);
    let with = |algorithm| KeySource::Jwk {
        algorithm: Some(algorithm),
        json: secret.to_string().into_bytes(),
    };
    assert_eq!(
        refused(with(Algorithm::RS256)),
        KeyError::AlgorithmMismatch(Algorithm::RS256)
    );
    assert!(load(vec![with(Algorithm::HS256)]).is_ok());
}

#[test]
fn a_shared_secret_in_a_set_of_public_keys_is_left_out_with_a_warning() {
    let (public, secret) = (signer(Algorithm::ES256), signer(Algorithm::HS256));
    let (methods, warnings) = load(vec![jwks(&[secret.jwk(), public.jwk()])]).unwrap();
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let expected =
        "issuer 1: key 0 of the set is not used: a shared secret does not belong in a set of public keys";
    assert_eq!(texts, [expected]);
    assert_eq!(
        verdict(&methods, &secret.token(&good_claims())),
        Some(Code::TokenInvalid)
    );
    assert_eq!(verdict(&methods, &public.token(&good_claims())), None);
}

#[test]
fn a_set_that_was_declared_symmetric_holds_secrets_alone() {
    let (public, secret) = (signer(Algorithm::ES256), signer(Algorithm::HS256));
    assert_eq!(
        refused(secrets(&[secret.jwk(), public.jwk()])),
        KeyError::PublicInSecretSet
    );
    let methods = load(vec![secrets(&[secret.jwk()])]).unwrap().0;
    assert_eq!(verdict(&methods, &secret.token(&good_claims())), None);
    let mut nameless = secret.jwk();
    nameless.as_object_mut().unwrap().remove("alg");
    assert_eq!(
        refused(secrets(&[nameless])),
        KeyError::AlgorithmMissing,
        "a secret says what it is for"
    );
}

#[test]
fn a_set_without_a_usable_key_or_with_twins_or_too_many_does_not_load() {
    let signer = signer(Algorithm::RS256);
    let named = signer.jwk_with(&json!({ "kid": "a" }));
    assert_eq!(refused(jwks(&[])), KeyError::NoKeys);
    assert_eq!(
        refused(jwks(&[signer.jwk_with(&json!({ "use": "enc" }))])),
        KeyError::NoKeys
    );
    assert_eq!(
        refused(jwks(&[named.clone(), named.clone()])),
        KeyError::DuplicateKid("a".to_owned())
    );
    assert_eq!(refused(jwks(&vec![named.clone(); 65])), KeyError::TooManyKeys(65));
    let across = load(vec![jwk(&named), jwks(&[named])]).map(|_| ()).unwrap_err();
    assert_eq!(across, (1, KeyError::DuplicateKid("a".to_owned())));
    assert_eq!(load(Vec::new()).map(|_| ()).unwrap_err(), (0, KeyError::NoKeys));
}

#[test]
fn what_is_unknown_in_a_set_is_left_out_and_the_rest_used() {
    let signer = signer(Algorithm::RS256);
    let strange = [
        json!({ "kty": "AKP" }),
        json!({ "kty": "EC", "crv": "P-521" }),
        json!(1),
        json!({ "kty": "RSA", "n": "" }),
    ];
    let keys = [&strange[..], &[signer.jwk()]].concat();
    let (methods, warnings) = load(vec![jwks(&keys)]).unwrap();
    assert_eq!(
        warnings
            .iter()
            .map(|warning| warning.warning.index)
            .collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert_eq!(verdict(&methods, &signer.token(&good_claims())), None);
}

#[test]
fn a_kid_in_the_configuration_that_no_token_could_have_does_not_load() {
    for kid in ["", "a\nb", &"x".repeat(257)] {
        let source = KeySource::Hmac {
            algorithm: Algorithm::HS256,
            secret: random(32),
            kid: Some(kid.to_owned()),
        };
        assert_eq!(refused(source), KeyError::Kid);
    }
    let secret = random(32);
    let source = KeySource::Hmac {
        algorithm: Algorithm::HS256,
        secret: secret.clone(),
        kid: Some("2026-11".to_owned()),
    };
    let methods = methods(vec![issuer(vec![source])]);
    let signer = hmac_signer(Algorithm::HS256, &secret);
    assert_eq!(
        verdict(&methods, &token_with_kid(&signer, &json!("2026-11"))),
        None
    );
    assert_eq!(
        verdict(&methods, &token_with_kid(&signer, &json!("2026-12"))),
        Some(Code::TokenInvalid)
    );
}
