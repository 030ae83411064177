//! What a request says about the shape's definition: compared with what the server permits, never forwarded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::clause::{Clause, Filter, ParameterText};
use crate::code::{Code, Refusal};
use crate::definition::{Columns, Replica, Rows, ShapeDefinition};
use crate::identifier::{ColumnSet, TableName};
use crate::limits::{
    CLAUSE_TEXT_BYTES_MAX, COLUMNS_TEXT_BYTES_MAX, PARAMETER_BYTES_MAX, PARAMETERS_MAX, TABLE_TEXT_BYTES_MAX,
};
use crate::request::parse::{duplicate, is_blank, malformed};
use crate::request::query::shown;

/// Characters of a parser's error that a refusal repeats.
const ERROR_CHARACTERS_SHOWN: usize = 300;

/// A parameter that belongs to a shape's definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParameterName {
    /// `table`.
    Table,
    /// `where`.
    Where,
    /// `params[n]`.
    Params(u16),
    /// `columns`.
    Columns,
    /// `replica`.
    Replica,
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("table"),
            Self::Where => f.write_str("where"),
            Self::Params(index) => write!(f, "params[{index}]"),
            Self::Columns => f.write_str("columns"),
            Self::Replica => f.write_str("replica"),
        }
    }
}

/// The definition parameters of a request. A blank value counts as absent, as for Electric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AskedDefinition {
    /// The table.
    pub table: Option<TableName>,
    /// The filter's text, as it came: bounded, and not yet read.
    pub where_text: Option<String>,
    /// The filter's values by number.
    pub params: BTreeMap<u16, String>,
    /// The columns.
    pub columns: Option<ColumnSet>,
    /// The replica mode.
    pub replica: Option<Replica>,
}

impl AskedDefinition {
    /// Whether the request says nothing about the definition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            table,
            where_text,
            params,
            columns,
            replica,
        } = self;
        table.is_none() && where_text.is_none() && params.is_empty() && columns.is_none() && replica.is_none()
    }

    /// The filter that the client asks for, read, with its literals lifted: `None` when it asks for none.
    ///
    /// # Errors
    ///
    /// 400 when the text is not a filter that a client may write, or does not fit its values.
    pub fn filter(&self) -> Result<Option<Filter>, Refusal> {
        let Some(text) = &self.where_text else {
            return match self.params.keys().next() {
                Some(index) => Err(unused(ParameterName::Params(*index))),
                None => Ok(None),
            };
        };
        let clause = Clause::read_client(text).map_err(|error| refuse("where", &error))?;
        let params = parameter_texts(&self.params)?;
        Filter::client(clause, params)
            .map(Some)
            .map_err(|error| refuse("where", &error))
    }

    /// The first parameter that asks for something else than `permitted`, in canonical comparison: spelling
    /// of names, order of columns, quoting and layout of the filter do not count.
    #[must_use]
    pub fn differs_from(&self, permitted: &ShapeDefinition) -> Option<ParameterName> {
        if self
            .table
            .as_ref()
            .is_some_and(|table| table != permitted.table())
        {
            return Some(ParameterName::Table);
        }
        if let Some(name) = self.rows_differ(permitted.rows()) {
            return Some(name);
        }
        let columns_differ = |asked: &ColumnSet| match permitted.columns() {
            Columns::All => true,
            Columns::Only(columns) => asked != columns,
        };
        if self.columns.as_ref().is_some_and(columns_differ) {
            return Some(ParameterName::Columns);
        }
        let replica = self.replica.is_some_and(|replica| replica != permitted.replica());
        replica.then_some(ParameterName::Replica)
    }

    fn rows_differ(&self, permitted: &Rows) -> Option<ParameterName> {
        let Some(text) = &self.where_text else {
            return self.values_differ(permitted);
        };
        // Subqueries are read here: an equal text is not forwarded, the server's own is.
        let same = match (Clause::read_policy(text), permitted) {
            (Ok(clause), Rows::Where(filter)) => parameter_texts(&self.params)
                .ok()
                .and_then(|params| Filter::new(clause, params).ok())
                .is_some_and(|asked| asked.same_rows_as(filter)),
            (Ok(clause), Rows::None) => self.params.is_empty() && is_false(&clause),
            (_, _) => false,
        };
        (!same).then_some(ParameterName::Where)
    }

    /// Values without a filter of their own speak of the server's filter.
    fn values_differ(&self, permitted: &Rows) -> Option<ParameterName> {
        let values = match permitted {
            Rows::Where(filter) => filter.parameters(),
            Rows::All | Rows::None => &[],
        };
        let same = |index: u16, asked: &str| {
            let value = usize::from(index).checked_sub(1).and_then(|at| values.get(at));
            value.is_some_and(|value| value.as_str() == asked)
        };
        let other = self.params.iter().find(|(index, asked)| !same(**index, asked));
        other.map(|(index, _)| ParameterName::Params(*index))
    }

    pub(super) fn take_table(&mut self, value: &str) -> Result<(), Refusal> {
        if is_blank(value) {
            return Ok(());
        }
        bounded("table", value, TABLE_TEXT_BYTES_MAX)?;
        self.table = Some(TableName::parse(value).map_err(|error| refuse("table", &error))?);
        Ok(())
    }

    pub(super) fn take_where(&mut self, value: &str) -> Result<(), Refusal> {
        if is_blank(value) {
            return Ok(());
        }
        bounded("where", value, CLAUSE_TEXT_BYTES_MAX)?;
        self.where_text = Some(value.to_owned());
        Ok(())
    }

    pub(super) fn take_columns(&mut self, value: &str) -> Result<(), Refusal> {
        if is_blank(value) {
            return Ok(());
        }
        bounded("columns", value, COLUMNS_TEXT_BYTES_MAX)?;
        self.columns = Some(ColumnSet::parse(value).map_err(|error| refuse("columns", &error))?);
        Ok(())
    }

    /// Takes a name with brackets: `params[n]`, spelled canonically, and no other.
    pub(super) fn take_parameter(&mut self, name: &str, value: Cow<'_, str>) -> Result<(), Refusal> {
        let Some(index) = parameter_index(name) else {
            let text = format!(
                "{} is not a spelling that is taken: only params[n] has brackets.",
                shown(name)
            );
            return Err(Refusal::new(Code::ParameterMalformed, text));
        };
        if index > PARAMETERS_MAX {
            return Err(malformed("n in params[n]", &format!("at most {PARAMETERS_MAX}")));
        }
        bounded(name, &value, PARAMETER_BYTES_MAX)?;
        match self.params.insert(index, value.into_owned()) {
            Some(_) => Err(duplicate(name)),
            None => Ok(()),
        }
    }
}

