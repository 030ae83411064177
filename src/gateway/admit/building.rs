//! From a permit to the only request that may go upstream for it.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use pingora_http::RequestHeader;
use shapegate_core::answer::{Audience, Expected, if_none_match_for_upstream};
use shapegate_core::code::Refusal;
use shapegate_core::permit::Permit;
use shapegate_core::request::Verb;
use shapegate_core::upstream::UpstreamRequest;

use super::{Admission, Admitted};
use crate::gateway::context::RequestContext;
use crate::hub::upstream::{Along, TRACEPARENT};
use crate::limits::Asker;
use crate::tenant::Tenant;

/// The longest `traceparent`; version 00 has exactly 55 bytes (W3C Trace Context §3.2).
const TRACEPARENT_BYTES: usize = 55;

/// How a route is served, whoever asks.
pub(super) struct Serving {
    /// Who asks, as far as that is counted.
    pub(super) asker: Asker,
    pub(super) audience: Audience,
    /// Whether reads of it go through the hub.
    pub(super) shares: bool,
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
    let along = Along {
        if_none_match: if_none_match(&head.headers, &permit),
        traceparent: traceparent(&head.headers),
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

/// A `traceparent` that is one; anything else starts a new trace.
fn traceparent(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    is_traceparent(value.as_bytes()).then(|| value.clone())
}

fn is_traceparent(value: &[u8]) -> bool {
    let mut parts = value.split(|&byte| byte == b'-');
    let hex = |part: &[u8], length| {
        part.len() == length
            && part
                .iter()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
    };
    value.len() == TRACEPARENT_BYTES
        && [2, 32, 16, 2]
            .iter()
            .all(|&length| parts.next().is_some_and(|part| hex(part, length)))
        && !value.starts_with(b"ff")
        && ids_are_set(value)
}

/// Neither trace nor parent is all zeros, which would be no id (W3C Trace Context §3.2.2.3).
fn ids_are_set(value: &[u8]) -> bool {
    let mut ids = value.split(|&byte| byte == b'-').skip(1).take(2);
    ids.all(|id| id.iter().any(|&byte| byte != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_goes_along() {
        assert!(is_traceparent(
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        ));
        for value in [
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
            "",
        ] {
            assert!(!is_traceparent(value.as_bytes()), "{value}");
        }
    }
}
