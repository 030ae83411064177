//! Why a text is no filter of ours, where, and what to do about it.

use std::fmt;

use crate::identifier::IdentifierError;
use crate::limits;

/// A place in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character in that line.
    pub column: u64,
}

/// Why a text is refused, with the place where it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseError {
    /// What is wrong.
    pub problem: ClauseProblem,
    /// Where.
    pub place: Option<Place>,
}

/// What is wrong with a text. The messages say what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClauseProblem {
    /// Nothing to read.
    #[error("the filter is empty")]
    Empty,
    /// Longer than any filter that Electric would take in a request.
    #[error("the filter is longer than {} bytes", limits::CLAUSE_TEXT_BYTES_MAX)]
    TextTooLong,
    /// Too many keywords, names and operators.
    #[error(
        "the filter has more than {} keywords, names and operators",
        limits::CLAUSE_WORDS_MAX
    )]
    TooManyWords,
    /// Too many nodes.
    #[error(
        "the filter has more than {} parts; pass long lists as one array: = ANY($1)",
        limits::CLAUSE_NODES_MAX
    )]
    TooManyNodes,
    /// Too deep.
    #[error("the filter is nested more than {} deep", limits::CLAUSE_DEPTH_MAX)]
    TooDeep,
    /// Too many items in one list.
    #[error(
        "a list has more than {} items; pass them as one array: = ANY($1)",
        limits::CLAUSE_LIST_ITEMS_MAX
    )]
    ListTooLong,
    /// A character that is no part of the language, a control character for one.
    #[error("{0:?} is not part of a filter")]
    Character(char),
    /// `--` and `/*`.
    #[error("comments are not allowed in a filter")]
    Comment,
    /// `'…` or `"…` without its end.
    #[error("a quote is not closed")]
    Unclosed,
    /// `E'…'`, `U&'…'`, `$$…$$` and their kind, and literals that Postgres would join.
    #[error("only plain literals are allowed: '…', with two quotes for a quote inside")]
    LiteralForm,
    /// A number that Postgres' versions read differently.
    #[error("a number is malformed")]
    Number,
    /// `$0`, `$01`, `$99999`.
    #[error("parameters are numbered $1 to ${}", limits::PARAMETERS_MAX)]
    ParameterNumber,
    /// An operator that Electric does not know.
    #[error("{0} is not an operator that can be used in a filter")]
    Operator(String),
    /// A name that is not one.
    #[error(transparent)]
    Identifier(#[from] IdentifierError),
    /// A word that means something else to Postgres.
    #[error("{0} is reserved; in double quotes it names a column")]
    Reserved(String),
    /// The text makes no sense to the parser.
    #[error("the filter cannot be read from here on")]
    Unreadable,
    /// It makes sense, but does not belong here.
    #[error("{0} cannot be used in a filter")]
    Unsupported(&'static str),
    /// Postgres might read it in another way.
    #[error("put brackets here: what belongs together is not clear")]
    BracketsNeeded,
    /// A number that Electric cannot read.
    #[error("Electric cannot read this number in a filter; make it a parameter")]
    NumberNeedsParameter,
    /// Client text with a subquery.
    #[error("subqueries are not allowed here")]
    Subquery,
    /// A bare `NULL` in client text.
    #[error("NULL is not allowed as a value here; use IS NULL")]
    Null,
    /// A function that Electric does not know, or with other arguments.
    #[error("{0} is not a function that can be used in a filter, or not with so many arguments")]
    Function(String),
    /// A type that Electric does not know.
    #[error("this type cannot be cast to in a filter; types have no length or precision there")]
    Type,
}

impl ClauseProblem {
    pub(super) fn at(self, place: Place) -> ClauseError {
        ClauseError {
            problem: self,
            place: Some(place),
        }
    }
}

impl From<ClauseProblem> for ClauseError {
    fn from(problem: ClauseProblem) -> Self {
        Self { problem, place: None }
    }
}

impl fmt::Display for ClauseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(Place { line: 1, column }) => write!(f, "at character {column}: {}", self.problem),
            Some(Place { line, column }) => {
                write!(f, "at line {line}, character {column}: {}", self.problem)
            }
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for ClauseError {}
