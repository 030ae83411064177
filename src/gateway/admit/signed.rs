//! Requests for shapes that a token signs: first whether a shape is asked for, then whose token came, then
//! whether it is the shape that was signed.

use std::sync::Arc;

use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use shapegate_core::answer::Audience;
use shapegate_core::code::Refusal;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::require_shape;
use shapegate_core::request::{Asked, Declared, Verb};
use shapegate_core::time::Now;

use super::building::Serving;
use super::credentials::require_good;
use super::head::{not_found, target};
use super::{Admission, body, permit};
use crate::gatekeeper::{ShapeToken, Verification};
use crate::gateway::context::RequestContext;
use crate::gateway::state::State;
use crate::identity::CredentialHeaders;
use crate::limits::Rate;
use crate::tenant::Tenant;
use crate::traces::Trace;

/// Admits a request at one of the paths where tokens are verified.
pub(super) async fn admit(
    state: &State,
    session: &mut ServerSession,
    ctx: &mut RequestContext,
    tenant: &Tenant,
    verb: Verb,
) -> Result<Admission, Refusal> {
    let now = state.clock.now();
    ctx.told.at(tenant.signed(&state.metrics));
    let judged = judge(state, tenant, session.req_header(), verb, now, &ctx.told.trace);
    let (mut asked, allowed, token) = judged.await?;
    ctx.credential = Some(Arc::clone(token.credential()));
    ctx.told.asks(&asked, now);
    state.metrics.dropped(asked.dropped);
    let asker = token.asker(tenant.id(), ctx.address);
    state.limits.take(Rate::Requests, &asker).await?;
    if verb == Verb::Post {
        body::check_head(&session.req_header().headers, state.body_limits)?;
        let read = body::read(session, state.body_limits, &*state.clock).await?;
        asked.take_body(&read)?;
    }
    let head = session.req_header();
    let serving = Serving {
        asker,
        audience: Audience::Private,
        shares: true,
        now: state.clock.now(),
    };
    permit(state, tenant, serving, &allowed, asked, head, ctx).await
}

/// What is asked, what of it the token that came allows, and the token.
pub(super) async fn judge(
    state: &State,
    tenant: &Tenant,
    head: &RequestHeader,
    verb: Verb,
    now: Now,
    trace: &Trace,
) -> Result<(Asked, Arc<Allowed>, Arc<ShapeToken>), Refusal> {
    let verifier = tenant.gatekeeper().verifier.as_ref().ok_or_else(not_found)?;
    let (_, query) = target(head)?;
    let asked = Asked::parse(verb, query, &Declared::default())?;
    require_shape(&asked)?;
    let (token, now) = match verifier.authenticate(&CredentialHeaders::of(&head.headers), now)? {
        Verification::Known(token) => (token, now),
        // Boxed: it is rare, and would be carried by whoever waits for nothing.
        Verification::Pending(pending) => {
            let span = trace.part("authenticate");
            let token = Box::pin(pending.token(&*state.clock)).await;
            span.end_with(token.as_ref().err());
            (token?, state.clock.now())
        }
    };
    require_good(state, tenant, Some(token.credential()), now)?;
    let decided = verifier.decide(&token, &asked, now);
    let allowed = decided.map_err(|refusal| refusal.about(token.credential()))?;
    Ok((asked, allowed, token))
}
