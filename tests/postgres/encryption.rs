use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use shapegate::postgres::{Postgres, PostgresSettings, QueryError};
use shapegate_core::value::Value;

use super::{settings, value};
use crate::support::postgres::Server;

struct Certified {
    authority: CertificateDer<'static>,
    certificate: String,
    key: String,
}

/// A server's certificate for this name, under an authority of its own.
fn certified(name: &str) -> Certified {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    Certified {
        authority: authority.der().clone(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

async fn answer(url: &str, authority: Option<&Certified>) -> Result<Value, QueryError> {
    let pool = Postgres::new(&PostgresSettings {
        authorities: authority.map(|certified| vec![certified.authority.clone()]),
        ..settings(url)
    })
    .unwrap();
    value(
        &pool,
        "select ssl as c from pg_stat_ssl where pid = pg_backend_pid()",
        &[],
    )
    .await
}

#[tokio::test]
async fn the_servers_certificate_and_name_are_checked_in_every_mode() {
    let (good, strange) = (certified("localhost"), certified("localhost"));
    let server = Server::with(&[], Some((&good.certificate, &good.key))).await;
    let at = |host: &str, mode: &str| {
        format!(
            "postgres://postgres@{host}:{}/postgres?sslmode={mode}",
            server.port()
        )
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(
            answer(&at("localhost", mode), Some(&good)).await,
            Ok(Value::Bool(true)),
            "{mode}"
        );
        for (url, authority) in [
            (at("localhost", mode), Some(&strange)),
            (at("localhost", mode), None),
            (at("127.0.0.1", mode), Some(&good)),
        ] {
            let refused = answer(&url, authority).await;
            assert!(
                matches!(refused, Err(QueryError::Unavailable(_))),
                "{url}: {refused:?}"
            );
        }
    }
    assert_eq!(
        answer(&at("localhost", "disable"), None).await,
        Ok(Value::Bool(false))
    );
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_where_tls_is_wanted() {
    let server = Server::start().await;
    let url = format!("{}?sslmode=require", server.url());
    let refused = answer(&url, None).await;
    assert!(matches!(refused, Err(QueryError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_password_is_bound_to_the_channel_where_the_url_asks_for_that() {
    let good = certified("localhost");
    let server = Server::with(
        &["password_encryption=scram-sha-256"],
        Some((&good.certificate, &good.key)),
    )
    .await;
    server.execute("create role app login password 'pw'").await;
    server.require_password();
    let url = |password: &str| {
        let port = server.port();
        format!("postgres://app:{password}@localhost:{port}/postgres?sslmode=require&channel_binding=require")
    };
    assert_eq!(answer(&url("pw"), Some(&good)).await, Ok(Value::Bool(true)));
    let refused = answer(&url("canary"), Some(&good)).await.unwrap_err();
    assert!(matches!(refused, QueryError::Unavailable(_)), "{refused:?}");
    assert!(!refused.to_string().contains("canary"));
}
