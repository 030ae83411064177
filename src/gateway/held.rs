//! Serving what waits: a fetch, awaited until the answer comes, the client leaves, the permission ends or the
//! process goes away.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use pingora_proxy::Session;
use shapegate_core::answer::rejected;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::limits::ERROR_BODY_BYTES_MAX;
use shapegate_core::time::{Monotonic, Until};
use tokio::sync::watch;

use super::admit::{Admitted, is_still_permitted};
use super::answer::{self, Reply};
use super::state::State;
use crate::hub::Fetched;
use crate::hub::upstream::READ_TIMEOUT;

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
    permission: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    drain: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

/// What happened first.
enum First<T> {
    Came(T),
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
            permission: permission.map(|sleep| sleep as _),
            drain: Box::pin(state.drain.begun()),
        }
    }

    /// Waits for `coming` and for everything that may end the wait before; what does not wait but is fetched all
    /// the same is ended by its client alone.
    ///
    /// What ends the permission is looked at first: an answer that comes at the same moment is not handed out.
    async fn race<T>(&mut self, session: &mut Session, coming: impl Future<Output = T>) -> First<T> {
        if !self.admitted.request.waits() {
            return match unless_left(session, coming).await {
                Ok(came) => First::Came(came),
                Err(error) => First::Left(error),
            };
        }
        tokio::pin!(coming);
        loop {
            tokio::select! {
                biased;
                () = ended(&mut self.permission) => return First::Early(Early::Permission),
                // The sender lives in the state, which outlives this, so that there always is a change.
                _ = self.changes.changed() => {}
                came = &mut coming => return self.unless_over(came),
                error = left(session) => return First::Left(error),
                () = &mut self.drain => return First::Early(Early::Drain),
            }
            if !is_still_permitted(self.state, session, self.admitted).await {
                return First::Early(Early::Permission);
            }
        }
    }

    /// What came, unless the permission has ended by a clock that wakes nobody: the wall clock, set forward.
    fn unless_over<T>(&self, came: T) -> First<T> {
        let now = self.state.clock.now();
        if self.admitted.until.is_some_and(|until| until.is_over(now)) {
            return First::Early(Early::Permission);
        }
        First::Came(came)
    }
}

/// What comes, unless the client leaves before.
async fn unless_left<T>(session: &mut Session, coming: impl Future<Output = T>) -> pingora_core::Result<T> {
    tokio::select! {
        biased;
        came = coming => Ok(came),
        error = left(session) => Err(error),
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

/// Fetches what was permitted and answers with it.
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
    let _held = Held::new(state, admitted.request.waits());
    let mut ends = Ends::of(state, admitted);
    let read_timeout = read_timeout(state, admitted);
    let asking = state.fetch.ask(
        &admitted.upstream,
        &admitted.request,
        &admitted.along,
        read_timeout,
    );
    match ends.race(session, asking).await {
        First::Came(Ok(fetched)) => pass_on(session, fetched, &mut ends, reply).await,
        First::Came(Err(refusal)) => answer::refuse(session, &refusal, reply).await,
        First::Early(early) => answer::nothing_new(state, session, admitted, early, reply).await,
        First::Left(error) => Err(error),
    }
}

/// How long the upstream may be silent. A wait's own timer ends it with its permission; anything else ends here.
fn read_timeout(state: &State, admitted: &Admitted) -> Duration {
    let until = admitted.until.filter(|_| !admitted.request.waits());
    until.map_or(READ_TIMEOUT, |until| until.left(state.clock.now()))
}

/// Answers with what was fetched, a piece at a time.
async fn pass_on(
    session: &mut Session,
    mut fetched: Fetched,
    ends: &mut Ends<'_>,
    reply: &Reply<'_>,
) -> pingora_core::Result<()> {
    let head = match answer::relabel(&fetched.head, ends.admitted, reply) {
        Ok(head) => head,
        Err(refusal) if refusal.code == Code::UpstreamRejected => {
            let refusal = rejected(&start_of_body(&mut fetched).await);
            return answer::refuse(session, &refusal, reply).await;
        }
        Err(refusal) => return answer::refuse(session, &refusal, reply).await,
    };
    let bodyless = answer::is_bodyless(session, &head);
    session.write_response_header(Box::new(head), bodyless).await?;
    if !bodyless {
        stream(session, &mut fetched, ends).await?;
    }
    ends.state.fetch.release(fetched).await;
    Ok(())
}

/// As much of an error's body as is worth logging.
async fn start_of_body(fetched: &mut Fetched) -> Vec<u8> {
    let mut start = Vec::new();
    while let Ok(Some(piece)) = fetched.next().await {
        start.extend_from_slice(&piece);
        if start.len() >= ERROR_BODY_BYTES_MAX {
            break;
        }
    }
    start
}

async fn stream(
    session: &mut Session,
    fetched: &mut Fetched,
    ends: &mut Ends<'_>,
) -> pingora_core::Result<()> {
    let sse = ends.admitted.request.is_sse();
    let mut stands = EventEnd::Reached;
    loop {
        let piece = if sse {
            match ends.race(session, fetched.next()).await {
                First::Came(piece) => piece,
                First::Left(error) => return Err(error),
                First::Early(_) => return end_stream(session, fetched, ends.state, stands).await,
            }
        } else {
            unless_left(session, fetched.next()).await?
        };
        match piece.map_err(|refusal| broken_off(&refusal))? {
            Some(piece) => {
                stands = stands.after(&piece);
                session.write_response_body(Some(piece), false).await?;
            }
            None => return session.write_response_body(None, true).await,
        }
    }
}

/// Ends a stream of events after a whole event, waiting a little for it if one is on its way.
async fn end_stream(
    session: &mut Session,
    fetched: &mut Fetched,
    state: &State,
    mut stands: EventEnd,
) -> pingora_core::Result<()> {
    let wait_end = Monotonic(state.clock.now().monotonic.0 + EVENT_END_TIMEOUT);
    let mut overdue = state.clock.sleep_until(wait_end);
    while stands != EventEnd::Reached {
        let piece = tokio::select! {
            piece = fetched.next() => piece.map_err(|refusal| broken_off(&refusal))?,
            () = &mut overdue => return Err(broken_off_error("an event did not end in time")),
        };
        let Some(piece) = piece else { break };
        let rest = stands.up_to_end(&piece);
        stands = stands.after(&rest);
        session.write_response_body(Some(rest), false).await?;
    }
    session.write_response_body(None, true).await
}

/// How near a stream stands to the end of an event, which is an empty line; pieces may come apart anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventEnd {
    /// Within a line.
    Ahead,
    /// After a line's end.
    Near,
    /// After a whole event, or at the start.
    Reached,
}

