//! Serving reads through the hub: what is kept at once, what comes when it comes, until the client leaves, the
//! permission ends or the process goes away.

mod ends;

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use pingora_core::protocols::http::ServerSession;
use pingora_core::{ErrorType, OrErr as _};
use prometheus::IntGauge;
use shapegate_core::code::Refusal;
use shapegate_core::time::{Monotonic, Now};

pub use self::ends::{Began, Early, First, PermissionEnd};
use self::ends::{Ends, end_span};
pub(super) use self::ends::{revocations_since, revoked};
use super::admit::{Admitted, Lapse, is_revoked, renew};
use super::answer::{self, Reply};
use super::overload::may_read_table;
use super::state::State;
use crate::hub::cache::Stored;
use crate::hub::shared::{Cut, Reader, Start};
use crate::hub::stream::EventEnd;
use crate::hub::{Given, Source};
use crate::limits::HeldSlot;
use crate::line::Line;
use crate::tenant::Lease;

/// How long a stream that must end may take to reach the end of an event.
const EVENT_END_TIMEOUT: Duration = Duration::from_millis(500);

/// A permitted request, and what it is answered with.
pub enum Taken {
    /// What was kept, as it was then.
    Kept(Box<Admitted>, Arc<Stored>, Now),
    /// What comes.
    Coming(Waiting),
}

/// A permitted request whose answer has not come.
pub struct Waiting {
    admitted: Box<Admitted>,
    reader: Reader,
    source: Source,
    _held: Option<Held>,
}

impl Waiting {
    /// Whether the upstream answers when there is news, not as soon as it can.
    pub fn is_long(&self) -> bool {
        self.admitted.request.waits()
    }
}

/// Who waits for an answer.
pub trait Client: Send {
    /// Resolves when the client leaves.
    fn left(&mut self) -> impl Future<Output = Box<pingora_core::Error>> + Send;

    /// Permits the same once more, if it still is.
    fn renew(
        &self,
        state: &State,
        admitted: &Admitted,
    ) -> impl Future<Output = Result<Arc<Lease>, Lapse>> + Send;
}

impl Client for ServerSession {
    async fn left(&mut self) -> Box<pingora_core::Error> {
        match self.read_body_or_idle(true).await {
            Err(error) => error.into_down(),
            Ok(_) => std::future::pending().await,
        }
    }

    async fn renew(&self, state: &State, admitted: &Admitted) -> Result<Arc<Lease>, Lapse> {
        renew(state, self, admitted).await
    }
}

/// Asks the hub for what was permitted, within the limits of who asks.
///
/// # Errors
/// `rate_limited` and `overloaded`.
pub async fn ask(state: &State, admitted: Box<Admitted>) -> Result<Taken, Refusal> {
    let held = if admitted.request.waits() {
        let slot = state.limits.hold(&admitted.asker)?;
        Some(Held::new(&state.metrics.held, slot))
    } else {
        None
    };
    let now = admitted.now;
    if let Some(stored) = state.hub.fresh(&admitted.wanted(now), now.monotonic) {
        return Ok(Taken::Kept(admitted, stored, now));
    }
    may_read_table(state, &admitted).await?;
    let now = state.clock.now();
    Ok(match state.hub.ask(&admitted.wanted(now))? {
        Given::Kept(stored) => Taken::Kept(admitted, stored, now),
        Given::Coming(reader, source) => Taken::Coming(Waiting {
            admitted,
            reader,
            source,
            _held: held,
        }),
    })
}

/// Answers with what was permitted, at once or when it comes.
///
/// # Errors
/// A fault of the client's connection, or of the upstream after the answer has begun: then the connection must
/// not look as if the answer were whole.
pub async fn answer(
    state: &State,
    session: &mut ServerSession,
    taken: Taken,
    reply: &Reply<'_>,
) -> pingora_core::Result<()> {
    match taken {
        Taken::Kept(admitted, stored, now) => {
            answer::kept(state, session, &stored, &admitted, now, reply).await
        }
        // In a box of its own: what is kept is answered without it.
        Taken::Coming(waiting) => Box::pin(wait_and_answer(state, session, waiting, reply)).await,
    }
}

