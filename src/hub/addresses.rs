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
/// One address is used until a connection to it fails: what a shape's handle means is known to the Electric that
/// gave it, and a name's other addresses may be of another one, or of none at all.
///
/// A failed look-up keeps the addresses known before it.
#[derive(Debug)]
pub struct Addresses {
    host: String,
    port: u16,
    known: ArcSwap<Vec<SocketAddr>>,
    /// Counts failures; its remainder is the place of the address in use.
    turn: AtomicUsize,
}

impl Addresses {
    /// Addresses of `host`, none known yet unless it is an IP address.
    pub fn of(host: &str, port: u16) -> Self {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        let known = literal
            .map(|ip| vec![SocketAddr::new(ip, port)])
            .unwrap_or_default();
        Self {
            host: host.to_owned(),
            port,
            known: ArcSwap::from_pointee(known),
            turn: AtomicUsize::new(0),
        }
    }

    /// The port of all of them.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address in use; `None` until a look-up has succeeded.
    pub fn current(&self) -> Option<SocketAddr> {
        Self::at(&self.known.load(), self.turn.load(Ordering::Relaxed))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.known.load().len()
    }

    /// A connection to `address` failed: the next one is used, unless somebody has moved on already.
    pub fn failed(&self, address: SocketAddr) {
        let turn = self.turn.load(Ordering::Relaxed);
        if Self::at(&self.known.load(), turn) == Some(address) {
            // Whoever loses this race has seen the same failure as the winner.
            let next = turn.wrapping_add(1);
            _ = self
                .turn
                .compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn at(known: &[SocketAddr], turn: usize) -> Option<SocketAddr> {
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
        self.learn(found);
        Ok(())
    }

    /// Takes over what the resolver found, and stays with the address in use if it is among it.
    fn learn(&self, mut found: Vec<SocketAddr>) {
        found.sort_unstable();
        found.dedup();
        if **self.known.load() == found {
            return;
        }
        let stay = self
            .current()
            .and_then(|address| found.iter().position(|one| *one == address));
        self.known.store(Arc::new(found));
        self.turn.store(stay.unwrap_or(0), Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 3000))
    }

    fn known(addresses: &[u8]) -> Arc<Addresses> {
        let known = Addresses::of("electric.test", 3000);
        known.learn(addresses.iter().copied().map(address).collect());
        Arc::new(known)
    }

    #[test]
    fn a_name_without_an_answer_has_no_address_and_a_literal_needs_none() {
        assert_eq!(known(&[]).current(), None);
        known(&[]).failed(address(1));
        let literal = Addresses::of("[::1]", 3000);
        assert_eq!(literal.current(), Some("[::1]:3000".parse().unwrap()));
    }

    #[test]
    fn one_address_is_used_until_a_connection_to_it_fails() {
        let addresses = known(&[1, 2]);
        assert_eq!(addresses.current(), Some(address(1)));
        assert_eq!(addresses.current(), Some(address(1)));
        addresses.failed(address(1));
        assert_eq!(addresses.current(), Some(address(2)));
        addresses.failed(address(1));
        assert_eq!(
            addresses.current(),
            Some(address(2)),
            "the failure of another one"
        );
        addresses.failed(address(2));
        assert_eq!(addresses.current(), Some(address(1)));
    }

    #[test]
    fn a_new_answer_moves_nobody_whose_address_is_in_it() {
        let addresses = known(&[1, 2]);
        addresses.failed(address(1));
        addresses.learn(vec![address(3), address(2), address(2)]);
        assert_eq!((addresses.current(), addresses.count()), (Some(address(2)), 2));
        addresses.learn(vec![address(3), address(4)]);
        assert_eq!(addresses.current(), Some(address(3)));
    }
}
