//! `server.shutdown_delay`, `server.grace_period` and `server.upgrade_socket`: how the process goes away.

use super::reading::{Reading, Section};
use std::path::PathBuf;
use std::time::Duration;

/// What systemd sets to the folder of `RuntimeDirectory=`.
const RUNTIME_FOLDER_VARIABLE: &str = "RUNTIME_DIRECTORY";
/// The upgrade socket's name in that folder.
const UPGRADE_SOCKET_NAME: &str = "upgrade.sock";

/// How the process goes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// How long after SIGTERM connections are still taken, by a process that says that it is not ready.
    pub shutdown_delay: Duration,
    /// The longest that what has begun is waited for, once connections are not taken any more.
    pub grace_period: Duration,
    /// Where `shapegate upgrade` is listened for; none: it is not.
    pub upgrade_socket: Option<PathBuf>,
}

impl Default for Leaving {
    fn default() -> Self {
        Self {
            shutdown_delay: Duration::ZERO,
            // Above Electric's long poll of 20 s.
            grace_period: Duration::from_secs(30),
            upgrade_socket: None,
        }
    }
}

/// Reads the keys out of `server`, if that is there.
pub(super) fn leaving(reading: &mut Reading<'_>, section: Option<&mut Section<'_>>) -> Option<Leaving> {
    let mut leaving = Leaving {
        upgrade_socket: in_runtime_folder(reading),
        ..Leaving::default()
    };
    let Some(section) = section else {
        return Some(leaving);
    };
    let mut right = true;
    let ranges = [
        ("shutdown_delay", &mut leaving.shutdown_delay, Duration::ZERO),
        ("grace_period", &mut leaving.grace_period, Duration::from_secs(1)),
    ];
    for (key, slot, least) in ranges {
        let Some(entry) = section.get(reading, key) else {
            continue;
        };
        let read = reading.duration(&entry.value, key, least..=Duration::from_secs(3600));
        right &= read.map(|duration| *slot = duration).is_some();
    }
    if let Some(entry) = section.get(reading, "upgrade_socket") {
        let text = reading.text(&entry.value, "upgrade_socket");
        right &= text.is_some();
        leaving.upgrade_socket = text.map(|text| reading.sources.resolve(text.span, &text.value));
    }
    right.then_some(leaving)
}

/// The first of the folders that systemd made for this service.
fn in_runtime_folder(reading: &Reading<'_>) -> Option<PathBuf> {
    let folders = reading.surroundings.variable(RUNTIME_FOLDER_VARIABLE)?;
    let folder = folders.split(':').next().filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder).join(UPGRADE_SOCKET_NAME))
}
