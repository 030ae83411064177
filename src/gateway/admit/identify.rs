//! Who asks: at once where that is known, and otherwise whoever knows is waited for.

use std::sync::Arc;

use pingora_http::RequestHeader;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::identity::Identity;
use shapegate_core::time::Now;

use super::credentials::require_good;
use crate::gateway::pages::why_cookies_are_refused;
use crate::gateway::state::State;
use crate::identity::{Authentication, CredentialHeaders};
use crate::tenant::{ServedShape, Tenant};
use crate::traces::Trace;

/// Who sends these headers, and the moment at which that was known. What was revoked is nobody.
pub(super) async fn identify(
    state: &State,
    tenant: &Tenant,
    head: &RequestHeader,
    now: Now,
    trace: &Trace,
) -> Result<(Option<Arc<Identity>>, Now), Refusal> {
    let methods = tenant.identity();
    let mut credentials = CredentialHeaders::of(&head.headers);
    if methods.reads_cookies() {
        let why = why_cookies_are_refused(tenant.cors(), &head.method, &head.headers);
        credentials = credentials.with_cookies_refused(why);
    }
    match methods.authenticate(&credentials, now)? {
        Authentication::Known(identity) => {
            let credential = identity.as_deref().map(Identity::credential);
            require_good(state, tenant, credential.map(Arc::as_ref), now)?;
            Ok((identity, now))
        }
        Authentication::Pending(pending) => {
            let (began, method) = (state.clock.now(), pending.method().to_owned());
            let mut span = trace.part("authenticate");
            span.set_with("shapegate.method", || method.clone());
            let identity = Box::pin(pending.identity(&state.clock)).await;
            span.end_with(identity.as_ref().err());
            let now = state.clock.now();
            let took = began.monotonic.until(now.monotonic);
            state.metrics.identity.waited(&method, &identity, took);
            let identity = identity?;
            require_good(state, tenant, Some(identity.credential()), now)?;
            Ok((Some(identity), now))
        }
    }
}

/// The same for a shape. What is public is given without looking at them.
pub(super) async fn for_shape(
    state: &State,
    tenant: &Tenant,
    shape: &ServedShape,
    head: &RequestHeader,
    now: Now,
    trace: &Trace,
) -> Result<(Option<Arc<Identity>>, Now), Refusal> {
    if shape.policy().is_public() {
        require_good(state, tenant, None, now)?;
        return Ok((None, now));
    }
    identify(state, tenant, head, now, trace).await
}

/// What those are told who sent no credential where one is needed.
pub(in crate::gateway) fn unknown() -> Refusal {
    Refusal::new(
        Code::TokenMissing,
        "A credential is needed: send Authorization: Bearer …",
    )
}
