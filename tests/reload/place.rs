//! A folder of files, and a gateway that serves what they say.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use shapegate::clock::SystemClock;
use shapegate::reload::Reloader;
use tempfile::TempDir;

use crate::support::gateway::{Gateway, JWT_SECRET, origin};
use crate::support::patience::until;
use crate::support::raw::{Answer, Raw};
use crate::support::token;

pub const MAIN: &str = "admin: off\ntenants: { folder: tenants }\ntemplates: { folder: templates }\n";

/// The secret of tokens is in a file, so that it can be another one tomorrow.
pub const BASE: &str = r#"
electric: { url: { env: ELECTRIC_URL }, secret: { env: ELECTRIC_SECRET } }
identity:
  - jwt: { issuer: https://issuer.test, audience: sync, keys: [ { alg: HS256, secret: { file: ../jwt-secret } } ] }
member: user.tenant == tenant.id
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules: [ { when: has(user.org_id), rows: { where: '"org_id" = $1', params: [user.org_id] } } ]
"#;

/// A tenant whose rules give nobody anything.
pub const NOBODY: &str = "
shapes:
  users: { table: users, columns: [id, name, org_id], rules: [ { when: 'user.id == \"x\"', rows: all } ] }
";

pub const USERS: &str = "/api/shapes/users";

/// Files of a gateway.
pub struct Files(TempDir);

impl Files {
    /// Two tenants, `acme` and `beta`, each at its own host.
    pub fn two() -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        for folder in ["tenants", "templates"] {
            fs::create_dir(files.0.path().join(folder)).expect("a folder");
        }
        files.write("shapegate.yaml", MAIN);
        files.write("templates/base.yaml", BASE);
        files.write("jwt-secret", JWT_SECRET);
        files.tenant("acme", "");
        files.tenant("beta", "");
        files
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("a file to remove");
    }

    /// A tenant of that name, with more in its file.
    pub fn tenant(&self, id: &str, more: &str) {
        self.write(
            &format!("tenants/{id}.yaml"),
            &format!("extends: base\nhosts: {id}.test\n{more}"),
        );
    }

    pub fn main(&self) -> Vec<PathBuf> {
        vec![self.path("shapegate.yaml")]
    }
}

/// A gateway, its files, and what looks at them.
pub struct World {
    pub files: Files,
    pub gateway: Gateway,
    pub reloader: Reloader,
}

impl World {
    pub async fn start() -> Self {
        Self::of(Files::two()).await
    }

    pub async fn of(files: Files) -> Self {
        let (gateway, reloader) = Gateway::of_files(origin(), files.main(), Arc::new(SystemClock)).await;
        Self {
            files,
            gateway,
            reloader,
        }
    }

    /// Looks at the files as after a change that was noticed.
    pub async fn look(&self) {
        self.reloader.look(false).await;
    }

    pub async fn ask(&self, host: &str, target: &str, token: &str) -> Answer {
        self.gateway.connect().await.ask(get(host, target, token)).await
    }

    pub async fn status(&self, tenant: &str) -> u16 {
        let target = format!("{USERS}?offset=-1");
        self.ask(&format!("{tenant}.test"), &target, &of(tenant))
            .await
            .status
    }

    /// A user of a tenant who has read the log and waits at its end.
    pub async fn waiting(&self, tenant: &str) -> Waiting {
        let (host, token) = (format!("{tenant}.test"), of(tenant));
        let first = self.ask(&host, &format!("{USERS}?offset=-1"), &token).await;
        assert_eq!(first.status, 200, "{}", first.text());
        let header = |name| first.header(name).expect("a header").to_owned();
        let (handle, offset) = (header("electric-handle"), header("electric-offset"));
        let target = format!("{USERS}?handle={handle}&offset={offset}&live=true");
        let (held, waits) = (
            self.gateway.state.metrics.held.get(),
            self.gateway.origin.waiting(),
        );
        let mut client = self.gateway.connect().await;
        client.send(get(&host, &target, &token)).await;
        until("the poll waits", || {
            self.gateway.state.metrics.held.get() > held && self.gateway.origin.waiting() > waits
        })
        .await;
        Waiting {
            client,
            offset,
            target,
            host,
            token,
        }
    }

    pub fn metric(&self, name: &str) -> String {
        let text = self.gateway.state.metrics.render().expect("metrics");
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.rsplit(' ').next().unwrap_or_default().to_owned()
    }
}

/// A poll that waits.
pub struct Waiting {
    pub client: Raw,
    pub offset: String,
    pub target: String,
    pub host: String,
    pub token: String,
}

impl Waiting {
    /// Asserts that the poll ends as Electric's own does, and gives what the next one gets.
    pub async fn ended(mut self) -> Answer {
        let answer = crate::support::patience::soon(self.client.answer())
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("electric-offset"), Some(self.offset.as_str()));
        assert!(answer.header("electric-up-to-date").is_some());
        self.client.ask(get(&self.host, &self.target, &self.token)).await
    }
}

pub fn get(host: &str, target: &str, token: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// A token of somebody who belongs to a tenant.
pub fn of(tenant: &str) -> String {
    token::token(json!({ "tenant": tenant, "org_id": 1, "sub": format!("user_of_{tenant}") }))
}
