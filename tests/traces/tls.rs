//! A collector that is spoken to over TLS, and whom that takes for it.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use shapegate::clock::{Clock, ManualClock, SystemClock};
use shapegate_core::time::UnixMillis;
use tempfile::NamedTempFile;

use crate::collector::Collector;
use crate::support::gateway::JWT_SECRET;
use crate::support::patience::until;
use crate::support::token::{self, member};
use crate::world::{USERS, World, only};

pub type Authority = CertifiedIssuer<'static, KeyPair>;

/// How often an export is tried.
const ATTEMPTS: u64 = 4;

pub fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A file with a certificate, for `ca`.
pub fn file_of(authority: &Authority) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    file
}

/// A collector with a certificate of `authority` for `name`.
async fn collector(authority: &Authority, name: &str) -> Collector {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private.into())
        .unwrap();
    Collector::over_tls(config).await
}

#[tokio::test]
async fn a_collector_whose_authority_is_named_is_told_everything_over_tls() {
    let authority = authority();
    let ca = file_of(&authority);
    let collector = collector(&authority, "127.0.0.1").await;
    assert!(collector.url().starts_with("https://"));
    let otlp = format!(
        "ca: '{}', headers: {{ authorization: {{ env: JWT_SECRET }} }}",
        ca.path().display()
    );
    let world = World::telling(collector, &otlp, Arc::new(SystemClock)).await;
    assert_eq!(world.get(USERS, Some(&member(1))).await.status, 200);
    let spans = world.spans().await;
    assert_eq!(only(&spans, "server").name, "GET /api/shapes/users");
    assert_eq!(only(&spans, "client").parent, only(&spans, "server").id);
    let exports = world.collector.exports();
    assert_eq!(exports.len(), 1);
    assert_eq!(
        (&*exports[0].target, &*exports[0].headers["authorization"]),
        ("POST /v1/traces HTTP/1.1", JWT_SECRET)
    );
    assert_eq!(
        (world.counted("exported"), world.exports_counted("taken")),
        (2, 1)
    );
}

#[tokio::test]
async fn who_cannot_show_that_he_is_the_collector_is_told_nothing() {
    let (ours, others) = (authority(), authority());
    let ca = file_of(&ours);
    let trusting = format!("ca: '{}'", ca.path().display());
    let somebody = collector(&others, "127.0.0.1").await;
    let elsewhere = collector(&ours, "collector.test").await;
    let unknown = collector(&ours, "127.0.0.1").await;
    for (case, collector, otlp) in [
        ("another authority's", somebody, &*trusting),
        ("for another name", elsewhere, &*trusting),
        ("no authority of the machine's", unknown, ""),
    ] {
        let clock = ManualClock::at(UnixMillis::from_seconds(token::now()));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let world = World::telling(collector, otlp, shared).await;
        assert_eq!(world.get(USERS, Some(&member(1))).await.status, 200, "{case}");
        world.rest().await;
        until("they are given up", || {
            clock.advance(Duration::from_millis(100));
            world.counted("unanswered") == 2
        })
        .await;
        assert_eq!(world.exports_counted("failed"), ATTEMPTS, "{case}");
        assert_eq!(world.collector.count(), 0, "{case}: not even a header");
    }
}
