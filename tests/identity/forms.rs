//! The form of a token: its encoding, its size, its header.

use serde_json::{Value as Json, json};
use shapegate::identity::{
    Algorithm, HEADER_BYTES_MAX, IdentityError, IdentityMethods, IdentitySources, IssuerError, IssuerSource,
    TOKEN_BYTES_MAX,
};
use shapegate_core::code::Code;

use crate::support::{
    assert_invalid, base64url, claims_with, good_claims, issuer, methods, methods_of, signer,
    token_with_header, verdict,
};

#[test]
fn unused_bits_padding_white_space_and_the_other_alphabet_are_refused_in_every_part() {
    // With three paddings in a row, each part has unused bits in at least one token.
    let signer = signer(Algorithm::EdDSA);
    let methods = methods_of(&signer);
    for padding in 0..3 {
        let header = json!({ "alg": "EdDSA", "pad": "x".repeat(padding) }).to_string();
        let token = signer.token_of(&header, &claims_with("pad", "x".repeat(padding)).to_string());
        for place in 0..3 {
            let parts: Vec<&str> = token.split('.').collect();
            for changed in spoilt(parts[place]) {
                let mut parts = parts.clone();
                parts[place] = &changed;
                assert_invalid(&methods, &parts.join("."), &format!("part {place}: {changed:?}"));
            }
        }
        assert_eq!(verdict(&methods_of(&signer), &token), None);
    }
}

/// The same base64url in spellings that lenient readers take, and one more letter.
fn spoilt(part: &str) -> Vec<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (first, rest) = part.split_at(1);
    let mut spoilt = vec![
        format!("{part}="),
        format!("{part}=="),
        format!("{part}\n"),
        format!("{part}%3D"),
    ];
    spoilt.extend([
        format!("{part}A"),
        format!("{part}+"),
        format!("{part}/"),
        format!("{first} {rest}"),
    ]);
    spoilt.extend([
        format!("{first}\t{rest}"),
        format!("{first}\r\n{rest}"),
        format!("{first}\u{0}{rest}"),
    ]);
    if !part.len().is_multiple_of(4) {
        let (rest, last) = part.split_at(part.len() - 1);
        let value = ALPHABET
            .iter()
            .position(|&letter| letter == last.as_bytes()[0])
            .unwrap();
        spoilt.push(format!("{rest}{}", char::from(ALPHABET[value + 1])));
    }
    spoilt
}

#[test]
fn json_serialisation_is_refused_flattened_and_general() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let token = signer.token(&good_claims());
    let parts: Vec<&str> = token.split('.').collect();
    let flattened = json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] });
    let one = json!({ "protected": parts[0], "signature": parts[2] });
    let general = json!({ "payload": parts[1], "signatures": [one, one] });
    for text in [
        flattened.to_string(),
        general.to_string(),
        base64url(flattened.to_string().as_bytes()),
    ] {
        assert_invalid(&methods, &text, &text);
    }
}