/// The `n` of `params[n]`: digits without a leading zero.
fn parameter_index(name: &str) -> Option<u16> {
    parameter_number(name.strip_prefix("params[")?.strip_suffix(']')?)
}

/// A parameter's number: digits without a sign or a leading zero. Too large a number is the largest.
pub(crate) fn parameter_number(digits: &str) -> Option<u16> {
    let lawful = !digits.starts_with('0') && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    lawful.then(|| digits.parse().unwrap_or(u16::MAX))
}

/// The values of `$1..$n` in order; refused when one is missing.
pub(super) fn parameter_texts(params: &BTreeMap<u16, String>) -> Result<Vec<ParameterText>, Refusal> {
    let mut texts = Vec::with_capacity(params.len());
    for (expected, (index, value)) in (1_u16..).zip(params) {
        if *index != expected {
            let text =
                format!("params[{expected}] is missing: parameters are numbered from 1 without holes.");
            return Err(Refusal::new(Code::ParameterMissing, text));
        }
        let name = ParameterName::Params(*index).to_string();
        texts.push(ParameterText::new(value).map_err(|error| refuse(&name, &error))?);
    }
    Ok(texts)
}

fn is_false(clause: &Clause) -> bool {
    Clause::read_policy("false").is_ok_and(|literal| literal == *clause)
}

pub(super) fn bounded(name: &str, value: &str, bytes_max: usize) -> Result<(), Refusal> {
    if value.len() > bytes_max {
        Err(malformed(name, &format!("at most {bytes_max} bytes long")))
    } else {
        Ok(())
    }
}

/// A refusal of a value by a parser: its own words say what is wrong.
pub(super) fn refuse(name: &str, error: &dyn std::error::Error) -> Refusal {
    let text = format!("{} cannot be read: {}.", shown(name), brief(error));
    Refusal::new(Code::ParameterMalformed, text)
}

/// An error's words, cut: some repeat what the client sent.
pub(super) fn brief(error: &dyn std::error::Error) -> String {
    let words = error.to_string();
    match words.char_indices().nth(ERROR_CHARACTERS_SHOWN) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

fn unused(name: ParameterName) -> Refusal {
    Refusal::new(Code::ParameterMalformed, format!("{name} belongs to no where."))
}
