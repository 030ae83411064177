//! Whose certificates are believed.

use std::sync::{Arc, LazyLock};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::error::OutboundError;

/// The machine's authorities, as for connections to Electric; read once, when they are first needed.
static MACHINE: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    match rustls_native_certs::load_native_certs() {
        Ok(certificates) => {
            roots.add_parsable_certificates(certificates);
        }
        Err(error) => log::warn!("the machine's certificate authorities cannot be read: {error}"),
    }
    Arc::new(roots)
});

/// A client's TLS: TLS 1.2 and 1.3, certificates and names checked.
pub(crate) fn client_config(
    authorities: Option<&[CertificateDer<'static>]>,
) -> Result<ClientConfig, OutboundError> {
    let roots = match authorities {
        None => Arc::clone(&MACHINE),
        Some(authorities) => Arc::new(own_roots(authorities)?),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OutboundError::Setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn own_roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, OutboundError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(|error| OutboundError::Setup(error.to_string()))?;
    }
    Ok(roots)
}
