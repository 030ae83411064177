//! How a credential comes, and what is not one.

use shapegate::identity::{Algorithm, CredentialHeaders, IdentityMethods, challenge};
use shapegate_core::code::Code;

use crate::support::{good_claims, methods_of, now, signer};

fn sent(methods: &IdentityMethods, values: &[&[u8]]) -> Result<bool, Code> {
    let headers = CredentialHeaders::new(values.iter().copied());
    methods
        .authenticate(&headers, now())
        .map(|asked| asked.known().is_some())
        .map_err(|refusal| refusal.code)
}

#[test]
fn two_authorization_headers_are_malformed_in_any_order_and_even_when_equal() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let good = format!("Bearer {}", signer.token(&good_claims()));
    let good = good.as_bytes();
    for other in [&b"Bearer bad"[..], b"Basic dXNlcjpwYXNz", b"", good] {
        assert_eq!(sent(&methods, &[good, other]), Err(Code::MalformedRequest));
        assert_eq!(sent(&methods, &[other, good]), Err(Code::MalformedRequest));
    }
    assert_eq!(methods.signatures_checked(), 0);
}

#[test]
fn the_forms_of_the_rfc_are_taken_and_no_other() {
    let signer = signer(Algorithm::HS256);
    let token = signer.token(&good_claims());
    let taken = |value: String| sent(&methods_of(&signer), &[value.as_bytes()]);
    for form in [
        "Bearer T",
        "bearer T",
        "BEARER T",
        "bEaReR T",
        "Bearer  T",
        "Bearer T ",
        " Bearer T",
        "Bearer T\t",
    ] {
        assert_eq!(taken(form.replace('T', &token)), Ok(true), "{form:?}");
    }
    let others = [
        "BearerT",
        "Bearer\tT",
        "T",
        "Bearer",
        "Bearer ",
        "",
        " ",
        "Basic T",
        "Token T",
        "Bearer: T",
        "Bearer=T",
        "Bearer \"T\"",
        "Bearer T T",
        "Bearer T,",
        "Bearer T, Bearer T",
        "Bearer \tT",
        "Bearer T\u{a0}",
        "X Bearer T",
        "Bearer token=T",
        "DPoP T",
        "Bearer T\u{0}",
        "Bearer\u{0} T",
        "Bearer T\r\nX: y",
    ];
    for form in others {
        assert_eq!(
            taken(form.replace('T', &token)),
            Err(Code::TokenInvalid),
            "{form:?}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_no_credential() {
    let methods = methods_of(&signer(Algorithm::HS256));
    assert_eq!(sent(&methods, &[&[0xff; 40]]), Err(Code::TokenInvalid));
    assert_eq!(
        sent(&methods, &[b"Bearer \xff.\xff.\xff"]),
        Err(Code::TokenInvalid)
    );
}

#[test]
fn nothing_sent_is_nobody_and_not_a_refusal() {
    assert_eq!(sent(&methods_of(&signer(Algorithm::HS256)), &[]), Ok(false));
}

#[test]
fn a_bearer_token_where_no_issuer_is_configured_is_refused_and_not_ignored() {
    let methods = IdentityMethods::compile(Default::default()).unwrap().0;
    assert_eq!(sent(&methods, &[b"Bearer a.b.c"]), Err(Code::TokenInvalid));
    assert_eq!(sent(&methods, &[]), Ok(false));
}

#[test]
fn every_401_has_a_challenge_and_nothing_else_has() {
    for code in Code::ALL {
        assert_eq!(challenge(*code).is_some(), code.status() == 401, "{code}");
    }
    assert_eq!(
        challenge(Code::TokenMissing),
        Some("Bearer"),
        "no error where nothing was sent"
    );
    assert!(
        challenge(Code::TokenExpired)
            .unwrap()
            .starts_with(r#"Bearer error="invalid_token""#)
    );
}
