//! What following a file takes: how it looks from outside, how often that is seen to, how often a fault is told.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use shapegate_core::time::{Monotonic, UnixMillis};

/// How often a file is looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A file that was written so short a time ago may be written again without looking different: file systems count
/// time in steps of their own.
const YOUNG: Duration = Duration::from_secs(2);
/// How often a failure that lasts is told.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(super) fn is_young(&self, now: UnixMillis) -> bool {
        UnixMillis::from_seconds(self.changed.0).until(now) < YOUNG
    }
}

/// A failure that is told at once, and then now and then while it lasts.
#[derive(Debug, Default)]
pub(super) struct Complaint(Option<Monotonic>);

impl Complaint {
    /// It fails; whether that is to be told.
    pub(super) fn is_due(&mut self, now: Monotonic) -> bool {
        let due = self.0.is_none_or(|said| said.plus(COMPLAINT_INTERVAL) <= now);
        if due {
            self.0 = Some(now);
        }
        due
    }

    /// It fails no longer; whether a failure was told.
    pub(super) fn is_settled(&mut self) -> bool {
        self.0.take().is_some()
    }
}
