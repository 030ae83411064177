//! Who asks, and what the rules make of it.

use std::sync::Arc;

use http::HeaderMap;
use pingora_http::RequestHeader;
use shapegate_core::code::Refusal;
use shapegate_core::identity::Identity;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{Facts, HeaderValue as RuleHeader, Headers, RequestFacts};
use shapegate_core::request::{Asked, Scalar};
use shapegate_core::time::Now;

use super::identify;
use crate::authorizer::Freshness;
use crate::gateway::state::{Loaded, State};
use crate::tenant::ServedShape;
use crate::traces::Trace;

/// Somebody must be known before a body is read for them.
pub(super) fn require_identity(shape: &ServedShape, identity: Option<&Identity>) -> Result<(), Refusal> {
    if identity.is_some() || !shape.requires_identity() {
        return Ok(());
    }
    Err(identify::unknown())
}

/// What a decision is made from, besides the shape and what is asked.
pub(super) struct Asking<'a> {
    pub(super) head: &'a RequestHeader,
    pub(super) path: &'a [(Arc<str>, Scalar)],
    pub(super) identity: Option<&'a Identity>,
    pub(super) now: Now,
    pub(super) trace: &'a Trace,
}

/// Decides, or remembers having decided: what authorisers say is gathered only where nothing is remembered.
pub(super) async fn decide(
    state: &State,
    loaded: &Loaded,
    shape: &ServedShape,
    asking: &Asking<'_>,
    asked: &Asked,
) -> Result<Arc<Allowed>, Refusal> {
    let headers = RequestHeaders(&asking.head.headers);
    let request = RequestFacts {
        method: asking.head.method.as_str(),
        path: asking.path,
        query: &asked.query,
        headers: &headers,
    };
    let policy = shape.policy();
    let key = policy.memory_key(asking.identity, &request, asked);
    let key = key.map(|key| (shape.number(), key));
    if let Some(allowed) = key.as_ref().and_then(|key| loaded.decisions.get(key))
        && !allowed.until().is_some_and(|until| until.is_over(asking.now))
    {
        return Ok(allowed);
    }
    let (gathered, now) = if policy.consults() {
        let facts = gather(state, shape, asking, &request, asked);
        (Some(Box::pin(facts).await?), state.clock.now())
    } else {
        (None, asking.now)
    };
    let facts = gathered.as_ref().unwrap_or_else(|| loaded.no_facts());
    let allowed = policy.judge(asking.identity, &request, asked, facts, now)?;
    if let Some(key) = key {
        loaded.decisions.remember(shape, &key, &allowed);
    }
    Ok(allowed)
}

async fn gather(
    state: &State,
    shape: &ServedShape,
    asking: &Asking<'_>,
    request: &RequestFacts<'_>,
    asked: &Asked,
) -> Result<Facts, Refusal> {
    let told = shape
        .policy()
        .inputs(asking.identity, request, asked, asking.now)?;
    let answers = shape
        .authorizers()
        .gather(&state.authorizers, &told, Freshness::Remembered, asking.trace);
    answers.await
}

/// Headers as rules may read them.
pub(in crate::gateway) struct RequestHeaders<'a>(pub(in crate::gateway) &'a HeaderMap);

impl Headers for RequestHeaders<'_> {
    fn header(&self, name: &str) -> RuleHeader<'_> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => RuleHeader::Absent,
            (Some(value), None) => value.to_str().map_or(RuleHeader::Unreadable, RuleHeader::Text),
            (Some(_), Some(_)) => RuleHeader::Unreadable,
        }
    }
}
