//! What is known to be there, given that a condition held or did not.
//!
//! Conservative: a fact is only taken where the condition cannot have had its outcome without it. `has(a) || b`
//! proves nothing by being true, and `a || b` by being false proves what both prove by being false.
use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::path::{Path, Step};

/// Paths that are there: reading them cannot fail for want of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known(BTreeSet<Path>);

impl Known {
    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.contains(path)
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn common(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    fn one(path: Option<Path>) -> Self {
        Self(path.into_iter().collect())
    }

    /// What is there when the condition's value is `outcome`.
    pub(super) fn when(condition: &IdedExpr, outcome: bool) -> Self {
        match &condition.expr {
            Expr::Select(select) if select.test && outcome => {
                let member = Step::Name(select.field.clone());
                Self::one(Path::of(&select.operand).map(|path| path.then(member)))
            }
            Expr::Call(call) => Self::when_call(call, outcome),
            _ => Self::default(),
        }
    }

    fn when_call(call: &CallExpr, outcome: bool) -> Self {
        let both = |a, b| (Self::when(a, outcome), Self::when(b, outcome));
        match (call.func_name.as_str(), call.args.as_slice(), outcome) {
            (operators::LOGICAL_NOT, [inner], _) => Self::when(inner, !outcome),
            (operators::LOGICAL_AND, [a, b], true) | (operators::LOGICAL_OR, [a, b], false) => {
                let (a, b) = both(a, b);
                a.and(b)
            }
            (operators::LOGICAL_AND, [a, b], false) | (operators::LOGICAL_OR, [a, b], true) => {
                let (a, b) = both(a, b);
                a.common(&b)
            }
            (operators::NOT_EQUALS, [a, b], true) | (operators::EQUALS, [a, b], false) => {
                Self::one(compared_with_null(a, b))
            }
            (operators::IN, [key, container], true) => {
                let member = Step::of_key(key).zip(Path::of(container));
                Self::one(member.map(|(step, path)| path.then(step)))
            }
            _ => Self::default(),
        }
    }
}

/// The path that a comparison compares with `null`.
pub(super) fn compared_with_null(a: &IdedExpr, b: &IdedExpr) -> Option<Path> {
    let null = |side: &IdedExpr| matches!(side.expr, Expr::Literal(LiteralValue::Null));
    match (null(a), null(b)) {
        (false, true) => Path::of(a),
        (true, false) => Path::of(b),
        _ => None,
    }
}
