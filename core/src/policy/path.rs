//! What an expression reads, as a path of names from a root.
use std::fmt;

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// `.name` or `["name"]`, which mean the same.
    Name(String),
    /// `[path]`: whatever stands at that other path when the expression runs.
    At(Path),
}

/// A root and the steps from it: `user.orgs[request.path.org].role`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub(super) root: String,
    pub(super) steps: Vec<Step>,
}

impl Path {
    /// The path that an expression spells, if it is nothing but a path.
    pub(super) fn of(expression: &IdedExpr) -> Option<Self> {
        match &expression.expr {
            Expr::Ident(name) => Some(Self {
                root: name.clone(),
                steps: Vec::new(),
            }),
            Expr::Select(select) if !select.test => {
                Some(Self::of(&select.operand)?.then(Step::Name(select.field.clone())))
            }
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [container, key] => Some(Self::of(container)?.then(Step::of_key(key)?)),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// This path and every one that leads to it, the root alone first.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Self> + '_ {
        (0..=self.steps.len()).map(|length| Self {
            root: self.root.clone(),
            steps: self.steps.iter().take(length).cloned().collect(),
        })
    }

    /// The names of the steps, if none of them is computed.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        self.steps.iter().map(Step::name).collect()
    }
}

impl Step {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::At(_) => None,
        }
    }

    pub(super) fn of_key(key: &IdedExpr) -> Option<Self> {
        match &key.expr {
            Expr::Literal(LiteralValue::String(name)) => Some(Self::Name(name.inner().to_owned())),
            _ => Path::of(key).map(Self::At),
        }
    }
}

/// As an expression would write it.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        for step in &self.steps {
            match step {
                Step::Name(name) if is_plain(name) => write!(f, ".{name}")?,
                Step::Name(name) => write!(f, "[{name:?}]")?,
                Step::At(path) => write!(f, "[{path}]")?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
