//! What tenants of one process have in common when they are compiled.

use crate::authorizer::AuthorizerBook;
use crate::hub::addresses::Addresses;
use crate::identity::provider::ProviderBook;
use crate::postgres::Pools;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Addresses by host and port, as long as somebody needs them.
type AddressBook = HashMap<(Box<str>, u16), Weak<Addresses>>;

/// What tenants share, from one snapshot to the next.
#[derive(Default)]
pub struct Shared {
    addresses: Mutex<AddressBook>,
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
        let mut book = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        book.retain(|_, known| known.strong_count() > 0);
        let key = (host.into(), port);
        if let Some(known) = book.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let addresses = Addresses::of(host, port);
        book.insert(key, Arc::downgrade(&addresses));
        addresses
    }
}
