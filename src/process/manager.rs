//! The service manager (sd_notify(3)): told when the process is ready, which one it is, and that it lives.
//!
//! Without one, `NOTIFY_SOCKET` is not set and nothing is told.

use std::time::Duration;

use sd_notify::NotifyState;
use shapegate_core::time::Monotonic;

use super::pulse::Pulse;
use crate::clock::Clock;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager cannot be told anything: {error}");
    }
}

/// The process serves.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The process goes away.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what has begun"),
    ]);
}

/// From now on the service is another process.
pub fn main_process_is(id: u32) {
    tell(&[NotifyState::MainPid(id), NotifyState::Status("serving")]);
}

/// Says as often as the service manager wants to hear it that requests are still served, and nothing while the threads
/// that serve them stand still.
pub async fn keep_watchdog_quiet(clock: &dyn Clock, pulse: &Pulse) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let interval = (limit / 2).max(Duration::from_millis(10));
    loop {
        pulse.beat().await;
        tell(&[NotifyState::Watchdog]);
        let next = Monotonic(clock.now().monotonic.0 + interval);
        clock.sleep_until(next).await;
    }
}
