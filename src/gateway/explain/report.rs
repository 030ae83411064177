//! What is told of a request.

use std::fmt;
use std::sync::Arc;

use shapegate_core::code::Refusal;
use shapegate_core::permit::Allowed;

use crate::config::moment_text;

/// Columns that the names of steps take up.
const NAME_WIDTH: usize = 12;

/// A request, followed.
#[derive(Debug)]
pub struct Report {
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What came of it.
    pub verdict: Verdict,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Which.
    pub name: &'static str,
    /// What there is to say about it.
    pub lines: Vec<String>,
}

/// What comes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may ask Electric.
    Allowed(Arc<Allowed>),
    /// It is answered without a decision: a page that is there for everybody.
    Open,
    /// The client starts again: its handle is not one of this shape (409).
    MustRefetch,
    /// It is refused.
    Refused(Refusal),
    /// Others would have to be asked.
    Undecided(String),
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { name, lines } in &self.steps {
            for (index, line) in lines.iter().enumerate() {
                let name = if index == 0 { name } else { "" };
                writeln!(f, "{name:NAME_WIDTH$}{line}")?;
            }
        }
        write!(f, "\n{}", self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(allowed) => match allowed.until() {
                Some(until) => writeln!(
                    f,
                    "ALLOWED by {} until {}",
                    allowed.rule(),
                    moment_text(until.wall)
                ),
                None => writeln!(f, "ALLOWED by {}", allowed.rule()),
            },
            Self::Open => writeln!(f, "ALLOWED: it is there for everybody"),
            Self::MustRefetch => writeln!(f, "REFUSED 409 must_refetch: the handle is not one of this shape"),
            Self::Refused(refusal) => {
                writeln!(
                    f,
                    "REFUSED {} {}: {}",
                    refusal.status(),
                    refusal.code,
                    refusal.message
                )?;
                match &refusal.detail {
                    Some(detail) => writeln!(f, "  because: {detail}"),
                    None => Ok(()),
                }
            }
            Self::Undecided(why) => writeln!(f, "UNDECIDED: {why}"),
        }
    }
}
