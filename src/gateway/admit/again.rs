//! Judging once more what waits: the rules, the keys or the time may have changed.

use std::sync::Arc;

use pingora_http::RequestHeader;
use pingora_proxy::Session;
use shapegate_core::code::Refusal;
use shapegate_core::permit::Allowed;
use shapegate_core::request::{Asked, Verb};

use super::head::{not_found, target};
use super::judging::{Asking, decide};
use super::{Admitted, identify, signed};
use crate::gateway::state::{Loaded, State};
use crate::hub::Upstream;
use crate::tenant::Found;

/// Whether a waiting request would still be permitted, for the same shape of the same upstream.
pub async fn is_still_permitted(state: &State, session: &Session, admitted: &Admitted) -> bool {
    let loaded = state.loaded();
    let again = Box::pin(judge_again(state, &loaded, session.req_header())).await;
    again.is_ok_and(|(allowed, upstream)| {
        allowed.definition() == admitted.permit.definition() && upstream.is_same_place(&admitted.upstream)
    })
}

/// Judges a request without a body anew.
async fn judge_again(
    state: &State,
    loaded: &Loaded,
    head: &RequestHeader,
) -> Result<(Arc<Allowed>, Arc<Upstream>), Refusal> {
    let tenant = loaded.tenant_of(head)?;
    let (path, query) = target(head)?;
    let now = state.clock.now();
    let endpoint = match tenant.find(path) {
        Some(Found::Shapes(endpoint)) => endpoint,
        Some(Found::Signed { .. }) => {
            let verifier = tenant.gatekeeper().verifier.as_ref().ok_or_else(not_found)?;
            let (_, allowed) = signed::judge(verifier, head, Verb::Get, now)?;
            return Ok((allowed, Arc::clone(tenant.upstream())));
        }
        _ => return Err(not_found()),
    };
    let asked = Asked::parse(Verb::Get, query, endpoint.declared())?;
    let shape = endpoint.choose(&asked)?;
    let (identity, now) = identify::for_shape(state, tenant, shape, &head.headers, now).await?;
    let asking = Asking {
        head,
        path: endpoint.captures(),
        identity: identity.as_deref(),
        now,
    };
    let allowed = decide(loaded, shape, &asking, &asked)?;
    Ok((allowed, Arc::clone(tenant.upstream())))
}
