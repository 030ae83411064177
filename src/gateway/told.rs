//! What logs and metrics are told of a request.
//!
//! A request notes what it comes to know; most of it only where a log is on.

use std::sync::{Arc, OnceLock};

use http::header;
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorSource};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::credential::Credential;
use shapegate_core::permit::Allowed;
use shapegate_core::request::{Asked, Offset, Verb};
use shapegate_core::time::{Monotonic, Now};

use super::admit::{Admission, Lapse, address_of, target};
use super::choose;
use super::context::RequestContext;
use super::state::State;
use crate::admin::Metrics;
use crate::admin::decisions::{Decided, RouteCounts};
use crate::admin::loops::Who;
use crate::clock::Clock;
use crate::journal::{Access, AskedFor, Decision, PATH_CHARS_MAX, Request, Verdict, detail, start_of};
use crate::traces::{Arriving, Ended, Trace};

/// What is told of a request.
#[derive(Default)]
pub struct Told {
    /// Where its decision is counted.
    route: Option<Arc<RouteCounts>>,
    /// What a token was made of.
    minted: Option<Arc<Allowed>>,
    /// Since when a snapshot has been waited for.
    snapshot_since: Option<Monotonic>,
    /// What only logs are told.
    story: Option<Box<Story>>,
    /// What traces are told.
    pub trace: Trace,
}

struct Story {
    arrived: Now,
    request: Request,
    asked: Option<AskedFor>,
    begun: OnceLock<Monotonic>,
    code: OnceLock<Code>,
    hub: OnceLock<&'static str>,
    upstream_status: OnceLock<u16>,
}

impl Story {
    fn since_arrival(&self, now: Monotonic) -> std::time::Duration {
        self.arrived.monotonic.until(now)
    }
}

impl Told {
    /// A request that has just come.
    pub fn begin(state: &State, session: &ServerSession, ctx: &mut RequestContext) {
        let (head, peer) = (session.req_header(), address_of(session));
        ctx.told.trace = state.traces.begin(&Arriving {
            head,
            peer,
            tls: is_tls(session),
            host: choose::host(head),
        });
        if !state.journal.is_on() {
            return;
        }
        let (path, _) = target(head).unwrap_or_default();
        let request = Request {
            request_id: ctx.request_id.clone(),
            tenant: None,
            shape: None,
            credential: None,
            address: peer.map(|peer| state.limits.client(peer, &head.headers)),
            method: head.method.clone(),
            path: start_of(path, PATH_CHARS_MAX).into(),
        };
        ctx.told.story = Some(Box::new(Story {
            arrived: state.clock.now(),
            request,
            asked: None,
            begun: OnceLock::new(),
            code: OnceLock::new(),
            hub: OnceLock::new(),
            upstream_status: OnceLock::new(),
        }));
    }

    /// It is at this route.
    pub fn at(&mut self, route: &Arc<RouteCounts>) {
        if let Some(story) = &mut self.story {
            story.request.tenant = route.tenant().cloned();
            story.request.shape = route.shape().cloned();
        }
        self.route = Some(Arc::clone(route));
    }

    /// This is what it asks for, at `now`.
    pub fn asks(&mut self, asked: &Asked, now: Now) {
        // What a body asks for has not been read yet, and nothing but a subset can.
        let subset = asked.subset.is_some() || asked.verb == Verb::Post;
        let snapshot = asked.verb == Verb::Get && !subset && asked.position.offset == Offset::Beginning;
        self.snapshot_since = snapshot.then_some(now.monotonic);
        self.note_asked(asked, subset);
    }

    /// This is what it wants signed.
    pub fn asks_to_sign(&mut self, asked: &Asked) {
        self.note_asked(asked, false);
    }

    fn note_asked(&mut self, asked: &Asked, subset: bool) {
        if let Some(story) = &mut self.story {
            story.asked = Some(AskedFor::of(asked, subset));
        }
    }

    /// A token was made of this.
    pub fn mints(&mut self, allowed: &Arc<Allowed>) {
        self.minted = Some(Arc::clone(allowed));
    }

    /// Whose rules decide, where that is known.
    pub fn tenant(&self) -> Option<&Arc<str>> {
        self.route.as_ref()?.tenant()
    }

