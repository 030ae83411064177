//! Tokens that verified are not verified again; whatever did not, is.

use std::sync::Arc;
use std::time::Duration;

use shapegate::identity::{Algorithm, IdentityMethods, IdentitySources, MemoryLimits};
use shapegate_core::code::Code;
use shapegate_core::time::Now;

use crate::support::{
    ask, ask_at, claims_with, good_claims, issuer, later, methods_of, now, signer, verdict,
};

#[test]
fn a_token_is_verified_once_and_gives_the_same_identity_until_it_ends() {
    let signer = signer(Algorithm::RS256);
    let methods = methods_of(&signer);
    let token = signer.token(&good_claims());
    let first = ask(&methods, &token).unwrap();
    for second in 0..=360 {
        let again = ask_at(&methods, &token, later(Duration::from_secs(second))).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
    }
    assert_eq!(methods.signatures_checked(), 1);
    assert_eq!(methods.tokens_remembered(), 1);

    let refusal = ask_at(&methods, &token, later(Duration::from_millis(360_001))).unwrap_err();
    assert_eq!(
        refusal.code,
        Code::TokenExpired,
        "the memory does not outlive the token"
    );
    assert_eq!(methods.tokens_remembered(), 0);
}

#[test]
fn a_remembered_token_ends_by_the_monotonic_clock_when_the_wall_clock_is_set_back() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let token = signer.token(&good_claims());
    let first = ask(&methods, &token).unwrap();
    let set_back = Now {
        wall: now().wall,
        monotonic: later(Duration::from_secs(361)).monotonic,
    };
    let again = ask_at(&methods, &token, set_back).unwrap();
    assert!(!Arc::ptr_eq(&first, &again), "it was judged anew");
    assert_eq!(methods.signatures_checked(), 2);
}

#[test]
fn refusals_are_not_remembered() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let not_yet = signer.token(&claims_with("nbf", crate::support::NOW_SECONDS + 100));
    for _ in 0..3 {
        assert_eq!(verdict(&methods, &not_yet), Some(Code::TokenInvalid));
    }
    assert_eq!(methods.signatures_checked(), 3);
    assert_eq!(methods.tokens_remembered(), 0);
    assert!(
        ask_at(&methods, &not_yet, later(Duration::from_secs(100))).is_ok(),
        "its time has come"
    );
}

#[test]
fn a_remembered_header_and_payload_with_another_signature_is_verified_and_refused() {
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let token = signer.token(&good_claims());
    ask(&methods, &token).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(signature.len()));
    assert_eq!(verdict(&methods, &forged), Some(Code::TokenInvalid));
    let other = signer.token(&claims_with("sub", "mallory"));
    let (_, others_signature) = other.rsplit_once('.').unwrap();
    assert_eq!(
        verdict(&methods, &format!("{signed}.{others_signature}")),
        Some(Code::TokenInvalid)
    );
}

#[test]
fn an_ending_that_two_tokens_share_does_not_confuse_them() {
    // The hash reads the end of a token alone; the comparison reads it all.
    let signer = signer(Algorithm::HS256);
    let methods = methods_of(&signer);
    let token = signer.token(&good_claims());
    ask(&methods, &token).unwrap();
    let (header, rest) = token.split_once('.').unwrap();
    let other_header = crate::support::base64url(br#"{"typ":"JWT","alg":"HS256"}"#);
    assert_ne!(header, other_header);
    assert_eq!(
        verdict(&methods, &format!("{other_header}.{rest}")),
        Some(Code::TokenInvalid)
    );
}

#[test]
fn new_keys_start_with_an_empty_memory() {
    let (old, new) = (signer(Algorithm::HS256), signer(Algorithm::HS256));
    let token = old.token(&good_claims());
    let before = methods_of(&old);
    ask(&before, &token).unwrap();
    let after = methods_of(&new);
    assert_eq!(verdict(&after, &token), Some(Code::TokenInvalid));
}

#[test]
fn the_memory_is_bounded_and_what_is_forgotten_still_verifies() {
    let signer = signer(Algorithm::HS256);
    let memory = MemoryLimits {
        tokens_max: 50,
        bytes_max: 1 << 20,
    };
    let issuers = vec![issuer(vec![signer.source()])];
    let sources = IdentitySources {
        issuers,
        memory,
        ..IdentitySources::default()
    };
    let methods = IdentityMethods::compile(sources).unwrap().0;
    let tokens: Vec<String> = (0..500)
        .map(|n| signer.token(&claims_with("sub", format!("user {n}"))))
        .collect();
    for token in tokens.iter().chain(&tokens) {
        assert_eq!(verdict(&methods, token), None);
        assert!(methods.tokens_remembered() <= 50);
    }
    assert!(methods.tokens_remembered() > 25);
}

#[test]
fn many_threads_with_one_token_get_one_user() {
    let signer = signer(Algorithm::ES256);
    let methods = methods_of(&signer);
    let token = signer.token(&good_claims());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let identity = ask(&methods, &token).unwrap();
                    assert_eq!(identity.subject().map(|subject| &**subject), Some("alice"));
                }
            });
        }
    });
    assert!(methods.signatures_checked() <= 8, "at most once a thread");
    assert_eq!(methods.tokens_remembered(), 1);
}
