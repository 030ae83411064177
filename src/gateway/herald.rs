//! Tells the world that the process serves: the service manager, and the process whose place it takes.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::process::arrival::Predecessor;
use crate::process::{Pulse, manager};

/// A service that starts after those that it waits for.
pub struct Herald {
    /// The watchdog's clock.
    pub clock: Arc<dyn Clock>,
    /// What keeps the watchdog quiet.
    pub pulse: Pulse,
    /// Turns true once the process can be told to end.
    pub ready: watch::Receiver<bool>,
    /// Whose place is taken, if anybody's.
    pub predecessor: Option<Predecessor>,
}

#[async_trait]
impl BackgroundService for Herald {
    async fn start(&self, _shutdown: ShutdownWatch) {
        // The sender lives as long as the process.
        drop(self.ready.clone().wait_for(|ready| *ready).await);
        log::info!("ready");
        if let Some(predecessor) = &self.predecessor {
            predecessor.ready();
        }
        manager::ready();
        manager::keep_watchdog_quiet(&*self.clock, &self.pulse).await;
    }
}
