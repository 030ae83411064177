//! The file of revocations, looked at again and again.
//!
//! By its state and not by notifications of the kernel: those are lost on network folders, and see nothing of a
//! Kubernetes ConfigMap, whose files are links that are replaced far up.

use std::io;
use std::path::{Path, PathBuf};

use shapegate_core::time::{Monotonic, UnixMillis};

use super::watched::{Complaint, LOOK_INTERVAL, Look};
use super::{Revocations, Source};
use crate::clock::Clock;
use crate::config::yaml::FILE_BYTES_MAX;
use crate::config::{Machine, RevocationFile, Surroundings as _, revocations_of};

/// Follows a file of revocations for ever. A file that is broken or gone changes nothing: what it said holds on.
pub async fn follow(revocations: &Revocations, file: &RevocationFile, clock: &dyn Clock) {
    let mut follower = Follower {
        path: file.path.clone(),
        look: None,
        content: None,
        fault: None,
        complaint: Complaint::default(),
    };
    loop {
        follower.look(revocations, clock).await;
        revocations.sweep(clock.now().wall);
        let next = clock.now().monotonic.plus(LOOK_INTERVAL);
        clock.sleep_until(next).await;
    }
}

struct Follower {
    path: PathBuf,
    look: Option<Look>,
    /// What was read last.
    content: Option<Vec<u8>>,
    /// What is wrong with it.
    fault: Option<String>,
    complaint: Complaint,
}

impl Follower {
    async fn look(&mut self, revocations: &Revocations, clock: &dyn Clock) {
        let now = clock.now();
        match self.read(now.wall).await {
            Ok(Some(bytes)) => self.fault = self.take(bytes, revocations, now.wall).err(),
            Ok(None) => {}
            Err(error) => return self.complain(&error.to_string(), revocations, now.monotonic),
        }
        match self.fault.take() {
            Some(fault) => {
                self.complain(&fault, revocations, now.monotonic);
                self.fault = Some(fault);
            }
            None => self.recover(revocations),
        }
    }

    fn take(&self, bytes: Vec<u8>, revocations: &Revocations, now: UnixMillis) -> Result<(), String> {
        let entries = revocations_of(&self.path, bytes)?;
        let count = entries.len();
        let replaced = revocations.replace(Source::File, entries, now);
        replaced.map_err(|full| full.to_string())?;
        log::info!("{count} revocations in {}", self.path.display());
        Ok(())
    }

    fn recover(&mut self, revocations: &Revocations) {
        revocations.metrics().file_failed.set(0);
        if self.complaint.is_settled() {
            log::info!("the file of revocations {} is right again", self.path.display());
        }
    }

    /// The content, if it may be another one than before.
    async fn read(&mut self, now: UnixMillis) -> io::Result<Option<Vec<u8>>> {
        let (path, before) = (self.path.clone(), self.look);
        let looked = tokio::task::spawn_blocking(move || look(&path, before, now)).await;
        let (look, bytes) = looked.map_err(io::Error::other)??;
        self.look = Some(look);
        let news = bytes.filter(|bytes| self.content.as_ref() != Some(bytes));
        if let Some(bytes) = &news {
            self.content = Some(bytes.clone());
        }
        Ok(news)
    }

    /// Says that what was there before is still in force, at once and then now and then.
    fn complain(&mut self, why: &str, revocations: &Revocations, now: Monotonic) {
        revocations.metrics().file_failed.set(1);
        if self.complaint.is_due(now) {
            let path = self.path.display();
            log::error!("the file of revocations {path} is not taken, and what it said before stays: {why}");
        }
    }
}

fn look(path: &Path, before: Option<Look>, now: UnixMillis) -> io::Result<(Look, Option<Vec<u8>>)> {
    let look = Look::of(&std::fs::metadata(path)?);
    if before == Some(look) && !look.is_young(now) {
        return Ok((look, None));
    }
    let content = Machine.file(path, FILE_BYTES_MAX)?;
    Ok((look, Some(content.bytes)))
}
