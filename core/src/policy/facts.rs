//! What a decision is made from, besides who asks and for what.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::common::value::Val;

use crate::identity::prepare;
use crate::request::Scalar;
use crate::value::Value;

/// The request, as rules may read it.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// What the path captured: `request.path`.
    pub path: &'a [(Arc<str>, Scalar)],
    /// The declared names that were sent: `request.query`.
    pub query: &'a [(Arc<str>, Scalar)],
    /// The headers: `request.headers`. Only those that a rule names are looked up.
    pub headers: &'a dyn Headers,
}

/// Headers, looked up by name.
pub trait Headers: Send + Sync {
    /// The header of that name, which is in lower case.
    fn header(&self, name: &str) -> HeaderValue<'_>;
}

/// What there is under a header's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderValue<'a> {
    /// Not sent.
    Absent,
    /// Sent once, as text.
    Text(&'a str),
    /// Sent twice, or not as text: reading it denies.
    Unreadable,
}

/// No headers at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn header(&self, _name: &str) -> HeaderValue<'_> {
        HeaderValue::Absent
    }
}

/// What an authoriser found out: `decision` in rules. Prepared once, to be lent to every evaluation.
pub struct Facts(Box<dyn Val>);

impl Facts {
    /// Prepares facts.
    #[must_use]
    pub fn new(decision: BTreeMap<Arc<str>, Value>) -> Self {
        Self(prepare(&Value::Map(decision)))
    }

    /// No facts; `decision` is there and empty.
    #[must_use]
    pub fn none() -> Self {
        Self::new(BTreeMap::new())
    }

    pub(super) fn decision(&self) -> &dyn Val {
        self.0.as_ref()
    }
}

/// Facts are about people: they stay out of logs.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Facts(…)")
    }
}
