//! The state file: what operators revoked over the admin listener, kept for the processes that come after.
//!
//! Each change reads the file, changes it and replaces it as a whole: written beside, synchronised, renamed over,
//! the folder synchronised. A process that is killed in between leaves the old file or the new one. A lock on the
//! folder orders the changes of two processes, of which there are two during an upgrade.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use shapegate_core::time::UnixMillis;
use thiserror::Error;

use super::{ENTRIES_MAX, Entry, Full, Name, Written};

/// Largest state file, in bytes: ten times what [`ENTRIES_MAX`] usual entries need.
const STATE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The version of the format.
const VERSION: u32 = 1;
/// Who may read and write it: its owner.
const MODE: u32 = 0o600;
/// Anybody may write.
const OTHERS_WRITE: u32 = 0o002;

/// What is to become of a name: an entry, or none any more.
pub type Changes = HashMap<Name, Option<Entry>>;
/// Entries by their names.
pub type Entries = HashMap<Name, Entry>;

/// Where revocations are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    path: PathBuf,
}

/// Why the state file cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// The system refuses.
    #[error("{what} {}: {error}", path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is nothing that was written by this program.
    #[error(
        "{} is not what shapegate wrote: {why}. Restore it from a backup; without one, move it away, and revoke anew what was revoked",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There would be too many entries.
    #[error(transparent)]
    Full(#[from] Full),
}

impl StateError {
    /// Whether there was no room to write.
    pub fn is_for_want_of_room(&self) -> bool {
        let full = [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::FileTooLarge,
        ];
        matches!(self, Self::System { error, .. } if full.contains(&error.kind()))
    }
}

/// The file after a change.
#[derive(Debug)]
pub struct Changed {
    /// All that is in it.
    pub entries: Entries,
    /// What is no longer.
    pub removed: HashSet<Name>,
}

/// The content: the version stands first, and is read first.
#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    revocations: Vec<Written>,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl StateFile {
    /// A file that may not be there yet; its folder must be.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it; none where there is no file.
    ///
    /// # Errors
    /// When it cannot be read, or is broken.
    pub fn read(&self) -> Result<Option<Entries>, StateError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.system("cannot read", error)),
        };
        let metadata = file
            .metadata()
            .map_err(|error| self.system("cannot read", error))?;
        if !metadata.is_file() {
            return Err(self.broken("it is no regular file"));
        }
        if metadata.permissions().mode() & OTHERS_WRITE != 0 {
            return Err(self.broken("everybody may write it (chmod 600 it if nobody has)"));
        }
        let mut bytes = Vec::new();
        file.take(STATE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.system("cannot read", error))?;
        if bytes.len() as u64 > STATE_BYTES_MAX {
            return Err(self.broken("it is too large"));
        }
        self.parse(&bytes).map(Some)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Entries, StateError> {
        let no_json = |error: serde_json::Error| self.broken(&error.to_string());
        let Version { version } = serde_json::from_slice(bytes).map_err(no_json)?;
        if version != VERSION {
            return Err(self.broken(&format!(
                "it is of version {version}, and this program knows {VERSION}"
            )));
        }
        let content: Content = serde_json::from_slice(bytes).map_err(no_json)?;
        if content.revocations.len() > ENTRIES_MAX {
            return Err(self.broken(&Full.to_string()));
        }
        let mut entries = Entries::with_capacity(content.revocations.len());
        for written in content.revocations {
            let entry = written.entry();
            let entry = entry.ok_or_else(|| self.broken("an entry is of an unknown kind, or too long"))?;
            entries.insert(entry.name.clone(), entry);
        }
        Ok(entries)
    }

    /// Changes what is in it; `known` stands for a file that is not there. Returns once it is on disk.
    ///
    /// # Errors
    /// When it cannot be read, locked or written, is broken, or would have too many entries. Then it is as before.
    pub fn change(&self, changes: &Changes, known: &Entries, now: UnixMillis) -> Result<Changed, StateError> {
        let folder = self.folder()?;
        let there = self.read()?;
        let is_new = there.is_none();
        let mut entries = there.unwrap_or_else(|| known.clone());
        let before = entries.len();
        entries.retain(|_, entry| !entry.is_over(now));
        let mut differs = is_new || entries.len() != before;
        let mut removed = HashSet::new();
        for (name, change) in changes {
            let old = match change {
                Some(entry) if entry.is_over(now) => entries.remove(name),
                Some(entry) => entries.insert(name.clone(), entry.clone()),
                None => entries.remove(name),
            };
            differs |= old.as_ref() != change.as_ref();
            if change.is_none() && old.is_some() {
                removed.insert(name.clone());
            }
        }
        if entries.len() > ENTRIES_MAX {
            return Err(Full.into());
        }
        if differs {
            self.write(&entries, &folder)?;
        }
        Ok(Changed { entries, removed })
    }

    /// The folder, locked until it is dropped.
    fn folder(&self) -> Result<File, StateError> {
        let path = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        let path = path.unwrap_or(Path::new("."));
        let refused = |what, error| StateError::System {
            what,
            path: path.to_owned(),
            error,
        };
        let folder = File::open(path).map_err(|error| refused("cannot open the folder", error))?;
        flock(&folder, FlockOperation::LockExclusive)
            .map_err(|error| refused("cannot lock the folder", error.into()))?;
        Ok(folder)
    }

    fn write(&self, entries: &Entries, folder: &File) -> Result<(), StateError> {
        let beside = self.beside();
        let written = (|| {
            // What a process left that was killed while it wrote.
            match std::fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(MODE).open(&beside)?;
            // Whatever the umask says.
            file.set_permissions(Permissions::from_mode(MODE))?;
            file.write_all(&text_of(entries)?)?;
            file.sync_all()?;
            std::fs::rename(&beside, &self.path)?;
            folder.sync_all()
        })();
        written.map_err(|error| {
            // What is half written takes up the room that there is too little of.
            drop(std::fs::remove_file(&beside));
            self.system("cannot write", error)
        })
    }

    /// Where it is written before it takes the file's place.
    fn beside(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        self.path.with_file_name(name)
    }

    fn system(&self, what: &'static str, error: io::Error) -> StateError {
        let path = self.path.clone();
        StateError::System { what, path, error }
    }

    fn broken(&self, why: &str) -> StateError {
        StateError::Broken {
            path: self.path.clone(),
            why: why.to_owned(),
        }
    }
}

/// One entry a line.
fn text_of(entries: &Entries) -> io::Result<Vec<u8>> {
    let mut text = format!("{{\"version\": {VERSION}, \"revocations\": [").into_bytes();
    for (index, entry) in entries.values().enumerate() {
        text.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        serde_json::to_writer(&mut text, &Written::of(entry))?;
        if text.len() as u64 > STATE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    text.extend_from_slice(b"\n]}\n");
    Ok(text)
}
