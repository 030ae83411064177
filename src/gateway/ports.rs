//! Whether what is to be listened on can be.
//!
//! Pingora finds out in a thread of its own, after half a minute of trying, and that thread's panic leaves a process
//! behind that serves nothing. So everything is bound once before, and a failure ends the process with a word.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use thiserror::Error;

use crate::config::{AdminListen, ServerSettings};

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}")]
pub struct ListenError {
    address: String,
    error: io::Error,
}

/// Binds every address once and lets go of it again.
///
/// # Errors
/// The first address that is taken, not there, or not for this user.
pub fn check(settings: &ServerSettings) -> Result<(), ListenError> {
    let admin = match &settings.admin {
        AdminListen::Tcp(address) => Some(address),
        AdminListen::Unix(path) => {
            named(&path.display(), bind_unix(path))?;
            None
        }
        AdminListen::Off => None,
    };
    let addresses = settings.listen.iter().chain(admin).chain(&settings.health);
    // All are held until the last is bound: one that is listed twice is taken, too.
    let bound = addresses.map(|address| named(address, TcpListener::bind(address)));
    bound.collect::<Result<Vec<_>, _>>().map(drop)
}

fn named<T>(address: &impl ToString, bound: io::Result<T>) -> Result<T, ListenError> {
    bound.map_err(|error| ListenError {
        address: address.to_string(),
        error,
    })
}

/// A socket's file outlives the process that made it; only one that nobody answers on is in nobody's way.
fn bind_unix(path: &Path) -> io::Result<()> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_file_is_taken_over_from_the_dead_and_not_from_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let living = UnixListener::bind(&path).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(living);
        assert!(path.exists(), "the file of a process that has ended");
        bind_unix(&path).unwrap();
        assert!(!path.exists());
        let nowhere = folder.path().join("missing/admin.sock");
        assert_eq!(bind_unix(&nowhere).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
