//! Subsets: rows of the shape that the database holds now.

use axum::http::header;

use crate::answer::{Answer, Content, HANDLE, OFFSET, SCHEMA, SNAPSHOT};
use crate::definition::Subset;
use crate::inner::Inner;
use crate::params::Params;
use crate::shape::Shape;

/// Snapshot marks are random numbers of 31 bits; these only have to differ.
const MARK_STEP: u64 = 1_000_003;
const MARK_MASK: u64 = (1 << 31) - 1;

pub(super) fn answer(inner: &Inner, params: &Params, shape: &Shape, subset: &Subset) -> Answer {
    let mark = inner.unique().wrapping_mul(MARK_STEP) & MARK_MASK;
    let body = inner.store.subset(&shape.definition, subset, mark);
    let end = shape.read(params.from).end;
    let answer = Answer::log(Content::Chunked(vec![body.into()]))
        .with_static(header::CACHE_CONTROL, "no-cache")
        .with_static(SNAPSHOT, "true")
        .with_text(HANDLE, &shape.handle)
        .with_text(OFFSET, &end.to_string());
    match params.live {
        true => answer,
        false => answer.with_text(SCHEMA, &shape.definition.schema),
    }
}
