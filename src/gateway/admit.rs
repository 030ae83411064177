//! From a request's head to a permit: route, frame, authenticate, body, decide, build.

mod decide;
mod identify;
mod minting;
mod signed;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap, HeaderValue};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use shapegate_core::answer::{Audience, Expected, if_none_match_for_upstream};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::identity::Identity;
use shapegate_core::permit::{Allowed, Permit};
use shapegate_core::policy::Withheld;
use shapegate_core::request::{Asked, Verb};
use shapegate_core::time::{Now, Until};
use shapegate_core::upstream::UpstreamRequest;

use self::decide::{Asking, decide};
use super::body;
use super::choose;
use super::context::RequestContext;
use super::cors::{self, CorsGrant};
use super::framing;
use super::state::{Loaded, State};
use crate::gatekeeper::KeySet;
use crate::hub::health::Health;
use crate::hub::upstream::{Along, READ_TIMEOUT, TRACEPARENT};
use crate::hub::version::SUBSETS_SINCE;
use crate::hub::{Upstream, Wanted};
use crate::tenant::{Endpoint, Found, Lease, ServedShape, Tenant};

/// The longest path that is looked at, in bytes: above that of any route, its captures filled.
const PATH_BYTES_MAX: usize = 4 * 1024;
/// The longest `traceparent`; version 00 has exactly 55 bytes (W3C Trace Context §3.2).
const TRACEPARENT_BYTES: usize = 55;

