//! The real program, with TLS, on a free port.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use shapegate_origin::Origin;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::gateway::{ELECTRIC_SECRET, JWT_SECRET, origin};
use super::ports::free_address;

/// How often a starting program is asked whether it listens, and for how long.
const LOOKS: (u32, Duration) = (400, Duration::from_millis(25));

/// A running program; killed when dropped.
pub struct Program {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub origin: Origin,
    folder: TempDir,
    child: Child,
}

impl Program {
    /// Serves `rest` (all but `server`, `admin` and `electric`) under a certificate of its own for `localhost`.
    pub async fn start(rest: &str) -> Self {
        let (origin, folder) = (origin(), tempfile::tempdir().expect("a folder"));
        let (address, admin) = (free_address(), free_address());
        let text = format!(
            "server: {{ listen: \"{address}\", tls: {{ insecure_self_signed: localhost }} }}\n\
             admin: {{ listen: \"{admin}\" }}\n\
             electric: {{ url: \"{}\", secret: {{ env: ELECTRIC_SECRET }} }}\n{rest}",
            origin.url()
        );
        let config = folder.path().join("shapegate.yaml");
        fs::write(&config, text).expect("a file");
        let output = File::create(folder.path().join("output")).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_shapegate"))
            .args(["serve", "-c"])
            .arg(&config)
            .env("ELECTRIC_SECRET", ELECTRIC_SECRET)
            .env("JWT_SECRET", JWT_SECRET)
            .env("RUST_LOG", "trace")
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("the program");
        let program = Self {
            address,
            admin,
            origin,
            folder,
            child,
        };
        program.until_listening().await;
        program
    }

    /// Everything that it has printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).expect("a file")
    }

    /// A TLS connection that asks for `name` and offers `protocol`.
    pub async fn tls(&self, name: &'static str, protocol: &[u8]) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tcp = TcpStream::connect(self.address)
            .await
            .expect("a listening program");
        let name = ServerName::try_from(name).expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.expect("a handshake")
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a program that starts tells nobody when it is ready"
    )]
    async fn until_listening(&self) {
        for _ in 0..LOOKS.0 {
            let (public, admin) = (
                TcpStream::connect(self.address).await,
                TcpStream::connect(self.admin).await,
            );
            if public.is_ok() && admin.is_ok() {
                return;
            }
            tokio::time::sleep(LOOKS.1).await;
        }
        panic!("the program does not listen: {}", self.output());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
