//! Requests for tokens: who asks, for which table, what they want signed, and what the rules make of it.

use std::sync::Arc;

use pingora_core::protocols::http::ServerSession;
use shapegate_core::code::Refusal;
use shapegate_core::identity::Identity;
use shapegate_core::policy::{Access, RequestFacts};
use shapegate_core::request::{Asked, MintBody};

use super::head::{not_found, target};
use super::judging::RequestHeaders;
use super::{Admission, body, identify};
use crate::admin::decisions::Asked as Counted;
use crate::authorizer::Freshness;
use crate::gateway::context::RequestContext;
use crate::gateway::state::{Loaded, State};
use crate::limits::{Asker, Rate};
use crate::tenant::Tenant;

/// Mints a token for the table of a raw path segment.
///
/// Who asks comes first, so that nobody learns without a credential which tables there are.
pub(super) async fn mint(
    state: &State,
    loaded: &Loaded,
    session: &mut ServerSession,
    ctx: &mut RequestContext,
    tenant: &Tenant,
    segment: &str,
) -> Result<Admission, Refusal> {
    let minter = tenant.gatekeeper().minter.as_ref().ok_or_else(not_found)?;
    let counted = |name: &Arc<str>| {
        state
            .metrics
            .decisions
            .route(Some(tenant.id()), Counted::Mint, name)
    };
    ctx.told.at(&counted(&"".into()));
    let now = state.clock.now();
    let headers = &session.req_header().headers;
    let trace = ctx.told.trace.clone();
    let (identity, now) = identify::identify(state, tenant, session.req_header(), now, &trace).await?;
    ctx.credential = identity.as_deref().map(Identity::credential).cloned();
    if identity.is_none() && minter.requires_identity() {
        return Err(identify::unknown());
    }
    let asker = Asker::of(tenant.id(), identity.as_deref(), ctx.address);
    for rate in [Rate::Requests, Rate::Mints] {
        state.limits.take(rate, &asker).await?;
    }
    let (table, shape) = minter.shape(segment)?;
    ctx.told.at(&counted(shape.policy().name()));
    if identity.is_none() && shape.policy().access() == Access::Required {
        return Err(identify::unknown());
    }
    let kind = body::form_or_json(headers, state.body_limits)?;
    let read = match kind {
        None => bytes::Bytes::new(),
        Some(_) => body::read(session, state.body_limits, &*state.clock).await?,
    };
    let content = match kind {
        _ if read.is_empty() => MintBody::Empty,
        Some(body::Kind::Form) => MintBody::Form(&read),
        _ => MintBody::Json(&read),
    };
    let head = session.req_header();
    let (_, query) = target(head)?;
    let mut asked = Asked::to_sign(table, query, content, shape.declared())?;
    ctx.told.asks_to_sign(&asked);
    let captures = shape.captured(&mut asked)?;
    let facts = RequestFacts {
        method: head.method.as_str(),
        path: &captures,
        query: &asked.query,
        headers: &RequestHeaders(&head.headers),
    };
    let policy = shape.policy();
    let gathered = if policy.consults() {
        let told = policy.inputs(identity.as_deref(), &facts, &asked, now)?;
        // A token is a decision that is carried away: it begins with what is so now.
        let answers = shape
            .authorizers()
            .gather(&state.authorizers, &told, Freshness::Now, &trace);
        Some(Box::pin(answers).await?)
    } else {
        None
    };
    let now = state.clock.now();
    let found_out = gathered.as_ref().unwrap_or_else(|| loaded.no_facts());
    let allowed = policy.judge(identity.as_deref(), &facts, &asked, found_out, now)?;
    // What Electric would refuse for its length is refused before anybody holds a token for it.
    allowed.encoded().check(tenant.upstream().base())?;
    ctx.told.mints(&allowed);
    minter
        .mint(shape, &allowed, identity.as_deref(), now)
        .map(Admission::Minted)
}
