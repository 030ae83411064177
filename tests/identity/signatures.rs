//! Attacks on the signature, the algorithm and the form of a token.

use serde_json::json;
use shapegate::identity::Algorithm;

use crate::support::{
    ask, assert_invalid, base64url, from_base64url, good_claims, hmac_signer, issuer, methods, methods_of,
    pem, random, signer, strange_rsa, token_with_header, verdict,
};

#[test]
fn a_token_of_every_algorithm_is_taken() {
    for algorithm in Algorithm::ALL {
        let signer = signer(algorithm);
        let identity = ask(&methods_of(&signer), &signer.token(&good_claims())).unwrap();
        assert_eq!(
            identity.subject().map(|subject| &**subject),
            Some("alice"),
            "{algorithm}"
        );
        assert_eq!(
            identity.issuer().map(|issuer| &**issuer),
            Some("https://acme.example/")
        );
    }
}

#[test]
fn an_unsigned_token_is_refused_however_none_is_written() {
    let methods = methods_of(&signer(Algorithm::RS256));
    let claims = base64url(good_claims().to_string().as_bytes());
    let algorithms = [
        json!("none"),
        json!("None"),
        json!("NONE"),
        json!("nOnE"),
        json!(""),
        json!(null),
        json!(["RS256"]),
        json!("RS256\u{0}"),
        json!("rs256"),
        json!(" RS256"),
        json!(256),
        json!(true),
    ];
    for algorithm in algorithms {
        let header = base64url(json!({ "alg": algorithm }).to_string().as_bytes());
        for signature in ["", "AA"] {
            assert_invalid(
                &methods,
                &format!("{header}.{claims}.{signature}"),
                &algorithm.to_string(),
            );
        }
    }
    assert_invalid(
        &methods,
        &format!("{}.{claims}.", base64url(b"{}")),
        "no alg at all",
    );
}

#[test]
fn a_well_signed_token_whose_alg_is_not_a_known_name_is_refused() {
    let signer = signer(Algorithm::RS256);
    for header in [
        r#"{"alg":"RS256 "}"#,
        r#"{"alg":"Rs256"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
    ] {
        let token = signer.token_of(header, &good_claims().to_string());
        assert_invalid(&methods_of(&signer), &token, header);
    }
}

#[test]
fn the_public_key_is_no_shared_secret_in_any_spelling() {
    let rsa = signer(Algorithm::RS256);
    let methods = methods_of(&rsa);
    let spellings = [
        rsa.pem().into_bytes(),
        rsa.pem().trim_end().as_bytes().to_vec(),
        rsa.spki(),
        rsa.pkcs1(),
        pem("RSA PUBLIC KEY", &rsa.pkcs1()).into_bytes(),
        rsa.jwk().to_string().into_bytes(),
    ];
    for secret in spellings {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let token = hmac_signer(algorithm, &secret).token(&good_claims());
            assert_invalid(&methods, &token, algorithm.as_str());
        }
    }
    assert_eq!(methods.signatures_checked(), 0, "no key was even tried");
}

#[test]
fn a_key_verifies_no_other_algorithm_than_its_own() {
    let methods = methods_of(&signer(Algorithm::RS256));
    for other in [
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ] {
        // The same RSA key, and a good signature by it.
        assert_invalid(&methods, &signer(other).token(&good_claims()), other.as_str());
    }
    assert_eq!(methods.signatures_checked(), 0);
}

#[test]
fn an_algorithm_in_the_header_does_not_change_how_the_signature_is_checked() {
    let signed_as = signer(Algorithm::PS256);
    let methods = methods_of(&signer(Algorithm::RS256));
    let token = token_with_header(&signed_as, &json!({ "alg": "RS256" }));
    assert_invalid(&methods, &token, "a PSS signature under a PKCS #1 name");
}

