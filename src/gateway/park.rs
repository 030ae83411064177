//! What waits is put away: Pingora's session and all that its proxying carries along are given up, and made again
//! from the request's own bytes once there is something to answer.
//!
//! [`Parking`] stands between Pingora's connections and its proxying. Within a request [`leave`] takes the client
//! out of Pingora's hands, to which the request then looks answered; [`Parking`] waits, and answers.

use std::cell::RefCell;
use std::io::Cursor;
use std::pin::{Pin, pin};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::apps::{
    HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp,
};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_proxy::{HttpProxy, Session};

use super::admit::{Admitted, renew};
use super::answer::Reply;
use super::context::RequestContext;
use super::held::{Began, Client, First, Wait, Waiting};
use super::service::{DRAIN_TIMEOUT, Gateway, WRITE_TIMEOUT};
use super::state::State;
use super::told::{self, Sent};
use crate::line::Line;
use crate::tenant::Lease;

/// How long a connection's first head may take, in seconds; it has its own deadline besides.
const FIRST_HEAD_SECONDS: u64 = 60;

tokio::task_local! {
    /// What the request that is being served has put away.
    static PARKED: RefCell<Option<Box<Parked>>>;
}

/// A request that waits.
struct Parked {
    client: ParkedClient,
    ctx: RequestContext,
    waiting: Waiting,
}

/// A client without a session.
enum ParkedClient {
    H1(ParkedH1),
    /// A stream's session is small, and there is no other way to it.
    H2(Box<Session>),
}

/// A connection, and what its session is made of again.
struct ParkedH1 {
    line: Line,
    head: Box<[u8]>,
    keepalive: Option<u64>,
    reuses: Option<u32>,
}

/// Takes the client out of Pingora's hands until its answer comes.
///
/// # Errors
/// Gives back who does not wait long, and who cannot be put away: outside [`Parking`], and where the client has
/// sent more than a head.
pub fn leave(session: &mut Session, ctx: &mut RequestContext, waiting: Waiting) -> Result<(), Waiting> {
    let parks = waiting.is_long() && PARKED.try_with(|_| ()).is_ok();
    let Some(client) = parks.then(|| ParkedClient::take(session)).flatten() else {
        return Err(waiting);
    };
    let ctx = ctx.park();
    let parked = Box::new(Parked { client, ctx, waiting });
    PARKED.with(|slot| slot.replace(Some(parked)));
    Ok(())
}

impl ParkedClient {
    fn take(session: &mut Session) -> Option<Self> {
        if session.as_downstream().is_http2() {
            let taken = std::mem::replace(session, nobodys_session());
            return Some(Self::H2(Box::new(taken)));
        }
        let parked = ParkedH1::of(session.as_downstream_mut())?;
        *session = nobodys_session();
        Some(Self::H1(parked))
    }

    /// The session to answer with.
    async fn into_session(self) -> pingora_core::Result<Session> {
        match self {
            Self::H1(parked) => parked.session().await,
            Self::H2(session) => Ok(*session),
        }
    }
}

impl ParkedH1 {
    fn of(session: &mut ServerSession) -> Option<Self> {
        if !session.is_body_empty() {
            return None;
        }
        let head = session.as_http1()?.get_headers_raw_bytes();
        let line = Line::of(session.stream()?)?;
        // What came after the head ends the connection after its answer: its session must know of it.
        if line.taken() != head.len() {
            return None;
        }
        Some(Self {
            line,
            head: head.as_ref().into(),
            keepalive: session.get_keepalive(),
            reuses: session.get_keepalive_reuses_remaining(),
        })
    }

    /// The session that there was, from the same head.
    async fn session(&self) -> pingora_core::Result<Session> {
        let mut session = Session::new_h1(Box::new(self.line.clone()));
        let downstream = session.as_downstream_mut();
        downstream.set_pipelined_prefix(BytesMut::from(&*self.head));
        if !downstream.read_request().await? {
            return Error::e_explain(
                ErrorType::InternalError,
                "a head that was read cannot be read again",
            );
        }
        downstream.set_keepalive(self.keepalive);
        downstream.set_keepalive_reuses_remaining(self.reuses);
        downstream.set_write_timeout(Some(WRITE_TIMEOUT));
        downstream.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        Ok(session)
    }
}

impl Client for ParkedClient {
    async fn left(&mut self) -> Box<Error> {
        match self {
            Self::H1(parked) => {
                parked.line.left().await;
                Error::explain(ErrorType::ConnectionClosed, "the client left").into_down()
            }
            Self::H2(session) => session.left().await,
        }
    }

    async fn renew(&self, state: &State, admitted: &Admitted) -> Option<Arc<Lease>> {
        let renewing = async {
            match self {
                Self::H1(parked) => renew(state, &parked.session().await.ok()?, admitted).await,
                Self::H2(session) => renew(state, session, admitted).await,
            }
        };
        // Boxed, since most waits end without it.
        Box::pin(renewing).await
    }
}

