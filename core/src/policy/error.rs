//! What is wrong with a shape, and where: for whoever loads a configuration.
use std::borrow::Cow;
use std::fmt;

/// The part of a shape that an error is about. Indices count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The shape's table or patterns of tables.
    Table,
    /// `columns`.
    Columns,
    /// `access`.
    Access,
    /// `client`.
    Client,
    /// An authoriser.
    Authorizer(usize),
    /// What an authoriser is told: the authoriser's index and the input's.
    Input(usize, usize),
    /// The list of rules as a whole.
    Rules,
    /// `when` of a rule.
    When(usize),
    /// `rows.where` of a rule.
    Where(usize),
    /// A parameter of a rule: the rule's index and the parameter's.
    Parameter(usize, usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("table"),
            Self::Columns => f.write_str("columns"),
            Self::Access => f.write_str("access"),
            Self::Client => f.write_str("client"),
            Self::Authorizer(index) => write!(f, "authorize[{index}]"),
            Self::Input(authorizer, index) => write!(f, "authorize[{authorizer}].inputs[{index}]"),
            Self::Rules => f.write_str("rules"),
            Self::When(rule) => write!(f, "rules[{rule}].when"),
            Self::Where(rule) => write!(f, "rules[{rule}].rows.where"),
            Self::Parameter(rule, index) => write!(f, "rules[{rule}].rows.params[{index}]"),
        }
    }
}

/// Why a shape is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part}: {message}")]
pub struct PolicyError {
    /// What it is about.
    pub part: Part,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub advice: Cow<'static, str>,
}

/// A [`PolicyError`] whose part is not known yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) advice: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, advice: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            advice: advice.into(),
        }
    }

    pub(super) fn at(self, part: Part) -> PolicyError {
        PolicyError {
            part,
            message: self.message,
            advice: self.advice,
        }
    }
}