    /// It is refused. The first refusal is why; what follows from it is not.
    pub fn refused(&self, code: Code) {
        self.trace.refused(code);
        if let Some(story) = &self.story {
            _ = story.code.set(code);
        }
    }

    /// Its answer begins.
    pub fn answers(&self, clock: &dyn Clock) {
        if let Some(story) = &self.story {
            _ = story.begun.set(clock.now().monotonic);
        }
    }

    /// An upstream's answer is passed on, and begins at the moment that `now` tells.
    pub fn passes_on(&self, status: u16, metrics: &Metrics, now: impl FnOnce() -> Monotonic) {
        if let Some(since) = self.snapshot_since.filter(|_| status == 200) {
            let took = since.until(now());
            metrics.snapshot_first_byte.observe(took.as_secs_f64());
        }
    }

    /// The upstream answered with this.
    pub fn upstream_said(&self, status: u16) {
        if let Some(story) = &self.story {
            _ = story.upstream_status.set(status);
        }
    }

    /// What the hub made of it.
    pub fn hub(&self, outcome: &'static str) {
        self.trace.hub(outcome);
        if let Some(story) = &self.story {
            _ = story.hub.set(outcome);
        }
    }
}

/// Tells what was decided, unless nothing had to be.
pub fn decided(
    state: &State,
    session: &ServerSession,
    ctx: &mut RequestContext,
    admission: &Result<Admission, Refusal>,
) {
    let minted = ctx.told.minted.take();
    let outcome = match admission {
        Ok(Admission::Finite(admitted) | Admission::Held(admitted) | Admission::Own(admitted)) => {
            Ok(admitted.permit.allowed())
        }
        Ok(Admission::Minted(_)) => match &minted {
            Some(allowed) => Ok(allowed),
            None => return,
        },
        Ok(Admission::MustRefetch) => Err(None),
        Ok(Admission::NotAllowed(_)) => Err(Some(Code::MethodNotAllowed)),
        Ok(Admission::Preflight(_) | Admission::Health(_) | Admission::PublicKeys(_)) => return,
        Err(refusal) => Err(Some(refusal.code)),
    };
    let route = ctx.told.route.as_ref().unwrap_or(&state.nowhere);
    let decided = match outcome {
        Ok(allowed) => Decided::Allowed(allowed.rule()),
        Err(Some(code)) => Decided::Refused(code),
        Err(None) => Decided::MustRefetch,
    };
    route.count(decided);
    ctx.told.trace.decided(decided.labels());
    if let Err(refusal) = admission
        && ctx.credential.is_none()
    {
        ctx.credential.clone_from(&refusal.credential);
    }
    let is_unauthorized = matches!(outcome, Err(Some(code)) if code.status() == 401);
    match (is_unauthorized, &outcome) {
        (true, _) => note_unauthorized(state, session, ctx),
        (false, Ok(_)) => note_passed(state, ctx),
        _ => {}
    }
    if state.journal.writes_decisions() {
        let verdict = match outcome {
            Ok(allowed) => Verdict::Allow(Arc::clone(allowed)),
            Err(code) => Verdict::Deny {
                reason: code.map_or("must_refetch", Code::as_str),
                detail: detail(
                    admission
                        .as_ref()
                        .err()
                        .and_then(|refusal| refusal.detail.as_deref()),
                ),
                code,
            },
        };
        tell_decision(state, ctx, verdict);
    }
}

/// Who is known by a token that verified, is counted by its subject: it may come with another one each time.
fn note_unauthorized(state: &State, session: &ServerSession, ctx: &RequestContext) {
    let now = state.clock.now().monotonic;
    if let Some(who) = subject(ctx) {
        return state.metrics.unauthorized_loops.note(who, now);
    }
    let headers = &session.req_header().headers;
    let sent = [header::AUTHORIZATION, header::COOKIE];
    let sent = sent.iter().flat_map(|name| headers.get_all(name));
    let sent: Vec<&[u8]> = sent.map(http::HeaderValue::as_bytes).collect();
    let who = if sent.is_empty() {
        Who::Address(address_of(session).map(|peer| state.limits.client(peer, headers)))
    } else {
        Who::Sender(&sent)
    };
    state.metrics.unauthorized_loops.note(who, now);
}

