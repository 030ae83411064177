//! From a request's head to a permit: route, frame, authenticate, body, decide, build.

mod again;
mod building;
mod credentials;
mod head;
mod identify;
mod judging;
mod minting;
mod signed;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use pingora_core::protocols::http::ServerSession;
use pingora_http::RequestHeader;
use shapegate_core::answer::{Audience, Expected};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::credential::Credential;
use shapegate_core::identity::Identity;
use shapegate_core::permit::{Allowed, Permit};
use shapegate_core::policy::Withheld;
use shapegate_core::request::{Asked, Verb};
use shapegate_core::time::{Now, Until};
use shapegate_core::upstream::UpstreamRequest;

use self::building::{Serving, build};
use self::head::check_head;
use self::judging::{Asking, decide, require_identity};
use super::body;
use super::choose;
use super::context::RequestContext;
use super::cors;
use super::framing;
use super::state::{Loaded, State};
use crate::gatekeeper::KeySet;
use crate::hub::health::Health;
use crate::hub::upstream::{Along, READ_TIMEOUT};
use crate::hub::version::SUBSETS_SINCE;
use crate::hub::{Upstream, Wanted};
use crate::identity::provider::Ended;
use crate::limits::{Asker, Rate};
use crate::tenant::{Endpoint, Found, Lease, Tenant};

pub use self::again::{Lapse, renew};
pub use self::credentials::{is_revoked, revocation};
pub(super) use self::head::{not_found, target};
pub(super) use self::identify::unknown;
pub(super) use self::judging::RequestHeaders;

/// What becomes of a request.
pub enum Admission {
    /// It goes through Pingora's proxying.
    Finite(Box<Admitted>),
    /// It goes through the hub, and is awaited if it waits.
    Held(Box<Admitted>),
    /// It is fetched for itself, as nobody shares the answer and it comes as soon as it can.
    Own(Box<Admitted>),
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
    /// Tells when the credential ends before its time.
    pub ended: Option<Ended>,
    /// Which upstream.
    pub upstream: Arc<Upstream>,
    /// Whether others who are permitted the same may share the answer.
    pub shares: bool,
    /// Headers that go along.
    pub along: Along,
    /// What the answer must be like.
    pub expected: Expected,
    /// Who asks, as far as that is counted.
    pub asker: Asker,
    /// Who may keep the answer.
    pub audience: Audience,
    /// Whether its condition names a weak tag.
    pub asks_weakly: bool,
    /// Whether a cookie may have decided.
    pub reads_cookies: bool,
    /// The moment until which it holds.
    pub until: Option<Until>,
    /// What whoever asks goes by.
    pub credential: Option<Arc<Credential>>,
    /// The epoch of revocations that it was admitted in.
    pub epoch: u64,
    /// When it was permitted.
    pub now: Now,
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
    session: &mut ServerSession,
    ctx: &mut RequestContext,
) -> Result<Admission, Refusal> {
    ctx.epoch = state.revocations.epoch();
    let loaded = state.loaded();
    let framed = framing::check(session);
    if framed.is_err() {
        session.set_keepalive(None);
    }
    let peer = address_of(session);
    let head = session.req_header();
    let tenant = choose::tenant(&loaded.snapshot, head, &mut ctx.cors)?;
    ctx.told.at(tenant.unrouted(&state.metrics));
    framed?;
    check_head(head, state)?;
    ctx.address = state.limits.address(peer, &head.headers);
    state.limits.arrive(ctx.address).await?;
    let (path, _) = target(head)?;
    let found = tenant.find(path).ok_or_else(not_found)?;
    ctx.told.trace.routed(|| tenant.route_of(path));
    if found.hides(&head.method) {
        return Err(not_found());
    }
    if cors::is_preflight(&head.method, &head.headers) {
        return Ok(Admission::Preflight(found.methods()));
    }
    let Some(verb) = found.verb(&head.method) else {
        return Ok(Admission::NotAllowed(found.methods()));
    };
    if state.drain.refuses() {
        return Err(Refusal::new(Code::Draining, "The gateway is going away."));
    }
    let upstream = tenant.upstream();
    match found {
        Found::Shapes(endpoint) => shapes(state, &loaded, session, ctx, tenant, verb, &endpoint).await,
        Found::Signed { .. } => Box::pin(signed::admit(state, session, ctx, tenant, verb)).await,
        Found::Mint(table) => Box::pin(minting::mint(state, &loaded, session, ctx, tenant, &table)).await,
        Found::PublicKeys => public_keys(tenant, state.clock.now()),
        Found::Health => {
            let health = upstream.health().state(upstream, &state.fetch, &*state.clock);
            Ok(Admission::Health(Box::pin(health).await))
        }
    }
}

/// The address of the other side of the connection.
pub(super) fn address_of(session: &ServerSession) -> Option<IpAddr> {
    Some(session.client_addr()?.as_inet()?.ip())
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
    session: &mut ServerSession,
    ctx: &mut RequestContext,
    tenant: &Tenant,
    verb: Verb,
    endpoint: &Endpoint<'_>,
) -> Result<Admission, Refusal> {
    let head = session.req_header();
    let (_, query) = target(head)?;
    let mut asked = Asked::parse(verb, query, endpoint.declared())?;
    state.metrics.dropped(asked.dropped);
    let now = state.clock.now();
    ctx.told.asks(&asked, now);
    let shape = endpoint.choose(&asked)?;
    ctx.told.at(shape.counts(tenant.id(), &state.metrics));
    let trace = ctx.told.trace.clone();
    let (identity, mut now) = identify::for_shape(state, tenant, shape, head, now, &trace).await?;
    ctx.credential = identity.as_deref().map(Identity::credential).cloned();
    require_identity(shape, identity.as_deref())?;
    let asker = Asker::of(tenant.id(), identity.as_deref(), ctx.address);
    state.limits.take(Rate::Requests, &asker).await?;
    if verb == Verb::Post {
        body::check_head(&session.req_header().headers, state.body_limits)?;
        let reading = body::read(session, state.body_limits, &*state.clock);
        let read = Box::pin(reading).await?;
        asked.take_body(&read)?;
        now = state.clock.now();
    }
    let head = session.req_header();
    let asking = Asking {
        head,
        path: endpoint.captures(),
        identity: identity.as_deref(),
        now,
        trace: &trace,
    };
    let (allowed, now) = decide(state, loaded, shape, &asking, &asked).await?;
    // What an authoriser says ends with its time, and a shared cache would keep it longer.
    let audience = if shape.policy().is_public() && !shape.policy().consults() {
        Audience::Public
    } else {
        Audience::Private
    };
    let serving = Serving {
        asker,
        audience,
        shares: shape.shares(),
        now,
    };
    let mut admission = permit(state, tenant, serving, &allowed, asked, head, ctx).await?;
    if let (Admission::Held(admitted), Some(identity)) = (&mut admission, &identity) {
        admitted.ended = tenant.identity().watch(identity);
    }
    Ok(admission)
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
    match allowed.permit(asked, serving.now) {
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
