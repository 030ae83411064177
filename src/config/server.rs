//! `server`, `admin`, `health` and `limits`: what the process listens on and how much it takes.

use super::cluster::ClusterSettings;
use super::codings;
use super::files::NamedFile;
use super::leaving::{self, Leaving};
use super::limits::{self, Limits};
use super::network::Network;
use super::reading::{Reading, Section};
use super::revocations::RevocationFile;
use super::secret::SecretSetting;
use super::yaml::{Kind, Node};
use crate::admin::MetricsSettings;
use crate::journal::JournalSettings;
use crate::traces::TracesSettings;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use shapegate_core::coding::Coding;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Shortest admin token, in bytes.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 24;

/// What the process listens on and how much it takes, for all tenants.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Public addresses, one at least.
    pub listen: Vec<SocketAddr>,
    /// TLS on the public addresses; none: plain HTTP.
    pub tls: Option<Tls>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether answers say where they come from (`cache-status`, RFC 9211).
    pub cache_status: bool,
    /// What kept answers are encoded in for those who like that; of equals the first.
    pub encode: Vec<Coding>,
    /// The operators' own listener.
    pub admin: AdminListen,
    /// What operators show when they change anything; without it, nobody can.
    pub admin_token: Option<SecretSetting>,
    /// Health and metrics for others, read-only.
    pub health: Option<SocketAddr>,
    /// What is written of requests.
    pub logs: JournalSettings,
    /// What metrics may name.
    pub metrics: MetricsSettings,
    /// What is recorded of requests as spans; none: nothing.
    pub traces: Option<TracesSettings>,
    /// What is revoked.
    pub revocations: Option<RevocationFile>,
    /// What is shared with other gateways.
    pub cluster: Option<ClusterSettings>,
    /// How it goes away.
    pub leaving: Leaving,
    /// How much is taken.
    pub limits: Limits,
}

/// Where the admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// There is none.
    Off,
    /// A loopback address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// How TLS is served.
#[derive(Clone, Debug)]
pub enum Tls {
    /// Certificates chosen by SNI; the first one for who sends none.
    Certificates(Vec<Certificate>),
    /// A certificate made at start, trusted by nobody: for development.
    InsecureSelfSigned {
        /// The host name that it is made for.
        name: String,
    },
}

/// A certificate with its key; they fit each other.
#[derive(Clone)]
pub struct Certificate {
    /// Where the chain was read.
    pub certificate_path: PathBuf,
    /// Where the key was read.
    pub key_path: PathBuf,
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: Arc<PrivateKeyDer<'static>>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Certificate({})", self.certificate_path.display())
    }
}

/// Reads the four top-level keys, each of which may be missing.
pub(super) fn server(
    reading: &mut Reading<'_>,
    [server, admin, health, limits]: [Option<&Node>; 4],
) -> Option<ServerSettings> {
    let public = match server {
        Some(node) => public(reading, node),
        None => leaving::leaving(reading, None).map(Public::with),
    };
    let admin = admin.map_or(Some((AdminListen::Tcp(ADMIN_DEFAULT), None)), |node| {
        admin_listen(reading, node)
    });
    let health = health.map_or(Some(None), |node| health_listen(reading, node).map(Some));
    let limits = limits.map_or_else(|| Some(Limits::default()), |node| limits::limits(reading, node));
    let Public {
        listen,
        tls,
        trusted_proxies,
        cache_status,
        encode,
        leaving,
    } = public?;
    let (admin, admin_token) = admin?;
    Some(ServerSettings {
        listen,
        tls,
        trusted_proxies,
        cache_status,
        encode,
        leaving,
        admin,
        admin_token,
        health: health?,
        logs: JournalSettings::default(),
        metrics: MetricsSettings::default(),
        traces: None,
        revocations: None,
        cluster: None,
        limits: limits?,
    })
}

struct Public {
    listen: Vec<SocketAddr>,
    tls: Option<Tls>,
    trusted_proxies: Vec<Network>,
    cache_status: bool,
    encode: Vec<Coding>,
    leaving: Leaving,
}

impl Public {
    fn with(leaving: Leaving) -> Self {
        Self {
            leaving,
            listen: vec![LISTEN_DEFAULT],
            tls: None,
            trusted_proxies: Vec::new(),
            cache_status: false,
            encode: Coding::ALL.to_vec(),
        }
    }
}

