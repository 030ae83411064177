//! Connections that idle until the next request to the same place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shapegate_core::time::Monotonic;

use super::Connection;
use crate::clock::Clock;

/// How long a connection may idle; Electric closes its end after 60 s.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// How long between two looks for connections that idled too long, or that the upstream has closed.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// What two requests have in common that may use one connection, compared in full.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// Where it leads.
    pub address: SocketAddr,
    /// Whose certificate was checked, if TLS is spoken.
    pub tls_host: Option<Arc<str>>,
    /// Whom it trusts, as a number.
    pub trust_domain: u64,
}

/// Connections at rest, the last one used first.
pub struct Pool {
    clock: Arc<dyn Clock>,
    idle_max: usize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    by_place: HashMap<PoolKey, Vec<AtRest>>,
    count: usize,
    swept: bool,
}

struct AtRest {
    connection: Box<Connection>,
    since: Monotonic,
}

impl Pool {
    /// A pool that keeps at most `idle_max` connections.
    pub fn new(clock: Arc<dyn Clock>, idle_max: usize) -> Arc<Self> {
        Arc::new(Self {
            clock,
            idle_max,
            idle: Mutex::default(),
        })
    }

    /// A connection that nothing has happened to since it was put back.
    pub fn take(&self, key: &PoolKey) -> Option<Box<Connection>> {
        let now = self.clock.now().monotonic;
        loop {
            let mut at_rest = self.lock().take(key)?;
            if at_rest.is_good(now) {
                return Some(at_rest.connection);
            }
        }
    }

    /// Keeps a connection for later, if it can be used again.
    pub fn put(self: &Arc<Self>, key: PoolKey, connection: Box<Connection>) {
        if !connection.is_at_rest() {
            return;
        }
        let since = self.clock.now().monotonic;
        let mut idle = self.lock();
        if idle.count >= self.idle_max {
            return;
        }
        idle.count += 1;
        idle.by_place
            .entry(key)
            .or_default()
            .push(AtRest { connection, since });
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(Arc::clone(self).sweep());
        }
    }

    /// Closes what has idled too long or was closed by the upstream, until nothing idles.
    async fn sweep(self: Arc<Self>) {
        loop {
            let now = self.clock.now().monotonic;
            self.clock.sleep_until(now.plus(SWEEP_PAUSE)).await;
            let now = self.clock.now().monotonic;
            let mut idle = self.lock();
            idle.sweep(now);
            if idle.count == 0 {
                idle.swept = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn take(&mut self, key: &PoolKey) -> Option<AtRest> {
        let taken = self.by_place.get_mut(key)?.pop()?;
        self.count -= 1;
        Some(taken)
    }

    fn sweep(&mut self, now: Monotonic) {
        self.by_place.retain(|_, at_rest| {
            at_rest.retain_mut(|at_rest| at_rest.is_good(now));
            !at_rest.is_empty()
        });
        self.count = self.by_place.values().map(Vec::len).sum();
    }
}

impl AtRest {
    fn is_good(&mut self, now: Monotonic) -> bool {
        now < self.since.plus(IDLE_TIMEOUT) && self.connection.is_silent()
    }
}

#[cfg(test)]
mod tests;
