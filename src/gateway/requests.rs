//! The requests of connections: with HTTP/1.1 one after the other, with HTTP/2 side by side.
//!
//! Pingora reads requests and writes answers. Its proxying, whose future and session are many times larger than what
//! is needed to answer, gets what only it passes on: with HTTP/1.1, whatever is no `GET`. The hooks are the same.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_proxy::HttpProxy;

use super::answer::Reply;
use super::context::RequestContext;
use super::held::{Began, First, Wait};
use super::park::{self, Parked, ParkedClient, line_at_rest};
use super::service::Gateway;
use super::told::{self, Sent};
use crate::line::Line;

/// How long a connection's first head may take, in seconds; it has its own deadline besides.
const FIRST_HEAD_SECONDS: u64 = 60;
/// What begins every request that Pingora's proxying has no part in.
const ANSWERED_HERE: &[u8] = b"GET ";

/// Serves connections.
pub struct Connections(Arc<Requests>);

/// The requests of connections, HTTP/2's streams among them.
struct Requests {
    proxy: Arc<HttpProxy<Gateway>>,
    gateway: Gateway,
}

/// How a connection goes on after an answer.
#[derive(Clone, Copy)]
struct Terms {
    /// How long it may idle, in seconds; 0 is for ever, none: it does not go on.
    keepalive: Option<u64>,
    /// How many more requests it may bring.
    reuses: Option<u32>,
}

impl Terms {
    fn of(session: &ServerSession) -> Self {
        Self {
            keepalive: session.get_keepalive(),
            reuses: session.get_keepalive_reuses_remaining(),
        }
    }

    fn with_one_less(self) -> Self {
        Self {
            reuses: self.reuses.map(|reuses| reuses.saturating_sub(1)),
            ..self
        }
    }

    fn session(self, line: &Line, start: BytesMut) -> ServerSession {
        let mut session = ServerSession::new_http1(Box::new(line.clone()));
        session.set_pipelined_prefix(start);
        session.set_keepalive(self.keepalive);
        session.set_keepalive_reuses_remaining(self.reuses);
        session
    }

    fn silence_max(self) -> Option<Duration> {
        match self.keepalive {
            Some(0) => None,
            seconds => Some(Duration::from_secs(seconds.unwrap_or(FIRST_HEAD_SECONDS))),
        }
    }
}

/// What became of a request.
enum Served {
    /// Its connection ends.
    Over,
    /// Its connection goes on.
    Answered(Terms),
    /// It waits.
    Parked(Box<Parked>),
}

impl Served {
    fn finished(terms: Option<Terms>) -> Self {
        terms.map_or(Self::Over, Self::Answered)
    }
}

/// Resolves when a connection on which nothing is asked must close.
type Closing<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

impl Connections {
    /// Serves connections with `gateway`, which `proxy` serves, too.
    pub fn new(proxy: HttpProxy<Gateway>, gateway: Gateway) -> Self {
        Self(Arc::new(Requests {
            proxy: Arc::new(proxy),
            gateway,
        }))
    }
}

#[async_trait]
impl ServerApp for Connections {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.0.process_new(stream, shutdown).await;
        }
        self.0.serve_h1(&Line::new(stream), shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.0.http_cleanup().await;
    }
}

impl Requests {
    /// Serves an HTTP/1.1 connection until it ends.
    async fn serve_h1(&self, line: &Line, shutdown: &ShutdownWatch) {
        let mut closing = pin!(self.gateway.state().drain.idle_over());
        let mut terms = Terms {
            keepalive: (!*shutdown.borrow()).then_some(FIRST_HEAD_SECONDS),
            reuses: self
                .proxy
                .server_options()
                .and_then(|options| options.keepalive_request_limit),
        };
        while let Some(start) = next_start(line, terms, closing.as_mut()).await {
            // Each in a box of its own, given up before a wait begins.
            let served = if start.starts_with(ANSWERED_HERE) {
                Box::pin(self.answer(line, start, terms, closing.as_mut(), shutdown)).await
            } else {
                Box::pin(self.proxy(line, start, terms, shutdown)).await
            };
            let next = match served {
                Served::Over => None,
                Served::Answered(terms) => Some(terms),
                Served::Parked(parked) => Box::pin(self.wait(parked)).await,
            };
            match next {
                Some(next) => terms = next,
                None => return,
            }
        }
    }

    /// Answers a request without Pingora's proxying.
    async fn answer(
        &self,
        line: &Line,
        start: BytesMut,
        terms: Terms,
        closing: Closing<'_>,
        shutdown: &ShutdownWatch,
    ) -> Served {
        let mut session = terms.session(line, start);
        if !read_head(&mut session, closing).await {
            return Served::Over;
        }
        if *shutdown.borrow() {
            session.set_keepalive(None);
        }
        let mut ctx = self.gateway.context();
        self.gateway.begin(&mut session);
        let (answered, parked) = park::served(pin!(self.gateway.answer(&mut session, &mut ctx))).await;
        if let Some(parked) = parked {
            return Served::Parked(parked);
        }
        let error = match answered {
            Ok(true) => {
                self.gateway.note_done(&ctx, Sent::to(&session));
                return Served::finished(finish(&mut session).await);
            }
            Ok(false) => Error::explain(ErrorType::InternalError, "a GET is passed on by nobody else"),
            Err(error) => error,
        };
        let failed = self.gateway.answer_failure(&mut session, &error, &mut ctx).await;
        self.failed(&error, &ctx, Sent::to(&session));
        if failed.can_reuse_downstream {
            Served::finished(finish(&mut session).await)
        } else {
            Served::Over
        }
    }

