//! What traces are told of a wait.

use super::{Early, First};
use crate::gateway::admit::Admitted;
use crate::traces::OpenSpan;

/// The span of a wait that begins; of what comes as soon as it can, there is none.
pub(super) fn begin(admitted: &Admitted) -> OpenSpan {
    if admitted.request.waits() {
        admitted.along.trace.part("wait")
    } else {
        OpenSpan::default()
    }
}

/// Tells what ended a wait.
pub(super) fn end<T>(mut span: OpenSpan, first: &First<T>) {
    let ended_by = match first {
        First::Came(_) => "answer",
        First::Left(_) => "client",
        First::Late(_) | First::Early(Early::Permission) => "permission",
        First::Early(Early::Drain) => "drain",
    };
    span.set("shapegate.ended_by", ended_by);
    span.end();
}
