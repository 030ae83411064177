//! The upgrade socket: a line of JSON each way.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The longest request or reply, in bytes.
const LINE_BYTES_MAX: u64 = 128 * 1024;

/// What is asked of the running process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// The program to start; none: the file that the running one was started from.
    pub binary: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The process with this id serves.
    ServedBy(u32),
    /// Nothing has changed, and why.
    Unchanged(String),
}

/// Reads what a peer asks for.
///
/// # Errors
/// Why nobody does it.
pub async fn asked(stream: &mut UnixStream) -> Result<Upgrade, String> {
    let peer = stream.peer_cred().map_err(|error| error.to_string())?.uid();
    let own = rustix::process::geteuid().as_raw();
    // The file's mode says so too; this holds wherever the file was put.
    if peer != own && peer != 0 {
        return Err(format!(
            "only the gateway's own user ({own}) and root may ask for an upgrade, not {peer}"
        ));
    }
    let mut line = String::new();
    let mut bounded = stream.take(LINE_BYTES_MAX);
    bounded
        .read_to_string(&mut line)
        .await
        .map_err(|error| error.to_string())?;
    let upgrade: Upgrade = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    match &upgrade.binary {
        Some(binary) if !binary.is_absolute() => Err(format!("{} is no absolute path", binary.display())),
        _ => Ok(upgrade),
    }
}

/// Tells the peer what came of it.
pub async fn tell(stream: &mut UnixStream, outcome: &Outcome) {
    let mut line = serde_json::to_vec(outcome).unwrap_or_default();
    line.push(b'\n');
    // Whoever has gone does not want to know.
    drop(stream.write_all(&line).await);
    drop(stream.shutdown().await);
}

/// Asks the process behind the socket at `path`, and waits for what comes of it.
///
/// # Errors
/// When nobody answers.
pub fn ask(path: &Path, upgrade: &Upgrade) -> io::Result<Outcome> {
    let mut stream = StdStream::connect(path)?;
    stream.write_all(&serde_json::to_vec(upgrade)?)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}
