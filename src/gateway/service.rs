//! The requests of the gateway: decided, and answered with what the hub has or is to get.

mod hooks;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_proxy::FailToProxy;
use shapegate_core::code::{Code, Refusal};

use super::admit::{self, Admission, Admitted};
use super::answer::{self, Reply};
use super::connection::ConnectionBook;
use super::context::{RequestContext, Stage};
use super::held::{self, Taken};
use super::overload;
use super::own;
use super::park;
use super::state::State;
use super::told::{self, Sent, Told};
use crate::hub::fetch::refusal;

/// How long one write to a client may block: above Electric's own 30 s, a stalled client is cut.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a body that nobody asked for is drained before the connection is closed instead.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The proxy service.
#[derive(Clone)]
pub struct Gateway {
    state: Arc<State>,
    book: Arc<ConnectionBook>,
}

impl Gateway {
    /// A service over `state`, whose connections are kept in `book`.
    pub fn new(state: Arc<State>, book: Arc<ConnectionBook>) -> Self {
        Self { state, book }
    }

    /// A request's context.
    pub fn context(&self) -> RequestContext {
        RequestContext::new(self.state.request_ids.next(), Arc::clone(&self.state.metrics))
    }

    /// A request's head has come.
    pub fn begin(&self, session: &mut ServerSession) {
        self.book.head_arrived(h2_peer(session));
        let reusable = session.get_keepalive().is_some() && !self.state.drain.has_begun();
        session.set_keepalive(reusable.then(|| self.book.keepalive_timeout().as_secs()));
        session.set_write_timeout(Some(WRITE_TIMEOUT));
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
    }

