//! Tokens that newer keys of their issuer may verify.

use std::sync::Arc;
use std::time::Duration;

use shapegate_core::code::Refusal;
use shapegate_core::identity::Identity;
use shapegate_core::time::Now;

use super::fault::Fault;
use super::jws::Jws;
use super::remote::{NoNewer, RETRY_INTERVAL, RemoteKeys};
use super::{IdentityMethods, claims, read_claims};
use crate::clock::Clock;

/// A token whose key is not known here, but may be published.
#[must_use]
pub(crate) struct AwaitedKeys<'m> {
    methods: &'m IdentityMethods,
    token: &'m [u8],
    keys: &'m RemoteKeys,
    kid: Option<Box<str>>,
    fault: Fault,
}

impl<'m> AwaitedKeys<'m> {
    /// What may be waited for, if newer keys could change that `token` has this fault.
    ///
    /// A name that a key has already is not asked for again, whatever is wrong with the signature: anybody could
    /// ask with it.
    pub(super) fn of(
        methods: &'m IdentityMethods,
        token: &'m [u8],
        fault: Fault,
        now: Now,
    ) -> Result<Self, Refusal> {
        let about_keys = matches!(
            fault,
            Fault::KeysMissing(_) | Fault::NoKey { .. } | Fault::SignatureWrong(_)
        );
        let Some((keys, kid)) = about_keys.then(|| published_keys(methods, token)).flatten() else {
            return Err(fault.refusal());
        };
        let is_known = |kid: &str| keys.current(now).is_some_and(|published| published.ring.has(kid));
        let hopeless = kid.as_deref().is_some_and(is_known) || keys.is_unknown(kid.as_deref(), now);
        if hopeless && !matches!(fault, Fault::KeysMissing(_)) {
            return Err(fault.refusal());
        }
        Ok(Self {
            methods,
            token,
            keys,
            kid,
            fault,
        })
    }

    /// Waits for newer keys, and verifies the token with them.
    ///
    /// # Errors
    /// `identity_unavailable` (503) when they do not come; then as for any token.
    pub(crate) async fn identity(self, clock: &dyn Clock) -> Result<Arc<Identity>, Refusal> {
        if let Err(NoNewer(pause)) = self.keys.newer(clock).await {
            return Err(self.unavailable(pause));
        }
        let now = clock.now();
        let fault = match self.methods.verify(self.token, now) {
            Ok(identity) => return Ok(identity),
            Err(fault) => fault,
        };
        match (&fault, &self.kid) {
            (Fault::KeysMissing(_), _) => return Err(fault.unavailable(RETRY_INTERVAL)),
            (Fault::NoKey { .. } | Fault::SignatureWrong(_), Some(kid)) => {
                self.keys.remember_unknown(kid, now);
            }
            _ => {}
        }
        Err(fault.refusal())
    }

    /// Who names no key could be anybody; where the keys that are there do not verify him, that is his fault.
    fn unavailable(&self, pause: Duration) -> Refusal {
        match (&self.fault, &self.kid) {
            (Fault::SignatureWrong(_), None) => self.fault.refusal(),
            _ => self.fault.unavailable(pause),
        }
    }
}

/// The published keys that a token is to be verified with, and the name of the one that it wants.
fn published_keys<'m>(
    methods: &'m IdentityMethods,
    token: &[u8],
) -> Option<(&'m RemoteKeys, Option<Box<str>>)> {
    let jws = Jws::read(token).ok()?;
    let name = claims::issuer(&read_claims(&jws).ok()?).ok()?;
    let keys = methods.issuers.get(&name)?.published_keys()?;
    Some((keys, jws.header.kid.as_deref().map(Into::into)))
}
