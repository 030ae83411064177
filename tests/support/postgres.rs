//! A private Postgres: its own data in a temporary folder, free ports, stopped by its process id.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

#[path = "../../core/tests/support/installed_postgres.rs"]
mod installed;

use installed::{Owner, binaries};

/// How often, at this interval, a server that starts is asked whether it is there.
const LOOKS: (u32, Duration) = (600, Duration::from_millis(50));

/// A server of this test alone.
pub struct Server {
    folder: TempDir,
    owner: Owner,
    settings: Vec<String>,
    address: SocketAddr,
    child: Option<Child>,
}

impl Server {
    /// A running server with the database `postgres` and the user `postgres`.
    pub async fn start() -> Self {
        Self::with(&[], None).await
    }

    /// The same with settings, and with a certificate and its key in PEM.
    pub async fn with(settings: &[&str], tls: Option<(&str, &str)>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("shapegate-pg-")
            .tempdir()
            .unwrap();
        let owner = Owner::of(folder.path());
        let mut server = Self {
            folder,
            owner,
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            address: free_address(),
            child: None,
        };
        server.create_data();
        if let Some((certificate, key)) = tls {
            server.use_certificate(certificate, key);
        }
        server.resume().await;
        server
    }

    fn create_data(&self) {
        let created = self
            .owner
            .command(&binaries().join("initdb"), self.folder.path())
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(self.data())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&created.stderr);
        assert!(created.status.success(), "initdb failed: {said}");
    }

    fn use_certificate(&mut self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            self.owner.give(&path);
            let setting = if name.ends_with("crt") {
                "ssl_cert_file"
            } else {
                "ssl_key_file"
            };
            self.settings.push(format!("{setting}={}", path.display()));
        }
        self.settings.push("ssl=on".to_owned());
    }

    /// Starts again after [`Server::stop`], with the same data at the same address.
    pub async fn resume(&mut self) {
        let log = fs::File::options();
        let log = log
            .clone()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let mut command = self
            .owner
            .command(&binaries().join("postgres"), self.folder.path());
        command.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=40",
        ]);
        command.args([
            "-p",
            &self.address.port().to_string(),
            "-c",
            "shared_buffers=16MB",
            "-k",
        ]);
        command.arg(self.folder.path()).arg("-D").arg(self.data());
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let child = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.wait().await;
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "between two looks at a server that starts"
    )]
    async fn wait(&mut self) {
        for _ in 0..LOOKS.0 {
            if self.try_connect().await.is_ok() {
                return;
            }
            if self
                .child
                .as_mut()
                .is_none_or(|child| child.try_wait().unwrap().is_some())
            {
                break;
            }
            tokio::time::sleep(LOOKS.1).await;
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("the private Postgres does not answer:\n{log}");
    }

    /// Ends it: every connection is closed, and new ones are refused.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fast shutdown.
            let _ = Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status();
            let _ = child.wait();
        }
    }

    /// Stops its main process where it stands, or lets it go on: new connections then get no answer.
    pub fn freeze(&self, frozen: bool) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Asks everybody who comes over TCP for a password from now on.
    pub fn require_password(&self) {
        let rules = "local all all trust\nhost all all all scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(
            Command::new("kill")
                .args(["-HUP", &id])
                .status()
                .unwrap()
                .success()
        );
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A URL over loopback.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address)
    }

    /// A URL over its Unix socket.
    pub fn socket_url(&self) -> String {
        let (host, port) = (self.folder.path().display(), self.address.port());
        format!("postgres://postgres@/postgres?host={host}&port={port}")
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    async fn try_connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.socket_url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A connection of the test's own.
    pub async fn client(&self) -> Client {
        self.try_connect().await.unwrap()
    }

    /// Runs a script.
    pub async fn execute(&self, script: &str) {
        self.client().await.batch_execute(script).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
