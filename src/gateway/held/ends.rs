//! What ends a wait before the answer that is waited for: its time, a revocation, a change, the client, the drain.

use std::pin::Pin;
use std::sync::Arc;

use shapegate_core::code::{Code, Refusal};
use shapegate_core::time::Until;
use tokio::sync::watch;

use super::Client;
use crate::gateway::admit::{Admitted, Lapse, revocation};
use crate::gateway::state::State;
use crate::gateway::told::{Told, rejudged};
use crate::hub::shared::Start;
use crate::traces::OpenSpan;

/// Why a wait ends before the upstream has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// The permission ended, or a change took it away.
    Permission,
    /// The process goes away.
    Drain,
}

/// What can end a wait besides the answer.
pub(super) struct Ends<'a> {
    pub(super) state: &'a State,
    pub(super) admitted: &'a Admitted,
    changes: watch::Receiver<u64>,
    lease: Sleep,
    revocations: watch::Receiver<u64>,
    pub(super) permission: PermissionEnd<'a>,
    drain: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    lapse: Option<Lapse>,
}

/// The start of an answer, or what came before it.
pub type Began = First<Result<Start, Arc<Refusal>>>;

/// What happened first.
pub enum First<T> {
    /// What was waited for.
    Came(T),
    /// It came once the permission had ended, by a clock that wakes nobody.
    Late(T),
    /// The client left.
    Left(Box<pingora_core::Error>),
    /// The wait is over.
    Early(Early),
}

impl<'a> Ends<'a> {
    pub(super) fn of(state: &'a State, admitted: &'a Admitted) -> Self {
        Self {
            state,
            admitted,
            changes: state.changes(),
            lease: Box::pin(admitted.lease.over()),
            revocations: revocations_since(state, admitted),
            permission: PermissionEnd::of(state, admitted),
            drain: Box::pin(state.drain.turn(&*state.clock)),
            lapse: None,
        }
    }

    /// The span of a wait; of what comes as soon as it can, there is none.
    pub(super) fn span(&self) -> OpenSpan {
        if self.admitted.request.waits() {
            self.admitted.along.trace.part("wait")
        } else {
            OpenSpan::default()
        }
    }

    /// Waits for `coming` and for everything that may end the wait before. What is finite is ended by its client,
    /// by its permission's time and by a revocation: other changes and a drain let it finish.
    ///
    /// What ends the permission is looked at first: an answer that comes at the same moment is not handed out.
    pub(super) async fn race<T>(
        &mut self,
        client: &mut impl Client,
        mut coming: Pin<&mut impl Future<Output = T>>,
    ) -> First<T> {
        let waits = self.admitted.request.waits();
        loop {
            tokio::select! {
                biased;
                () = self.permission.reached() => return First::Early(Early::Permission),
                refusal = revoked(&mut self.revocations, self.state, self.admitted) => {
                    self.lapse = Some(Lapse::Refused(Box::new(refusal)));
                    return First::Early(Early::Permission);
                }
                // The sender lives in the state, which outlives this, so that there always is a change.
                _ = self.changes.changed(), if waits => {}
                () = &mut self.lease, if waits => {}
                came = &mut coming => return self.unless_over(came),
                error = client.left() => return First::Left(error),
                () = &mut self.drain, if waits => return First::Early(Early::Drain),
            }
            match client.renew(self.state, self.admitted).await {
                Ok(lease) => self.lease = Box::pin(lease.over()),
                Err(lapse) => {
                    self.lapse = Some(lapse);
                    return First::Early(Early::Permission);
                }
            }
        }
    }

    /// What the client of a finite answer is told that ended `early`.
    pub(super) fn refusal(&self, early: Early) -> Refusal {
        match (early, &self.lapse) {
            (Early::Drain, _) => Refusal::new(Code::Draining, "The gateway is going away."),
            // As the next request with it, which a new credential helps or does not.
            (Early::Permission, Some(Lapse::Refused(refusal))) => Refusal::clone(refusal),
            (Early::Permission, _) if self.outlasts_what_was_decided() => Refusal::new(
                Code::UpstreamTimeout,
                "The upstream took longer than what was decided holds.",
            ),
            (Early::Permission, _) => Refusal::new(
                Code::TokenExpired,
                "The credential ended while the answer was awaited.",
            ),
        }
    }

    /// Whether the time is over of what authorisers said, and that of the credential is not.
    fn outlasts_what_was_decided(&self) -> bool {
        let now = self.state.clock.now();
        let is_over = |until: Option<Until>| until.is_some_and(|until| until.is_over(now));
        let credential_until = self.admitted.permit.allowed().credential_until();
        is_over(self.admitted.until) && !is_over(credential_until)
    }

    /// Tells of what took the permission away, where judging anew did.
    pub(super) fn tell(&self, told: &Told) {
        if let Some(lapse) = &self.lapse {
            rejudged(self.state, told, self.admitted.credential.as_ref(), lapse);
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

/// Tells what ended a wait.
pub(super) fn end_span<T>(mut span: OpenSpan, first: &First<T>) {
    let ended_by = match first {
        First::Came(_) => "answer",
        First::Left(_) => "client",
        First::Late(_) | First::Early(Early::Permission) => "permission",
        First::Early(Early::Drain) => "drain",
    };
    span.set("shapegate.ended_by", ended_by);
    span.end();
}

/// Something that ends by itself.
type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The end of a permission, by its time or by its credential's. Only who waits for it takes a timer.
pub struct PermissionEnd<'a> {
    state: &'a State,
    admitted: &'a Admitted,
    sleep: Option<Sleep>,
}

impl<'a> PermissionEnd<'a> {
    /// The end of what was `admitted`.
    pub fn of(state: &'a State, admitted: &'a Admitted) -> Self {
        Self {
            state,
            admitted,
            sleep: None,
        }
    }

    /// Resolves with it; never, where there is none.
    pub(super) async fn reached(&mut self) {
        let (state, admitted) = (self.state, self.admitted);
        self.sleep
            .get_or_insert_with(|| permission_end(state, admitted))
            .await;
    }
}

fn permission_end(state: &State, admitted: &Admitted) -> Sleep {
    let time: Sleep = match admitted.until {
        Some(until) => state.clock.sleep_until(until.monotonic),
        None => Box::pin(std::future::pending()),
    };
    let Some(mut credential) = admitted.ended.clone() else {
        return time;
    };
    Box::pin(async move {
        tokio::select! {
            () = credential.ended() => {}
            () = time => {}
        }
    })
}

/// Tells of changes of what is revoked since a request was admitted, of those before anybody listened, too.
pub fn revocations_since(state: &State, admitted: &Admitted) -> watch::Receiver<u64> {
    let mut revocations = state.revocations.subscribe();
    if *revocations.borrow() != admitted.epoch {
        revocations.mark_changed();
    }
    revocations
}

/// Resolves once what the request came with is revoked.
pub async fn revoked(changes: &mut watch::Receiver<u64>, state: &State, admitted: &Admitted) -> Refusal {
    loop {
        // The sender lives in the state, which outlives this.
        _ = changes.changed().await;
        if let Some(refusal) = revocation(state, admitted) {
            return refusal;
        }
    }
}
