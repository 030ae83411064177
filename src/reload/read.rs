//! Which files something was made from, and whether they have changed.

use crate::config::{FileContent, Surroundings};
use aws_lc_rs::digest;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// Largest file that is read again to see whether it has changed, in bytes; no file of a configuration is larger.
const BYTES_MAX: usize = 1024 * 1024;

/// The files that something was made from, as they were then.
#[derive(Clone, Debug, Default)]
pub(super) struct FilesRead(BTreeMap<PathBuf, Seen>);

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    stamp: Option<Stamp>,
    /// None where it could not be read.
    digest: Option<[u8; 32]>,
}

/// What changes with every usual way of changing a file: an editor's, a rename, the swap of a link on its path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    file: (u64, u64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            file: identity(&metadata),
        })
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

fn digest_of(bytes: &[u8]) -> Option<[u8; 32]> {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().ok()
}

impl FilesRead {
    /// Whether any of them is another one now. `closely`: even where its looks have not changed.
    pub(super) fn have_changed(&mut self, closely: bool, surroundings: &dyn Surroundings) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.0 {
            let stamp = Stamp::of(path);
            if !closely && stamp.is_some() && stamp == seen.stamp {
                continue;
            }
            let content = surroundings.file(path, BYTES_MAX).ok();
            let digest = content.and_then(|content| digest_of(&content.bytes));
            changed |= digest != seen.digest;
            *seen = Seen { stamp, digest };
        }
        changed
    }

    /// Their paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

/// Surroundings that remember which files were read.
pub(super) struct Recorder<'a> {
    inner: &'a dyn Surroundings,
    read: Mutex<FilesRead>,
}

impl<'a> Recorder<'a> {
    pub(super) fn over(inner: &'a dyn Surroundings) -> Self {
        Self {
            inner,
            read: Mutex::default(),
        }
    }

    pub(super) fn into_read(self) -> FilesRead {
        self.read.into_inner().unwrap_or_default()
    }
}

impl Surroundings for Recorder<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.inner.variable(name)
    }

    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<FileContent> {
        // The stamp first: a change in between is then noticed at the next look.
        let stamp = Stamp::of(path);
        let content = self.inner.file(path, bytes_max);
        let digest = content
            .as_ref()
            .ok()
            .and_then(|content| digest_of(&content.bytes));
        if let Ok(mut read) = self.read.lock() {
            read.0.insert(path.to_owned(), Seen { stamp, digest });
        }
        content
    }

    fn folder(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.folder(path)
    }
}
