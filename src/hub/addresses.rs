//! Where an upstream lives: its name resolved in the background, never on a request's path.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::Clock;

/// How long resolved addresses are used before the name is asked again.
pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);

/// How long to wait before the name is asked again after a failure.
pub const RESOLVE_RETRY: Duration = Duration::from_secs(2);

/// A host and port with the addresses that it last resolved to.
///
/// A failed look-up keeps the addresses known before it.
#[derive(Debug)]
pub struct Addresses {
    host: String,
    port: u16,
    known: ArcSwap<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Addresses {
    /// Addresses of `host`, none known yet unless it is an IP address.
    pub fn of(host: &str, port: u16) -> Arc<Self> {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        let known = literal
            .map(|ip| vec![SocketAddr::new(ip, port)])
            .unwrap_or_default();
        Arc::new(Self {
            host: host.to_owned(),
            port,
            known: ArcSwap::from_pointee(known),
            turn: AtomicUsize::new(0),
        })
    }

    /// The next address in turn; `None` until a look-up has succeeded.
    pub fn next(&self) -> Option<SocketAddr> {
        let known = self.known.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        known.get(turn.checked_rem(known.len())?).copied()
    }

    /// Asks the resolver once.
    ///
    /// # Errors
    /// What the resolver says, or that it knows no address.
    pub async fn resolve(&self) -> io::Result<()> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await?
            .collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        if **self.known.load() != found {
            self.known.store(Arc::new(found));
        }
        Ok(())
    }

    /// Keeps the addresses fresh for as long as the future is polled.
    pub async fn keep_fresh(&self, clock: &dyn Clock) {
        if self.is_literal() {
            return;
        }
        loop {
            let pause = match self.resolve().await {
                Ok(()) => RESOLVE_INTERVAL,
                Err(error) => {
                    log::warn!("upstream {}: not resolved: {error}", self.host);
                    RESOLVE_RETRY
                }
            };
            let mut wake = clock.now().monotonic;
            wake.0 += pause;
            clock.sleep_until(wake).await;
        }
    }

    fn is_literal(&self) -> bool {
        self.host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok()
    }
}
