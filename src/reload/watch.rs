//! When to look at files again: when the system says that something changed in their folders, and now and then,
//! because not every file system says so.

use crate::clock::Clock;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use shapegate_core::time::Monotonic;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long nothing may change until it is looked at what did: editors write in several steps.
const QUIET: Duration = Duration::from_millis(20);
/// The longest that a look is put off by one change after the other.
const PUT_OFF_MAX: Duration = Duration::from_millis(500);
/// How often it is looked whatever the system says.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Watches folders.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    changes: mpsc::Receiver<()>,
    // Held so that the receiver waits for ever where nothing can be watched.
    _sender: mpsc::Sender<()>,
}

impl Watch {
    pub(super) fn new() -> Self {
        // One message says as much as many.
        let (sender, changes) = mpsc::channel(1);
        let tell = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| !event.kind.is_access()) {
                // Full: it is told already.
                _ = tell.try_send(());
            }
        });
        let watcher = watcher.map_err(|error| log::warn!("files are not watched, only looked at: {error}"));
        Self {
            watcher: watcher.ok(),
            watched: HashSet::new(),
            changes,
            _sender: sender,
        }
    }

    /// Watches these folders and, where one is a link, what it leads to; no others any more.
    pub(super) fn follow(&mut self, folders: &HashSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let real = folders.iter().filter_map(|folder| folder.canonicalize().ok());
        let wanted: HashSet<PathBuf> = folders.iter().cloned().chain(real).collect();
        for gone in self.watched.difference(&wanted) {
            drop(watcher.unwatch(gone));
        }
        for new in wanted.difference(&self.watched) {
            watch(watcher, new);
        }
        self.watched = wanted;
    }

    /// Resolves when it is time to look.
    pub(super) async fn due(&mut self, clock: &dyn Clock) {
        let begun = clock.now().monotonic;
        tokio::select! {
            _ = self.changes.recv() => {}
            () = clock.sleep_until(begun.plus(LOOK_INTERVAL)) => return,
        }
        let latest = clock.now().monotonic.plus(PUT_OFF_MAX);
        loop {
            let quiet = clock.now().monotonic.plus(QUIET);
            let end = Monotonic(quiet.0.min(latest.0));
            tokio::select! {
                biased;
                () = clock.sleep_until(end) => return,
                _ = self.changes.recv() => {}
            }
        }
    }
}

fn watch(watcher: &mut RecommendedWatcher, folder: &Path) {
    if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
        log::warn!("{} is not watched, only looked at: {error}", folder.display());
    }
}