#[test]
fn an_encrypted_token_is_refused_before_anything_of_it_is_decoded() {
    let methods = methods_of(&signer(Algorithm::RS256));
    let bombs = [
        json!({ "alg": "dir", "enc": "A128GCM", "zip": "DEF" }),
        json!({ "alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_147_483_648_u64, "p2s": "AAAA" }),
    ];
    for bomb in bombs {
        let header = base64url(bomb.to_string().as_bytes());
        assert_invalid(&methods, &format!("{header}.AAAA.AAAA.AAAA.AAAA"), "five parts");
        assert_invalid(&methods, &format!("{header}.AAAA.AAAA"), "three");
    }
    assert_eq!(methods.signatures_checked(), 0, "no key was used");
}

#[test]
fn tokens_of_too_many_parts_or_bytes_are_refused_without_being_decoded() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let good = signer.token(&good_claims());
    for dots in [0, 1, 3, 4, 10_000] {
        assert_invalid(&methods, &".".repeat(dots), &format!("{dots} dots"));
    }
    assert_invalid(&methods, &format!("{good}."), "an empty fourth part");
    assert_invalid(&methods, &format!(".{good}"), "an empty part before");
    assert_invalid(&methods, &"A".repeat(1 << 20), "1 MiB");
    let long_header = json!({ "alg": "HS256", "pad": "x".repeat(64 * 1024) });
    assert_invalid(
        &methods,
        &token_with_header(&signer, &long_header),
        "a header of 64 KiB",
    );
    let just_too_long = json!({ "alg": "HS256", "pad": "x".repeat(HEADER_BYTES_MAX * 3 / 4) });
    assert_invalid(
        &methods,
        &token_with_header(&signer, &just_too_long),
        "a header just above the limit",
    );
    assert_eq!(methods.signatures_checked(), 0);
}

#[test]
fn the_largest_token_that_is_taken_has_the_stated_size() {
    let signer = signer(Algorithm::HS256);
    let empty = signer.token(&claims_with("pad", "")).len();
    let fill = (TOKEN_BYTES_MAX - empty) * 3 / 4;
    let token = (fill - 4..=fill + 4).map(|pad| signer.token(&claims_with("pad", "x".repeat(pad))));
    for token in token {
        let expected = (token.len() > TOKEN_BYTES_MAX).then_some(Code::TokenInvalid);
        assert_eq!(verdict(&methods_of(&signer), &token), expected, "{}", token.len());
    }
}

#[test]
fn a_member_that_is_there_twice_is_refused_at_every_level_and_in_every_escape() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let good = good_claims().to_string();
    let headers = [
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","jwk":{"kty":"oct","kty":"oct"}}"#,
    ];
    for header in headers {
        assert_invalid(&methods, &signer.token_of(header, &good), header);
    }
    let inner = good.trim_end_matches('}');
    for twice in [
        r#""org":"a","org":"b""#,
        r#""o":{"id":1,"\u0069d":2}"#,
        r#""l":[{"a":1,"a":1}]"#,
        r#""sub":"alice""#,
    ] {
        let claims = format!("{inner},{twice}}}");
        assert_invalid(&methods, &signer.token_of(r#"{"alg":"HS256"}"#, &claims), twice);
    }
    assert_eq!(methods.signatures_checked(), 0);
}

#[test]
fn a_critical_extension_is_refused_because_none_is_understood() {
    let signer = signer(Algorithm::HS256);
    let extensions = [
        json!({ "alg": "HS256", "crit": ["exp"], "exp": 1 }),
        json!({ "alg": "HS256", "crit": [] }),
        json!({ "alg": "HS256", "crit": null }),
        json!({ "alg": "HS256", "crit": ["b64"], "b64": true }),
        json!({ "alg": "HS256", "b64": false }),
    ];
    for header in extensions {
        assert_invalid(
            &methods_of(&signer),
            &token_with_header(&signer, &header),
            &header.to_string(),
        );
    }
}

#[test]
fn a_header_or_payload_that_is_not_one_json_object_is_refused() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let good = good_claims().to_string();
    for header in [
        "",
        "[]",
        "null",
        "\"HS256\"",
        r#"{"alg":"HS256"}{}"#,
        "\u{feff}{\"alg\":\"HS256\"}",
        "{'alg':'HS256'}",
    ] {
        assert_invalid(&methods, &signer.token_of(header, &good), header);
    }
    let inner = good.trim_end_matches('}');
    let trailing = [
        format!("{good}x"),
        format!("[{good}]"),
        format!("{inner},}}"),
        format!("{inner},\"x\":NaN}}"),
    ];
    for claims in trailing
        .iter()
        .map(String::as_str)
        .chain(["", "[]", "1", "null", "\"iss\""])
    {
        assert_invalid(&methods, &signer.token_of(r#"{"alg":"HS256"}"#, claims), claims);
    }
}

#[test]
fn a_token_nested_too_deep_is_refused() {
    let signer = signer(Algorithm::HS256);
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let claims = format!(
        "{},\"deep\":{deep}}}",
        good_claims().to_string().trim_end_matches('}')
    );
    assert_invalid(
        &methods_of(&signer),
        &signer.token_of(r#"{"alg":"HS256"}"#, &claims),
        "1,000 deep",
    );
}

#[test]
fn a_shape_token_is_never_a_users_token() {
    let signer = signer(Algorithm::HS256);
    for kind in ["shape+jwt", "SHAPE+JWT", "application/shape+jwt"] {
        let token = token_with_header(&signer, &json!({ "alg": "HS256", "typ": kind }));
        assert_invalid(&methods_of(&signer), &token, kind);
        let wanted = IssuerSource {
            token_type: Some(kind.to_owned()),
            ..issuer(vec![signer.source()])
        };
        let sources = IdentitySources {
            issuers: vec![wanted],
            ..IdentitySources::default()
        };
        let error = IssuerError::TokenType(kind.to_owned());
        let errors = IdentityMethods::compile(sources).map(|_| ()).unwrap_err();
        assert_eq!(errors, [IdentityError::Issuer { place: 0, error }]);
    }
}

#[test]
fn without_a_configured_type_only_the_usual_ones_are_taken() {
    let signer = signer(Algorithm::HS256);
    let taken = |kind: Json| {
        verdict(
            &methods_of(&signer),
            &token_with_header(&signer, &json!({ "alg": "HS256", "typ": kind })),
        )
    };
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt", "Application/JWT"] {
        assert_eq!(taken(json!(kind)), None, "{kind}");
    }
    for kind in [
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("dpop+jwt"),
        json!(""),
        json!(null),
        json!(1),
    ] {
        assert_eq!(taken(kind.clone()), Some(Code::TokenInvalid), "{kind}");
    }
}

#[test]
fn a_configured_type_is_the_only_one_taken() {
    let signer = signer(Algorithm::HS256);
    let source = || IssuerSource {
        token_type: Some("at+jwt".to_owned()),
        ..issuer(vec![signer.source()])
    };
    let with = |header: Json| verdict(&methods(vec![source()]), &token_with_header(&signer, &header));
    assert_eq!(with(json!({ "alg": "HS256", "typ": "application/AT+JWT" })), None);
    assert_eq!(
        with(json!({ "alg": "HS256", "typ": "JWT" })),
        Some(Code::TokenInvalid)
    );
    assert_eq!(with(json!({ "alg": "HS256" })), Some(Code::TokenInvalid));
}
