//! Judging once more what waits: the rules, the keys or the time may have changed.

use std::sync::Arc;

use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use shapegate_core::code::Refusal;
use shapegate_core::permit::Allowed;
use shapegate_core::request::{Asked, Verb};
use shapegate_core::time::Until;

use super::head::{not_found, target};
use super::judging::{Asking, decide};
use super::{Admitted, identify, signed};
use crate::gateway::choose;
use crate::gateway::cors::CorsGrant;
use crate::gateway::state::{Loaded, State};
use crate::tenant::{Found, Lease, Tenant};
use crate::traces::Trace;

/// The lease under which a waiting request is still permitted, for the same shape of the same upstream and no
/// less long.
///
/// # Errors
/// Why it is not.
pub async fn renew(state: &State, session: &ServerSession, admitted: &Admitted) -> Result<Arc<Lease>, Lapse> {
    let Some(_turn) = admitted.lease.turn().await else {
        return Err(Lapse::Otherwise("the gateway is ending"));
    };
    let loaded = state.loaded();
    let trace = &admitted.along.trace;
    let again = Box::pin(judge_again(state, &loaded, session.req_header(), trace)).await;
    let (allowed, tenant) = again.map_err(|refusal| Lapse::Refused(Box::new(refusal)))?;
    let otherwise = [
        (tenant.id() != admitted.lease.tenant(), "another tenant"),
        (
            allowed.definition() != admitted.permit.definition(),
            "another definition",
        ),
        (
            !tenant.upstream().is_same_place(&admitted.upstream),
            "another Electric",
        ),
        (
            !holds_as_long(allowed.until(), admitted.until),
            "for a shorter time",
        ),
    ];
    match otherwise.into_iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(Lapse::Otherwise(what)),
        None => Ok(Arc::clone(tenant.lease())),
    }
}

/// Why one who waits is no longer permitted what he was.
pub enum Lapse {
    /// He would be refused now.
    Refused(Box<Refusal>),
    /// He would be permitted something else.
    Otherwise(&'static str),
}

/// Whether what is decided now ends no earlier than what was.
fn holds_as_long(now: Option<Until>, before: Option<Until>) -> bool {
    match (now, before) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(now), Some(before)) => now.wall >= before.wall,
    }
}

/// Judges a request without a body anew.
async fn judge_again(
    state: &State,
    loaded: &Loaded,
    head: &RequestHeader,
    trace: &Trace,
) -> Result<(Arc<Allowed>, Arc<Tenant>), Refusal> {
    let tenant = choose::tenant(&loaded.snapshot, head, &mut CorsGrant::default())?;
    let (path, query) = target(head)?;
    let now = state.clock.now();
    let endpoint = match tenant.find(path) {
        Some(Found::Shapes(endpoint)) => endpoint,
        Some(Found::Signed { .. }) => {
            let (_, allowed, _) = signed::judge(state, tenant, head, Verb::Get, now, trace).await?;
            return Ok((allowed, Arc::clone(tenant)));
        }
        _ => return Err(not_found()),
    };
    let asked = Asked::parse(Verb::Get, query, endpoint.declared())?;
    let shape = endpoint.choose(&asked)?;
    let (identity, now) = identify::for_shape(state, tenant, shape, head, now, trace).await?;
    let asking = Asking {
        head,
        path: endpoint.captures(),
        identity: identity.as_deref(),
        now,
        trace,
    };
    let (allowed, _) = decide(state, loaded, shape, &asking, &asked).await?;
    Ok((allowed, Arc::clone(tenant)))
}
