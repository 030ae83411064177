//! What whoever asks goes by, and whether that is still good.

use shapegate_core::code::Refusal;
use shapegate_core::credential::Credential;
use shapegate_core::time::Now;

use super::Admitted;
use crate::gateway::state::State;
use crate::tenant::Tenant;

/// Refuses what was revoked. Asked after every authentication, what is remembered included.
pub(super) fn require_good(
    state: &State,
    tenant: &Tenant,
    credential: Option<&Credential>,
    now: Now,
) -> Result<(), Refusal> {
    let checked = state.revocations.check(tenant.id(), credential, now.wall);
    checked.map_err(|refusal| match credential {
        Some(credential) => refusal.about(credential),
        None => refusal,
    })
}

/// Whether what a request was admitted with is revoked by now. While nothing changes, this is one atomic load.
pub fn is_revoked(state: &State, admitted: &Admitted) -> bool {
    revocation(state, admitted).is_some()
}

/// What revokes what a request was admitted with, if anything does.
pub fn revocation(state: &State, admitted: &Admitted) -> Option<Refusal> {
    if admitted.epoch == state.revocations.epoch() {
        return None;
    }
    let credential = admitted.credential.as_deref();
    let now = state.clock.now().wall;
    state
        .revocations
        .check(admitted.lease.tenant(), credential, now)
        .err()
}