#[test]
fn an_elliptic_signature_in_der_form_is_refused() {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair};
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let pkcs8: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
    let der_pair =
        EcdsaKeyPair::from_private_key_der(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref())
            .unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) });
    let key = shapegate::identity::KeySource::Jwk {
        algorithm: None,
        json: jwk.to_string().into_bytes(),
    };
    let methods = methods(vec![issuer(vec![key])]);

    let signed = format!(
        "{}.{}",
        base64url(br#"{"alg":"ES256"}"#),
        base64url(good_claims().to_string().as_bytes())
    );
    let random = aws_lc_rs::rand::SystemRandom::new();
    let der = der_pair.sign(&random, signed.as_bytes()).unwrap();
    assert_invalid(&methods, &format!("{signed}.{}", base64url(der.as_ref())), "DER");
    let fixed = pair.sign(&random, signed.as_bytes()).unwrap();
    assert_eq!(
        verdict(&methods, &format!("{signed}.{}", base64url(fixed.as_ref()))),
        None,
        "the same, r‖s"
    );
}

/// The order of P-256 (SEC 2 §2.4.2).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn order_minus(s: &[u8]) -> Vec<u8> {
    let mut difference = vec![0; 32];
    let mut borrow = 0;
    for place in (0..32).rev() {
        let digit = i16::from(P256_ORDER[place]) - i16::from(s[place]) - borrow;
        borrow = i16::from(digit < 0);
        difference[place] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    difference
}

#[test]
fn the_other_signature_that_ecdsa_has_for_a_token_gives_an_equal_identity_of_its_own() {
    let signer = signer(Algorithm::ES256);
    let methods = methods_of(&signer);
    let token = signer.token(&good_claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = from_base64url(signature);
    let twin = [signature[..32].to_vec(), order_minus(&signature[32..])].concat();
    let twin = format!("{signed}.{}", base64url(&twin));

    let (one, other) = (ask(&methods, &token).unwrap(), ask(&methods, &twin).unwrap());
    assert_ne!(
        one.number(),
        other.number(),
        "neither finds what is remembered for the other"
    );
    assert_eq!((one.subject(), one.issuer()), (other.subject(), other.issuer()));
    assert_eq!(methods.signatures_checked(), 2);
}

#[test]
fn one_bit_anywhere_makes_a_token_worthless() {
    let signer = signer(Algorithm::ES256);
    let token = signer.token(&good_claims());
    let methods = methods_of(&signer);
    for (place, part) in token.split('.').enumerate() {
        let bytes = from_base64url(part);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
            parts[place] = base64url(&changed);
            assert_invalid(&methods, &parts.join("."), &format!("part {place}, bit {bit}"));
        }
    }
}

#[test]
fn keys_that_a_token_brings_or_points_to_are_not_looked_at() {
    let (ours, attacker) = (signer(Algorithm::RS256), strange_rsa(Algorithm::RS256));
    let methods = methods_of(&ours);
    let extensions = [
        ("jwk", attacker.jwk()),
        ("jku", json!("https://attacker.example/jwks.json")),
        ("x5u", json!("https://attacker.example/cert.pem")),
        ("x5c", json!([base64url(&attacker.spki())])),
    ];
    for (name, value) in extensions {
        let mut header = json!({ "alg": "RS256" });
        header[name] = value;
        assert_invalid(&methods, &token_with_header(&attacker, &header), name);
        assert_eq!(
            verdict(&methods_of(&ours), &token_with_header(&ours, &header)),
            None,
            "{name} does not matter"
        );
    }
}

#[test]
fn a_signature_by_a_strange_key_is_refused() {
    let ours = signer(Algorithm::RS256);
    let token = strange_rsa(Algorithm::RS256).token(&good_claims());
    assert_invalid(&methods_of(&ours), &token, "RSA");
    let secret = hmac_signer(Algorithm::HS256, &random(32));
    assert_invalid(
        &methods_of(&signer(Algorithm::HS256)),
        &secret.token(&good_claims()),
        "HMAC",
    );
}
