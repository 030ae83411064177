//! The end of a permission, which ends whoever waits by it.

use std::pin::Pin;

use crate::gateway::admit::Admitted;
use crate::gateway::state::State;

/// Something that ends by itself.
pub(super) type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

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
