//! Serving what waits: a fetch, awaited until the answer comes, the client leaves, the permission ends or the
//! process goes away.

use std::pin::Pin;

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
const EVENT_END_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(500);

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

    /// Waits for `coming` and for everything that may end the wait before.
    async fn race<T>(&mut self, session: &mut Session, coming: impl Future<Output = T>) -> First<T> {
        tokio::pin!(coming);
        loop {
            let changed = tokio::select! {
                biased;
                came = &mut coming => return First::Came(came),
                left = session.as_downstream_mut().read_body_or_idle(true) => {
                    match left {
                        Err(error) => return First::Left(error.into_down()),
                        Ok(_) => false,
                    }
                }
                () = ended(&mut self.permission) => return First::Early(Early::Permission),
                () = &mut self.drain => return First::Early(Early::Drain),
                changed = self.changes.changed() => changed.is_ok(),
            };
            if changed && !is_still_permitted(self.state, session, self.admitted).await {
                return First::Early(Early::Permission);
            }
        }
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
    let asking = state.fetch.ask(
        &admitted.upstream,
        &admitted.request,
        &admitted.along,
        READ_TIMEOUT,
    );
    match ends.race(session, asking).await {
        First::Came(Ok(fetched)) => pass_on(session, fetched, &mut ends, reply).await,
        First::Came(Err(refusal)) => answer::refuse(session, &refusal, reply).await,
        First::Early(early) => answer::nothing_new(state, session, admitted, early, reply).await,
        First::Left(error) => Err(error),
    }
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
    let mut at_event_end = true;
    loop {
        let piece = if sse {
            match ends.race(session, fetched.next()).await {
                First::Came(piece) => piece,
                First::Left(error) => return Err(error),
                First::Early(_) => return end_stream(session, fetched, ends.state, at_event_end).await,
            }
        } else {
            fetched.next().await
        };
        match piece.map_err(|refusal| broken_off(&refusal))? {
            Some(piece) => {
                at_event_end = ends_event(&piece, at_event_end);
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
    mut at_event_end: bool,
) -> pingora_core::Result<()> {
    let wait_end = Monotonic(state.clock.now().monotonic.0 + EVENT_END_TIMEOUT);
    let mut overdue = state.clock.sleep_until(wait_end);
    while !at_event_end {
        let piece = tokio::select! {
            piece = fetched.next() => piece.map_err(|refusal| broken_off(&refusal))?,
            () = &mut overdue => return Err(broken_off_error("an event did not end in time")),
        };
        let Some(piece) = piece else { break };
        let (rest, ended) = until_event_end(&piece);
        at_event_end = ended;
        session.write_response_body(Some(rest), false).await?;
    }
    session.write_response_body(None, true).await
}

/// Whether a stream stands after a whole event once `piece` has been written.
fn ends_event(piece: &[u8], before: bool) -> bool {
    if piece.is_empty() {
        before
    } else {
        piece.ends_with(b"\n\n")
    }
}

/// The part of `piece` up to the end of its first event, and whether there is one.
fn until_event_end(piece: &Bytes) -> (Bytes, bool) {
    match piece.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (piece.slice(..at + 2), true),
        None => (piece.clone(), piece.as_ref() == b"\n"),
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
    fn a_stream_ends_after_a_whole_event() {
        assert!(ends_event(b"data: 1\n\n", false));
        assert!(!ends_event(b"data: 1\n", true));
        assert!(ends_event(b"", true));
        assert_eq!(
            until_event_end(&Bytes::from_static(b"x\n\ndata: 2")),
            (Bytes::from_static(b"x\n\n"), true)
        );
        assert_eq!(
            until_event_end(&Bytes::from_static(b"xyz")),
            (Bytes::from_static(b"xyz"), false)
        );
    }
}