impl EventEnd {
    /// Where the stream stands once `piece` has been written.
    fn after(self, piece: &[u8]) -> Self {
        match (piece, self) {
            ([], _) => self,
            ([.., b'\n', b'\n'], _) | ([b'\n'], Self::Near | Self::Reached) => Self::Reached,
            ([.., b'\n'], _) => Self::Near,
            _ => Self::Ahead,
        }
    }

    /// The part of `piece` up to the end of the event under way; all of it if that does not come.
    fn up_to_end(self, piece: &Bytes) -> Bytes {
        let length = if self == Self::Near && piece.starts_with(b"\n") {
            1
        } else {
            let empty_line = piece.windows(2).position(|two| two == b"\n\n");
            empty_line.map_or(piece.len(), |at| at + 2)
        };
        piece.slice(..length)
    }
}

fn broken_off(refusal: &Refusal) -> Box<pingora_core::Error> {
    broken_off_error(refusal.detail.as_deref().unwrap_or(&refusal.message))
}

fn broken_off_error(detail: &str) -> Box<pingora_core::Error> {
    pingora_core::Error::explain(pingora_core::ErrorType::ConnectionClosed, detail.to_owned()).into_up()
}

/// Counts a wait for as long as it lasts.
struct Held<'a>(Option<&'a State>);

impl<'a> Held<'a> {
    fn new(state: &'a State, waits: bool) -> Self {
        if waits {
            state.metrics.held.inc();
        }
        Self(waits.then_some(state))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.0 {
            state.metrics.held.dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_ends_after_a_whole_event_however_it_comes_apart() {
        let text = b"data: 1\ndata: 2\n\n: comment\n\n";
        for size in 1..=text.len() {
            let mut stands = EventEnd::Reached;
            let mut seen = Vec::new();
            for piece in text.chunks(size) {
                stands = stands.after(piece);
                seen.extend_from_slice(piece);
                let whole = seen.ends_with(b"\n\n");
                assert_eq!(stands == EventEnd::Reached, whole, "{seen:?}");
            }
        }
    }

    #[test]
    fn the_rest_of_an_event_goes_out_and_nothing_of_the_next() {
        let rest = |stands: EventEnd, piece: &'static str| {
            let rest = stands.up_to_end(&Bytes::from_static(piece.as_bytes()));
            String::from_utf8(rest.to_vec()).unwrap()
        };
        assert_eq!(rest(EventEnd::Ahead, "x\n\ndata: 2"), "x\n\n");
        assert_eq!(rest(EventEnd::Ahead, "\ndata: 2\n\ndata: 3"), "\ndata: 2\n\n");
        assert_eq!(rest(EventEnd::Near, "\ndata: 2\n\n"), "\n");
        assert_eq!(rest(EventEnd::Near, "more"), "more");
    }
}
