//! The listening sockets: those that were given are taken, the others bound, before anything else starts.
//!
//! Pingora binds in a thread of its own, after half a minute of trying, and that thread's panic leaves a process
//! behind that serves nothing. Here a failure ends the process with a word, and every socket exists before the
//! process says that it is ready.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::arrival::Inherited;
use crate::config::{AdminListen, ServerSettings};

/// Only the owner may connect to a Unix socket of ours.
pub const UNIX_MODE: u32 = 0o600;

/// A socket that cannot be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// It is taken, not there, or not for this user.
    #[error("cannot listen on {place}: {error}")]
    Bind {
        /// The address or path.
        place: String,
        /// What the system says.
        error: io::Error,
    },
    /// The service manager listens where nobody would answer.
    #[error(
        "the service manager's socket unit listens on {place}, but no `listen` of the configuration does: \
         write the same address in both"
    )]
    Unclaimed {
        /// The address or path.
        place: String,
    },
}

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// Of an address.
    Tcp(TcpListener),
    /// Of a path.
    Unix(UnixListener),
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    fn name(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => path.display().to_string(),
        }
    }

    fn bind(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(address) => TcpListener::bind(address).map(Socket::Tcp),
            Self::Unix(path) => bind_unix(path).map(Socket::Unix),
        }
    }
}

impl Socket {
    /// Its address or path, as [`ListenerConfig`](pingora_core::listeners::ListenerConfig) spells it.
    ///
    /// # Errors
    /// What the system says.
    pub fn name(&self) -> io::Result<String> {
        self.place().map(|place| place.name())
    }

    fn place(&self) -> io::Result<Place> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Place::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().ok_or(io::ErrorKind::AddrNotAvailable)?;
                Ok(Place::Unix(path.to_owned()))
            }
        }
    }

    /// The same socket once more.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }

    /// Gives the descriptor away, for whoever takes it to close.
    pub fn into_raw_fd(self) -> RawFd {
        match self {
            Self::Tcp(listener) => listener.into_raw_fd(),
            Self::Unix(listener) => listener.into_raw_fd(),
        }
    }

    /// For an event loop.
    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.set_nonblocking(true),
            Self::Unix(listener) => listener.set_nonblocking(true),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// A received descriptor, by what it listens on.
impl TryFrom<OwnedFd> for Socket {
    type Error = io::Error;

    fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
        if rustix::net::getsockname(&descriptor)?.address_family() == rustix::net::AddressFamily::UNIX {
            return Ok(Self::Unix(UnixListener::from(descriptor)));
        }
        let listener = TcpListener::from(descriptor);
        listener.local_addr()?;
        Ok(Self::Tcp(listener))
    }
}

/// Every socket of the process, by its use.
#[derive(Debug)]
pub struct Sockets {
    /// For clients.
    pub gateway: Vec<Socket>,
    /// For operators.
    pub admin: Option<Socket>,
    /// For probes.
    pub health: Option<Socket>,
    /// For `shapegate upgrade`.
    pub upgrade: Option<Socket>,
}

impl Sockets {
    /// Takes what was inherited and binds the rest.
    ///
    /// # Errors
    /// The first address that cannot be listened on, and a socket of the service manager's that nobody asks for.
    pub fn open(settings: &ServerSettings, inherited: Inherited) -> Result<Self, ListenError> {
        let mut given = inherited.sockets;
        let mut open = |place: Place| take(&mut given, &place).map_or_else(|| bound(&place), Ok);
        let gateway = settings.listen.iter().map(|address| open(Place::Tcp(*address)));
        let gateway = gateway.collect::<Result<_, _>>()?;
        let admin = match &settings.admin {
            AdminListen::Tcp(address) => Some(Place::Tcp(*address)),
            AdminListen::Unix(path) => Some(Place::Unix(path.clone())),
            AdminListen::Off => None,
        };
        let health = settings.health.map(Place::Tcp);
        let upgrade = settings.leaving.upgrade_socket.clone().map(Place::Unix);
        let opened = Self {
            gateway,
            admin: admin.map(&mut open).transpose()?,
            health: health.map(&mut open).transpose()?,
            upgrade: upgrade.map(&mut open).transpose()?,
        };
        left_over(&given, inherited.from_manager)?;
        opened.each(Socket::set_nonblocking)?;
        Ok(opened)
    }

    /// All of them once more, for whoever comes next.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> Result<Vec<Socket>, ListenError> {
        self.each(Socket::try_clone)
    }

    fn each<T>(&self, mut with: impl FnMut(&Socket) -> io::Result<T>) -> Result<Vec<T>, ListenError> {
        let one_each = [&self.admin, &self.health, &self.upgrade];
        let all = self.gateway.iter().chain(one_each.into_iter().flatten());
        all.map(|socket| {
            with(socket).map_err(|error| ListenError::Bind {
                place: socket.name().unwrap_or_default(),
                error,
            })
        })
        .collect()
    }
}

/// The given socket that listens there. Any free port is never a given one.
fn take(given: &mut Vec<Socket>, place: &Place) -> Option<Socket> {
    let index = given
        .iter()
        .position(|socket| socket.place().is_ok_and(|found| found == *place))?;
    Some(given.swap_remove(index))
}

fn bound(place: &Place) -> Result<Socket, ListenError> {
    place.bind().map_err(|error| ListenError::Bind {
        place: place.name(),
        error,
    })
}

/// A predecessor may have listened elsewhere; a service manager keeps its socket open, and clients waiting there.
fn left_over(given: &[Socket], from_manager: bool) -> Result<(), ListenError> {
    for socket in given {
        let place = socket.name().unwrap_or_else(|_| "a nameless socket".to_owned());
        if from_manager {
            return Err(ListenError::Unclaimed { place });
        }
        log::info!("{place} is not listened on any more");
    }
    Ok(())
}

/// A socket's file outlives the process that made it; only one that nobody answers on is in nobody's way.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            return Err(io::Error::other("there is a file, and it is no socket"));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(UNIX_MODE))?;
    Ok(listener)
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
        let listener = bind_unix(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(listener);
        let nowhere = folder.path().join("missing/admin.sock");
        assert_eq!(bind_unix(&nowhere).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_that_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(bind_unix(&path).unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }

    #[test]
    fn a_given_socket_is_taken_by_its_address_and_no_other() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let mut given = vec![Socket::Tcp(first)];
        let any_port = Place::Tcp("127.0.0.1:0".parse().unwrap());
        assert!(take(&mut given, &any_port).is_none());
        assert!(take(&mut given, &Place::Unix(PathBuf::from("/x"))).is_none());
        let refused = left_over(&given, true).unwrap_err();
        assert!(refused.to_string().contains(&address.to_string()), "{refused}");
        left_over(&given, false).unwrap();
        assert!(take(&mut given, &Place::Tcp(address)).is_some());
        assert!(given.is_empty());
    }
}
