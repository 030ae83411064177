//! Whom connections trust.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use shapegate::clock::SystemClock;
use shapegate::outbound::{Outbound, OutboundError, OutboundSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::answers::loopback;
use crate::support::patience::soon;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A service with a certificate of `authority` for `name`, which ends in `until`.
async fn service(authority: &Authority, name: &str, until: i32) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut piece = [0; 4096];
            if tls.read(&mut piece).await.is_ok() {
                drop(tls.write_all(b"HTTP/1.1 204 No\r\n\r\n").await);
            }
        }
    });
    address
}

async fn ask(address: SocketAddr, trusted: Option<&Authority>) -> Result<u16, OutboundError> {
    let authorities = trusted.map(|authority| vec![CertificateDer::from(authority.der().to_vec())]);
    let settings = OutboundSettings {
        authorities,
        allow_http: false,
        ..loopback()
    };
    let client = Outbound::new(&settings).unwrap();
    let answer = soon(client.get(&format!("https://localhost:{}/", address.port()), &SystemClock)).await;
    answer.map(|answer| answer.status().as_u16())
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_the_name_is_believed() {
    let authority = authority();
    let address = service(&authority, "localhost", 2100).await;
    assert_eq!(ask(address, Some(&authority)).await, Ok(204));
}

#[tokio::test]
async fn b15_a_certificate_that_ended_or_is_for_another_name_is_not_believed() {
    let authority = authority();
    let ended = service(&authority, "localhost", 2021).await;
    let other = service(&authority, "other.test", 2100).await;
    for address in [ended, other] {
        let answer = ask(address, Some(&authority)).await;
        assert!(
            matches!(&answer, Err(OutboundError::Unreachable(text)) if text.contains("certificate")),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_believed() {
    let (authority, strange) = (authority(), authority());
    let address = service(&authority, "localhost", 2100).await;
    for trusted in [None, Some(&strange)] {
        let answer = ask(address, trusted).await;
        assert!(
            matches!(&answer, Err(OutboundError::Unreachable(text)) if text.contains("certificate")),
            "{answer:?}"
        );
    }
}
