//! What is to come of a request.

use super::super::request::object;
use crate::gateway::explain::Verdict;
use serde::Deserialize;
use serde_json::Value;
use shapegate_core::clause::Filter;
use shapegate_core::code::Code;
use shapegate_core::definition::{Columns, Rows};
use shapegate_core::identifier::{ColumnSet, Identifier};
use shapegate_core::permit::Allowed;
use shapegate_core::policy::returned_filter;
use shapegate_core::value::Value as Plain;

/// As it is written: `refused`, `rows` or `where`, and what else is to be so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    /// The code that it is refused with.
    refused: Option<String>,
    /// `all` or `none`.
    rows: Option<EveryRow>,
    /// The filter, as a rule would write it.
    #[serde(rename = "where")]
    filter: Option<String>,
    #[serde(default)]
    params: Vec<Value>,
    /// The columns; `[]` for all.
    columns: Option<Vec<String>>,
    /// The rule that decides: `rules[0]`.
    rule: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EveryRow {
    All,
    None,
}

/// The same, checked.
pub(super) enum Expected {
    Refused(Code),
    Allowed {
        rows: Rows,
        columns: Option<Columns>,
        rule: Option<String>,
    },
}

impl Expectation {
    /// Checks it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&self) -> Result<Expected, String> {
        let rows = match (&self.refused, self.rows, &self.filter) {
            (Some(code), None, None) if self.columns.is_none() && self.rule.is_none() => {
                return self.refusal(code);
            }
            (None, Some(EveryRow::All), None) => Rows::All,
            (None, Some(EveryRow::None), None) => Rows::None,
            (None, None, Some(text)) => Rows::Where(self.read_filter(text)?),
            _ => {
                let text = "`expect` has one of `refused: <code>`, `rows: all`, `rows: none` and `where`; beside the \
                            last three `columns` and `rule`";
                return Err(text.to_owned());
            }
        };
        if self.filter.is_none() && !self.params.is_empty() {
            return Err("`params` belong to a `where`".to_owned());
        }
        Ok(Expected::Allowed {
            rows,
            columns: self.columns.as_deref().map(columns).transpose()?,
            rule: self.rule.clone(),
        })
    }

    fn refusal(&self, code: &str) -> Result<Expected, String> {
        let known = Code::ALL.iter().find(|one| one.as_str() == code);
        let known =
            known.ok_or_else(|| format!("there is no code {code:?}; docs/errors.md has all of them"))?;
        Ok(Expected::Refused(*known))
    }

    fn read_filter(&self, text: &str) -> Result<Filter, String> {
        let members = serde_json::json!({ "params": self.params }).to_string();
        let params = match object("params", &members)?.remove("params") {
            Some(Plain::List(params)) => params,
            _ => Vec::new(),
        };
        returned_filter(text, &params)
    }
}

fn columns(names: &[String]) -> Result<Columns, String> {
    if names.is_empty() {
        return Ok(Columns::All);
    }
    let names = names.iter().map(|name| Identifier::parse(name));
    let names = names
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("columns: {error}"))?;
    let set = ColumnSet::from_iter(names).map_err(|error| format!("columns: {error}"))?;
    Ok(Columns::Only(set))
}

impl Expected {
    /// How what came differs from what was expected; none where it does not.
    pub(super) fn differs(&self, verdict: &Verdict) -> Option<String> {
        match (self, verdict) {
            (Self::Refused(code), Verdict::Refused(refusal)) if refusal.code == *code => None,
            (Self::Refused(Code::MustRefetch), Verdict::MustRefetch) => None,
            (Self::Refused(code), _) => Some(format!("expected to be refused with {code}")),
            (Self::Allowed { rows, columns, rule }, Verdict::Allowed(allowed)) => {
                allowed_differs(rows, columns.as_ref(), rule.as_deref(), allowed)
            }
            (Self::Allowed { .. }, _) => Some("expected to be allowed".to_owned()),
        }
    }
}

fn allowed_differs(
    rows: &Rows,
    columns: Option<&Columns>,
    rule: Option<&str>,
    allowed: &Allowed,
) -> Option<String> {
    let definition = allowed.definition();
    if !same_rows(rows, definition.rows()) {
        return Some(format!("expected {}", shown(rows)));
    }
    if columns.is_some_and(|columns| columns != definition.columns()) {
        return Some("expected other columns".to_owned());
    }
    let rule = rule.filter(|rule| **rule != **allowed.rule())?;
    Some(format!("expected {rule} to decide"))
}

fn same_rows(one: &Rows, other: &Rows) -> bool {
    match (one, other) {
        (Rows::Where(one), Rows::Where(other)) => one.same_rows_as(other),
        _ => one == other,
    }
}

fn shown(rows: &Rows) -> String {
    match rows {
        Rows::All => "all rows".to_owned(),
        Rows::None => "no rows".to_owned(),
        Rows::Where(filter) => {
            let values: Vec<&str> = filter.parameters().iter().map(|value| value.as_str()).collect();
            format!("rows where {} with {values:?}", filter.text())
        }
    }
}
