//! What signs, and the keys that others verify with.

use serde_json::{Value, json};
use shapegate::gatekeeper::SigningAlgorithm;

use crate::support::gateway::{get, request};
use crate::support::token::{IDENTITY, admin};
use crate::world::{PATH, SHAPES, URL, World, key_file, part};

const JWKS: &str = "/.well-known/jwks.json";

fn signing_with(key: &str) -> String {
    format!(
        "{IDENTITY}{SHAPES}
gatekeeper:
  mint: {{ url: {URL}, keys: [ {key} ] }}
  verify: {{ paths: [{PATH}] }}
  shapes: [users]
"
    )
}

#[tokio::test]
async fn every_algorithm_signs_what_is_verified_here_and_by_the_published_keys() {
    for algorithm in SigningAlgorithm::ALL {
        let name = algorithm.as_str();
        let world = World::with(|folder| {
            signing_with(&match algorithm {
                SigningAlgorithm::Hs256 => "{ alg: HS256, secret: { env: JWT_SECRET }, kid: k }".to_owned(),
                _ => {
                    let file = key_file(folder, "k.pem", algorithm);
                    format!("{{ alg: {name}, file: {file}, kid: k }}")
                }
            })
        })
        .await;
        let config = world.mint("users", &admin(), None).await;
        assert_eq!(
            config.header(),
            json!({ "alg": name, "typ": "shape+jwt", "kid": "k" })
        );
        let answer = world
            .get(&format!("offset=-1&{}", config.query()), Some(config.token()))
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let published = world.gateway.get(JWKS, None).await.json();
        let keys = published["keys"].as_array().unwrap();
        if algorithm == SigningAlgorithm::Hs256 {
            assert!(keys.is_empty(), "a secret is never published");
            continue;
        }
        assert_eq!(keys.len(), 1);
        assert_eq!(
            (&keys[0]["kid"], &keys[0]["use"], &keys[0]["alg"]),
            (&json!("k"), &json!("sig"), &json!(name))
        );
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(keys[0].get(private), None, "{name}");
        }
        let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(keys[0].clone()).unwrap();
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&key).unwrap();
        let (signed, signature) = config.token().rsplit_once('.').unwrap();
        let verified =
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &decoding, name.parse().unwrap());
        assert!(verified.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn the_public_keys_may_be_kept_for_a_while() {
    let world = World::new().await;
    let answer = world.gateway.get(JWKS, None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let etag = answer.header("etag").unwrap();
    for condition in [
        etag.to_owned(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let again = request("GET", JWKS, None, &[("if-none-match", &condition)], "");
        let again = world.gateway.connect().await.ask(again).await;
        assert_eq!(
            (again.status, again.header("etag"), again.body.len()),
            (304, Some(etag), 0),
            "{condition}"
        );
    }
    let other = request("GET", JWKS, None, &[("if-none-match", "\"x\"")], "");
    assert_eq!(world.gateway.connect().await.ask(other).await.status, 200);
    let post = request("POST", JWKS, None, &[], "");
    let answer = world.gateway.connect().await.ask(post).await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[tokio::test]
async fn without_a_minter_there_are_no_such_routes() {
    let gateway =
        crate::support::gateway::Gateway::start(&format!("{IDENTITY}{}", SHAPES.replace(", ttl: 10m", "")))
            .await;
    for target in [JWKS, PATH, "/gatekeeper/users"] {
        let answer = gateway.connect().await.ask(get(target, None)).await;
        assert_eq!(answer.status, 404, "{target}");
    }
}

#[tokio::test]
async fn a_key_without_a_name_is_called_by_its_thumbprint() {
    let world = World::with(|folder| {
        let file = key_file(folder, "k.pem", SigningAlgorithm::Es256);
        signing_with(&format!("{{ alg: ES256, file: {file} }}"))
    })
    .await;
    let config = world.mint("users", &admin(), None).await;
    let key = world.gateway.get(JWKS, None).await.json()["keys"][0].clone();
    let kid = part(config.token(), 0)["kid"].clone();
    assert_eq!(kid, key["kid"]);
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key).unwrap();
    assert_eq!(
        kid,
        Value::from(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap())
    );
}
