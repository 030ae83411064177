//! A server that a test started.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::patience::until;

/// A running server, ended when dropped.
pub struct Program {
    child: Child,
    folder: tempfile::TempDir,
    name: &'static str,
    arguments: Vec<String>,
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("SHAPEGATE_AUTHORIZATION_SERVERS").expect(
        "SHAPEGATE_AUTHORIZATION_SERVERS names the folder of opa, openfga and spicedb: run `make test-long`",
    );
    PathBuf::from(folder).join(name)
}

fn spawn(name: &str, folder: &Path, arguments: &[String]) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    Command::new(path(name))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Program {
    /// Starts a server. Its log is kept, to be shown when it does not come up.
    pub fn start(name: &'static str, folder: tempfile::TempDir, arguments: &[String]) -> Self {
        Self {
            child: spawn(name, folder.path(), arguments),
            folder,
            name,
            arguments: arguments.to_vec(),
        }
    }

    /// Ends it, as a machine that is switched off.
    pub fn goes_away(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, as it was started before.
    pub fn comes_back(&mut self) {
        self.child = spawn(self.name, self.folder.path(), &self.arguments);
    }

    /// Waits until it listens there.
    pub async fn listens(&mut self, port: u16) {
        let child = &mut self.child;
        let log = self.folder.path().join("log");
        let name = self.name;
        until("the server listens", || {
            if let Some(status) = child.try_wait().unwrap() {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("{name} ended with {status}:\n{log}");
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Runs a command of a server to its end.
pub fn run(name: &str, arguments: &[String]) {
    let output = Command::new(path(name)).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A POST of JSON, whose answer is JSON.
pub async fn post(url: &str, token: Option<&str>, body: &Value) -> Value {
    let answer = send(reqwest::Method::POST, url, token, body).await;
    answer.json().await.unwrap()
}

/// A PUT of JSON.
pub async fn put(url: &str, body: &Value) {
    send(reqwest::Method::PUT, url, None, body).await;
}

/// A request that succeeds in the end. A server that has just begun to listen may refuse a few.
async fn send(method: reqwest::Method, url: &str, token: Option<&str>, body: &Value) -> reqwest::Response {
    shapegate::identity::install_crypto();
    let client = reqwest::Client::new();
    let mut last = String::new();
    for _ in 0..100 {
        let mut request = client.request(method.clone(), url).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return answer,
            Ok(answer) => last = format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => last = error.to_string(),
        }
        tokio::task::yield_now().await;
    }
    panic!("{url}: {last}");
}
