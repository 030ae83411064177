//! Pingora's hooks. Each is a few lines: what they decide is decided elsewhere.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use super::{Gateway, RequestContext, Sent, Stage, answer};
use crate::gateway::admit::{is_revoked, revocation};
use crate::gateway::answer::Reply;
use crate::gateway::context::Replacement;
use crate::hub::fetch::is_encoded;
use crate::hub::upstream::READ_TIMEOUT;

impl Gateway {
    /// Breaks off what Pingora passes on, once the permission behind it was revoked.
    fn refuse_revoked(&self, ctx: &RequestContext) -> pingora_core::Result<()> {
        match ctx.permitted() {
            Some(admitted) if is_revoked(&self.state, admitted) => Err(answer::revoked()),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        self.context()
    }

    /// Pingora's module compresses a response a client, SSE included: it is not installed.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        _ctx: &mut RequestContext,
    ) -> pingora_core::Result<()> {
        self.begin(session.as_downstream_mut());
        Ok(())
    }

    /// Decides. What waits and what is refused is answered here; what is finite goes on with its permit.
    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<bool> {
        self.answer(session.as_downstream_mut(), ctx).await
    }

    /// An error unless the request was permitted.
    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<Box<HttpPeer>> {
        let now = self.state.clock.now();
        let Some(admitted) = ctx.permitted() else {
            return Error::e_explain(ErrorType::InternalError, "an unpermitted request has no upstream");
        };
        let left = admitted.until.map_or(READ_TIMEOUT, |until| until.left(now));
        admitted.upstream.peer(left).map_err(|refused| {
            ctx.refusal = Some(Box::new(refused));
            Error::explain(ErrorType::ConnectError, "no address").into_up()
        })
    }

    /// Assigns the header that was built from the permit; nothing of the client's is left in it.
    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        upstream_request: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<()> {
        let Some(admitted) = ctx.permitted() else {
            return Error::e_explain(ErrorType::InternalError, "an unpermitted request has no header");
        };
        let span = admitted.upstream.span(&admitted.request, &admitted.along);
        *upstream_request = admitted
            .upstream
            .head(&admitted.request, &admitted.along, span.context())?;
        ctx.upstream_span = span;
        Ok(())
    }

    /// Discards the client's body: what goes upstream with one is fetched.
    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        _ctx: &mut RequestContext,
    ) -> pingora_core::Result<()> {
        *body = None;
        Ok(())
    }

    /// Tries another address of the upstream, if its name has one.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut RequestContext,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(admitted) = ctx.permitted() {
            admitted.upstream.note_unreachable(peer);
            error.set_retry(admitted.upstream.addresses().count() > 1);
        }
        error
    }

    /// Writes the header that the client gets: relabelled, or an error in place of what must not be passed on.
    async fn response_filter(
        &self,
        session: &mut Session,
        upstream_response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<()> {
        let status = upstream_response.status.as_u16();
        ctx.upstream_span.answered(status);
        let Some(admitted) = ctx.permitted() else {
            return Ok(());
        };
        if let Some(revoked) = revocation(&self.state, admitted) {
            ctx.refusal = Some(Box::new(revoked));
            return Err(Error::explain(ErrorType::ConnectionClosed, "revoked meanwhile").into_up());
        }
        if is_encoded(upstream_response) {
            admitted.upstream.note_encoding();
            ctx.refetch = true;
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "an encoded answer").into_up());
        }
        self.state.metrics.hub.answers.answered(status);
        let reply = Reply::to(ctx, &self.state);
        match answer::relabel(upstream_response, admitted, &reply) {
            Ok(head) => *upstream_response = head,
            Err(refusal) if answer::has_body(upstream_response, session.req_header()) => {
                *upstream_response = answer::refusal_head_chunked(&refusal, &reply);
                ctx.replacement = Some(Box::new(Replacement::of(refusal)));
            }
            Err(refusal) => {
                ctx.refusal = Some(Box::new(refusal));
                return Err(
                    Error::explain(ErrorType::InvalidHTTPHeader, "not an answer to pass on").into_up(),
                );
            }
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> pingora_core::Result<Option<Duration>> {
        self.refuse_revoked(ctx)?;
        if let Some(mut replacement) = ctx.replacement.take() {
            if let Some(piece) = body.take() {
                replacement.note(&piece);
            }
            if end_of_stream {
                *body = Some(answer::refusal_body(
                    &replacement.refusal(),
                    &Reply::to(ctx, &self.state),
                ));
            } else {
                ctx.replacement = Some(replacement);
            }
        }
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut RequestContext,
    ) -> FailToProxy {
        self.answer_failure(session.as_downstream_mut(), error, ctx).await
    }

    fn suppress_error_log(&self, _session: &Session, ctx: &RequestContext, error: &Error) -> bool {
        // That a client has left is no error, however often it happens.
        let to_client = error.esource() == &ErrorSource::Unset && error.etype() == &ErrorType::WriteError;
        ctx.refetch || to_client || error.esource() == &ErrorSource::Downstream
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut RequestContext) {
        let span = std::mem::take(&mut ctx.upstream_span);
        if error.is_none() {
            span.end();
        }
        if !matches!(ctx.stage, Stage::Parked) {
            self.note_done(ctx, Sent::to(session.as_downstream()));
        }
    }
}