async fn wait_and_answer(
    state: &State,
    session: &mut ServerSession,
    mut waiting: Waiting,
    reply: &Reply<'_>,
) -> pingora_core::Result<()> {
    let mut wait = Wait::new(state, &mut waiting);
    let first = wait.start(session).await;
    wait.finish(session, first, reply).await
}

/// One who waits for an answer that others may read, too.
pub struct Wait<'a> {
    ends: Ends<'a>,
    reader: &'a mut Reader,
    source: Source,
}

impl<'a> Wait<'a> {
    /// Begins to wait.
    pub fn new(state: &'a State, waiting: &'a mut Waiting) -> Self {
        Self {
            ends: Ends::of(state, &waiting.admitted),
            reader: &mut waiting.reader,
            source: waiting.source,
        }
    }

    /// Waits for the answer's header, or for what ends the wait before.
    pub async fn start(&mut self, client: &mut impl Client) -> Began {
        let span = self.ends.span();
        let began = self.ends.race(client, pin!(self.reader.start())).await;
        end_span(span, &began);
        if self.source == Source::Joined {
            self.ends.admitted.along.trace.joined(self.reader.span());
        }
        began
    }

    /// Answers with what came.
    ///
    /// # Errors
    /// As [`answer()`].
    pub async fn finish(
        mut self,
        session: &mut ServerSession,
        began: Began,
        reply: &Reply<'_>,
    ) -> pingora_core::Result<()> {
        let answered = self.answer(session, began, reply).await;
        self.ends.tell(reply.told());
        answered
    }

    async fn answer(
        &mut self,
        session: &mut ServerSession,
        began: Began,
        reply: &Reply<'_>,
    ) -> pingora_core::Result<()> {
        let (state, admitted) = (self.ends.state, self.ends.admitted);
        match began {
            First::Came(Ok(start)) => match &start.confirmed {
                Some(stored) => answer::confirmed(state, session, stored, admitted, self.source, reply).await,
                None => self.pass_on(session, &start, reply).await,
            },
            First::Came(Err(refusal)) => answer::refuse(session, &refusal, reply).await,
            First::Late(_) => {
                let refusal = self.ends.refusal(Early::Permission);
                answer::nothing_new(state, session, admitted, &refusal, reply).await
            }
            First::Early(early) => {
                if early == Early::Drain {
                    session.set_keepalive(None);
                }
                let refusal = self.ends.refusal(early);
                answer::nothing_new(state, session, admitted, &refusal, reply).await
            }
            First::Left(error) => Err(error),
        }
    }

    /// Answers with what comes, a piece at a time.
    async fn pass_on(
        &mut self,
        session: &mut ServerSession,
        start: &Start,
        reply: &Reply<'_>,
    ) -> pingora_core::Result<()> {
        let head = answer::shared(&start.head, start.length, self.source, self.ends.admitted, reply);
        let bodyless = answer::is_bodyless(session, &head);
        session.write_response_header(Box::new(head)).await?;
        if bodyless {
            return Ok(());
        }
        if self.ends.admitted.request.is_sse() {
            self.stream(session).await
        } else {
            self.body(session).await
        }
    }

    /// What has come may be handed out at the pace of the client, as it was permitted as a whole; what has not
    /// come when the permission ends is not waited for. A revocation ends both.
    async fn body(&mut self, session: &mut ServerSession) -> pingora_core::Result<()> {
        loop {
            let ends = &mut self.ends;
            let next = self.reader.next();
            let piece = next_piece(ends.state, session, ends.admitted, next, &mut ends.permission).await?;
            match piece.map_err(|cut| self.broken_off(&cut))? {
                Some(piece) => session.write_response_body(piece, false).await?,
                None => return session.write_response_body(Bytes::new(), true).await,
            }
        }
    }

    async fn stream(&mut self, session: &mut ServerSession) -> pingora_core::Result<()> {
        let mut stands = EventEnd::Reached;
        loop {
            let raced = self.ends.race(session, pin!(self.reader.next())).await;
            let piece = match raced {
                First::Came(piece) => piece,
                First::Left(error) => return Err(error),
                // The event under way may end in it.
                First::Late(piece) => return self.end_stream(session, stands, piece.ok().flatten()).await,
                First::Early(early) => {
                    if early == Early::Drain {
                        session.set_keepalive(None);
                    }
                    return self.end_stream(session, stands, None).await;
                }
            };
            match piece {
                Ok(Some(piece)) => {
                    stands = stands.after(&piece);
                    session.write_response_body(piece, false).await?;
                }
                // A laggard asks again, from where it stands.
                Err(Cut::Behind) if stands == EventEnd::Reached => {
                    self.ends.state.metrics.hub.behind.inc();
                    return session.write_response_body(Bytes::new(), true).await;
                }
                Err(cut) => return Err(self.broken_off(&cut)),
                Ok(None) => return session.write_response_body(Bytes::new(), true).await,
            }
        }
    }

