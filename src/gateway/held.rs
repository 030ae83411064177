//! Serving reads through the hub: what is kept at once, what comes when it comes, until the client leaves, the
//! permission ends or the process goes away.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pingora_proxy::Session;
use shapegate_core::code::Refusal;
use shapegate_core::time::{Monotonic, Until};
use tokio::sync::watch;

use super::admit::{Admitted, renew};
use super::answer::{self, Reply};
use super::overload::may_read_table;
use super::state::State;
use crate::hub::shared::{Cut, Reader, Start};
use crate::hub::stream::EventEnd;
use crate::hub::{Given, Source};
use crate::limits::HeldSlot;

/// How long a stream that must end may take to reach the end of an event.
const EVENT_END_TIMEOUT: Duration = Duration::from_millis(500);

/// Why a wait ends before the upstream has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// The permission ended, or a change took it away.
    Permission,
    /// The process goes away.
    Drain,
}

/// What can end a wait besides the answer.
struct Ends<'a> {
    state: &'a State,
    admitted: &'a Admitted,
    changes: watch::Receiver<u64>,
    lease: Pin<Box<dyn Future<Output = ()> + Send>>,
    permission: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    drain: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

/// What happened first.
enum First<T> {
    Came(T),
    /// It came once the permission had ended, by a clock that wakes nobody.
    Late(T),
    Left(Box<pingora_core::Error>),
    Early(Early),
}

impl<'a> Ends<'a> {
    fn of(state: &'a State, admitted: &'a Admitted) -> Self {
        let permission = admitted
            .until
            .map(|until: Until| state.clock.sleep_until(until.monotonic));
        Self {
            state,
            admitted,
            changes: state.changes(),
            lease: Box::pin(admitted.lease.over()),
            permission: permission.map(|sleep| sleep as _),
            drain: Box::pin(state.drain.turn(&*state.clock)),
        }
    }

    /// Waits for `coming` and for everything that may end the wait before. What is finite is ended by its client
    /// and by its permission's time alone: changes and a drain let it finish.
    ///
    /// What ends the permission is looked at first: an answer that comes at the same moment is not handed out.
    async fn race<T>(&mut self, session: &mut Session, coming: impl Future<Output = T>) -> First<T> {
        let waits = self.admitted.request.waits();
        tokio::pin!(coming);
        loop {
            tokio::select! {
                biased;
                () = ended(&mut self.permission) => return First::Early(Early::Permission),
                // The sender lives in the state, which outlives this, so that there always is a change.
                _ = self.changes.changed(), if waits => {}
                () = &mut self.lease, if waits => {}
                came = &mut coming => return self.unless_over(came),
                error = left(session) => return First::Left(error),
                () = &mut self.drain, if waits => return First::Early(Early::Drain),
            }
            match renew(self.state, session, self.admitted).await {
                Some(lease) => self.lease = Box::pin(lease.over()),
                None => return First::Early(Early::Permission),
            }
        }
    }

    /// What came, unless the permission has ended by a clock that wakes nobody: the wall clock, set forward.
    fn unless_over<T>(&self, came: T) -> First<T> {
        let now = self.state.clock.now();
        if self.admitted.until.is_some_and(|until| until.is_over(now)) {
            return First::Late(came);
        }
        First::Came(came)
    }
}

/// Resolves when the client leaves.
async fn left(session: &mut Session) -> Box<pingora_core::Error> {
    match session.as_downstream_mut().read_body_or_idle(true).await {
        Err(error) => error.into_down(),
        Ok(_) => std::future::pending().await,
    }
}

async fn ended(permission: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match permission {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

/// Asks the hub for what was permitted, and answers with it.
///
/// # Errors
/// A fault of the client's connection, or of the upstream after the answer has begun: then the connection must
/// not look as if the answer were whole.
pub async fn serve(
    state: &State,
    session: &mut Session,
    admitted: &Admitted,
    reply: &Reply<'_>,
) -> pingora_core::Result<()> {
    let (given, _held) = match ask(state, admitted).await {
        Ok(given) => given,
        Err(refusal) => return answer::refuse(session, &refusal, reply).await,
    };
    let (reader, source) = match given {
        Given::Kept(stored) => return answer::kept(state, session, &stored, admitted, reply).await,
        Given::Coming(reader, source) => (reader, source),
    };
    let mut wait = Wait {
        ends: Ends::of(state, admitted),
        reader,
    };
    match wait.start(session).await {
        First::Came(Ok(start)) => wait.pass_on(session, &start, source, reply).await,
        First::Came(Err(refusal)) => answer::refuse(session, &refusal, reply).await,
        First::Late(_) => answer::nothing_new(state, session, admitted, Early::Permission, reply).await,
        First::Early(early) => {
            if early == Early::Drain {
                session.set_keepalive(None);
            }
            answer::nothing_new(state, session, admitted, early, reply).await
        }
        First::Left(error) => Err(error),
    }
}

/// Asks the hub, within the limits of who asks.
async fn ask<'a>(state: &'a State, admitted: &Admitted) -> Result<(Given, Held<'a>), Refusal> {
    let held = Held::new(state, admitted)?;
    may_read_table(state, admitted).await?;
    let given = state.hub.ask(&admitted.wanted(state.clock.now()))?;
    Ok((given, held))
}

/// One who waits for an answer that others may read, too.
struct Wait<'a> {
    ends: Ends<'a>,
    reader: Reader,
}

