//! The rules of a shape, as text with places: they are compiled later.

use super::gatekeeper::ttl;
use super::reading::{Reading, Section};
use super::source::{Span, Spanned};
use super::yaml::{Kind, Node};
use shapegate_core::value::Value;
use std::time::Duration;

/// Most rules of a shape.
pub const RULES_MAX: usize = 64;

/// One rule.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// Where it is written.
    pub span: Span,
    /// The CEL condition; none: always.
    pub when: Option<Spanned<String>>,
    /// What it gives.
    pub rows: RowsSetting,
    /// How long a token lives that is minted by it.
    pub ttl: Option<Spanned<Duration>>,
}

/// Which rows a rule gives.
#[derive(Clone, Debug)]
pub enum RowsSetting {
    /// All of them.
    All,
    /// None.
    None,
    /// Those that a filter holds for.
    Where {
        /// SQL with `$1` … `$n`.
        filter: Spanned<String>,
        /// The values of `$1` … `$n`.
        params: Vec<Spanned<ParamSetting>>,
    },
}

/// The value of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamSetting {
    /// A CEL expression.
    Expression(String),
    /// This value.
    Value(Value),
}

pub(super) fn rules(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<RuleSettings>> {
    let rules = reading.each(node, "rules", rule)?;
    if rules.is_empty() {
        let help =
            "write a rule: `- { when: …, rows: … }`; `- { rows: none }` gives everybody an empty shape";
        return reading.refuse(node.span, "`rules` is empty: nobody would ever get in", help);
    }
    if rules.len() > RULES_MAX {
        return reading.refuse(
            node.span,
            format!("more than {RULES_MAX} rules"),
            "put conditions together with `||`",
        );
    }
    for pair in rules.windows(2) {
        if let [RuleSettings { when: None, .. }, next] = pair {
            let message = "this rule is never reached: the one before it has no `when`, and so always holds";
            return reading.refuse(next.span, message, "remove it, or put it first");
        }
    }
    Some(rules)
}

const ROWS_HELP: &str =
    "write `rows: all`, `rows: none`, or `rows: { where: '\"org_id\" = $1', params: [user.org_id] }`";

fn rule(reading: &mut Reading<'_>, node: &Node) -> Option<RuleSettings> {
    let mut section = Section::open(reading, node, "rules")?;
    let when = section
        .get(reading, "when")
        .map(|entry| expression(reading, &entry.value, "when"));
    let rows = section
        .require(reading, "rows", ROWS_HELP)
        .and_then(|entry| rows(reading, &entry.value));
    let ttl = section.get(reading, "ttl").map(|entry| {
        let read = ttl(reading, &entry.value);
        read.map(|ttl| Spanned::new(ttl, entry.value.span))
    });
    section.finish(reading);
    Some(RuleSettings {
        span: node.span,
        when: when.map_or(Some(None), |when| when.map(Some))?,
        rows: rows?,
        ttl: ttl.map_or(Some(None), |read| read.map(Some))?,
    })
}

fn rows(reading: &mut Reading<'_>, node: &Node) -> Option<RowsSetting> {
    if matches!(node.kind, Kind::Scalar { .. }) || node.get("env").is_some() {
        let words = [("all", true), ("none", false)];
        return reading
            .choice(node, "rows", &words)
            .map(|all| if all { RowsSetting::All } else { RowsSetting::None });
    }
    let mut section = Section::open(reading, node, "rows")?;
    let filter = section
        .require(reading, "where", ROWS_HELP)
        .and_then(|entry| expression(reading, &entry.value, "where"));
    let params = section
        .get(reading, "params")
        .map(|entry| reading.each(&entry.value, "params", param));
    section.finish(reading);
    Some(RowsSetting::Where {
        filter: filter?,
        params: params.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

/// A CEL expression, or `{ value: … }`.
pub(super) fn param(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<ParamSetting>> {
    if matches!(node.kind, Kind::Map(_)) && node.get("env").is_none() {
        let mut section = Section::open(reading, node, "params")?;
        let value = section.require(reading, "value", "write an expression, or `{ value: published }`");
        section.finish(reading);
        let value = reading.scalar_value(&value?.value, "value")?;
        return Some(Spanned::new(ParamSetting::Value(value), node.span));
    }
    expression(reading, node, "params").map(|text| text.map(ParamSetting::Expression))
}

/// The text of an expression. A template is refused: values enter as parameters and in no other way.
fn expression(reading: &mut Reading<'_>, node: &Node, name: &str) -> Option<Spanned<String>> {
    let text = reading.text(node, name)?;
    if text.value.contains("{{") || text.value.contains("${") || text.value.contains("<%") {
        let help = "write `$1` in `where`, and the value's expression in `params: [user.org_id]`";
        return reading.refuse(
            text.span,
            format!("`{name}` has a template in it, which is not filled in"),
            help,
        );
    }
    Some(text)
}
