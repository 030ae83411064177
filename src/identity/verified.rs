//! Tokens that verified, from one configuration of a tenant to the next.
//!
//! A reload that leaves an issuer as it was leaves its tokens remembered. That is safe, because
//!
//! - an entry counts only for an issuer that has the number of the one that verified it, and a number goes on
//!   only to an issuer of equal terms: the same `iss`, the same keys (or the same place of them), audience,
//!   longest lifetime, type and claims, compared in full. Verifying depends on nothing else that is configured;
//! - it goes on from the configuration that is replaced, and from no earlier one. Terms that were given up and
//!   come back have a new number, so that nothing is recalled that nobody has watched over meanwhile;
//! - where the issuer publishes its keys, these go on together with the number. The entry holds the standing of
//!   its key, which the next fetch ends when the key is taken back, and time when nobody can be asked;
//! - when the token ends is part of the entry, on both clocks;
//! - what else decides about a request is asked each time: what may carry a token, revocations, the rules.
//!
//! Entries of issuers that are gone are never handed out, and leave with their time or to make room.

use std::sync::{Arc, OnceLock};

use shapegate_core::identity::Identity;
use shapegate_core::time::Now;

use super::memory::{KnownUser, MemoryLimits, TokenMemory};
use super::{IdentityMethods, Issuer};

/// A memory of verified tokens, made when it is first needed unless there is one to go on with.
pub(super) struct VerifiedTokens {
    limits: MemoryLimits,
    memory: OnceLock<Arc<TokenMemory<KnownUser>>>,
}

impl VerifiedTokens {
    pub(super) fn new(limits: MemoryLimits) -> Self {
        Self {
            limits,
            memory: OnceLock::new(),
        }
    }

    pub(super) fn memory(&self) -> &Arc<TokenMemory<KnownUser>> {
        self.memory
            .get_or_init(|| Arc::new(TokenMemory::new(self.limits)))
    }

    fn inherit(&self, earlier: &Self) {
        let known = earlier.memory.get().filter(|_| self.limits == earlier.limits);
        if let Some(known) = known {
            // Whoever has one already goes on with that.
            let _ = self.memory.set(Arc::clone(known));
        }
    }
}

impl IdentityMethods {
    /// Takes the place of the earlier methods of the same tenant, before anybody is known by these.
    pub(crate) fn inherit(&self, earlier: &Self) {
        self.verified.inherit(&earlier.verified);
        for (name, issuer) in &self.issuers {
            if let Some(known) = earlier.issuers.get(name) {
                issuer.inherit(known);
            }
        }
    }

    /// Who sent this token, if one of the issuers has verified it before and it holds still. Allocates nothing.
    pub(super) fn recall(&self, token: &[u8], now: Now) -> Option<Arc<Identity>> {
        let user = self.verified.memory().recall(token, now)?;
        let mut numbers = self.issuers.values().map(Issuer::number);
        numbers
            .any(|number| number == user.issuer)
            .then(|| Arc::clone(&user.identity))
    }
}
