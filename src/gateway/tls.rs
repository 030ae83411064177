//! Certificates for listeners: chosen by SNI, or made on the spot for development.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pingora_core::listeners::tls::TlsSettings;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::config::Tls;

/// Why a certificate cannot be served.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The key is of a kind that is not supported, or does not belong to the certificate.
    #[error("the key cannot serve this certificate: {0}")]
    Key(#[from] rustls::Error),
    /// The certificate's names cannot be read.
    #[error("the certificate's names cannot be read: {0}")]
    Names(String),
    /// A development certificate could not be made.
    #[error("a self-signed certificate could not be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// The TLS settings were refused.
    #[error("TLS settings: {0}")]
    Settings(String),
}

/// A certificate chain with its key, and the names it is served for.
struct Served {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

impl Served {
    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, TlsError> {
        let names = chain.first().map(names_of).transpose()?.unwrap_or_default();
        let provider = rustls::crypto::ring::default_provider();
        Ok(Self {
            names,
            key: Arc::new(CertifiedKey::from_der(chain, key, &provider)?),
        })
    }

    /// A fresh one that nobody trusts: for development.
    fn self_signed(name: &str) -> Result<Self, TlsError> {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Self::new(vec![made.cert.der().clone()], key.into())
    }
}

fn names_of(certificate: &CertificateDer<'_>) -> Result<Vec<String>, TlsError> {
    let (_, x509) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| TlsError::Names(error.to_string()))?;
    let names = x509
        .subject_alternative_name()
        .map_err(|error| TlsError::Names(error.to_string()))?;
    let dns = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            x509_parser::extensions::GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
    Ok(dns.collect())
}

/// Chooses a certificate by the name that a client asks for: the exact one, else one with a wildcard label, else
/// the first that was configured.
struct BySni {
    exact: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl BySni {
    /// A resolver over `certificates`; of two with the same name the first is served.
    fn new(certificates: Vec<Served>) -> Self {
        let first = certificates.first().map(|served| Arc::clone(&served.key));
        let mut exact = HashMap::new();
        for served in certificates {
            for name in served.names {
                exact.entry(name).or_insert_with(|| Arc::clone(&served.key));
            }
        }
        Self { exact, first }
    }

    fn choose(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let found = self.exact.get(&name).or_else(|| self.exact.get(&wildcard?));
        found.or(self.first.as_ref()).cloned()
    }
}

impl fmt::Debug for BySni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BySni")
            .field("names", &self.exact.keys())
            .finish_non_exhaustive()
    }
}

/// What TLS is served with: chosen a handshake at a time, and replaced while others go on.
#[derive(Debug, Default)]
pub struct Certificates(ArcSwapOption<BySni>);

impl Certificates {
    /// Serves these from now on.
    ///
    /// # Errors
    /// When one cannot be served; then all stay as they are.
    pub fn replace(&self, tls: &Tls) -> Result<(), TlsError> {
        let served = match tls {
            Tls::InsecureSelfSigned { name } => vec![Served::self_signed(name)?],
            Tls::Certificates(certificates) => {
                let served = certificates
                    .iter()
                    .map(|one| Served::new(one.chain.clone(), one.key.clone_key()));
                served.collect::<Result<_, _>>()?
            }
        };
        self.0.store(Some(Arc::new(BySni::new(served))));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.0.load();
        let certificates = certificates.as_ref()?;
        match hello.server_name() {
            Some(name) => certificates.choose(name),
            None => certificates.first.clone(),
        }
    }
}

/// Listener settings that speak HTTP/2 and HTTP/1.1 with these certificates.
///
/// # Errors
/// When Pingora refuses the settings.
pub fn settings(certificates: &Arc<Certificates>) -> Result<TlsSettings, TlsError> {
    let mut settings =
        TlsSettings::intermediate("", "").map_err(|error| TlsError::Settings(error.to_string()))?;
    settings.set_cert_resolver(Arc::clone(certificates) as _);
    settings.enable_h2();
    Ok(settings)
}
