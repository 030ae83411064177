//! Issuers that answer, and not with keys.

use serde_json::{Value as Json, json};
use shapegate::identity::Algorithm;
use shapegate::identity::remote::REFRESH_INTERVAL;

use crate::provider::{Keys, NamedKey, Provider, key, set};
use crate::signing::signer;
use crate::support::logs;
use crate::support::patience::until;
use crate::world::{World, method};
use std::time::Duration;

fn bytes(text: &str) -> Keys {
    Keys::Bytes(text.as_bytes().to_vec())
}

fn with_body(body: &str) -> Keys {
    bytes(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// Answers that are no keys, each by what it is.
fn bad_answers(stranger: &NamedKey) -> Vec<(&'static str, Keys)> {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let moved = |target: &str| {
        bytes(&format!(
            "HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
        ))
    };
    let key = stranger.jwk().to_string();
    vec![
        ("a page", with_body("<html><body>Sign in</body></html>")),
        ("a failure", bytes("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")),
        (
            "a failure with keys",
            bytes(&format!(
                "HTTP/1.1 500 Oh\r\ncontent-length: {}\r\n\r\n{{\"keys\":[{key}]}}",
                key.len() + 11
            )),
        ),
        ("no keys", with_body(r#"{"keys":[]}"#)),
        ("no set", with_body(&key)),
        (
            "two sets",
            with_body(&format!(r#"{{"keys":[{key}],"keys":[{key}]}}"#)),
        ),
        ("nothing", with_body("")),
        ("half", with_body(&format!(r#"{{"keys":[{key}"#))),
        (
            "broken off",
            bytes(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{{\"keys\":[{key}]"
            )),
        ),
        (
            "50 MiB",
            bytes("HTTP/1.1 200 OK\r\ncontent-length: 52428800\r\n\r\n{"),
        ),
        (
            "no end",
            Keys::Endless(CHUNKED, format!("1000\r\n{}\r\n", " ".repeat(4096)).into_bytes()),
        ),
        (
            "no end of headers",
            Keys::Endless("HTTP/1.1 200 OK\r\n", b"x: y\r\n".to_vec()),
        ),
        (
            "a bomb",
            bytes("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x0b\x08"),
        ),
        ("elsewhere", moved("https://127.0.0.1:1/keys")),
        ("the cloud", moved("http://169.254.169.254/latest/meta-data")),
        ("a file", moved("file:///etc/passwd")),
        ("no HTTP", bytes("220 smtp.test ESMTP\r\n")),
    ]
}

#[tokio::test]
async fn b9_b10_what_is_no_key_set_changes_nothing() {
    let (first, stranger) = (key("first"), key("stranger"));
    for (what, answer) in bad_answers(&stranger) {
        let provider = Provider::start(set(&[&first])).await;
        let world = World::with(&provider).await;
        provider.publish(answer);
        world.clock.until_asleep(1).await;
        world.clock.advance(REFRESH_INTERVAL);
        // The answer is refused, or given up when its time is over: then comes the next one.
        world
            .move_until(what, Duration::from_secs(1), || provider.fetches() >= 3)
            .await;
        assert!(
            world.age() >= Some(REFRESH_INTERVAL),
            "{what}: nothing of it is taken"
        );
        let token = first.token(&provider.issuer(), &json!({}));
        world.assert_served(&world.ask(&token).await, what);
        world.gateway.origin.forget_received();
        let strange = stranger.token(&provider.issuer(), &json!({}));
        let strange = world.ask_while_time_passes(&strange).await;
        world.assert_refused(&strange, 503, "identity_unavailable", what);
    }
}

#[tokio::test]
async fn b9_a_byte_a_second_is_given_up() {
    let first = key("first");
    let provider = Provider::start(bytes("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")).await;
    let world = World::waiting(&method(&provider.issuer(), "")).await;
    world
        .move_until("it is asked again", Duration::from_secs(1), || {
            provider.fetches() >= 2
        })
        .await;
    provider.publish(set(&[&first]));
    world
        .move_until("the keys come", Duration::from_secs(1), || world.age().is_some())
        .await;
    world.assert_served(
        &world.ask(&first.token(&provider.issuer(), &json!({}))).await,
        "keys",
    );
}

/// Whether a discovery document is good enough to lead to keys.
async fn leads_to_keys(document: impl Fn(&Provider) -> Json) -> bool {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    provider.discover(document(&provider));
    let world = World::waiting(&method(&provider.issuer(), "")).await;
    let well_known = "/.well-known/openid-configuration";
    world
        .move_until(
            "it is asked twice, or has its keys",
            Duration::from_secs(1),
            || provider.asked(well_known) >= 2 || world.age().is_some(),
        )
        .await;
    let answer = world.ask(&first.token(&provider.issuer(), &json!({}))).await;
    assert_eq!(answer.status, if world.age().is_some() { 200 } else { 503 });
    provider.fetches() > 0
}

#[tokio::test]
async fn b12_a_document_that_names_another_issuer_leads_to_no_keys() {
    let named = |issuer: fn(&str) -> String| move |provider: &Provider| json!({ "issuer": issuer(&provider.issuer()), "jwks_uri": format!("{}/keys", provider.issuer()) });
    assert!(leads_to_keys(named(str::to_owned)).await);
    assert!(!leads_to_keys(named(|issuer| format!("{issuer}/"))).await);
    assert!(!leads_to_keys(named(str::to_uppercase)).await);
    assert!(!leads_to_keys(named(|issuer| issuer.replace("127.0.0.1", "localhost"))).await);
    assert!(!leads_to_keys(named(|issuer| issuer.replace("http:", "https:"))).await);
    assert!(!leads_to_keys(named(|_| String::new())).await);
    assert!(!leads_to_keys(|provider| json!({ "jwks_uri": format!("{}/keys", provider.issuer()) })).await);
}

#[tokio::test]
async fn b10_a_document_leads_to_keys_over_http_alone() {
    for uri in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
        "/keys",
        "data:application/json,{}",
        "http://u:p@127.0.0.1/keys",
    ] {
        assert!(
            !leads_to_keys(|provider| json!({ "issuer": provider.issuer(), "jwks_uri": uri })).await,
            "{uri}"
        );
    }
}

#[tokio::test]
async fn b11_an_address_inside_is_not_asked_unless_that_is_allowed() {
    let first = key("first");
    let provider = Provider::start(set(&[&first])).await;
    let port = provider.address.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        let methods = format!(
            "  - jwt: {{ issuer: acme, audience: sync, jwks_url: \"http://{host}:{port}/keys\", insecure_allow_http: true }}\n"
        );
        let world = World::waiting(&methods).await;
        let answer = world.ask(&first.token("acme", &json!({}))).await;
        world.assert_refused(&answer, 503, "identity_unavailable", host);
    }
    assert_eq!(provider.connections(), 0);
}

#[tokio::test]
async fn a18_b6_b8_keys_that_are_for_something_else_are_left_out_and_told() {
    logs::keep();
    let good = key("good");
    let shared = signer(Algorithm::HS256);
    let (encrypting, signing) = (key("encrypting"), key("signing"));
    let weak =
        json!({ "kty": "RSA", "kid": "weak", "n": crate::signing::base64url(&[0xff; 128]), "e": "AQAB" });
    let keys = json!({ "keys": [
        shared.jwk_with(&json!({ "kid": "shared" })),
        encrypting.signer.jwk_with(&json!({ "kid": "encrypting", "use": "enc" })),
        signing.signer.jwk_with(&json!({ "kid": "signing", "key_ops": ["sign"] })),
        weak,
        good.jwk(),
    ] });
    let provider = Provider::start(Keys::Document(keys)).await;
    let world = World::with(&provider).await;
    let claims = json!({ "iss": provider.issuer(), "aud": "sync", "sub": "ann", "org_id": 1, "exp": crate::support::token::now() + 600 });
    let by_secret = shared.token_of(r#"{"alg":"HS256","kid":"shared"}"#, &claims.to_string());
    for (what, token) in [
        ("a secret", by_secret),
        (
            "a key to encrypt with",
            encrypting.token(&provider.issuer(), &json!({})),
        ),
        (
            "a key to sign with",
            signing.token(&provider.issuer(), &json!({})),
        ),
    ] {
        world.assert_refused(&world.ask(&token).await, 401, "token_invalid", what);
    }
    world.assert_served(
        &world.ask(&good.token(&provider.issuer(), &json!({}))).await,
        "the good one",
    );
    let ours = |line: &&String| line.contains(&provider.issuer()) && line.contains("is not used");
    until("they are told", || logs::lines().iter().filter(ours).count() >= 4).await;
    let told: Vec<String> = logs::lines().iter().filter(ours).cloned().collect();
    assert_eq!(
        told.len(),
        4,
        "once each, however often they are fetched: {told:?}"
    );
}
