//! Who belongs to a tenant: what must hold of a user before any rule is looked at.
use std::borrow::Cow;
use std::collections::BTreeSet;

use cel::common::types::CelBool;

use super::check::{UserPresence, Vocabulary};
use super::decision::DecisionNames;
use super::error::Fault;
use super::expression::Expression;
use super::guard::Known;
use super::scope::Scope;
use crate::code::{Code, Refusal};

/// `member`, compiled: an expression over `user` and `tenant`.
///
/// Claims need no guard in it: one that is missing makes nobody a member.
#[derive(Debug)]
pub struct Membership(Expression);

/// Why a `member` is not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member: {message}")]
pub struct MembershipError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub advice: Cow<'static, str>,
}

impl From<Fault> for MembershipError {
    fn from(fault: Fault) -> Self {
        Self {
            message: fault.message,
            advice: fault.advice,
        }
    }
}

impl Membership {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// When it is none, costs too much, or reads something of the request: who is a member does not depend on
    /// what is asked.
    pub fn compile(text: &str) -> Result<Self, MembershipError> {
        let vocabulary = Vocabulary {
            user: UserPresence::Always,
            unguarded: true,
            certain: BTreeSet::new(),
            path: BTreeSet::new(),
            query: BTreeSet::new(),
            decision: DecisionNames::None,
        };
        let expression = Expression::compile(text, &vocabulary, &Known::default())?;
        let reads = expression.reads();
        if reads.headers || reads.chosen_by_client {
            let advice = "compare `user` and `tenant`: `user.org_id == tenant.id`";
            return Err(Fault::new(
                "this reads the request, and `member` is about the user alone",
                advice,
            )
            .into());
        }
        Ok(Self(expression))
    }

    /// Refuses whoever it does not hold of, and everybody where it cannot be evaluated.
    pub(super) fn check(&self, scope: &Scope<'_>) -> Result<(), Refusal> {
        let refused = |reason: &str| {
            Refusal::new(Code::Forbidden, "You do not belong here.").with_detail(format!("member: {reason}"))
        };
        scope.enter(|context| {
            let value = self.0.evaluate(context).map_err(|reason| refused(&reason))?;
            match value.downcast_ref::<CelBool>() {
                Some(truth) if *truth.inner() => Ok(()),
                Some(_) => Err(refused("does not hold")),
                None => Err(refused("is not a boolean")),
            }
        })
    }
}
