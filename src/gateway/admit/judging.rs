//! Who asks, and what the rules make of it.

use std::sync::Arc;

use http::HeaderMap;
use pingora_http::RequestHeader;
use shapegate_core::code::Refusal;
use shapegate_core::identity::Identity;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{HeaderValue as RuleHeader, Headers, RequestFacts};
use shapegate_core::request::{Asked, Scalar};
use shapegate_core::time::Now;

use super::identify;
use crate::gateway::state::Loaded;
use crate::tenant::ServedShape;

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
}

/// Decides, or remembers having decided.
pub(super) fn decide(
    loaded: &Loaded,
    shape: &ServedShape,
    asking: &Asking<'_>,
    asked: &Asked,
) -> Result<Arc<Allowed>, Refusal> {
    let headers = RequestHeaders(&asking.head.headers);
    let facts = RequestFacts {
        method: asking.head.method.as_str(),
        path: asking.path,
        query: &asked.query,
        headers: &headers,
    };
    let judge = || {
        shape
            .policy()
            .judge(asking.identity, &facts, asked, loaded.no_facts(), asking.now)
    };
    let Some(key) = shape.policy().memory_key(asking.identity, &facts, asked) else {
        return judge();
    };
    let key = (shape.number(), key);
    if let Some(allowed) = loaded.decisions.get(&key) {
        return Ok(allowed);
    }
    let allowed = judge()?;
    loaded.decisions.insert(key, Arc::clone(&allowed));
    Ok(allowed)
}

/// Headers as rules may read them.
pub(super) struct RequestHeaders<'a>(pub(super) &'a HeaderMap);

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
