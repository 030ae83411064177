//! Before an upstream reads a table for somebody: his own limits, and whether the upstream is up to it.

use shapegate_core::code::Refusal;

use super::admit::Admitted;
use super::state::State;
use crate::hub::health::Health;
use crate::hub::{Effort, Seat};
use crate::limits::Rate;

/// Whether the upstream may be made to read a table. What is kept or under way costs nobody anything.
///
/// # Errors
/// `rate_limited`; or `overloaded`, while an upstream that has refused others says that it begins no shapes.
pub async fn may_read_table(state: &State, admitted: &Admitted) -> Result<(), Refusal> {
    let wanted = admitted.wanted(state.clock.now());
    let effort = wanted.effort();
    let rate = match effort {
        Effort::Follow => return Ok(()),
        Effort::New => Rate::NewShapes,
        Effort::Subset => Rate::Subsets,
    };
    if state.hub.is_at_hand(&wanted) {
        return Ok(());
    }
    state.limits.take(rate, &admitted.asker).await?;
    if admitted.upstream.is_in_trouble() {
        Box::pin(is_up_to_it(state, admitted, effort)).await?;
    }
    Ok(())
}

/// The same, and room at the upstream, for what is not asked through the hub.
///
/// # Errors
/// As [`may_read_table`]; `overloaded` when there is no room.
pub async fn seat(state: &State, admitted: &Admitted) -> Result<Seat, Refusal> {
    may_read_table(state, admitted).await?;
    let wanted = admitted.wanted(state.clock.now());
    state.hub.seat(&wanted, wanted.effort())
}

/// Asks an upstream that has refused others how it is: at most once a second, whoever asks.
async fn is_up_to_it(state: &State, admitted: &Admitted, effort: Effort) -> Result<(), Refusal> {
    let upstream = &admitted.upstream;
    match upstream
        .health()
        .said(upstream, &state.fetch, &*state.clock)
        .await
    {
        Some(Health::Active) => {
            upstream.note_recovered();
            Ok(())
        }
        Some(said @ (Health::Waiting | Health::Starting)) => {
            let detail = format!("the upstream says that it is {}", said.as_str());
            Err(state.hub.loads().shed(effort).with_detail(detail))
        }
        // Nobody knows better than the request itself will.
        None => Ok(()),
    }
}
