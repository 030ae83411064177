//! Starting the process that takes this one's place.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::io::AsyncReadExt as _;

use super::arrival::{READY, SUCCESSOR_VARIABLE};
use super::passing;
use super::sockets::Socket;

/// The most that a successor says about its failure, in bytes.
const WORDS_BYTES_MAX: u64 = 64 * 1024;
/// Variables that name this process or its descriptors, and mean nothing to another.
const OWN_VARIABLES: [&str; 5] = [
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_FDS_FIRST_FD",
    "WATCHDOG_PID",
];

/// How this process was started, and another like it can be.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// This process' own. Asked at its start: later, its file may have been replaced under the same path.
    ///
    /// # Errors
    /// What the system says.
    pub fn this() -> io::Result<Self> {
        Ok(Self {
            path: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
        })
    }

    fn command(&self, binary: Option<&Path>) -> Command {
        let mut command = Command::new(binary.unwrap_or(&self.path));
        command.args(&self.arguments).env(SUCCESSOR_VARIABLE, "1");
        for name in OWN_VARIABLES {
            command.env_remove(name);
        }
        command
    }
}

/// A process about to take this one's place; killed when dropped before it does.
pub struct Successor {
    child: Option<Child>,
    words: tokio::net::UnixStream,
}

impl Successor {
    /// Starts `binary`, or else the file that this process was started from, with this process' arguments, and
    /// hands `sockets` over.
    ///
    /// # Errors
    /// Why there is none, for whoever asked.
    pub fn start(program: &Program, binary: Option<&Path>, sockets: &[Socket]) -> Result<Self, String> {
        let (here, there) = UnixStream::pair().map_err(|error| error.to_string())?;
        let mut command = program.command(binary);
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::from(OwnedFd::from(there)));
        let child = command
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        // From here on, a failure ends the child.
        let child = Started(Some(child));
        let descriptors: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
        passing::send(&here, &descriptors)
            .map_err(|error| format!("{name} does not take the sockets: {error}"))?;
        here.set_nonblocking(true).map_err(|error| error.to_string())?;
        let words = tokio::net::UnixStream::from_std(here).map_err(|error| error.to_string())?;
        Ok(Self {
            child: child.keep(),
            words,
        })
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ready(&mut self) -> Result<(), String> {
        let mut words = Vec::new();
        let mut rest = (&mut self.words).take(WORDS_BYTES_MAX);
        // A broken connection is an end like any other.
        drop(rest.read_to_end(&mut words).await);
        match String::from_utf8_lossy(&words).as_ref() {
            READY => Ok(()),
            "" => Err(self.epitaph()),
            why => Err(why.trim_end().to_owned()),
        }
    }

    /// How one that said nothing ended.
    fn epitaph(&mut self) -> String {
        // It has closed its end, so that it has ended, or can only be ended.
        let ended = Started(self.child.take()).end();
        match ended {
            Some(Ok(status)) => {
                format!("the new process ended ({status}) before it was ready; its own words are in the log")
            }
            Some(Err(error)) => format!("the new process is lost: {error}"),
            None => "the new process has ended".to_owned(),
        }
    }

    /// Lets it live on without this process; gives its id.
    pub fn release(mut self) -> Option<u32> {
        self.child.take().map(|child| child.id())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        drop(Started(self.child.take()));
    }
}

/// A child that is ended when dropped.
struct Started(Option<Child>);

impl Started {
    fn keep(mut self) -> Option<Child> {
        self.0.take()
    }

    fn end(&mut self) -> Option<io::Result<std::process::ExitStatus>> {
        self.0.take().map(|mut child| {
            // One that has ended by itself keeps its own status.
            drop(child.kill());
            child.wait()
        })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.end());
    }
}
