//! Where connections go: names resolved, and what they resolve to checked, in one step.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_public;
use super::error::OutboundError;

/// A name's addresses, to come.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves names.
pub trait Lookup: Send + Sync {
    /// The addresses of a host; their ports mean nothing.
    fn lookup(&self, host: &str) -> Looking;
}

/// The machine's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> Looking {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
    }
}

/// Gives a connector no address but those that it may connect to.
///
/// The connector asks it for every connection, and connects to what it gets: between check and connection nobody
/// asks again.
pub(super) struct CheckedResolver {
    lookup: Arc<dyn Lookup>,
    allow_private: bool,
}

impl CheckedResolver {
    pub(super) fn new(lookup: Arc<dyn Lookup>, allow_private: bool) -> Self {
        Self {
            lookup,
            allow_private,
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.lookup.lookup(name.as_str());
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = looking.await?;
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| allow_private || is_public(address.ip()))
                .collect();
            match (allowed.is_empty(), found.first()) {
                (true, Some(refused)) => Err(OutboundError::AddressRefused(refused.ip()).into()),
                (true, None) => Err(io::Error::from(io::ErrorKind::NotFound).into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Both;

    impl Lookup for Both {
        fn lookup(&self, _: &str) -> Looking {
            let found = ["127.0.0.1:0", "8.8.8.8:0", "[::1]:0", "[2606:4700::1111]:0"];
            Box::pin(async move { Ok(found.iter().map(|text| text.parse().unwrap()).collect()) })
        }
    }

    async fn allowed(allow_private: bool) -> Vec<String> {
        let resolver = CheckedResolver::new(Arc::new(Both), allow_private);
        let addresses = resolver.resolve("both.test".parse().unwrap()).await.unwrap();
        addresses.map(|address| address.ip().to_string()).collect()
    }

    #[tokio::test]
    async fn of_a_name_with_addresses_inside_and_outside_those_outside_are_connected_to() {
        assert_eq!(allowed(false).await, ["8.8.8.8", "2606:4700::1111"]);
        assert_eq!(allowed(true).await.len(), 4);
    }
}