impl Wait<'_> {
    async fn start(&mut self, session: &mut Session) -> First<Result<Start, Arc<Refusal>>> {
        self.ends.race(session, self.reader.start()).await
    }

    /// Answers with what comes, a piece at a time.
    async fn pass_on(
        mut self,
        session: &mut Session,
        start: &Start,
        source: Source,
        reply: &Reply<'_>,
    ) -> pingora_core::Result<()> {
        let head = answer::shared(&start.head, start.length, source, self.ends.admitted, reply);
        let bodyless = answer::is_bodyless(session, &head);
        session.write_response_header(Box::new(head), bodyless).await?;
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
    /// come when the permission ends is not waited for.
    async fn body(&mut self, session: &mut Session) -> pingora_core::Result<()> {
        loop {
            let piece = tokio::select! {
                biased;
                piece = self.reader.next() => piece,
                () = ended(&mut self.ends.permission) => return Err(broken_off("the permission ended")),
                error = left(session) => return Err(error),
            };
            match piece.map_err(|cut| self.broken_off(&cut))? {
                Some(piece) => session.write_response_body(Some(piece), false).await?,
                None => return session.write_response_body(None, true).await,
            }
        }
    }

    async fn stream(&mut self, session: &mut Session) -> pingora_core::Result<()> {
        let mut stands = EventEnd::Reached;
        loop {
            let piece = match self.ends.race(session, self.reader.next()).await {
                First::Came(piece) => piece,
                First::Left(error) => return Err(error),
                First::Late(piece) => {
                    if matches!(piece, Ok(Some(_))) {
                        // The event under way may end in it.
                        self.reader.take_back();
                    }
                    return self.end_stream(session, stands).await;
                }
                First::Early(early) => {
                    if early == Early::Drain {
                        session.set_keepalive(None);
                    }
                    return self.end_stream(session, stands).await;
                }
            };
            match piece {
                Ok(Some(piece)) => {
                    stands = stands.after(&piece);
                    session.write_response_body(Some(piece), false).await?;
                }
                // A laggard asks again, from where it stands.
                Err(Cut::Behind) if stands == EventEnd::Reached => {
                    self.ends.state.metrics.hub.behind.inc();
                    return session.write_response_body(None, true).await;
                }
                Err(cut) => return Err(self.broken_off(&cut)),
                Ok(None) => return session.write_response_body(None, true).await,
            }
        }
    }

    /// Ends a stream of events after a whole event, waiting a little for it if one is on its way.
    async fn end_stream(&mut self, session: &mut Session, mut stands: EventEnd) -> pingora_core::Result<()> {
        let clock = &self.ends.state.clock;
        let mut overdue = clock.sleep_until(Monotonic(clock.now().monotonic.0 + EVENT_END_TIMEOUT));
        while stands != EventEnd::Reached {
            let piece = tokio::select! {
                biased;
                piece = self.reader.next() => piece.map_err(|cut| self.broken_off(&cut))?,
                () = &mut overdue => return Err(broken_off("an event did not end in time")),
            };
            let Some(piece) = piece else { break };
            let rest = stands.up_to_end(&piece);
            stands = stands.after(&rest);
            session.write_response_body(Some(rest), false).await?;
        }
        session.write_response_body(None, true).await
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

fn broken_off(detail: &str) -> Box<pingora_core::Error> {
    pingora_core::Error::explain(pingora_core::ErrorType::ConnectionClosed, detail.to_owned()).into_up()
}

/// Counts a wait for as long as it lasts.
struct Held<'a> {
    state: Option<&'a State>,
    _slot: Option<HeldSlot>,
}

impl<'a> Held<'a> {
    fn new(state: &'a State, admitted: &Admitted) -> Result<Self, Refusal> {
        if !admitted.request.waits() {
            return Ok(Self {
                state: None,
                _slot: None,
            });
        }
        let slot = state.limits.hold(&admitted.asker)?;
        state.metrics.held.inc();
        Ok(Self {
            state: Some(state),
            _slot: slot,
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.state {
            state.metrics.held.dec();
        }
    }
}