/// What Pingora gets in the place of a session: nobody, with nothing to say, and no reason to come back.
fn nobodys_session() -> Session {
    Session::new_h1(Box::new(Cursor::new(Vec::new())))
}

/// Pingora's proxying, with a place for those who wait.
pub struct Parking(Arc<Streams>);

/// The requests of connections, HTTP/2's streams among them.
struct Streams {
    proxy: Arc<HttpProxy<Gateway>>,
    gateway: Gateway,
}

type Request<'a> = Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'a>>;

impl Parking {
    /// Puts away whom `gateway`, which `proxy` serves, lets wait.
    pub fn new(proxy: HttpProxy<Gateway>, gateway: Gateway) -> Self {
        Self(Arc::new(Streams {
            proxy: Arc::new(proxy),
            gateway,
        }))
    }

    /// Serves an HTTP/1.1 connection, as Pingora does.
    async fn serve_h1(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let keepalive = (!*shutdown.borrow()).then_some(FIRST_HEAD_SECONDS);
        let limit = self
            .0
            .server_options()
            .and_then(|options| options.keepalive_request_limit);
        let mut request = self.0.serve(first_session(stream, keepalive, limit), shutdown);
        while let Some(reused) = request.await {
            request = self.0.serve(next_session(reused), shutdown);
        }
    }
}

fn first_session(stream: Stream, keepalive: Option<u64>, limit: Option<u32>) -> ServerSession {
    let mut session = ServerSession::new_http1(stream);
    session.set_keepalive(keepalive);
    session.set_keepalive_reuses_remaining(limit);
    session
}

fn next_session(reused: ReusedHttpStream) -> ServerSession {
    let (stream, settings) = reused.consume();
    if let Some(line) = Line::of(&stream) {
        line.begin_request();
    }
    let mut session = ServerSession::new_http1(stream);
    if let Some(settings) = settings {
        settings.apply_to_session(&mut session);
    }
    session
}

#[async_trait]
impl ServerApp for Parking {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.0.process_new(stream, shutdown).await;
        }
        self.serve_h1(Box::new(Line::new(stream)), shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.0.http_cleanup().await;
    }
}

impl Streams {
    /// Serves one request. The session is no part of the future, which a wait carries along.
    fn serve<'a>(self: &'a Arc<Self>, session: ServerSession, shutdown: &'a ShutdownWatch) -> Request<'a> {
        let served = PARKED.scope(RefCell::default(), self.proxy.process_new_http(session, shutdown));
        Box::pin(async move {
            let (reused, parked) = {
                let mut served = pin!(served);
                (served.as_mut().await, served.take_value())
            };
            match parked.and_then(RefCell::into_inner) {
                None => reused,
                Some(parked) => self.wait(parked).await,
            }
        })
    }

    /// Waits for the answer, or what ends the wait before, without a session; then answers.
    async fn wait(&self, parked: Box<Parked>) -> Option<ReusedHttpStream> {
        let Parked {
            mut client,
            ctx,
            mut waiting,
        } = *parked;
        let mut wait = Wait::new(self.gateway.state(), &mut waiting);
        let began = wait.start(&mut client).await;
        // In a box of its own: answering takes more than waiting.
        Box::pin(self.answer(client, &ctx, wait, began)).await
    }

    async fn answer(
        &self,
        client: ParkedClient,
        ctx: &RequestContext,
        wait: Wait<'_>,
        began: Began,
    ) -> Option<ReusedHttpStream> {
        if matches!(began, First::Left(_)) {
            self.gateway.note_done(ctx, Sent::default());
            return None;
        }
        let mut session = match client.into_session().await {
            Ok(session) => session,
            Err(error) => return self.failed(&error, ctx, Sent::default()),
        };
        let reply = Reply::to(ctx, self.gateway.state());
        let written = wait.finish(&mut session, began, &reply).await;
        let sent = Sent::to(&session);
        if let Err(error) = written {
            return self.failed(&error, ctx, sent);
        }
        self.gateway.note_done(ctx, sent);
        let settings = HttpPersistentSettings::for_session(&session);
        let stream = session.downstream_session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    /// Ends a connection whose answer cannot be ended.
    fn failed(&self, error: &Error, ctx: &RequestContext, sent: Sent) -> Option<ReusedHttpStream> {
        told::failed(ctx, error);
        self.gateway.note_done(ctx, sent);
        if error.esource() != &ErrorSource::Downstream {
            let id = ctx.request_id.to_str().unwrap_or_default();
            log::warn!("request {id}: the answer was broken off: {error}");
        }
        None
    }
}

impl HttpServerApp for Streams {
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
        self.serve(session, shutdown)
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
