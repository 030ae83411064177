//! What it costs to know who asks: a token verified, and one that is remembered.
//!
//! `cargo bench --bench identity`; allocations are counted beside the times.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../tests/identity/support.rs"]
#[allow(dead_code)]
mod support;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use shapegate::identity::{Algorithm, CredentialHeaders, IdentityMethods, IdentitySources, MemoryLimits};
use support::{Signer, claims_with, good_claims, issuer, methods_of, now, signer};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::HS256,
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
];

/// As large as an identity provider's: about 700 bytes in all.
fn token(signer: &Signer) -> String {
    let mut claims = good_claims();
    claims["o"] =
        serde_json::json!({ "id": "org_2abcdefghijklmnopqrstuvwx", "rol": "admin", "per": "read,write" });
    claims["roles"] = serde_json::json!(["admin", "member", "billing"]);
    claims["scope"] = "openid profile email offline_access".into();
    claims["jti"] = "0f5c5d2e-6d0e-4b57-9b0a-7f6c9b9c1d11".into();
    signer.token(&claims)
}

fn authenticate(methods: &IdentityMethods, header: &str) {
    let headers = CredentialHeaders::new([header.as_bytes()]);
    black_box(
        methods
            .authenticate(black_box(&headers), now())
            .expect("a good token")
            .known(),
    );
}

#[divan::bench(args = ALGORITHMS)]
fn remembered(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let signer = signer(algorithm);
    let methods = methods_of(&signer);
    let header = format!("Bearer {}", token(&signer));
    authenticate(&methods, &header);
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| authenticate(&methods, &header));
    assert_eq!(methods.signatures_checked(), 1);
}

/// A memory of no bytes keeps nothing, so that every call verifies.
#[divan::bench(args = ALGORITHMS)]
fn verified(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let signer = signer(algorithm);
    let issuers = vec![issuer(vec![signer.source()])];
    let memory = MemoryLimits {
        tokens_max: 1,
        bytes_max: 0,
    };
    let sources = IdentitySources {
        issuers,
        memory,
        ..IdentitySources::default()
    };
    let methods = IdentityMethods::compile(sources).expect("good keys").0;
    let header = format!("Bearer {}", token(&signer));
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| authenticate(&methods, &header));
    assert_eq!(methods.tokens_remembered(), 0);
}

/// What a stranger can make us do: a signature that is wrong.
#[divan::bench(args = ALGORITHMS)]
fn refused(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let (ours, strange) = (signer(algorithm), signer(algorithm));
    let methods = methods_of(&ours);
    let token = strange.token(&claims_with("aud", "other"));
    let header = format!("Bearer {token}");
    let headers = CredentialHeaders::new([header.as_bytes()]);
    bencher.bench(|| black_box(methods.authenticate(black_box(&headers), now()).is_err()));
}