/// What becomes of a request.
pub enum Admission {
    /// It goes through Pingora's proxying.
    Finite(Box<Admitted>),
    /// It goes through the hub, and is awaited if it waits.
    Held(Box<Admitted>),
    /// A preflight, and the methods of its route.
    Preflight(&'static str),
    /// A question for the upstream's health.
    Health(Health),
    /// A method that its route does not take, and those that it takes.
    NotAllowed(&'static str),
    /// A handle that is not this shape's.
    MustRefetch,
    /// A token, in the body that is answered.
    Minted(Bytes),
    /// The public keys of such tokens.
    PublicKeys(KeySet),
}

/// A permitted request.
pub struct Admitted {
    /// The proof.
    pub permit: Permit,
    /// The only request that may go upstream for it.
    pub request: UpstreamRequest,
    /// Whose it is, and for how long that is so.
    pub lease: Arc<Lease>,
    /// Which upstream.
    pub upstream: Arc<Upstream>,
    /// Whether others who are permitted the same may share the answer.
    pub shares: bool,
    /// Headers that go along.
    pub along: Along,
    /// What the answer must be like.
    pub expected: Expected,
    /// Who may keep the answer.
    pub audience: Audience,
    /// The moment until which it holds.
    pub until: Option<Until>,
}

impl Admitted {
    /// What the hub is asked for.
    pub fn wanted(&self, now: Now) -> Wanted<'_> {
        // A wait's own timer ends it with its permission.
        let until = self.until.filter(|_| !self.request.waits());
        Wanted {
            tenant: self.lease.tenant(),
            upstream: &self.upstream,
            permit: &self.permit,
            request: &self.request,
            along: &self.along,
            shares: self.shares,
            silence_max: until.map_or(READ_TIMEOUT, |until| until.left(now)),
        }
    }
}

/// Admits a request, or says why not.
///
/// What most requests do not wait for is boxed: Pingora moves every hook's future, whole, to the heap.
///
/// # Errors
/// What the client is told.
pub async fn admit(
    state: &State,
    session: &mut Session,
    ctx: &mut RequestContext,
) -> Result<Admission, Refusal> {
    let loaded = state.loaded();
    let framed = framing::check(session.as_downstream());
    if framed.is_err() {
        session.as_downstream_mut().set_keepalive(None);
    }
    let head = session.req_header();
    let tenant = choose::tenant(&loaded.snapshot, head, &mut ctx.cors)?;
    framed?;
    check_head(head, state)?;
    let (path, _) = target(head)?;
    let found = tenant.find(path).ok_or_else(not_found)?;
    if found.hides(&head.method) {
        return Err(not_found());
    }
    if cors::is_preflight(&head.method, &head.headers) {
        return Ok(Admission::Preflight(found.methods()));
    }
    let Some(verb) = found.verb(&head.method) else {
        return Ok(Admission::NotAllowed(found.methods()));
    };
    if state.drain.has_begun() {
        return Err(Refusal::new(Code::Draining, "The gateway is going away."));
    }
    let upstream = tenant.upstream();
    match found {
        Found::Shapes(endpoint) => shapes(state, &loaded, session, ctx, tenant, verb, &endpoint).await,
        Found::Signed { .. } => Box::pin(signed::admit(state, session, ctx, tenant, verb)).await,
        Found::Mint(table) => Box::pin(minting::mint(state, &loaded, session, tenant, &table)).await,
        Found::PublicKeys => public_keys(tenant, state.clock.now()),
        Found::Health => {
            let health = upstream.health().state(upstream, &state.fetch, &*state.clock);
            Ok(Admission::Health(Box::pin(health).await))
        }
    }
}

/// The public keys of the tokens that are minted here.
fn public_keys(tenant: &Tenant, now: Now) -> Result<Admission, Refusal> {
    let minter = tenant.gatekeeper().minter.as_ref().ok_or_else(not_found)?;
    Ok(Admission::PublicKeys(minter.key_set(now.wall)))
}

/// Admits a request at a route of shapes.
async fn shapes(
    state: &State,
    loaded: &Loaded,
    session: &mut Session,
    ctx: &RequestContext,
    tenant: &Tenant,
    verb: Verb,
    endpoint: &Endpoint<'_>,
) -> Result<Admission, Refusal> {
    let head = session.req_header();
    let (_, query) = target(head)?;
    let mut asked = Asked::parse(verb, query, endpoint.declared())?;
    state.metrics.dropped(asked.dropped);
    let now = state.clock.now();
    let shape = endpoint.choose(&asked)?;
    let (identity, now) = identify::for_shape(state, tenant, shape, &head.headers, now).await?;
    require_identity(shape, identity.as_deref())?;
    if verb == Verb::Post {
        body::check_head(&session.req_header().headers, state.body_limits)?;
        let reading = body::read(session, state.body_limits, &*state.clock);
        let read = Box::pin(reading).await?;
        asked.take_body(&read)?;
    }
    let head = session.req_header();
    let asking = Asking {
        head,
        path: endpoint.captures(),
        identity: identity.as_deref(),
        now,
    };
    let allowed = decide(state, loaded, shape, &asking, &asked).await?;
    // What an authoriser says ends with its time, and a shared cache would keep it longer.
    let audience = if shape.policy().is_public() && !shape.policy().consults() {
        Audience::Public
    } else {
        Audience::Private
    };
    let serving = Serving {
        audience,
        shares: shape.shares(),
    };
    permit(state, tenant, serving, &allowed, asked, head, ctx).await
}

/// How a route is served, whoever asks.
#[derive(Clone, Copy)]
struct Serving {
    audience: Audience,
    /// Whether reads of it go through the hub.
    shares: bool,
}

/// From what was allowed to the request that goes upstream.
async fn permit(
    state: &State,
    tenant: &Tenant,
    serving: Serving,
    allowed: &Arc<Allowed>,
    asked: Asked,
    head: &RequestHeader,
    ctx: &RequestContext,
) -> Result<Admission, Refusal> {
    match allowed.permit(asked, state.clock.now()) {
        Ok(permit) => {
            if permit.subset().is_some() {
                require_confined_subsets(state, tenant.upstream()).await?;
            }
            build(tenant, serving, permit, head, ctx)
        }
        Err(Withheld::MustRefetch) => Ok(Admission::MustRefetch),
        Err(Withheld::Refused(refusal)) => Err(refusal),
    }
}

/// The lease under which a waiting request is still permitted, for the same shape of the same upstream and no
/// less long; none when it is not.
pub async fn renew(state: &State, session: &Session, admitted: &Admitted) -> Option<Arc<Lease>> {
    let _turn = admitted.lease.turn().await?;
    let loaded = state.loaded();
    let again = Box::pin(judge_again(state, &loaded, session.req_header())).await;
    let (allowed, tenant) = again.ok()?;
    let same = tenant.id() == admitted.lease.tenant()
        && allowed.definition() == admitted.permit.definition()
        && tenant.upstream().is_same_place(&admitted.upstream)
        && holds_as_long(allowed.until(), admitted.until);
    same.then(|| Arc::clone(tenant.lease()))
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
) -> Result<(Arc<Allowed>, Arc<Tenant>), Refusal> {
    let tenant = choose::tenant(&loaded.snapshot, head, &mut CorsGrant::default())?;
    let (path, query) = target(head)?;
    let now = state.clock.now();
    let endpoint = match tenant.find(path) {
        Some(Found::Shapes(endpoint)) => endpoint,
        Some(Found::Signed { .. }) => {
            let verifier = tenant.gatekeeper().verifier.as_ref().ok_or_else(not_found)?;
            let (_, allowed) = signed::judge(verifier, head, Verb::Get, now)?;
            return Ok((allowed, Arc::clone(tenant)));
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
    let allowed = decide(state, loaded, shape, &asking, &asked).await?;
    Ok((allowed, Arc::clone(tenant)))
}

/// Refuses heads that are too large, or that speak of a body where none is taken.
fn check_head(head: &RequestHeader, state: &State) -> Result<(), Refusal> {
    let limits = state.head_limits;
    let bytes: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > limits.header_bytes_max || head.headers.len() > limits.headers_max {
        return Err(Refusal::new(
            Code::HeadersTooLarge,
            format!(
                "The headers are larger than {} bytes or more than {}.",
                limits.header_bytes_max, limits.headers_max
            ),
        ));
    }
    if head.method != Method::POST && body::is_declared(&head.headers) {
        return Err(Refusal::new(
            Code::MalformedRequest,
            "Only a POST may have a body here.",
        ));
    }
    Ok(())
}

/// Path and query, exactly as they came. An absolute target is none of ours.
pub(super) fn target(head: &RequestHeader) -> Result<(&str, &str), Refusal> {
    let raw = std::str::from_utf8(head.raw_path())
        .map_err(|_| Refusal::new(Code::MalformedRequest, "The request target is not ASCII."))?;
    let origin_form = raw.starts_with('/').then_some(raw).ok_or_else(not_found)?;
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    if path.len() > PATH_BYTES_MAX {
        let text = format!("The path is longer than {PATH_BYTES_MAX} bytes.");
        return Err(Refusal::new(Code::TargetTooLong, text));
    }
    Ok((path, query))
}

pub(super) fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "There is no such route.")
}

/// Somebody must be known before a body is read for them.
fn require_identity(shape: &ServedShape, identity: Option<&Identity>) -> Result<(), Refusal> {
    if identity.is_some() || !shape.requires_identity() {
        return Ok(());
    }
    Err(identify::unknown())
}

/// Subsets go to an Electric alone that is known to confine them.
async fn require_confined_subsets(state: &State, upstream: &Upstream) -> Result<(), Refusal> {
    let detail = match upstream
        .health()
        .version(upstream, &state.fetch, &*state.clock)
        .await?
    {
        Some(version) if version >= SUBSETS_SINCE => return Ok(()),
        Some(version) => format!("subsets need Electric {SUBSETS_SINCE} or later, not {version}"),
        None => {
            format!("subsets need Electric {SUBSETS_SINCE} or later; the upstream does not tell its version")
        }
    };
    let text = "The upstream cannot be trusted with subsets.";
    Err(Refusal::new(Code::UpstreamMisconfigured, text).with_detail(detail))
}

/// Builds what goes upstream, from the permit alone.
fn build(
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
    let held = shared || request.waits() || request.body().is_some() || upstream.wants_fetch();
    let admitted = Box::new(Admitted {
        expected: Expected::of(&request, along.if_none_match.is_some()),
        until: permit.until(),
        audience: serving.audience,
        lease: Arc::clone(tenant.lease()),
        shares: serving.shares,
        upstream,
        along,
        request,
        permit,
    });
    Ok(if held {
        Admission::Held(admitted)
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