    /// Ends a stream of events after a whole event, of which `came` may be the next piece; waits a little for the
    /// rest of it if it is on its way.
    async fn end_stream(
        &mut self,
        session: &mut ServerSession,
        mut stands: EventEnd,
        mut came: Option<Bytes>,
    ) -> pingora_core::Result<()> {
        let clock = &self.ends.state.clock;
        let mut overdue = clock.sleep_until(Monotonic(clock.now().monotonic.0 + EVENT_END_TIMEOUT));
        while stands != EventEnd::Reached {
            let piece = tokio::select! {
                biased;
                piece = next_after(&mut came, self.reader) => piece.map_err(|cut| self.broken_off(&cut))?,
                () = &mut overdue => return Err(broken_off("an event did not end in time")),
            };
            let Some(piece) = piece else { break };
            let rest = stands.up_to_end(&piece);
            stands = stands.after(&rest);
            session.write_response_body(rest, false).await?;
        }
        session.write_response_body(Bytes::new(), true).await
    }

    /// What ends a connection whose answer does not go on.
    fn broken_off(&self, cut: &Cut) -> Box<pingora_core::Error> {
        match cut {
            Cut::Behind => {
                self.ends.state.metrics.hub.behind.inc();
                broken_off("the client was too far behind the others")
            }
            Cut::Broken(refusal) => broken_off(refusal.detail.as_deref().unwrap_or(&refusal.message)),
        }
    }
}

/// What came already, or else the next piece.
async fn next_after(came: &mut Option<Bytes>, reader: &mut Reader) -> Result<Option<Bytes>, Cut> {
    match came.take() {
        Some(piece) => Ok(Some(piece)),
        None => reader.next().await,
    }
}

/// Waits for the next piece of a finite answer, for as long as it is permitted and the client is there. What was
/// written before is sent first, unless the piece is there already.
///
/// # Errors
/// When the client leaves, the permission ends or is revoked.
pub async fn next_piece<T, E>(
    state: &State,
    session: &mut ServerSession,
    admitted: &Admitted,
    next: impl Future<Output = Result<T, E>>,
    permission: &mut PermissionEnd<'_>,
) -> pingora_core::Result<Result<T, E>> {
    let mut next = pin!(next);
    let ready = poll!(&mut next);
    if is_revoked(state, admitted) {
        return Err(answer::revoked());
    }
    if let Poll::Ready(Ok(piece)) = ready {
        return Ok(Ok(piece));
    }
    send_written(session).await?;
    if let Poll::Ready(broken) = ready {
        return Ok(broken);
    }
    let mut revocations = revocations_since(state, admitted);
    tokio::select! {
        biased;
        _ = revoked(&mut revocations, state, admitted) => Err(answer::revoked()),
        piece = next => Ok(piece),
        () = permission.reached() => Err(broken_off("the permission ended")),
        error = session.left() => Err(error),
    }
}

/// A body with a length is flushed at its end; whoever waits for more of it gets what is there.
async fn send_written(session: &ServerSession) -> pingora_core::Result<()> {
    match session.stream().and_then(Line::of) {
        Some(line) => line.send().await.or_err(ErrorType::WriteError, "to the client"),
        None => Ok(()),
    }
}

/// What ends a connection whose answer does not go on.
pub fn broken_off(detail: &str) -> Box<pingora_core::Error> {
    pingora_core::Error::explain(pingora_core::ErrorType::ConnectionClosed, detail.to_owned()).into_up()
}

/// Counts a wait for as long as it lasts.
struct Held {
    gauge: IntGauge,
    _slot: Option<HeldSlot>,
}

impl Held {
    fn new(gauge: &IntGauge, slot: Option<HeldSlot>) -> Self {
        gauge.inc();
        Self {
            gauge: gauge.clone(),
            _slot: slot,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
