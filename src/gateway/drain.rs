//! Going away: what waits is answered early, what is in flight is finished, then the process ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use shapegate_core::time::Monotonic;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::Metrics;
use crate::clock::Clock;

/// How often a draining process looks whether it has finished.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Whether the process is going away.
#[derive(Clone, Debug)]
pub struct Drain {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Drain {
    /// Starts going away.
    pub fn begin(&self) {
        self.sender.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.sender.borrow()
    }

    /// Resolves once it has begun.
    pub async fn begun(&self) {
        let mut watch = self.sender.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(watch.wait_for(|begun| *begun).await);
    }
}

/// Ends the server on SIGTERM once everything in flight is answered, within a grace period; on SIGINT at once.
pub struct DrainOnSignal {
    /// What is told first.
    pub drain: Drain,
    /// Where the requests in flight are counted.
    pub metrics: Arc<Metrics>,
    /// The clock of the grace period.
    pub clock: Arc<dyn Clock>,
    /// The longest that requests in flight are waited for.
    pub grace_period: Duration,
}

impl DrainOnSignal {
    async fn finish(&self) {
        self.drain.begin();
        let end = Monotonic(self.clock.now().monotonic.0 + self.grace_period);
        while self.metrics.in_flight.get() > 0 && self.clock.now().monotonic < end {
            let look = Monotonic(self.clock.now().monotonic.0 + LOOK_INTERVAL);
            self.clock.sleep_until(look).await;
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for DrainOnSignal {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            log::error!("signals cannot be received; the process ends only when killed");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => self.finish().await,
            _ = interrupt.recv() => {}
        }
        // Pingora's graceful way sleeps its whole grace period; everything is answered by now.
        ShutdownSignal::FastShutdown
    }
}