    /// Serves a request of any kind as Pingora does.
    async fn proxy(&self, line: &Line, start: BytesMut, terms: Terms, shutdown: &ShutdownWatch) -> Served {
        let mut serving = self.proxy.process_new_http(terms.session(line, start), shutdown);
        match park::served(serving.as_mut()).await {
            (_, Some(parked)) => Served::Parked(parked),
            (reused, None) => Served::finished(reused.map(terms_after)),
        }
    }

    /// Waits for the answer, or what ends the wait before, without a session; then answers.
    async fn wait(&self, mut parked: Box<Parked>) -> Option<Terms> {
        let Parked { client, ctx, waiting } = &mut *parked;
        let mut wait = Wait::new(self.gateway.state(), waiting);
        let began = wait.start(client).await;
        // In a box of its own: answering takes more than waiting.
        Box::pin(self.answer_parked(client, ctx, wait, began)).await
    }

    async fn answer_parked(
        &self,
        client: &mut ParkedClient,
        ctx: &RequestContext,
        wait: Wait<'_>,
        began: Began,
    ) -> Option<Terms> {
        if matches!(began, First::Left(_)) {
            self.gateway.note_done(ctx, Sent::default());
            return None;
        }
        let mut session = match client.session().await {
            Ok(session) => session,
            Err(error) => {
                self.failed(&error, ctx, Sent::default());
                return None;
            }
        };
        let reply = Reply::to(ctx, self.gateway.state());
        let written = wait.finish(&mut session, began, &reply).await;
        let sent = Sent::to(&session);
        if let Err(error) = written {
            self.failed(&error, ctx, sent);
            return None;
        }
        self.gateway.note_done(ctx, sent);
        finish(&mut session).await
    }

    /// Tells of a request that failed.
    fn failed(&self, error: &Error, ctx: &RequestContext, sent: Sent) {
        told::failed(ctx, error);
        self.gateway.note_done(ctx, sent);
        if error.esource() != &ErrorSource::Downstream {
            let id = ctx.request_id.to_str().unwrap_or_default();
            log::warn!("request {id}: the answer was broken off: {error}");
        }
    }
}

/// The first bytes of the next request; none where the connection is over, or idle for too long.
async fn next_start(line: &Line, terms: Terms, closing: Closing<'_>) -> Option<BytesMut> {
    line.begin_request();
    let start = async {
        match terms.silence_max() {
            None => line.start().await.ok(),
            Some(silence_max) => pingora_timeout::timeout(silence_max, line.start())
                .await
                .ok()?
                .ok(),
        }
    };
    let start = tokio::select! {
        biased;
        start = start => start?,
        () = closing => return None,
    };
    (!start.is_empty()).then_some(start)
}

/// Reads a request's head, and answers what is none.
async fn read_head(session: &mut ServerSession, closing: Closing<'_>) -> bool {
    let read = tokio::select! {
        biased;
        read = session.read_request() => read,
        () = closing => return false,
    };
    match read {
        Ok(read) => read,
        Err(error) => {
            if matches!(error.etype, ErrorType::InvalidHTTPHeader) {
                // Whoever is gone cannot be told.
                drop(session.respond_error(400).await);
            }
            session.shutdown().await;
            false
        }
    }
}

/// Ends an answer, and says how its connection goes on: not at all where more came than a head.
async fn finish(session: &mut ServerSession) -> Option<Terms> {
    session.finish_body().await.ok()?;
    if !session.as_http1().is_some_and(HttpSession::will_keepalive) {
        session.shutdown().await;
        return None;
    }
    if line_at_rest(session).is_some() {
        return Some(Terms::of(session).with_one_less());
    }
    // Closed with something unread, a connection may take the answer with it.
    drop(session.drain_request_body().await);
    None
}

fn terms_after(reused: ReusedHttpStream) -> Terms {
    let (stream, settings) = reused.consume();
    let mut session = ServerSession::new_http1(stream);
    if let Some(settings) = settings {
        settings.apply_to_session(&mut session);
    }
    Terms::of(&session)
}

type Request<'a> = Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'a>>;

/// HTTP/2's streams: each brings one request.
impl HttpServerApp for Requests {
    fn process_new_http<'s, 'w, 'f>(
        self: &'s Arc<Self>,
        session: ServerSession,
        shutdown: &'w ShutdownWatch,
    ) -> Request<'f>
    where
        's: 'f,
        'w: 'f,
        Self: 'f,
    {
        // The session is no part of the future, which a wait carries along.
        let mut serving = self.proxy.process_new_http(session, shutdown);
        Box::pin(async move {
            let (_, parked) = park::served(serving.as_mut()).await;
            drop(serving);
            if let Some(parked) = parked {
                self.wait(parked).await;
            }
            None
        })
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn http_cleanup<'s, 'f>(&'s self) -> Pin<Box<dyn Future<Output = ()> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        self.proxy.http_cleanup()
    }
}
