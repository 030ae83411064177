//! A private Redis, or Valkey: in a temporary folder, on a free port, stopped by its process id.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisConnectionInfo};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::patience::PATIENCE;
use super::ports::free_address;

/// How often, at this interval, a server that starts is asked whether it is there.
const LOOKS: (u32, Duration) = (600, Duration::from_millis(50));

/// A server of this test alone; killed when dropped. It keeps nothing when it is stopped.
pub struct Redis {
    pub address: SocketAddr,
    folder: TempDir,
    settings: Vec<String>,
    password: Option<&'static str>,
    child: Option<Child>,
}

impl Redis {
    pub async fn start() -> Self {
        Self::with(&[], None).await
    }

    /// The same, with arguments, and for who has a password alone.
    pub async fn with(settings: &[&str], password: Option<&'static str>) -> Self {
        let mut server = Self {
            address: free_address(),
            folder: tempfile::tempdir().unwrap(),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            password,
            child: None,
        };
        server.resume().await;
        server
    }

    /// Writes a file beside its data, for it to read; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Starts again at the same address.
    pub async fn resume(&mut self) {
        let output = File::create(self.folder.path().join("output")).unwrap();
        let mut command = Command::new(program());
        command
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
            ])
            .args(["--port", &self.address.port().to_string()])
            .args(&self.settings)
            .arg("--dir")
            .arg(self.folder.path());
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        let command = command.stdin(Stdio::null()).stdout(output.try_clone().unwrap());
        self.child = Some(
            command
                .stderr(output)
                .spawn()
                .expect("redis-server: see scripts/need.sh"),
        );
        self.wait().await;
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "between two looks at a server that starts"
    )]
    async fn wait(&mut self) {
        for _ in 0..LOOKS.0 {
            if self.try_connect().await.is_some() {
                return;
            }
            tokio::time::sleep(LOOKS.1).await;
        }
        let output = fs::read_to_string(self.folder.path().join("output"));
        panic!(
            "the private Redis does not answer:\n{}",
            output.unwrap_or_default()
        );
    }

    async fn try_connect(&self) -> Option<MultiplexedConnection> {
        let mut info = RedisConnectionInfo::default();
        if let Some(password) = self.password {
            info = info.set_password(password);
        }
        // By itself the crate gives up after half a second, which a busy machine takes for a large answer.
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let stream = TcpStream::connect(self.address).await.ok()?;
        let (mut connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
            .await
            .ok()?;
        tokio::spawn(driver);
        let pong: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
        pong.is_ok().then_some(connection)
    }

    /// Ends it at once: every connection is broken off, and everything in it is lost.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Stops its process where it stands, or lets it go on: connections are taken, and nothing is answered.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }

    /// A URL without a password.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What it says to a command.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.try_connect().await.expect("a running Redis");
        let (first, rest) = words.split_first().unwrap();
        redis::cmd(first)
            .arg(rest)
            .query_async(&mut connection)
            .await
            .unwrap()
    }

    /// What it says to a command that may fail.
    pub async fn try_ask(&self, words: &[&str]) {
        let mut connection = self.try_connect().await.expect("a running Redis");
        let (first, rest) = words.split_first().unwrap();
        drop(
            redis::cmd(first)
                .arg(rest)
                .query_async::<redis::Value>(&mut connection)
                .await,
        );
    }

    /// Its clock, in microseconds.
    pub async fn micros(&self) -> u64 {
        let (seconds, micros): (u64, u64) = self.ask(&["TIME"]).await;
        seconds * 1_000_000 + micros
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server's program; Valkey's where the variable says so.
fn program() -> String {
    std::env::var("SHAPEGATE_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}
