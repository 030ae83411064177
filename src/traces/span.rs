//! A span that has ended, before it is a message.

use std::borrow::Cow;
use std::sync::Arc;

use shapegate_core::time::{Monotonic, Now};

use super::context::SpanContext;
use super::ids::{SpanId, TraceId};

/// What a span is to the other side, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was asked.
    Server,
    /// It asks.
    Client,
    /// Nobody else is there.
    Internal,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A name that is shared with the configuration.
    Name(Arc<str>),
    /// A number.
    Number(i64),
    /// Whether something is so.
    Truth(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&Arc<str>> for Value {
    fn from(name: &Arc<str>) -> Self {
        Self::Name(Arc::clone(name))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

/// Which trace a span is in, and where.
#[derive(Clone, Debug)]
pub struct Place {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub id: SpanId,
    /// The span that it is a part of.
    pub parent: Option<SpanId>,
    /// Whether that one is another process'.
    pub is_parent_remote: bool,
    /// The `tracestate` of the trace.
    pub state: Arc<str>,
}

/// What a span did.
#[derive(Clone, Debug)]
pub struct Span {
    /// Where it belongs.
    pub place: Place,
    /// What it is to others.
    pub kind: Kind,
    /// What it did, in words of which there are few.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start: Nanoseconds,
    /// When it ended.
    pub end: Nanoseconds,
    /// What else is said of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Spans of other traces that it has to do with.
    pub links: Vec<SpanContext>,
    /// Whether it failed.
    pub failed: bool,
}

/// Since 1970, on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanoseconds(pub u64);

impl Nanoseconds {
    /// The moment `at`, of a trace that began at `began`: the wall clock is asked once a trace, so that none of its
    /// spans ends before it began.
    pub fn of(began: Now, at: Monotonic) -> Self {
        let before = u64::try_from(began.wall.0).unwrap_or(0).saturating_mul(1_000_000);
        let since = u64::try_from(began.monotonic.until(at).as_nanos()).unwrap_or(u64::MAX);
        Self(before.saturating_add(since))
    }
}
