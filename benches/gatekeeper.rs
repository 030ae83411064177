//! What a shape token costs: minted, beside its bare signature; verified anew and remembered, beside a user's.
//!
//! `cargo bench --bench gatekeeper`; allocations are counted beside the times.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box};
use jsonwebtoken::{Algorithm, EncodingKey};
use shapegate::config::{self, FileContent, Surroundings};
use shapegate::gatekeeper::{Minter, SigningAlgorithm, Verifier, VerifySettings, generate_private_key};
use shapegate::identity::{CredentialHeaders, MemoryLimits};
use shapegate::tenant::{self, Tenant};
use shapegate_core::identity::Identity;
use shapegate_core::policy::{Facts, NoHeaders, RequestFacts};
use shapegate_core::request::{Asked, Declared, MintBody, Verb};
use shapegate_core::shape_claims::Unsigned;
use shapegate_core::time::{Monotonic, Now, UnixMillis};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const SECRET: &str = "a-secret-of-32-bytes-or-some-more";
const QUERY: &str = "offset=-1&table=items&where=(%22org_id%22%20=%20$1)&params[1]=1&columns=id,title";
const CONFIG: &str = r#"
electric: { url: http://127.0.0.1:3000, secret: { env: SECRET } }
identity: [ { jwt: { issuer: acme, audience: sync, keys: [ { alg: HS256, secret: { env: SECRET } } ] } } ]
shapes:
  items:
    table: items
    columns: [id, title]
    rules: [ { when: has(user.org_id), rows: { where: '"org_id" = $1', params: [user.org_id] } } ]
gatekeeper:
  mint: { url: https://sync.example.com/proxy/v1/shape, keys: [ { alg: ES256, file: key.pem, kid: "2026-11" } ] }
  verify: { paths: [/proxy/v1/shape] }
  shapes: [items]
"#;

struct Machine(HashMap<PathBuf, Vec<u8>>);

impl Surroundings for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| SECRET.to_owned())
    }

    fn file(&self, path: &Path, _: usize) -> io::Result<FileContent> {
        let bytes = self.0.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(FileContent {
            bytes,
            world_readable: false,
        })
    }
}

fn now() -> Now {
    Now {
        wall: UnixMillis::from_seconds(1_800_000_000),
        monotonic: Monotonic(Duration::from_secs(1)),
    }
}

fn tenant() -> Arc<Tenant> {
    let der = generate_private_key(SigningAlgorithm::Es256).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    let machine = Machine(HashMap::from([(PathBuf::from("key.pem"), pem.into_bytes())]));
    let loaded = config::load_texts(&[(Path::new("bench.yaml"), CONFIG)], &machine).unwrap();
    Arc::clone(
        tenant::compile(&loaded.config)
            .unwrap()
            .tenant("default")
            .unwrap(),
    )
}

fn user_token() -> String {
    let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
    let claims =
        serde_json::json!({ "iss": "acme", "aud": "sync", "sub": "ann", "org_id": 1, "exp": 1_800_003_600 });
    let header = serde_json::json!({ "alg": "HS256", "typ": "JWT" });
    let text = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}

fn known_user(tenant: &Tenant, header: &str) -> Arc<Identity> {
    let headers = CredentialHeaders::new([header.as_bytes()]);
    tenant
        .identity()
        .authenticate(&headers, now())
        .unwrap()
        .known()
        .unwrap()
}

/// Everything between the user who is known and the body of the answer.
fn mint(minter: &Minter, identity: &Identity, facts: &Facts) -> Bytes {
    let (table, shape) = minter.shape(black_box("items")).unwrap();
    let asked = Asked::to_sign(table, "", MintBody::Empty, shape.declared()).unwrap();
    let request = RequestFacts {
        method: "POST",
        path: &[],
        query: &asked.query,
        headers: &NoHeaders,
    };
    let allowed = shape
        .policy()
        .judge(Some(identity), &request, &asked, facts, now())
        .unwrap();
    minter.mint(shape, &allowed, Some(identity), now()).unwrap()
}

fn minted_header(tenant: &Tenant) -> String {
    let identity = known_user(tenant, &format!("Bearer {}", user_token()));
    let body = mint(
        tenant.gatekeeper().minter.as_ref().unwrap(),
        &identity,
        &Facts::none(),
    );
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    body["headers"]["Authorization"].as_str().unwrap().to_owned()
}

#[divan::bench]
fn minting_es256(bencher: Bencher<'_, '_>) {
    let tenant = tenant();
    let identity = known_user(&tenant, &format!("Bearer {}", user_token()));
    let (minter, facts) = (tenant.gatekeeper().minter.as_ref().unwrap(), Facts::none());
    bencher.bench(|| black_box(mint(minter, &identity, &facts)));
}

/// The same bytes, signed and nothing else.
#[divan::bench]
fn bare_signature_es256(bencher: Bencher<'_, '_>) {
    let header = minted_header(&tenant());
    let (text, _) = header.rsplit_once('.').unwrap();
    let der = generate_private_key(SigningAlgorithm::Es256).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
    let random = SystemRandom::new();
    bencher.bench(|| pair.sign(&random, black_box(text.as_bytes())).unwrap());
}

fn verify(verifier: &Verifier, header: &str, asked: &Asked) {
    let headers = CredentialHeaders::new([header.as_bytes()]);
    let token = verifier
        .authenticate(black_box(&headers), now())
        .unwrap()
        .known()
        .unwrap();
    black_box(verifier.decide(&token, black_box(asked), now()).unwrap());
}

/// Whose token it is, and that what is asked is what it signs.
#[divan::bench]
fn remembered_shape_token(bencher: Bencher<'_, '_>) {
    let tenant = tenant();
    let verifier = tenant.gatekeeper().verifier.as_ref().unwrap();
    let header = minted_header(&tenant);
    let asked = Asked::parse(Verb::Get, QUERY, &Declared::default()).unwrap();
    verify(verifier, &header, &asked);
    bencher.bench(|| verify(verifier, &header, &asked));
    assert_eq!(verifier.signatures_checked(), 1);
}

/// Whose token it is, without what the rules say.
#[divan::bench]
fn remembered_user_token(bencher: Bencher<'_, '_>) {
    let tenant = tenant();
    let header = format!("Bearer {}", user_token());
    known_user(&tenant, &header);
    bencher.bench(|| black_box(known_user(&tenant, black_box(&header))));
}

/// A signature checked, a claim read and compared: a memory of no bytes keeps nothing.
#[divan::bench]
fn verified_shape_token(bencher: Bencher<'_, '_>) {
    let tenant = tenant();
    let minter = tenant.gatekeeper().minter.as_ref().unwrap();
    let settings = VerifySettings {
        tenant: Arc::clone(tenant.id()),
        issuers: Vec::new(),
        unsigned: Unsigned::default(),
        tagger: None,
        memory: MemoryLimits {
            tokens_max: 1,
            bytes_max: 0,
        },
    };
    let verifier = Verifier::new(settings, Some((minter.issuer(), minter.keys()))).unwrap();
    let header = minted_header(&tenant);
    let asked = Asked::parse(Verb::Get, QUERY, &Declared::default()).unwrap();
    bencher.bench(|| verify(&verifier, &header, &asked));
}
