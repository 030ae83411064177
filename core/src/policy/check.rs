//! The checks that an expression passes at load: what it may read and call, what evaluating it can cost, and
//! that no read of a claim can fail for want of the claim.
use std::collections::BTreeSet;
use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators,
};

use super::decision::DecisionNames;
use super::error::Fault;
use super::guard::{Known, compared_with_null};
use super::path::{Path, Step};
use super::roots;
use crate::limits;

/// Whether there is a `user` when an expression runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserPresence {
    /// Always an identity.
    Always,
    /// An identity or `null`.
    Maybe,
    /// The shape is public: what it gives must not depend on who asks.
    Unread,
}

/// What the expressions of one shape may read.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) user: UserPresence,
    /// Whether claims are read without a guard, because one that is missing may fail.
    pub(super) unguarded: bool,
    /// Claims that every identity has, because they are mapped with a default.
    pub(super) certain: BTreeSet<Arc<str>>,
    /// Captures of the path.
    pub(super) path: BTreeSet<Arc<str>>,
    /// Declared names of the query.
    pub(super) query: BTreeSet<Arc<str>>,
    /// Whose facts `decision` holds.
    pub(super) decision: DecisionNames,
}

/// What an expression depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) headers: bool,
    /// Something that whoever sends the request chooses, or may have had a say in.
    pub(super) chosen_by_client: bool,
    /// What it reads or asks for of `decision`.
    pub(super) decision: Vec<Path>,
}

/// Walks one expression; stops at the first fault.
pub(super) struct Checker<'v> {
    vocabulary: &'v Vocabulary,
    variables: Vec<String>,
    depth: usize,
    reads: Reads,
}

impl<'v> Checker<'v> {
    pub(super) fn new(vocabulary: &'v Vocabulary) -> Self {
        Self {
            vocabulary,
            variables: Vec::new(),
            depth: 0,
            reads: Reads::default(),
        }
    }

    pub(super) fn check(mut self, expression: &IdedExpr, known: &Known) -> Result<Reads, Fault> {
        self.visit(expression, known)?;
        Ok(self.reads)
    }

