//! docs/identity.md: each recipe with a token of the form that its vendor documents.

use serde_json::{Value as Json, json};
use shapegate::clock::ManualClock;
use shapegate::identity::Algorithm;
use shapegate_core::time::UnixMillis;
use std::sync::Arc;

use crate::provider::Provider;
use crate::signing::{Signer, signer};
use crate::support::gateway::{Gateway, origin, problems};
use crate::support::patience::soon;
use crate::support::raw::Answer;
use crate::support::token::now;

const PAGE: &str = include_str!("../../docs/identity.md");

/// The method of the recipe under this heading.
fn recipe(heading: &str) -> String {
    let section = PAGE
        .split(&format!("### {heading}\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("{heading}"));
    let block = section
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("\n```")
        .next()
        .unwrap();
    block[block.find("  - jwt:").unwrap()..].to_owned()
}

struct Case {
    /// How the recipe is configured here: the keys come from a provider of the test.
    method: String,
    kid: &'static str,
    signer: Signer,
    provider: Provider,
}

/// A recipe whose keys are at a provider of this machine, under their vendor's algorithm.
async fn case(heading: &str, algorithm: Algorithm) -> Case {
    let signer = signer(algorithm);
    let kid = "vendor-key";
    let jwk = signer.jwk_with(&json!({ "kid": kid, "use": "sig" }));
    let provider = Provider::start(crate::provider::Keys::Document(json!({ "keys": [jwk] }))).await;
    let here = format!(
        ", jwks_url: \"{}/keys\", insecure_allow_http: true, insecure_allow_private_addresses: true",
        provider.issuer()
    );
    let written = recipe(heading);
    let method = match written.rfind(" }").filter(|_| written.lines().count() == 1) {
        Some(end) => format!("{}{here} }}", &written[..end]),
        None => format!("{written}{}", here.replace(", ", "\n      ")),
    };
    Case {
        method,
        kid,
        signer,
        provider,
    }
}

impl Case {
    async fn gateway(&self, when: &str) -> Gateway {
        let config = format!(
            "cors: {{ origins: [https://app.example.com], credentials: true }}\nidentity:\n{}\n\
             shapes:\n  users:\n    table: users\n    hub: off\n    columns: [id, name, org_id]\n    rules:\n      \
             - when: '{when}'\n        rows: {{ where: '\"name\" = $1', params: [user.id] }}\n",
            self.method
        );
        let clock = ManualClock::at(UnixMillis::from_seconds(now()));
        let gateway = Gateway::before(origin(), &config, Arc::new(clock)).await;
        gateway.run_beside();
        gateway
    }

    fn token(&self, kind: Option<&str>, claims: &Json) -> String {
        let mut header = json!({ "alg": self.signer.algorithm.as_str(), "kid": self.kid });
        if let Some(kind) = kind {
            header["typ"] = kind.into();
        }
        self.signer.token_of(&header.to_string(), &claims.to_string())
    }
}

async fn ask(gateway: &Gateway, token: &str) -> Answer {
    soon(gateway.get("/api/shapes/users?offset=-1", Some(token))).await
}

/// Claims with one changed.
fn but(claims: &Json, name: &str, value: impl Into<Json>) -> Json {
    let mut claims = claims.clone();
    claims[name] = value.into();
    claims
}

/// Asserts that the documented token is taken, that rules read what the recipe promises, and that each of the others is refused.
async fn assert_recipe(case: &Case, when: &str, kind: Option<&str>, claims: &Json, refused: &[(&str, Json)]) {
    let gateway = case.gateway(when).await;
    let answer = ask(&gateway, &case.token(kind, claims)).await;
    assert_eq!(answer.status, 200, "{when}: {}", answer.text());
    let received = gateway.received_one();
    let subject = claims["sub"]
        .as_str()
        .unwrap()
        .replace('|', "%7C")
        .replace(':', "%3A");
    assert!(
        received.target.contains(&format!("params%5B1%5D={subject}&")),
        "{}",
        received.target
    );
    for (what, other) in refused {
        let answer = ask(&gateway, &case.token(kind, other)).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        gateway.received_nothing();
    }
    assert_eq!(case.provider.fetches(), 1);
}

fn expired(claims: &Json) -> (&'static str, Json) {
    (
        "expired",
        but(&but(claims, "iat", now() - 400), "exp", now() - 300),
    )
}

#[tokio::test]
async fn auth0() {
    let case = case("Auth0", Algorithm::RS256).await;
    let claims = json!({
        "iss": "https://acme.eu.auth0.com/", "sub": "auth0|6553da60a54af58e29493993",
        "aud": ["https://sync.example.com", "https://acme.eu.auth0.com/userinfo"],
        "iat": now(), "exp": now() + 86_400, "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
        "scope": "openid profile read:projects", "org_id": "org_9ybsU1dN2dKfDkBi", "permissions": ["read:projects"],
    });
    let mut rfc9068 = but(&claims, "client_id", "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja");
    rfc9068.as_object_mut().unwrap().remove("azp");
    rfc9068["jti"] = "73WakrfVbNJBaAmhQtEeDv".into();
    let when = r#""read:projects" in user.permissions && user.id.startsWith("auth0|")"#;
    let refused = [
        (
            "without its slash",
            but(&claims, "iss", "https://acme.eu.auth0.com"),
        ),
        (
            "an ID token",
            but(&claims, "aud", "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja"),
        ),
        expired(&claims),
    ];
    assert_recipe(&case, when, Some("JWT"), &claims, &refused).await;
    let gateway = case.gateway(when).await;
    assert_eq!(
        ask(&gateway, &case.token(Some("at+jwt"), &rfc9068)).await.status,
        200
    );
}

#[tokio::test]
async fn clerk() {
    let case = case("Clerk", Algorithm::RS256).await;
    let claims = json!({
        "iss": "https://clerk.example.com", "sub": "user_2aXUkIMBQFM8jCJbwnqWCYWMFQm", "azp": "https://app.example.com",
        "iat": now(), "nbf": now() - 10, "exp": now() + 60, "fva": [7, -1], "jti": "a9f1c0de", "sid": "sess_2aXUkI",
        "sts": "active", "v": 2, "pla": "u:free", "fea": "o:dashboard",
        "o": { "id": "org_2aXUkI", "slg": "acme", "rol": "admin", "per": "manage,read", "fpm": "3" },
    });
    let when = r#"has(user.org_id) && user.org_id == "org_2aXUkI" && has(user.org_slug) && user.org_slug == "acme" && has(user.org_role) && user.org_role == "admin" && has(user.session_id) && user.session_id == "sess_2aXUkI""#;
    let mut nobodys = claims.clone();
    nobodys.as_object_mut().unwrap().remove("azp");
    let refused = [
        (
            "another application's",
            but(&claims, "azp", "https://evil.example"),
        ),
        ("without a party", nobodys),
        ("a long one", but(&claims, "exp", now() + 3_600)),
        expired(&claims),
    ];
    assert_recipe(&case, when, Some("JWT"), &claims, &refused).await;
    // An organisation that the token says itself, where the recipe takes it from `o.id`.
    let gateway = case.gateway(when).await;
    let mut forged = but(&claims, "org_id", "org_2aXUkI");
    forged.as_object_mut().unwrap().remove("o");
    assert_eq!(ask(&gateway, &case.token(Some("JWT"), &forged)).await.status, 403);
    let cookie = format!("__client_uat=1; __session={}", case.token(Some("JWT"), &claims));
    for (origin, status) in [("https://app.example.com", 200), ("https://evil.example", 403)] {
        let headers = [("cookie", &*cookie), ("origin", origin)];
        let bytes =
            crate::support::gateway::request("GET", "/api/shapes/users?offset=-1", None, &headers, "");
        assert_eq!(
            soon(gateway.connect().await.ask(bytes)).await.status,
            status,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn supabase() {
    let case = case("Supabase", Algorithm::ES256).await;
    let claims = json!({
        "iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "sub": "123e4567-e89b-12d3-a456-426614174000",
        "aud": "authenticated", "iat": now(), "exp": now() + 3_600, "email": "ann@example.com", "phone": "",
        "app_metadata": { "provider": "email", "providers": ["email"], "org_id": "acme" },
        "user_metadata": { "org_id": "not acme" }, "role": "authenticated", "aal": "aal1",
        "amr": [{ "method": "password", "timestamp": now() }], "session_id": "5a5e1d0c", "is_anonymous": false,
    });
    let when = r#"has(user.org_id) && user.org_id == "acme" && !user.is_anonymous"#;
    let refused = [
        ("a visitor's", but(&claims, "aud", "anon")),
        (
            "another project's",
            but(&claims, "iss", "https://tsrqponmlkjihgfedcba.supabase.co/auth/v1"),
        ),
        expired(&claims),
    ];
    assert_recipe(&case, when, Some("JWT"), &claims, &refused).await;
}

#[tokio::test]
async fn workos() {
    let case = case("WorkOS", Algorithm::RS256).await;
    let claims = json!({
        "iss": "https://api.workos.com", "sub": "user_01HBEQKA6K4QJAS93VPE39W1JT", "aud": "sync",
        "act": { "sub": "admin@foocorp.com" }, "org_id": "org_01HRDMC6CM357W30QMHMQ96Q0S", "role": "member",
        "roles": ["member"], "permissions": ["posts:read", "posts:write"], "entitlements": ["audit-logs"],
        "sid": "session_01HQSXZGF8FHF7A9ZZFCW4387R", "jti": "01HQSXZXPPFPKMDD32RKTFY6PV", "exp": now() + 300, "iat": now(),
    });
    let when = r#"has(user.org_id) && "posts:read" in user.permissions && "member" in user.roles && "audit-logs" in user.entitlements"#;
    let refused = [
        ("for others", but(&claims, "aud", "other")),
        ("with a slash", but(&claims, "iss", "https://api.workos.com/")),
        expired(&claims),
    ];
    assert_recipe(&case, when, Some("JWT"), &claims, &refused).await;
}

#[tokio::test]
async fn better_auth() {
    let case = case("Better Auth", Algorithm::EdDSA).await;
    let claims = json!({
        "iat": now(), "name": "Ann", "email": "ann@example.com", "emailVerified": true, "image": null,
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z", "id": "rbWqTv0mTgW7n7iA",
        "sub": "rbWqTv0mTgW7n7iA", "exp": now() + 900, "iss": "https://app.example.com", "aud": "https://app.example.com",
    });
    let when = r#"has(user.email) && user.email == "ann@example.com""#;
    let refused = [
        ("for others", but(&claims, "aud", "https://other.example.com")),
        expired(&claims),
    ];
    assert_recipe(&case, when, None, &claims, &refused).await;
}

#[tokio::test]
async fn firebase() {
    let case = case("Firebase", Algorithm::RS256).await;
    let claims = json!({
        "iss": "https://securetoken.google.com/my-project", "aud": "my-project", "auth_time": now() - 5,
        "user_id": "ZBxAlmLXEOhuqhvCnZmAjmKrgEr2", "sub": "ZBxAlmLXEOhuqhvCnZmAjmKrgEr2", "iat": now(), "exp": now() + 3_600,
        "email": "ann@example.com", "email_verified": true, "org_id": "acme",
        "firebase": { "identities": { "email": ["ann@example.com"] }, "sign_in_provider": "password", "tenant": "acme-x1" },
    });
    let when = r#"has(user.sign_in_provider) && user.sign_in_provider == "password" && has(user.firebase_tenant) && user.firebase_tenant == "acme-x1""#;
    let refused = [
        ("another project's", but(&claims, "aud", "other-project")),
        (
            "another project's issuer",
            but(&claims, "iss", "https://securetoken.google.com/other-project"),
        ),
        ("a long one", but(&claims, "exp", now() + 3_700)),
        expired(&claims),
    ];
    assert_recipe(&case, when, Some("JWT"), &claims, &refused).await;
}

#[tokio::test]
async fn keycloak() {
    let case = case("Keycloak", Algorithm::RS256).await;
    let claims = json!({
        "exp": now() + 300, "iat": now(), "auth_time": now() - 5, "jti": "onrtac:312ee6", "iss": "https://login.example.com/realms/acme",
        "aud": ["sync", "account"], "sub": "f3a1b5c2-0000-4000-8000-000000000001", "typ": "Bearer", "azp": "web", "sid": "c0ffee",
        "acr": "1", "allowed-origins": ["https://app.example.com"],
        "realm_access": { "roles": ["offline_access", "editor"] },
        "resource_access": { "account": { "roles": ["view-profile"] } },
        "scope": "openid email profile", "email_verified": true, "preferred_username": "ann", "groups": ["/acme"],
    });
    let when = r#""editor" in user.roles && "/acme" in user.groups"#;
    let refused = [
        ("for its account alone", but(&claims, "aud", "account")),
        (
            "another realm's",
            but(&claims, "iss", "https://login.example.com/realms/other"),
        ),
        expired(&claims),
    ];
    assert_recipe(&case, when, Some("JWT"), &claims, &refused).await;
}

const SHAPES: &str = "\nshapes: { users: { table: users, columns: [id], rules: [{ rows: all }] } }\n";

#[test]
fn every_recipe_is_right_as_it_is_written() {
    for heading in [
        "Auth0",
        "Clerk",
        "Supabase",
        "WorkOS",
        "Better Auth",
        "Firebase",
        "Keycloak",
    ] {
        let cors = "cors: { origins: [https://app.example.com], credentials: true }\n";
        assert_eq!(
            problems(&format!("{cors}identity:\n{}{SHAPES}", recipe(heading))),
            None,
            "{heading}"
        );
    }
}

#[test]
fn an_issuer_that_is_not_the_presets_is_refused_with_what_it_looks_like() {
    for (preset, issuer, told) in [
        ("auth0", "https://acme.eu.auth0.com", "the slash included"),
        ("clerk", "https://clerk.example.com/", "without a slash"),
        ("supabase", "https://abc.supabase.co", "/auth/v1"),
        ("better-auth", "https://app.example.com/", "without a slash"),
        (
            "firebase",
            "https://accounts.google.com",
            "securetoken.google.com",
        ),
        (
            "firebase",
            "https://securetoken.google.com/",
            "securetoken.google.com",
        ),
        ("keycloak", "https://login.example.com/auth", "/realms/"),
    ] {
        let text = format!(
            "identity: [ {{ jwt: {{ preset: {preset}, issuer: \"{issuer}\", audience: a }} }} ]{SHAPES}"
        );
        let rendered = problems(&text).unwrap_or_else(|| panic!("{preset} {issuer}"));
        assert!(
            rendered.contains(told) && rendered.contains("test.yaml:3:"),
            "{rendered}"
        );
    }
}

#[test]
fn what_a_preset_cannot_know_must_be_written() {
    for (method, told) in [
        (
            "preset: clerk, issuer: https://clerk.example.com",
            "authorized_parties: [",
        ),
        (
            "preset: keycloak, issuer: https://x.test/realms/a",
            "audience mapper",
        ),
        (
            "preset: workos, issuer: https://api.workos.com, audience: sync",
            "client_id: client_",
        ),
        (
            "preset: workos, issuer: https://api.workos.com, client_id: client_1",
            "JWT template",
        ),
        ("preset: auth0, issuer: https://a.auth0.com/", "audience: "),
        (
            "preset: auth0, issuer: https://a.auth0.com/, audience: a, client_id: x",
            "only for `preset: workos`",
        ),
        ("preset: okta, issuer: https://a.okta.com, audience: a", "auth0"),
        ("issuer: acme, audience: a", "cannot be found by its name"),
        ("issuer: \"http://acme.test\", audience: a", "http, not https"),
        (
            "issuer: acme, audience: a, jwks_url: \"http://acme.test/keys\"",
            "insecure_allow_http",
        ),
        (
            "issuer: acme, audience: a, jwks_url: \"https://u:p@acme.test/keys\"",
            "has a user in it",
        ),
        (
            "issuer: acme, audience: a, jwks_url: \"https://acme.test/k\", discovery: \"https://acme.test/d\"",
            "exclude each other",
        ),
        (
            "issuer: acme, audience: a, jwks_url: \"https://acme.test/k\", keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ]",
            "exclude each other",
        ),
        (
            "issuer: \"https://acme.test\", audience: a, jwks_stale_max: 1m",
            "jwks_stale_max",
        ),
    ] {
        let text = format!("identity: [ {{ jwt: {{ {method} }} }} ]{SHAPES}");
        let rendered = problems(&text).unwrap_or_else(|| panic!("accepted: {method}"));
        assert!(rendered.contains(told), "{method}:\n{rendered}");
    }
}
