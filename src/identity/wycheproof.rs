//! Project Wycheproof's vectors for JSON web signatures and keys, where a copy of them is at hand.
//!
//! `make test-vectors WYCHEPROOF=<a clone of C2SP/wycheproof>`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::*;
use crate::identity::keys::KeyRing;

/// Vectors whose verdict is not ours, and why.
const DIFFERENT: &[(u64, &str)] = &[
    (
        346,
        "a PS384 signature by a key whose `alg` is PS256: a key has one algorithm",
    ),
    (347, "P-521, under the name ES521: not taken"),
    (350, "as 346"),
    (351, "as 347"),
    (
        367,
        "called a bad padding, but byte for byte the valid vector 357",
    ),
    (
        370,
        "called a bad padding, but byte for byte the valid vector 357",
    ),
    (372, "a letter outside of the alphabet, which is called valid"),
    (373, "a letter outside of the alphabet, which is called valid"),
];

fn vectors(name: &str) -> Json {
    let home = std::env::var("WYCHEPROOF").unwrap_or_else(|_| panic!("WYCHEPROOF names no directory"));
    let path = std::path::Path::new(&home).join("testvectors_v1").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The keys of a group as an operator would configure them: public where there are public ones.
fn source(group: &Json) -> KeySource {
    let key = group.get("public").unwrap_or(&group["private"]);
    let json = key.to_string().into_bytes();
    let secret = |key: &Json| key["kty"] == "oct";
    match key.get("keys").and_then(Json::as_array) {
        Some(keys) => KeySource::Jwks {
            json,
            symmetric: keys.iter().all(secret),
        },
        None => {
            let named = key["alg"].as_str().filter(|_| secret(key));
            KeySource::Jwk {
                algorithm: named.and_then(Algorithm::parse),
                json,
            }
        }
    }
}

fn is_taken(source: &KeySource, token: &str) -> bool {
    let Ok((keys, _)) = KeyRing::read(std::slice::from_ref(source)) else {
        return false;
    };
    let Ok(jws) = Jws::read(token.as_bytes()) else {
        return false;
    };
    let Ok(candidates) = keys.candidates(jws.header.algorithm, jws.header.kid.as_deref()) else {
        return false;
    };
    let mut candidates = candidates;
    jws.payload().is_ok() && candidates.any(|key| key.verifies(jws.signed, jws.signature))
}

fn run(name: &str, expected: usize) -> BTreeSet<u64> {
    install_crypto();
    let vectors = vectors(name);
    let groups = vectors["testGroups"].as_array().unwrap();
    let tests = groups.iter().flat_map(|group| {
        group["tests"]
            .as_array()
            .unwrap()
            .iter()
            .map(move |test| (group, test))
    });
    let mut different = BTreeSet::new();
    let mut count = 0;
    for (group, test) in tests {
        count += 1;
        if is_taken(&source(group), test["jws"].as_str().unwrap()) != (test["result"] == "valid") {
            different.insert(test["tcId"].as_u64().unwrap());
        }
    }
    assert_eq!(count, expected, "vectors in {name}");
    different
}

#[test]
fn every_signature_vector_has_its_verdict() {
    let known: BTreeSet<u64> = DIFFERENT.iter().map(|(number, _)| *number).collect();
    assert_eq!(run("json_web_signature_test.json", 401), known);
}

#[test]
fn every_key_vector_has_its_verdict() {
    assert_eq!(run("json_web_key_test.json", 26), BTreeSet::new());
}
