//! Claims under names of the operator's choice, with a type and a default.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use shapegate_core::value::Value;

use super::claims::Claims;
use super::fault::Fault;

/// Members that a path may go through; claims do not nest deeper.
pub const PATH_MEMBERS_MAX: usize = 8;

/// Where in a token's claims a value is.
///
/// A path is always nested members: `a.b` is the member `b` of the member `a`, and never a member that is
/// called `a.b`. A name that has a dot in it (`https://acme.com/roles`) is written as a list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<Arc<str>>);

impl ClaimPath {
    /// A path written with dots.
    ///
    /// # Errors
    /// An empty path or member, more than [`PATH_MEMBERS_MAX`] of them, or what looks like a URL: that is
    /// one member, which has to be written as a list.
    pub fn dotted(path: &str) -> Result<Self, ClaimPathError> {
        if path.contains([':', '/']) {
            return Err(ClaimPathError::Url(path.to_owned()));
        }
        Self::members(path.split('.'))
    }

    /// A path of members, each under its exact name.
    ///
    /// # Errors
    /// An empty path or member, or more than [`PATH_MEMBERS_MAX`] of them.
    pub fn members<'a>(members: impl IntoIterator<Item = &'a str>) -> Result<Self, ClaimPathError> {
        let members: Vec<Arc<str>> = members
            .into_iter()
            .take(PATH_MEMBERS_MAX + 1)
            .map(Arc::from)
            .collect();
        if members.len() > PATH_MEMBERS_MAX {
            return Err(ClaimPathError::TooLong);
        }
        if members.is_empty() || members.iter().any(|member| member.is_empty()) {
            return Err(ClaimPathError::Empty);
        }
        Ok(Self(members))
    }

    /// What is there; `null` counts as nothing.
    pub(crate) fn find<'a>(&self, claims: &'a Claims) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        let found = rest
            .iter()
            .try_fold(claims.get(first)?, |value, member| value.get(member))?;
        (*found != Value::Null).then_some(found)
    }
}

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// No member, or an empty one.
    #[error("a claim's path is one or more names with dots between them")]
    Empty,
    /// More members than claims nest.
    #[error("a claim's path has at most {PATH_MEMBERS_MAX} members")]
    TooLong,
    /// A name with dots that is meant as one.
    #[error(
        "a dot always stands for a nested member; write a name that has one as a list: `from: [\"{0}\"]`"
    )]
    Url(String),
}

/// The type that a claim must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimKind {
    /// Text.
    String,
    /// An integer, written without fraction or exponent.
    Int,
    /// `true` or `false`.
    Bool,
    /// A list of strings, integers and booleans.
    List,
    /// Anything.
    Any,
}

impl ClaimKind {
    /// The type of this name: `string`, `int`, `bool`, `list` or `any`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "string" => Some(Self::String),
            "int" => Some(Self::Int),
            "bool" => Some(Self::Bool),
            "list" => Some(Self::List),
            "any" => Some(Self::Any),
            _ => None,
        }
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            Self::String => matches!(value, Value::String(_)),
            Self::Int => matches!(value, Value::Int(_) | Value::UInt(_)),
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::List => value
                .as_list()
                .is_some_and(|entries| entries.iter().all(is_scalar)),
            Self::Any => true,
        }
    }

    const fn wants(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Int => "an integer",
            Self::Bool => "a boolean",
            Self::List => "a list of strings, integers or booleans",
            Self::Any => "anything",
        }
    }
}

impl fmt::Display for ClaimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wants())
    }
}

fn is_scalar(value: &Value) -> bool {
    matches!(
        value,
        Value::String(_) | Value::Int(_) | Value::UInt(_) | Value::Bool(_)
    )
}

/// A name that rules read as `user.<name>`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimMapping {
    name: Arc<str>,
    from: ClaimPath,
    kind: ClaimKind,
    default: Option<Value>,
}

impl ClaimMapping {
    /// Names what is at `from`. Without a default, a token that lacks it has no such name either.
    ///
    /// A claim that is there and of another type refuses the token, whether there is a default or not:
    /// the default is for what an issuer leaves out, not for what it says differently than expected.
    ///
    /// # Errors
    /// A name that rules could not read or that has a meaning of its own; a default of another type.
    pub fn new(
        name: &str,
        from: ClaimPath,
        kind: ClaimKind,
        default: Option<Value>,
    ) -> Result<Self, ClaimMappingError> {
        if !is_identifier(name) {
            return Err(ClaimMappingError::Name(name.to_owned()));
        }
        if RESERVED.contains(&name) {
            return Err(ClaimMappingError::Reserved(name.to_owned()));
        }
        match &default {
            Some(value) if !kind.takes(value) => Err(ClaimMappingError::Default(kind)),
            _ => Ok(Self {
                name: name.into(),
                from,
                kind,
                default,
            }),
        }
    }

    /// The name that rules read.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The members that lead to it.
    pub(crate) fn from(&self) -> &[Arc<str>] {
        &self.from.0
    }

    /// What it must be.
    pub(crate) fn kind(&self) -> ClaimKind {
        self.kind
    }

    /// What it is where a token lacks it.
    pub(crate) fn default(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// Whether the name is always there.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    fn value(&self, claims: &Claims) -> Result<Option<Value>, Fault> {
        match self.from.find(claims) {
            None => Ok(self.default.clone()),
            Some(value) if self.kind.takes(value) => Ok(Some(value.clone())),
            Some(value) => Err(Fault::ClaimType {
                name: self.name.to_string(),
                has: value.kind(),
                wants: self.kind.wants(),
            }),
        }
    }
}

/// `user.id` is the subject and `user.claims` the token as it came.
const RESERVED: [&str; 2] = ["id", "claims"];

/// Why a mapping is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimMappingError {
    /// Rules could not read it.
    #[error("{0:?} is not a name that rules can read: letters, digits and `_`, not a digit first")]
    Name(String),
    /// It has a meaning of its own.
    #[error("`user.{0}` has a meaning of its own: `id` is the subject, `claims` the token as it came")]
    Reserved(String),
    /// The default contradicts the type.
    #[error("the default is not {0}")]
    Default(ClaimKind),
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}

/// The mapped names of a token, and the claims that are left beside them.
///
/// A name that is mapped never falls back to a claim that happens to have it: where the mapping finds
/// nothing, a top-level claim of that name is taken away. Otherwise a token could say `org_id` itself where
/// the operator wanted it from `o.id`.
pub(crate) fn apply(
    mappings: &[ClaimMapping],
    mut claims: Claims,
) -> Result<(BTreeMap<Arc<str>, Value>, Claims), Fault> {
    let mut mapped = BTreeMap::new();
    for mapping in mappings {
        if let Some(value) = mapping.value(&claims)? {
            mapped.insert(Arc::clone(&mapping.name), value);
        }
    }
    for mapping in mappings
        .iter()
        .filter(|mapping| !mapped.contains_key(&mapping.name))
    {
        claims.remove(&mapping.name);
    }
    Ok((mapped, claims))
}

#[cfg(test)]
mod tests;
