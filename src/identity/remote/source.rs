//! Where an issuer publishes its keys.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::super::keys::KEY_FILE_BYTES_MAX;
use crate::outbound::OutboundSettings;

/// How old keys may become while their issuer cannot be asked.
pub const STALE_MAX_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// How long a key set or a discovery document may take to come.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Questions to one issuer at once: there is one, and one that was given up.
const CONCURRENCY_MAX: usize = 2;

/// What tells where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyLocation {
    /// The discovery document below the issuer's own URL (OpenID Connect Discovery 1.0 §4).
    Issuer,
    /// A discovery document elsewhere: an address inside of a cluster.
    Discovery(String),
    /// The key set itself.
    Jwks(String),
}

/// Where an issuer publishes its keys, and what is allowed on the way there.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteSource {
    /// Where to ask.
    pub location: KeyLocation,
    /// How old keys may become while their issuer cannot be asked.
    pub stale_max: Duration,
    /// Whether addresses that are not public are connected to.
    pub allow_private_addresses: bool,
    /// Whether keys are taken over `http`, where anybody on the way can put in his own.
    pub allow_http: bool,
    /// Whom to trust instead of the machine's authorities, in DER.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
}

impl RemoteSource {
    /// Keys of a location, nothing insecure allowed.
    #[must_use]
    pub fn of(location: KeyLocation) -> Self {
        Self {
            location,
            stale_max: STALE_MAX_DEFAULT,
            allow_private_addresses: false,
            allow_http: false,
            authorities: None,
        }
    }

    pub(super) fn outbound_settings(&self) -> OutboundSettings {
        OutboundSettings {
            timeout: TIMEOUT,
            answer_bytes_max: KEY_FILE_BYTES_MAX,
            concurrency_max: CONCURRENCY_MAX,
            allow_private_addresses: self.allow_private_addresses,
            allow_http: self.allow_http,
            authorities: self.authorities.clone(),
        }
    }
}

impl fmt::Debug for RemoteSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemoteSource")
            .field("location", &self.location)
            .field("stale_max", &self.stale_max)
            .field("allow_private_addresses", &self.allow_private_addresses)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}
