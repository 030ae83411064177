//! What tenants of one process have in common when they are compiled.

use crate::authorizer::AuthorizerBook;
use crate::hub::addresses::Addresses;
use crate::identity::provider::ProviderBook;
use crate::postgres::Pools;
use shapegate_core::interner::Interner;
use std::convert::Infallible;
use std::sync::Arc;

/// What tenants share, from one snapshot to the next.
#[derive(Default)]
pub struct Shared {
    addresses: Interner<Addresses>,
    /// Connections to databases.
    pub pools: Pools,
    /// Whoever is asked about users.
    pub providers: ProviderBook,
    /// Whom shapes ask.
    pub authorizers: AuthorizerBook,
}

impl Shared {
    /// Where a host lives: asked for once, whoever needs it, and known still when a tenant is compiled again.
    pub fn addresses(&self, host: &str, port: u16) -> Arc<Addresses> {
        let same = |known: &Addresses| known.port() == port;
        let made = || Ok::<_, Infallible>(Addresses::of(host, port));
        let Ok(addresses) = self.addresses.find_or_make(host, same, made);
        addresses
    }
}
