//! The user that everybody is in development.

use std::collections::BTreeMap;
use std::sync::Arc;

use shapegate::identity::{Algorithm, CredentialHeaders, IdentityError, IdentityMethods, IdentitySources};
use shapegate_core::code::Code;
use shapegate_core::value::Value;

use crate::support::{ask, good_claims, issuer, now, signer, verdict};

fn sources(claims: &[(&str, Value)]) -> IdentitySources {
    let claims = claims
        .iter()
        .map(|(name, value)| (Arc::from(*name), value.clone()))
        .collect::<BTreeMap<_, _>>();
    IdentitySources {
        dev_user: Some(claims),
        ..IdentitySources::default()
    }
}

#[test]
fn who_sends_no_credential_is_the_development_user() {
    let methods = IdentityMethods::compile(sources(&[("sub", Value::from("user_1"))]))
        .unwrap()
        .0;
    let nobody = CredentialHeaders::new([]);
    let identity = methods.authenticate(&nobody, now()).unwrap().known().unwrap();
    assert_eq!(identity.subject().map(|subject| &**subject), Some("user_1"));
    assert_eq!(
        identity.issuer().map(|issuer| &**issuer),
        Some("insecure_dev_user")
    );
    assert_eq!(identity.valid_until(), None);
    let again = methods.authenticate(&nobody, now()).unwrap().known().unwrap();
    assert_eq!(
        identity.number(),
        again.number(),
        "one identity, so that decisions are remembered"
    );
}

#[test]
fn a_credential_is_judged_by_itself_and_never_falls_through_to_the_development_user() {
    let signer = signer(Algorithm::HS256);
    let mut sources = sources(&[("sub", Value::from("user_1"))]);
    sources.issuers = vec![issuer(vec![signer.source()])];
    let methods = IdentityMethods::compile(sources).unwrap().0;
    let alice = ask(&methods, &signer.token(&good_claims())).unwrap();
    assert_eq!(alice.subject().map(|subject| &**subject), Some("alice"));
    assert_eq!(verdict(&methods, "garbage"), Some(Code::TokenInvalid));
    assert_eq!(verdict(&methods, ""), Some(Code::TokenInvalid));
}

#[test]
fn a_development_user_whose_subject_no_token_could_have_does_not_load() {
    for subject in [Value::from(""), Value::Int(1), Value::Null] {
        let errors = IdentityMethods::compile(sources(&[("sub", subject)]))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(errors, [IdentityError::DevUserSubject]);
    }
    assert!(
        IdentityMethods::compile(sources(&[])).is_ok(),
        "without a subject it is a user without an id"
    );
}