fn public(reading: &mut Reading<'_>, node: &Node) -> Option<Public> {
    let mut section = Section::open(reading, node, "server")?;
    let listen = section
        .get(reading, "listen")
        .map(|entry| listen_list(reading, &entry.value));
    let tls = section
        .get(reading, "tls")
        .map(|entry| read_tls(reading, &entry.value));
    let proxies = section.get(reading, "trusted_proxies");
    let proxies = proxies.map(|entry| reading.each(&entry.value, "trusted_proxies", network));
    let cache_status = section
        .get(reading, "cache_status")
        .map(|entry| reading.boolean(&entry.value, "cache_status"));
    let encode = section
        .get(reading, "encode")
        .map(|entry| codings::codings(reading, &entry.value));
    let leaving = leaving::leaving(reading, Some(&mut section));
    section.finish(reading);
    Some(Public {
        leaving: leaving?,
        cache_status: cache_status.unwrap_or(Some(false))?,
        encode: encode.unwrap_or_else(|| Some(Coding::ALL.to_vec()))?,
        listen: listen.unwrap_or_else(|| Some(vec![LISTEN_DEFAULT]))?,
        tls: tls.map_or(Some(None), |tls| tls.map(Some))?,
        trusted_proxies: proxies.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

fn listen_list(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<SocketAddr>> {
    let list = match &node.kind {
        Kind::List(_) => reading.each(node, "listen", |reading, item| reading.address(item, "listen"))?,
        _ => vec![reading.address(node, "listen")?],
    };
    let twice = |index: usize| {
        list.iter()
            .take(index)
            .any(|before| list.get(index).is_some_and(|one| one.value == before.value))
    };
    if let Some(item) = (0..list.len())
        .find(|index| twice(*index))
        .and_then(|index| list.get(index))
    {
        // Port 0 means any free port, so it may be asked for several times.
        if item.value.port() != 0 {
            return reading.refuse(
                item.span,
                format!("{} is written twice", item.value),
                "remove one of them",
            );
        }
    }
    if list.is_empty() {
        return reading.refuse(
            node.span,
            "`listen` is empty",
            "write an address: `listen: 0.0.0.0:8080`",
        );
    }
    Some(list.into_iter().map(|address| address.value).collect())
}

fn network(reading: &mut Reading<'_>, node: &Node) -> Option<Network> {
    let text = reading.text(node, "trusted_proxies")?;
    match text.value.parse::<Network>() {
        Ok(network) if network.is_everything() => {
            let message = format!("`{network}` trusts everybody: any client could claim any address");
            reading.refuse(
                text.span,
                message,
                "write the networks that your own proxies are in",
            )
        }
        Ok(network) => Some(network),
        Err(error) => {
            let message = format!("`{}` cannot be trusted: {error}", text.value);
            reading.refuse(
                text.span,
                message,
                "write a network as `10.0.0.0/8`, or one address",
            )
        }
    }
}

fn read_tls(reading: &mut Reading<'_>, node: &Node) -> Option<Tls> {
    let mut section = Section::open(reading, node, "tls")?;
    let certificates = section.get(reading, "certificates");
    let self_signed = section.get(reading, "insecure_self_signed");
    section.finish(reading);
    match (certificates, self_signed) {
        (Some(entry), None) => {
            let list = reading.each(&entry.value, "certificates", certificate)?;
            if list.is_empty() {
                return reading.refuse(entry.value.span, "`certificates` is empty", CERTIFICATE_HELP);
            }
            Some(Tls::Certificates(list))
        }
        (None, Some(entry)) => self_signed_for(reading, &entry.value),
        _ => reading.refuse(
            node.span,
            "`tls` needs one of `certificates` and `insecure_self_signed`",
            CERTIFICATE_HELP,
        ),
    }
}

const CERTIFICATE_HELP: &str = "write `certificates: [ { certificate: cert.pem, key: key.pem } ]`";

fn self_signed_for(reading: &mut Reading<'_>, node: &Node) -> Option<Tls> {
    let name = reading.text(node, "insecure_self_signed")?;
    if !super::host::is_host_name(&name.value) {
        let message = format!("`{}` is no host name", name.value);
        return reading.refuse(name.span, message, "write one such as `localhost`");
    }
    reading.warn(
        node.span,
        "insecure_self_signed: clients cannot tell this server from another",
        "for development only: in production give `certificates`",
    );
    Some(Tls::InsecureSelfSigned { name: name.value })
}

fn certificate(reading: &mut Reading<'_>, node: &Node) -> Option<Certificate> {
    let mut section = Section::open(reading, node, "certificates")?;
    let chain = section.require(reading, "certificate", CERTIFICATE_HELP);
    let key = section.require(reading, "key", CERTIFICATE_HELP);
    section.finish(reading);
    let chain_file = chain.and_then(|entry| reading.file(&entry.value, "certificate"));
    let key_file = key.and_then(|entry| reading.file(&entry.value, "key"));
    let (chain_file, key_file) = (chain_file?, key_file?);
    reading.refuse_world_readable(&key_file)?;
    fitting(reading, chain_file, key_file)
}

fn fitting(reading: &mut Reading<'_>, chain_file: NamedFile, key_file: NamedFile) -> Option<Certificate> {
    let chain = reading.certificates(&chain_file)?;
    let key = reading.private_key(&key_file)?;
    let provider = rustls::crypto::ring::default_provider();
    if let Err(error) = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
        let why = match error {
            rustls::Error::InconsistentKeys(_) => "it belongs to another certificate".to_owned(),
            other => other.to_string(),
        };
        let message = format!(
            "the key {} cannot serve {}: {why}",
            key_file.path.display(),
            chain_file.path.display()
        );
        return reading.refuse(
            key_file.span,
            message,
            "name the key that the certificate was issued for",
        );
    }
    let key = Arc::new(key);
    Some(Certificate {
        certificate_path: chain_file.path,
        key_path: key_file.path,
        chain,
        key,
    })
}

fn admin_listen(reading: &mut Reading<'_>, node: &Node) -> Option<(AdminListen, Option<SecretSetting>)> {
    if matches!(&node.kind, Kind::Scalar { text, .. } if text == "off") {
        return Some((AdminListen::Off, None));
    }
    let mut section = Section::open(reading, node, "admin")?;
    let listen = section.get(reading, "listen");
    let token = section
        .get(reading, "token")
        .map(|entry| admin_token(reading, &entry.value));
    section.finish(reading);
    let listen = listen.map_or(Some(AdminListen::Tcp(ADMIN_DEFAULT)), |entry| {
        admin_address(reading, &entry.value)
    });
    let token = match token {
        None => None,
        Some(token) => Some(token?),
    };
    Some((listen?, token))
}

fn admin_token(reading: &mut Reading<'_>, node: &Node) -> Option<SecretSetting> {
    let token = reading.secret(node, "token")?;
    // It travels as a bearer token (RFC 6750 §2.1), and is guessed at by whoever reaches the listener.
    let is_token = |byte: u8| byte.is_ascii_graphic();
    if token.text.len() < ADMIN_TOKEN_BYTES_MIN || !token.text.bytes().all(is_token) {
        let message = format!("the admin token is shorter than {ADMIN_TOKEN_BYTES_MIN} bytes, or no ASCII");
        return reading.refuse(node.span, message, "make one: `openssl rand -hex 32`");
    }
    Some(token)
}

fn admin_address(reading: &mut Reading<'_>, node: &Node) -> Option<AdminListen> {
    let text = reading.text(node, "listen")?;
    if let Some(path) = text.value.strip_prefix("unix:") {
        return Some(AdminListen::Unix(reading.sources.resolve(text.span, path)));
    }
    let address = reading.address(node, "listen")?;
    if !address.value.ip().is_loopback() {
        let message = format!(
            "the admin listener would be reachable from outside at {}",
            address.value
        );
        let help = "use 127.0.0.1, [::1] or `unix:/path`; `health:` serves others, read-only";
        return reading.refuse(address.span, message, help);
    }
    Some(AdminListen::Tcp(address.value))
}

fn health_listen(reading: &mut Reading<'_>, node: &Node) -> Option<SocketAddr> {
    let mut section = Section::open(reading, node, "health")?;
    let listen = section.require(reading, "listen", "write `health: { listen: 0.0.0.0:8081 }`");
    section.finish(reading);
    reading
        .address(&listen?.value, "listen")
        .map(|address| address.value)
}
