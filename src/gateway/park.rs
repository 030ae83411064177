//! What waits is put away: Pingora's session and all that its proxying carries along are given up, and made again
//! from the request's own bytes once there is something to answer.
//!
//! Within a request [`leave`] takes the client out of its hands, to which the request then looks answered; whoever
//! called [`served`] waits, and answers.

use std::cell::RefCell;
use std::io::Cursor;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::BytesMut;
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorType};

use super::admit::{Admitted, Lapse, renew};
use super::context::RequestContext;
use super::held::{Client, Waiting};
use super::service::{DRAIN_TIMEOUT, WRITE_TIMEOUT};
use super::state::State;
use crate::line::Line;
use crate::tenant::Lease;

tokio::task_local! {
    /// What the request that is being served has put away.
    static PARKED: RefCell<Option<Box<Parked>>>;
}

/// A request that waits.
pub struct Parked {
    /// Who waits.
    pub client: ParkedClient,
    /// Its context.
    pub ctx: RequestContext,
    /// What it waits for.
    pub waiting: Waiting,
}

/// A client without a session.
pub enum ParkedClient {
    /// Of an HTTP/1.1 connection.
    H1(ParkedH1),
    /// A stream's session is small, and there is no other way to it.
    H2(Box<ServerSession>),
}

/// A connection, and what its session is made of again.
pub struct ParkedH1 {
    line: Line,
    head: Box<[u8]>,
    keepalive: Option<u64>,
    reuses: Option<u32>,
}

/// Serves a request, and says what it has put away.
pub async fn served<T>(serving: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> (T, Option<Box<Parked>>) {
    let mut serving = pin!(PARKED.scope(RefCell::default(), serving));
    let served = serving.as_mut().await;
    (served, serving.take_value().and_then(RefCell::into_inner))
}

/// Takes the client out of its session's hands until its answer comes.
///
/// # Errors
/// Gives back who does not wait long, and who cannot be put away: outside [`served`], and where the client has
/// sent more than a head.
pub fn leave(session: &mut ServerSession, ctx: &mut RequestContext, waiting: Waiting) -> Result<(), Waiting> {
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
    fn take(session: &mut ServerSession) -> Option<Self> {
        if session.is_http2() {
            let taken = std::mem::replace(session, nobodys_session());
            return Some(Self::H2(Box::new(taken)));
        }
        let parked = ParkedH1::of(session)?;
        *session = nobodys_session();
        Some(Self::H1(parked))
    }

    /// The session to answer with, once.
    ///
    /// # Errors
    /// A fault of ours: a head that was read can be read again.
    pub async fn session(&mut self) -> pingora_core::Result<ServerSession> {
        match self {
            Self::H1(parked) => parked.session().await,
            Self::H2(session) => Ok(std::mem::replace(session, nobodys_session())),
        }
    }
}

impl ParkedH1 {
    fn of(session: &mut ServerSession) -> Option<Self> {
        Some(Self {
            line: line_at_rest(session)?,
            head: session.as_http1()?.get_headers_raw_bytes().as_ref().into(),
            keepalive: session.get_keepalive(),
            reuses: session.get_keepalive_reuses_remaining(),
        })
    }

    /// The session that there was, from the same head.
    async fn session(&self) -> pingora_core::Result<ServerSession> {
        let mut session = ServerSession::new_http1(Box::new(self.line.clone()));
        session.set_pipelined_prefix(BytesMut::from(&*self.head));
        if !session.read_request().await? {
            return Error::e_explain(
                ErrorType::InternalError,
                "a head that was read cannot be read again",
            );
        }
        session.set_keepalive(self.keepalive);
        session.set_keepalive_reuses_remaining(self.reuses);
        session.set_write_timeout(Some(WRITE_TIMEOUT));
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
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
            // In a box of its own: it is larger than all else that a wait takes.
            Self::H2(session) => Box::pin(session.left()).await,
        }
    }

    async fn renew(&self, state: &State, admitted: &Admitted) -> Result<Arc<Lease>, Lapse> {
        let renewing = async {
            match self {
                Self::H1(parked) => match parked.session().await {
                    Ok(session) => renew(state, &session, admitted).await,
                    Err(_) => Err(Lapse::Otherwise("its head cannot be read again")),
                },
                Self::H2(session) => renew(state, session, admitted).await,
            }
        };
        // Boxed, since most waits end without it.
        Box::pin(renewing).await
    }
}

/// The connection of a session whose client has sent a head and nothing else.
pub fn line_at_rest(session: &mut ServerSession) -> Option<Line> {
    if !session.is_body_empty() {
        return None;
    }
    let head = session.as_http1()?.get_headers_raw_bytes();
    Line::of(session.stream()?).filter(|line| line.taken() == head.len())
}

/// What is left in the place of a session: nobody, with nothing to say, and no reason to come back.
fn nobodys_session() -> ServerSession {
    ServerSession::new_http1(Box::new(Cursor::new(Vec::new())))
}
