//! From a permit to the only request that may go upstream for it.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use pingora_http::RequestHeader;
use shapegate_core::answer::{Audience, Expected, if_none_match_for_upstream};
use shapegate_core::code::Refusal;
use shapegate_core::permit::Permit;
use shapegate_core::request::Verb;
use shapegate_core::time::Now;
use shapegate_core::upstream::UpstreamRequest;

use super::{Admission, Admitted};
use crate::gateway::context::RequestContext;
use crate::hub::upstream::Along;
use crate::limits::Asker;
use crate::tenant::Tenant;
use crate::traces::tracestate;

/// How what was decided is served.
pub(super) struct Serving {
    /// Who asks, as far as that is counted.
    pub(super) asker: Asker,
    pub(super) audience: Audience,
    /// Whether reads of it go through the hub.
    pub(super) shares: bool,
    /// When it was decided.
    pub(super) now: Now,
}

/// Builds what goes upstream, from the permit alone.
pub(super) fn build(
    tenant: &Tenant,
    serving: Serving,
    permit: Permit,
    head: &RequestHeader,
    ctx: &RequestContext,
) -> Result<Admission, Refusal> {
    let upstream = Arc::clone(tenant.upstream());
    let request = UpstreamRequest::build(&permit, upstream.base())?;
    let trace = ctx.told.trace.clone();
    let heard = trace.heard(&head.headers);
    let along = Along {
        if_none_match: if_none_match(&head.headers, &permit),
        tracestate: heard.and_then(|_| tracestate(&head.headers)),
        trace,
        heard,
        request_id: Some(ctx.request_id.clone()),
    };
    // Pingora's proxying sends a body only while it reads the client's, and that is past or was never there.
    let shared = serving.shares && request.verb() == Verb::Get;
    let held = shared || request.waits() || request.body().is_some();
    let own = request.verb() == Verb::Get || upstream.wants_fetch();
    let admitted = Box::new(Admitted {
        expected: Expected::of(&request, along.if_none_match.is_some()),
        asks_weakly: along.if_none_match.is_some() && names_weak_tag(&head.headers),
        until: permit.until(),
        ended: None,
        credential: ctx.credential.clone(),
        epoch: ctx.epoch,
        now: serving.now,
        audience: serving.audience,
        asker: serving.asker,
        reads_cookies: tenant.identity().reads_cookies(),
        lease: Arc::clone(tenant.lease()),
        shares: serving.shares,
        upstream,
        along,
        request,
        permit,
    });
    Ok(if held {
        Admission::Held(admitted)
    } else if own {
        Admission::Own(admitted)
    } else {
        Admission::Finite(admitted)
    })
}

/// The client's condition with the upstream's handles, for reads of the log.
fn if_none_match(headers: &HeaderMap, permit: &Permit) -> Option<HeaderValue> {
    if permit.subset().is_some() || permit.verb() == Verb::Delete {
        return None;
    }
    let asked = headers.get(header::IF_NONE_MATCH)?.to_str().ok()?;
    HeaderValue::try_from(if_none_match_for_upstream(asked, permit.handles())?).ok()
}

/// Whether one of the tags asked with is weak.
fn names_weak_tag(headers: &HeaderMap) -> bool {
    let asked = headers.get(header::IF_NONE_MATCH).map(HeaderValue::as_bytes);
    asked.is_some_and(|tags| tags.windows(2).any(|two| two == b"W/"))
}
