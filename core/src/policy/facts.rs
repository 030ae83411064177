//! What a decision is made from, besides who asks and for what.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::common::value::Val;

use crate::clause::{Filter, FilterError};
use crate::code::{Code, Refusal};
use crate::definition::{Columns, Rows};
use crate::identifier::ColumnSet;
use crate::identity::prepare;
use crate::request::Scalar;
use crate::time::{Now, Until};
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

/// What one authoriser found out about one request.
#[derive(Clone)]
pub struct Finding {
    /// Its facts, by name.
    pub facts: BTreeMap<Arc<str>, Value>,
    /// Rows outside of this filter are given to nobody, whatever a rule says.
    pub filter: Option<Filter>,
    /// Columns that are not among these are given to nobody.
    pub columns: Option<ColumnSet>,
    /// How long it holds. What is decided with it ends then.
    pub until: Until,
}

/// Facts are about people: they stay out of logs.
impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// What all authorisers of a shape found out: `decision` in rules, and what narrows whatever the rules give.
/// Prepared once, to be lent to every evaluation.
pub struct Facts {
    /// How many were asked.
    asked: usize,
    decision: Box<dyn Val>,
    filters: Vec<Filter>,
    columns: Vec<ColumnSet>,
    until: Option<Until>,
}

impl Facts {
    /// Puts together what was found out. Those who have a name are a member of `decision` each, the facts of one
    /// who has none are members of it.
    #[must_use]
    pub fn gathered<'a>(findings: impl IntoIterator<Item = (Option<&'a Arc<str>>, &'a Finding)>) -> Self {
        let mut facts = Self::none();
        let mut decision = BTreeMap::new();
        for (name, finding) in findings {
            match name {
                Some(name) => {
                    decision.insert(Arc::clone(name), Value::Map(finding.facts.clone()));
                }
                None => decision.extend(finding.facts.clone()),
            }
            facts.asked += 1;
            facts.filters.extend(finding.filter.clone());
            facts.columns.extend(finding.columns.clone());
            facts.until = Some(
                facts
                    .until
                    .map_or(finding.until, |until| until.min(finding.until)),
            );
        }
        facts.decision = prepare(&Value::Map(decision));
        facts
    }

    /// Nobody was asked; `decision` is there and empty.
    #[must_use]
    pub fn none() -> Self {
        Self {
            asked: 0,
            decision: prepare(&Value::Map(BTreeMap::new())),
            filters: Vec::new(),
            columns: Vec::new(),
            until: None,
        }
    }

    /// How long all of it holds; `None` where nobody was asked.
    #[must_use]
    pub fn until(&self) -> Option<Until> {
        self.until
    }

    pub(super) fn decision(&self) -> &dyn Val {
        self.decision.as_ref()
    }

    /// Refuses facts that are not all there, or not any more.
    pub(super) fn check(&self, authorizers: usize, now: Now) -> Result<(), Refusal> {
        if self.asked != authorizers {
            let detail = format!("{} of {authorizers} authorisers were asked", self.asked);
            return Err(Refusal::new(Code::Internal, "The gateway failed.").with_detail(detail));
        }
        match self.until {
            Some(until) if until.is_over(now) => Err(over()),
            _ => Ok(()),
        }
    }

    /// What is left of a rule's rows.
    pub(super) fn narrow(&self, rows: Rows) -> Result<Rows, FilterError> {
        self.filters.iter().try_fold(rows, |rows, filter| match rows {
            Rows::None => Ok(Rows::None),
            Rows::All => Ok(Rows::Where(filter.clone())),
            Rows::Where(rule) => rule.and(filter).map(Rows::Where),
        })
    }

    /// What is left of a shape's columns; nothing where that is none of them.
    pub(super) fn columns<'c>(&self, ours: &'c Columns) -> Option<Cow<'c, Columns>> {
        self.columns
            .iter()
            .try_fold(Cow::Borrowed(ours), |columns, allowed| {
                let left = match columns.as_ref() {
                    Columns::All => allowed.clone(),
                    Columns::Only(ours) => {
                        let both = ours.iter().filter(|column| allowed.contains(column));
                        ColumnSet::from_iter(both.cloned()).ok()?
                    }
                };
                Some(Cow::Owned(Columns::Only(left)))
            })
    }
}

/// What a client is told when the facts behind a decision are over: to ask again at once.
pub(super) fn over() -> Refusal {
    let text = "What was found out about you no longer holds: ask again.";
    Refusal::new(Code::DecisionUnavailable, text).with_retry_after(std::time::Duration::from_secs(1))
}

/// Facts are about people: they stay out of logs.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Facts(…)")
    }
}
