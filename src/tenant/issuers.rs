//! The keys that a tenant's issuers publish: those of users' tokens, and those of tokens that sign shapes.

use super::Tenant;
use crate::gatekeeper::Verifier;
use crate::identity::remote::{KeyLine, RemoteKeys};
use shapegate_core::time::Now;
use std::sync::Arc;
use std::time::Duration;

impl Tenant {
    fn key_lines(&self) -> impl Iterator<Item = &KeyLine> {
        let of_shapes = self.gatekeeper.verifier.iter().flat_map(Verifier::key_lines);
        self.identity.key_lines().chain(of_shapes)
    }

    /// An entry for each issuer that publishes its keys.
    pub(crate) fn published_keys(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.key_lines().map(KeyLine::keys)
    }

    /// Goes on with the keys that the same tenant has fetched before, and, where a method is what it was, with the
    /// tokens that were verified with the very keys.
    pub(super) fn inherit_keys(&self, earlier: &Self) {
        self.identity.inherit(&earlier.identity);
        if let (Some(own), Some(known)) = (&self.gatekeeper.verifier, &earlier.gatekeeper.verifier) {
            own.inherit(known);
        }
        // Whose tokens they are for is no part of keys: an issuer may have been known for the other purpose alone.
        for line in self.key_lines() {
            earlier.published_keys().for_each(|known| line.go_on_with(known));
        }
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
