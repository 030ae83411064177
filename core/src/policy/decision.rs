//! What rules may read of `decision`: whose facts it holds, and which of them are there for certain.
use std::sync::Arc;

use super::error::{Fault, Part, PolicyError};
use super::path::{Path, Step};
use super::roots::DECISION;
use super::source::{AuthorizerSource, FactNames, OtherFacts};

/// The members of `decision`.
#[derive(Clone, Debug, Default)]
pub(super) enum DecisionNames {
    /// Nobody is asked.
    #[default]
    None,
    /// The facts of the only one who is asked.
    One(FactNames),
    /// A member for each who is asked, by name.
    Named(Vec<(Arc<str>, FactNames)>),
}

impl DecisionNames {
    pub(super) fn of(authorizers: &[AuthorizerSource]) -> Self {
        match authorizers {
            [] => Self::None,
            [
                AuthorizerSource {
                    name: None, facts, ..
                },
            ] => Self::One(facts.clone()),
            several => Self::Named(
                several
                    .iter()
                    .filter_map(|one| Some((one.name.clone()?, one.facts.clone())))
                    .collect(),
            ),
        }
    }

    /// Refuses a path to what cannot be there.
    pub(super) fn check_name(&self, path: &Path) -> Result<(), Fault> {
        let mut steps = path.steps.iter();
        let facts = match self {
            Self::None => {
                return Err(Fault::new(
                    "there is no decision here",
                    "only the rules of a shape with `authorize` have one",
                ));
            }
            Self::One(facts) => facts,
            Self::Named(authorizers) => match steps.next() {
                None => return Ok(()),
                Some(Step::Name(name)) => {
                    named(authorizers, name).ok_or_else(|| no_such(authorizers, name))?
                }
                Some(Step::At(_)) => return Err(no_such(authorizers, "[…]")),
            },
        };
        match steps.next() {
            Some(Step::Name(name)) if !facts.may_have(name) => Err(no_fact(facts, name)),
            _ => Ok(()),
        }
    }

    /// Whether what a path leads to is there whenever everybody has answered.
    pub(super) fn is_certain(&self, path: &Path) -> bool {
        let Some(names) = path.names() else { return false };
        match (self, names.as_slice()) {
            (Self::None, _) => false,
            (_, []) => true,
            (Self::One(facts), [name]) => facts.surely_have(name),
            (Self::Named(authorizers), [authorizer]) => named(authorizers, authorizer).is_some(),
            (Self::Named(authorizers), [authorizer, name]) => {
                named(authorizers, authorizer).is_some_and(|facts| facts.surely_have(name))
            }
            _ => false,
        }
    }

    /// What was asked for in vain: facts that deny nothing by themselves, and that no rule reads.
    pub(super) fn unread(&self, authorizers: &[AuthorizerSource], read: &[&Path]) -> Vec<PolicyError> {
        let unread = |authorizer: &AuthorizerSource| {
            let paths = authorizer.facts.to_be_read.iter().map(|fact| Path {
                root: DECISION.to_owned(),
                steps: [authorizer.name.as_ref(), Some(fact)]
                    .into_iter()
                    .flatten()
                    .map(|name| Step::Name(name.to_string()))
                    .collect(),
            });
            paths.into_iter().find(|path| !read.contains(&path))
        };
        let told = |(index, authorizer): (usize, &AuthorizerSource)| {
            let path = unread(authorizer)?;
            let message = format!("no rule reads {path}, so that asking for it decides nothing");
            let advice = format!("read it in the rules that depend on it: `when: {path}`");
            Some(Fault::new(message, advice).at(Part::Authorizer(index)))
        };
        authorizers.iter().enumerate().filter_map(told).collect()
    }
}

impl FactNames {
    fn may_have(&self, name: &str) -> bool {
        self.others != OtherFacts::None || self.certain.contains(name)
    }

    fn surely_have(&self, name: &str) -> bool {
        self.others == OtherFacts::Certain || self.certain.contains(name)
    }
}

fn named<'a>(authorizers: &'a [(Arc<str>, FactNames)], name: &str) -> Option<&'a FactNames> {
    let found = authorizers.iter().find(|(known, _)| **known == *name);
    found.map(|(_, facts)| facts)
}

fn no_such(authorizers: &[(Arc<str>, FactNames)], name: &str) -> Fault {
    let known: Vec<&str> = authorizers.iter().map(|(name, _)| &**name).collect();
    Fault::new(
        format!("no authoriser of this shape is called {name}"),
        format!("there are decision.{}", known.join(", decision.")),
    )
}

fn no_fact(facts: &FactNames, name: &str) -> Fault {
    let known: Vec<&str> = facts.certain.iter().map(AsRef::as_ref).collect();
    Fault::new(
        format!("the authoriser finds out no {name}"),
        format!("it finds out {}", known.join(", ")),
    )
}