fn note_passed(state: &State, ctx: &RequestContext) {
    if let Some(who) = subject(ctx) {
        let now = state.clock.now().monotonic;
        state.metrics.unauthorized_loops.passed(who, now);
    }
}

/// The subject that asks, where it is known.
fn subject(ctx: &RequestContext) -> Option<Who<'_>> {
    let credential = ctx.credential.as_deref()?;
    Some(Who::Subject {
        tenant: ctx.told.tenant()?,
        issuer: credential.issuer.as_deref()?,
        subject: credential.subject.as_deref()?,
    })
}

fn tell_decision(state: &State, ctx: &mut RequestContext, verdict: Verdict) {
    let Some(story) = &mut ctx.told.story else { return };
    story.request.credential.clone_from(&ctx.credential);
    let now = state.clock.now();
    let line = Decision {
        time: now.wall,
        request: story.request.clone(),
        asked: story.asked.take(),
        verdict,
        duration: story.since_arrival(now.monotonic),
        rejudged: false,
        suppressed: 0,
    };
    state.journal.decision(line, now.monotonic);
}

/// Tells that a wait was judged anew and came out otherwise: what took its permission away.
pub fn rejudged(state: &State, told: &Told, credential: Option<&Arc<Credential>>, lapse: &Lapse) {
    let Some(story) = told.story.as_ref().filter(|_| state.journal.writes_decisions()) else {
        return;
    };
    let now = state.clock.now();
    let verdict = match lapse {
        Lapse::Refused(refusal) => Verdict::Deny {
            reason: refusal.code.as_str(),
            detail: detail(refusal.detail.as_deref()),
            code: Some(refusal.code),
        },
        Lapse::Otherwise(what) => Verdict::Deny {
            reason: "permission_changed",
            detail: Some((*what).to_owned()),
            // Such lines are bounded as those of refusals are.
            code: Some(Code::Forbidden),
        },
    };
    let line = Decision {
        time: now.wall,
        request: Request {
            credential: credential.cloned(),
            ..story.request.clone()
        },
        asked: None,
        verdict,
        duration: story.since_arrival(now.monotonic),
        rejudged: true,
        suppressed: 0,
    };
    state.journal.decision(line, now.monotonic);
}

/// What a client was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// The status; none where it left before.
    pub status: Option<u16>,
    /// Bytes of the body.
    pub bytes: usize,
}

impl Sent {
    /// What was written to a session.
    pub fn to(session: &ServerSession) -> Self {
        Self {
            status: session.response_written().map(|head| head.status.as_u16()),
            bytes: session.body_bytes_sent(),
        }
    }
}

/// Tells what became of a request.
pub fn done(state: &State, ctx: &RequestContext, sent: Sent) {
    ctx.told.trace.end(&Ended {
        request_id: &ctx.request_id,
        tenant: ctx.told.tenant(),
        shape: ctx.told.route.as_ref().and_then(|route| route.shape()),
        status: sent.status,
        bytes: sent.bytes,
    });
    let Some(story) = ctx.told.story.as_ref().filter(|_| state.journal.writes_access()) else {
        return;
    };
    let now = state.clock.now();
    let begun = story.begun.get().filter(|_| sent.status.is_some());
    state.journal.access(Access {
        time: now.wall,
        request: Request {
            credential: ctx.credential.clone(),
            ..story.request.clone()
        },
        status: sent.status,
        code: story.code.get().copied(),
        bytes: sent.bytes,
        duration: story.since_arrival(now.monotonic),
        first_byte: begun.map(|begun| story.since_arrival(*begun)),
        hub: story.hub.get().copied(),
        upstream_status: story.upstream_status.get().copied(),
    });
}

/// Tells that the answer of a request cannot be ended.
pub fn failed(ctx: &RequestContext, error: &Error) {
    if error.esource() != &ErrorSource::Downstream {
        ctx.told.trace.broken_off();
    }
}

/// Whether a request came over TLS.
fn is_tls(session: &ServerSession) -> bool {
    let digest = session.digest();
    digest.is_some_and(|digest| digest.ssl_digest.is_some())
}
