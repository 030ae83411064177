//! Wall-clock time, taken as a trait so that tests may fix it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the origin reads the wall clock: handles and cursors are made from it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Time since the Unix epoch.
    fn since_epoch(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock everything else takes"
    )]
    fn since_epoch(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A future that is ready once the duration has passed.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the origin waits for time to pass"
)]
pub(crate) fn after(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(duration)
}
