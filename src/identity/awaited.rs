//! Tokens that newer keys of their issuer may verify.

use std::time::Duration;

use shapegate_core::code::Refusal;
use shapegate_core::time::Now;

use super::fault::Fault;
use super::jws::Jws;
use super::remote::{NoNewer, RETRY_INTERVAL, RemoteKeys};
use super::{claims, read_claims};
use crate::clock::Clock;

/// A token whose key is not known here, but may be published.
#[must_use]
pub(crate) struct AwaitedKeys<'m> {
    keys: &'m RemoteKeys,
    kid: Option<Box<str>>,
    fault: Fault,
}

impl<'m> AwaitedKeys<'m> {
    /// What may be waited for, if newer keys could change that `token` has this fault. `published` gives the keys
    /// that an issuer publishes.
    ///
    /// A name that a key has already is not asked for again, whatever is wrong with the signature: anybody could
    /// ask with it.
    pub(crate) fn of(
        published: impl FnOnce(&str) -> Option<&'m RemoteKeys>,
        token: &[u8],
        fault: Fault,
        now: Now,
    ) -> Result<Self, Refusal> {
        let about_keys = matches!(
            fault,
            Fault::KeysMissing(_) | Fault::NoKey { .. } | Fault::SignatureWrong(_)
        );
        let wanted = || {
            let (issuer, kid) = issuer_and_kid(token)?;
            Some((published(&issuer)?, kid))
        };
        let Some((keys, kid)) = about_keys.then(wanted).flatten() else {
            return Err(fault.refusal());
        };
        let is_known = |kid: &str| keys.current(now).is_some_and(|published| published.ring.has(kid));
        let hopeless = kid.as_deref().is_some_and(is_known) || keys.is_unknown(kid.as_deref(), now);
        if hopeless && !matches!(fault, Fault::KeysMissing(_)) {
            return Err(fault.refusal());
        }
        Ok(Self { keys, kid, fault })
    }

    /// Waits for newer keys, and verifies the token with them.
    ///
    /// # Errors
    /// `identity_unavailable` (503) when they do not come; then as for any token.
    pub(crate) async fn verified<T>(
        self,
        clock: &dyn Clock,
        verify: impl FnOnce(Now) -> Result<T, Fault>,
    ) -> Result<T, Refusal> {
        if let Err(NoNewer(pause)) = self.keys.newer(clock).await {
            return Err(self.unavailable(pause));
        }
        let now = clock.now();
        let fault = match verify(now) {
            Ok(verified) => return Ok(verified),
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

/// Whose token it says to be, and the name of the key that it wants.
fn issuer_and_kid(token: &[u8]) -> Option<(std::sync::Arc<str>, Option<Box<str>>)> {
    let jws = Jws::read(token).ok()?;
    let name = claims::issuer(&read_claims(&jws).ok()?).ok()?;
    Some((name, jws.header.kid.as_deref().map(Into::into)))
}
