//! A gateway whose logs are files, and their lines.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::gateway::Gateway;
use crate::support::patience::until;
use crate::support::token::IDENTITY;

/// Members see their organisation, and may narrow it.
pub const SHAPES: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    client: { where: narrow }
    rules:
      - { when: '"admin" in user.roles', rows: all }
      - { when: user.org_id != 0, rows: { where: '"org_id" = $1', params: [user.org_id] } }
  items: { table: items, columns: all, access: public, rules: [{ rows: all }] }
"#;

/// A gateway with both logs.
pub struct Logged {
    pub gateway: Gateway,
    folder: TempDir,
}

impl Logged {
    pub async fn start(more: &str) -> Self {
        Self::of(more, &format!("{IDENTITY}{SHAPES}")).await
    }

    /// With these keys before and after `logs`.
    pub async fn of(more: &str, rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let logs = format!(
            "logs: {{ access: {{ file: \"{}\" }}, decisions: {{ file: \"{}\" }} }}\n",
            file("access"),
            file("decisions")
        );
        let gateway = Gateway::start(&format!("{logs}{more}{rest}")).await;
        Self { gateway, folder }
    }

    pub fn path(&self, log: &str) -> PathBuf {
        self.folder.path().join(log)
    }

    /// The lines of a log, once there are so many.
    pub async fn lines(&self, log: &str, count: usize) -> Vec<Value> {
        lines(&self.path(log), count).await
    }

    /// The only line of a log.
    pub async fn line(&self, log: &str) -> Value {
        let mut lines = self.lines(log, 1).await;
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }
}

/// The lines of a file, once there are so many.
pub async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let read = || fs::read_to_string(path).unwrap_or_default();
    until(&format!("{count} lines in {}", path.display()), || {
        read().lines().count() >= count && read().ends_with('\n')
    })
    .await;
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    read().lines().map(parse).collect()
}
