//! The Postgres that is installed, and who may run a server of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who runs the server: not root, which Postgres refuses.
pub(crate) enum Owner {
    Myself,
    Other { user: u32, group: u32 },
}

impl Owner {
    /// Whoever may run a server in this folder, which becomes his.
    pub(crate) fn of(folder: &Path) -> Self {
        if fs::metadata(folder).unwrap().uid() != 0 {
            return Self::Myself;
        }
        let id = |flag| {
            let output = Command::new("id").args([flag, "postgres"]).output().unwrap();
            let number = String::from_utf8(output.stdout).unwrap().trim().parse::<u32>();
            number.expect(
                "root cannot run Postgres and there is no user `postgres`: install the package postgresql",
            )
        };
        let owner = Self::Other {
            user: id("-u"),
            group: id("-g"),
        };
        owner.give(folder);
        owner
    }

    /// Lets him have this.
    pub(crate) fn give(&self, path: &Path) {
        if let Self::Other { user, group } = self {
            chown(path, Some(*user), Some(*group)).unwrap();
        }
    }

    /// A program that runs as him.
    pub(crate) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null());
        if let Self::Other { user, group } = self {
            command.uid(*user).gid(*group);
        }
        command
    }
}

/// The newest installed server's programs.
pub(crate) fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let packaged = versions
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path().join("bin"),
            ))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .max();
    let on_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(|path| path.join("initdb").exists())
    };
    packaged
        .map(|(_, path)| path)
        .or_else(on_path)
        .expect("these tests need a Postgres: apt-get install postgresql, or put its initdb on PATH")
}
