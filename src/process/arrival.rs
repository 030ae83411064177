//! How this process came to be: by itself, by a service manager that listens already (systemd's socket activation,
//! sd_listen_fds(3)), or in the place of another that hands its sockets over.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use thiserror::Error;

use super::passing;
use super::sockets::Socket;

/// Set for a process that takes the place of another, which then is its standard input.
pub const SUCCESSOR_VARIABLE: &str = "SHAPEGATE_SUCCESSOR";
/// What a successor says once it serves; anything else is why it does not.
pub const READY: &str = "ready\n";
/// How long a predecessor may take to say what it has to: it does before it looks at anything else.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(10);

/// Why what was given to this process cannot be used.
#[derive(Debug, Error)]
pub enum ArrivalError {
    /// The predecessor did not keep to the protocol.
    #[error("the process to take over from does not hand its sockets over: {0}")]
    Predecessor(#[source] io::Error),
    /// A descriptor of the service manager's is of no use here.
    #[error("the service manager's socket {index} is no listening stream socket: {error}")]
    Manager {
        /// Which one, counted from 0.
        index: usize,
        /// What is wrong with it.
        error: io::Error,
    },
}

/// The sockets that were given to this process.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Each listens already.
    pub sockets: Vec<Socket>,
    /// Whether they are the service manager's, which keeps them open.
    pub from_manager: bool,
}

/// The process whose place this one takes.
#[derive(Clone, Debug)]
pub struct Predecessor {
    stream: Arc<UnixStream>,
}

/// How this process came to be.
#[derive(Debug, Default)]
pub struct Arrival {
    /// What it was given.
    pub inherited: Inherited,
    /// Whose place it takes, if anybody's.
    pub predecessor: Option<Predecessor>,
}

impl Arrival {
    /// Looks at the environment. Descriptors that were given are taken, so that this works once.
    ///
    /// # Errors
    /// When something was given that cannot be used.
    pub fn detect() -> Result<Self, ArrivalError> {
        if std::env::var_os(SUCCESSOR_VARIABLE).is_some() {
            return Self::from_predecessor().map_err(ArrivalError::Predecessor);
        }
        let sockets = from_manager()?;
        let inherited = Inherited {
            from_manager: !sockets.is_empty(),
            sockets,
        };
        Ok(Self {
            inherited,
            predecessor: None,
        })
    }

    fn from_predecessor() -> io::Result<Self> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_read_timeout(Some(PREDECESSOR_TIMEOUT))?;
        let sockets = passing::receive(&stream)?;
        let sockets = sockets.into_iter().map(Socket::try_from);
        let inherited = Inherited {
            sockets: sockets.collect::<io::Result<_>>()?,
            from_manager: false,
        };
        let predecessor = Predecessor {
            stream: Arc::new(stream),
        };
        Ok(Self {
            inherited,
            predecessor: Some(predecessor),
        })
    }
}

impl Predecessor {
    /// Tells it to stop accepting.
    pub fn ready(&self) {
        self.say(READY);
    }

    /// Tells it to go on, and why.
    pub fn failed(&self, why: &str) {
        self.say(why);
    }

    fn say(&self, text: &str) {
        // One that has gone cannot be told; whoever started the upgrade sees that.
        if let Err(error) = (&*self.stream)
            .write_all(text.as_bytes())
            .and_then(|()| self.stream.shutdown(std::net::Shutdown::Write))
        {
            log::warn!("the process that this one takes over from cannot be told anything: {error}");
        }
    }
}

fn from_manager() -> Result<Vec<Socket>, ArrivalError> {
    let mut given = ListenFd::from_env();
    (0..given.len()).map(|index| one(&mut given, index)).collect()
}

fn one(given: &mut ListenFd, index: usize) -> Result<Socket, ArrivalError> {
    if let Ok(Some(listener)) = given.take_unix_listener(index) {
        return Ok(Socket::Unix(listener));
    }
    match given.take_tcp_listener(index) {
        Ok(Some(listener)) => Ok(Socket::Tcp(listener)),
        Ok(None) => Err(ArrivalError::Manager {
            index,
            error: io::ErrorKind::NotFound.into(),
        }),
        Err(error) => Err(ArrivalError::Manager { index, error }),
    }
}
