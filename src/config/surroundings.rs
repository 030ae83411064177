//! What a configuration reads besides its own text: environment variables and files.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The machine around the configuration. Tests give their own.
pub trait Surroundings {
    /// An environment variable; none when it is not set or not Unicode.
    fn variable(&self, name: &str) -> Option<String>;

    /// A file's content.
    ///
    /// # Errors
    /// What the system says, and [`io::ErrorKind::FileTooLarge`] above `bytes_max`.
    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<FileContent>;

    /// What is in a folder, in any order.
    ///
    /// # Errors
    /// What the system says.
    fn folder(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    /// Where systemd put a credential of this service (`$CREDENTIALS_DIRECTORY`); none outside systemd.
    fn credential(&self, name: &str) -> Option<PathBuf> {
        let folder = self
            .variable("CREDENTIALS_DIRECTORY")
            .filter(|folder| !folder.is_empty())?;
        Some(Path::new(&folder).join(name))
    }
}

/// A file as it was found.
#[derive(Clone, Debug)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether every account of the machine may read it.
    pub world_readable: bool,
}

/// The process' own environment and file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<FileContent> {
        let file = std::fs::File::open(path)?;
        let world_readable = world_readable(&file.metadata()?);
        let mut bytes = Vec::new();
        // One byte more than allowed tells "full" from "too large", for pipes and devices too.
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(FileContent {
            bytes,
            world_readable,
        })
    }
}

#[cfg(unix)]
fn world_readable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn world_readable(_: &std::fs::Metadata) -> bool {
    false
}