    fn visit(&mut self, expression: &IdedExpr, known: &Known) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > limits::EXPRESSION_DEPTH_MAX {
            let message = format!("nested more than {} deep", limits::EXPRESSION_DEPTH_MAX);
            return Err(Fault::new(message, "split it into several rules"));
        }
        self.visit_node(expression, known)?;
        self.depth -= 1;
        Ok(())
    }

    fn visit_node(&mut self, expression: &IdedExpr, known: &Known) -> Result<(), Fault> {
        match &expression.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(_) => self.read(Path::of(expression), known),
            Expr::Select(select) if select.test => self.presence(&select.operand, &select.field, known),
            Expr::Select(_) => self.read(Path::of(expression), known),
            Expr::Call(call) if call.func_name == operators::INDEX => self.read(Path::of(expression), known),
            Expr::Call(call) => self.call(call, known),
            Expr::List(list) => list
                .elements
                .iter()
                .try_for_each(|element| self.visit(element, known)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(entry, known)),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, known),
            Expr::Struct(_) | Expr::Unspecified => Err(Fault::new(
                "structures are not offered here",
                "use a list or plain values",
            )),
        }
    }

    fn entry(&mut self, entry: &IdedEntryExpr, known: &Known) -> Result<(), Fault> {
        match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key, known)?;
                self.visit(&entry.value, known)
            }
            EntryExpr::StructField(_) => Err(Fault::new(
                "structures are not offered here",
                "use a list or plain values",
            )),
        }
    }

    fn read(&mut self, path: Option<Path>, known: &Known) -> Result<(), Fault> {
        let path = path.ok_or_else(|| {
            Fault::new(
                "a member or element of something computed, or by number",
                "name a claim and its members in full; to look into a list use `in` or `exists()`",
            )
        })?;
        for step in &path.steps {
            if let Step::At(key) = step {
                self.read(Some(key.clone()), known)?;
            }
        }
        if self.variables.contains(&path.root) {
            return guarded(&path, known, |prefix| prefix.steps.is_empty());
        }
        self.note(&path);
        roots::check(&path, self.vocabulary, known)
    }

    fn note(&mut self, path: &Path) {
        self.reads.headers |= roots::is_headers(path);
        self.reads.chosen_by_client |= roots::is_chosen_by_client(path);
        if path.root == roots::DECISION {
            self.reads.decision.push(path.clone());
        }
    }

    /// `has(operand.field)`: the operand is read, the field only asked for.
    fn presence(&mut self, operand: &IdedExpr, field: &str, known: &Known) -> Result<(), Fault> {
        let path = Path::of(operand).ok_or_else(|| {
            Fault::new(
                "has() of something computed",
                "name the claim in full: has(user.org.id)",
            )
        })?;
        if roots::has_optional_members(&path) {
            self.note(&path);
            return roots::check_asked_for(&path.then(Step::Name(field.to_owned())), self.vocabulary);
        }
        let asked_for = path.clone().then(Step::Name(field.to_owned()));
        self.read(Some(path), known)?;
        if asked_for.root == roots::DECISION {
            self.note(&asked_for);
            self.vocabulary.decision.check_name(&asked_for)?;
        }
        Ok(())
    }

    fn call(&mut self, call: &CallExpr, known: &Known) -> Result<(), Fault> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [a, b]) => self.in_turn(a, b, true, known),
            (operators::LOGICAL_OR, [a, b]) => self.in_turn(a, b, false, known),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.in_turn(condition, yes, true, known)?;
                self.visit(no, &known.clone().and(Known::when(condition, false)))
            }
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) if compares_user_with_null(a, b) => {
                roots::check_user_is_readable(self.vocabulary)
            }
            (operators::IN, [key, container]) if is_headers(container) => {
                self.reads.headers = true;
                self.reads.chosen_by_client = true;
                self.visit(key, known)?;
                roots::check_header_is_readable(self.vocabulary)
            }
            (name, _) if roots::is_function(name) => self.arguments(call, known),
            (name, _) => Err(Fault::new(
                format!("there is no function {name}()"),
                "there are size, contains, startsWith, endsWith, matches, int, uint, double, string, bool, \
                 bytes, type, has, all, exists, exists_one, filter and map",
            )),
        }
    }

    /// The second is looked at in the light of the first having come out as `outcome`.
    fn in_turn(&mut self, a: &IdedExpr, b: &IdedExpr, outcome: bool, known: &Known) -> Result<(), Fault> {
        self.visit(a, known)?;
        self.visit(b, &known.clone().and(Known::when(a, outcome)))
    }

    fn arguments(&mut self, call: &CallExpr, known: &Known) -> Result<(), Fault> {
        if call.func_name == "matches" {
            self.regex(call)?;
        }
        call.target
            .iter()
            .try_for_each(|target| self.visit(target, known))?;
        call.args
            .iter()
            .try_for_each(|argument| self.visit(argument, known))
    }

    /// A pattern is compiled at every evaluation, so that it must be short, written out, and not in a loop.
    fn regex(&self, call: &CallExpr) -> Result<(), Fault> {
        let advice = "write it as a plain string, or use startsWith, endsWith or contains";
        let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|last| &last.expr)
        else {
            return Err(Fault::new("the pattern of matches() is computed", advice));
        };
        if pattern.len() > limits::PATTERN_BYTES_MAX {
            let message = format!(
                "the pattern of matches() has more than {} bytes",
                limits::PATTERN_BYTES_MAX
            );
            return Err(Fault::new(message, advice));
        }
        if pattern.contains('{') {
            return Err(Fault::new("the pattern of matches() has a {…}", advice));
        }
        if !self.variables.is_empty() {
            return Err(Fault::new("matches() inside of a comprehension", advice));
        }
        roots::check_pattern(pattern)
    }

    /// One deep only, so that the work is bounded by the text times the size of the claims.
    fn comprehension(&mut self, loops: &ComprehensionExpr, known: &Known) -> Result<(), Fault> {
        if !self.variables.is_empty() {
            return Err(Fault::new(
                "a comprehension inside of a comprehension",
                "one deep only; use `in`, or have the claim mapped to what the rule needs",
            ));
        }
        self.visit(&loops.iter_range, known)?;
        for name in [
            Some(&loops.iter_var),
            loops.iter_var2.as_ref(),
            Some(&loops.accu_var),
        ]
        .into_iter()
        .flatten()
        {
            if roots::is_taken(name) {
                let message = format!("the variable {name:?} hides what has that name already");
                return Err(Fault::new(message, "choose another name for it"));
            }
            self.variables.push(name.clone());
        }
        for part in [
            &loops.accu_init,
            &loops.loop_cond,
            &loops.loop_step,
            &loops.result,
        ] {
            self.visit(part, known)?;
        }
        self.variables.clear();
        Ok(())
    }
}

fn compares_user_with_null(a: &IdedExpr, b: &IdedExpr) -> bool {
    compared_with_null(a, b).is_some_and(|path| path.root == roots::USER && path.steps.is_empty())
}

fn is_headers(container: &IdedExpr) -> bool {
    Path::of(container).is_some_and(|path| path.steps.len() == 1 && roots::is_headers(&path))
}

/// Every path that leads to this one, and it itself, is there.
pub(super) fn guarded(path: &Path, known: &Known, certain: impl Fn(&Path) -> bool) -> Result<(), Fault> {
    let missing = path
        .prefixes()
        .find(|prefix| !certain(prefix) && !known.has(prefix));
    missing.map_or(Ok(()), |prefix| Err(unguarded(&prefix)))
}

fn unguarded(path: &Path) -> Fault {
    let guard = match path.steps.last() {
        None => format!("{path} != null"),
        Some(Step::Name(_)) if path.names().is_some() && !path.to_string().contains('[') => {
            format!("has({path})")
        }
        Some(_) => "a test with `in`".to_owned(),
    };
    let advice = format!("put `{guard} && …` before it, or map the claim with a default");
    Fault::new(format!("{path} may be missing"), advice)
}