    /// Decides, and answers what is not for Pingora to pass on; whether it did.
    ///
    /// # Errors
    /// When the client is gone, or an answer that has begun cannot be ended.
    pub async fn answer(
        &self,
        session: &mut ServerSession,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<bool> {
        // A fault of ours in one request is that request's alone; whatever it held is dropped with it.
        match AssertUnwindSafe(self.admit_and_answer(session, ctx))
            .catch_unwind()
            .await
        {
            Ok(answered) => answered,
            Err(_) => self.answer_after_panic(session, ctx).await,
        }
    }

    async fn admit_and_answer(
        &self,
        session: &mut ServerSession,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<bool> {
        Told::begin(&self.state, session, ctx);
        let admission = admit::admit(&self.state, session, ctx).await;
        told::decided(&self.state, session, ctx, &admission);
        self.answer_here(session, admission, ctx).await
    }

    /// 500 where nothing has been said yet; else the connection ends, so that the answer does not look whole.
    async fn answer_after_panic(
        &self,
        session: &mut ServerSession,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<bool> {
        session.set_keepalive(None);
        ctx.stage = Stage::Answered;
        if session.response_written().is_some() {
            return Error::e_explain(ErrorType::InternalError, "a panic in the middle of an answer");
        }
        let refusal = Refusal::new(Code::Internal, "The gateway failed at this request.");
        let refusal = refusal.with_detail("a panic, told on standard error");
        answer::refuse(session, &refusal, &Reply::to(ctx, &self.state)).await?;
        Ok(true)
    }

    /// What a client is told where the upstream did not answer.
    fn unanswered(&self, error: &Error, ctx: &RequestContext) -> Refusal {
        let refused = refusal(error);
        if ctx.permitted().is_some() && !ctx.refetch {
            self.state.metrics.hub.answers.failed(refused.code);
        }
        refused
    }

    async fn answer_here(
        &self,
        session: &mut ServerSession,
        admission: Result<Admission, Refusal>,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<bool> {
        if let Ok(Admission::Held(admitted)) = admission {
            return self.answer_held(session, admitted, ctx).await;
        }
        let admission = self.seated(admission, ctx).await;
        let reply = Reply::to(ctx, &self.state);
        match admission {
            Ok(Admission::Finite(admitted)) => {
                ctx.stage = Stage::Permitted(admitted);
                return Ok(false);
            }
            Ok(Admission::Own(admitted)) => {
                Box::pin(own::serve(&self.state, session, &admitted, &reply)).await?;
            }
            Ok(Admission::Held(_)) => {}
            Ok(Admission::Preflight(methods)) => answer::preflight(session, methods, &reply).await?,
            Ok(Admission::NotAllowed(methods)) => {
                answer::method_not_allowed(session, methods, &reply).await?;
            }
            Ok(Admission::Health(health)) => answer::health(session, health, &reply).await?,
            Ok(Admission::Minted(body)) => answer::minted(session, body, &reply).await?,
            Ok(Admission::PublicKeys(keys)) => answer::public_keys(session, keys, &reply).await?,
            Ok(Admission::MustRefetch) => answer::must_refetch(session, &reply).await?,
            Err(refusal) => answer::refuse(session, &refusal, &reply).await?,
        }
        ctx.stage = Stage::Answered;
        Ok(true)
    }

    /// What goes upstream by itself takes a place there first.
    async fn seated(
        &self,
        admission: Result<Admission, Refusal>,
        ctx: &mut RequestContext,
    ) -> Result<Admission, Refusal> {
        if let Ok(Admission::Finite(admitted) | Admission::Own(admitted)) = &admission {
            ctx.seat = Some(overload::seat(&self.state, admitted).await?);
        }
        admission
    }

    /// Answers with what the hub has, and puts away who must wait for news.
    async fn answer_held(
        &self,
        session: &mut ServerSession,
        admitted: Box<Admitted>,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<bool> {
        let mut taken = match held::ask(&self.state, admitted).await {
            Ok(taken) => taken,
            Err(refusal) => {
                answer::refuse(session, &refusal, &Reply::to(ctx, &self.state)).await?;
                ctx.stage = Stage::Answered;
                return Ok(true);
            }
        };
        if let Taken::Coming(waiting) = taken {
            match park::leave(session, ctx, waiting) {
                Ok(()) => return Ok(true),
                Err(waiting) => taken = Taken::Coming(waiting),
            }
        }
        held::answer(&self.state, session, taken, &Reply::to(ctx, &self.state)).await?;
        ctx.stage = Stage::Answered;
        Ok(true)
    }

    /// Writes the error that a client gets, unless an answer has begun or the client is gone.
    pub async fn answer_failure(
        &self,
        session: &mut ServerSession,
        error: &Error,
        ctx: &mut RequestContext,
    ) -> FailToProxy {
        if session.response_written().is_some() || error.esource() == &ErrorSource::Downstream {
            told::failed(ctx, error);
            return FailToProxy {
                error_code: 0,
                can_reuse_downstream: false,
            };
        }
        // Pingora closes the connection after any error of its proxying, whatever is returned here.
        session.set_keepalive(None);
        let refused = ctx.refusal.take();
        let refused = refused.map_or_else(|| self.unanswered(error, ctx), |refused| *refused);
        std::mem::take(&mut ctx.upstream_span).end_with((!ctx.refetch).then_some(&refused));
        let stage = std::mem::take(&mut ctx.stage);
        let reply = Reply::to(ctx, &self.state);
        let written = match (stage, ctx.refetch) {
            (Stage::Permitted(admitted), true) => {
                Box::pin(own::serve(&self.state, session, &admitted, &reply)).await
            }
            _ => answer::refuse(session, &refused, &reply).await,
        };
        let error_code = session.response_written().map_or(0, |head| head.status.as_u16());
        FailToProxy {
            error_code,
            can_reuse_downstream: written.is_ok(),
        }
    }

    /// What every request shares.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Counts a request that is over.
    pub fn note_done(&self, ctx: &RequestContext, sent: Sent) {
        self.book.request_done();
        told::done(&self.state, ctx, sent);
        if let Some(status) = sent.status {
            self.state.metrics.answered(status);
        }
    }
}

/// The peer of an HTTP/2 connection.
fn h2_peer(session: &ServerSession) -> Option<std::net::SocketAddr> {
    session
        .is_http2()
        .then(|| session.client_addr()?.as_inet().copied())
        .flatten()
}
