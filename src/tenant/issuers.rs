//! The keys that a tenant's issuers publish: those of users' tokens, and those of tokens that sign shapes.

use super::Tenant;
use crate::clock::Clock;
use crate::gatekeeper::Verifier;
use crate::identity::remote::RemoteKeys;
use shapegate_core::time::Now;
use std::sync::Arc;
use std::time::Duration;

impl Tenant {
    /// An entry for each issuer that publishes its keys.
    fn published_keys(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        let of_shapes = self.gatekeeper.verifier.iter().flat_map(Verifier::published_keys);
        self.identity.published_keys().chain(of_shapes)
    }

    /// Fetches what issuers publish for as long as this is polled. `changed` is told when what was permitted
    /// on a key's word may be permitted no longer.
    pub async fn keep_keys_fresh(&self, clock: &dyn Clock, changed: &(dyn Fn() + Sync)) {
        let fetching = self.published_keys().map(|keys| keys.keep_fresh(clock, changed));
        futures_util::future::join_all(fetching).await;
    }

    /// Takes over the keys that the same tenant has fetched before, whose tokens they are for being no part of
    /// them; and then, where a method is what it was, the tokens that were verified with the very keys.
    pub(super) fn inherit_keys(&self, earlier: &Self) {
        for keys in self.published_keys() {
            let of_issuer = |known: &&Arc<RemoteKeys>| known.issuer() == keys.issuer();
            earlier
                .published_keys()
                .filter(of_issuer)
                .for_each(|known| keys.inherit(known));
        }
        self.identity.inherit(&earlier.identity);
    }

    /// The issuers that publish their keys, and how old these are; none where they have not come yet.
    pub fn key_ages(&self, now: Now) -> impl Iterator<Item = (&str, Option<Duration>)> {
        self.published_keys()
            .map(move |keys| (keys.issuer(), keys.age(now)))
    }

    /// Whether nobody can be served yet, because every first key of an issuer is still to come.
    pub fn awaits_first_keys(&self, now: Now) -> bool {
        let verifier = self.gatekeeper.verifier.as_ref();
        let only_verifies = self.identity.is_empty();
        self.identity.awaits_first_keys(now)
            || only_verifies && verifier.is_some_and(|verifier| verifier.awaits_first_keys(now))
    }
}
