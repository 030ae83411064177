//! What a request for a token says: the definition that it wants signed, and values that rules read.
//!
//! The table is the path's. Whatever else a client sends (`exp`, `iss`, `sub`, another `table`) is not heard: a
//! token says what the rules permit and nothing that its holder wrote.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::code::{Code, Refusal};
use crate::definition::Replica;
use crate::identifier::{ColumnSet, Identifier, TableName};
use crate::json::{self, JsonLimits};
use crate::limits::{QUERY_BYTES_MAX, SUBSET_BODY_BYTES_MAX, SUBSET_BODY_DEPTH_MAX, SUBSET_BODY_VALUES_MAX};
use crate::request::definition::{AskedDefinition, brief, refuse};
use crate::request::parse::{duplicate, malformed};
use crate::request::{Asked, Declared, Live, Offset, Position, Scalar, Verb, query};
use crate::value::Value;

const BODY_LIMITS: JsonLimits = JsonLimits {
    bytes_max: SUBSET_BODY_BYTES_MAX,
    depth_max: SUBSET_BODY_DEPTH_MAX,
    values_max: SUBSET_BODY_VALUES_MAX,
};

/// The body of a request for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MintBody<'a> {
    /// None.
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form(&'a [u8]),
    /// `application/json`: an object.
    Json(&'a [u8]),
}

impl Asked {
    /// Reads what a request wants signed of `table`, from its query and its body alike; nothing may be said twice.
    /// `declared` are the names that rules may read.
    ///
    /// # Errors
    ///
    /// 400 with a sentence that names the parameter, 413 or 414 when a part is too long.
    pub fn to_sign(
        table: TableName,
        raw_query: &str,
        body: MintBody<'_>,
        declared: &Declared,
    ) -> Result<Self, Refusal> {
        let mut reading = Reading::new(declared);
        reading.take_pairs(raw_query)?;
        match body {
            MintBody::Empty => {}
            MintBody::Form(form) => reading.take_form(form)?,
            MintBody::Json(json) => reading.take_json(json)?,
        }
        let Reading {
            mut definition,
            query,
            ..
        } = reading;
        definition.table = Some(table);
        Ok(Self {
            verb: Verb::Post,
            position: Position {
                offset: Offset::Beginning,
                handle: None,
                live: Live::No,
                cursor: None,
                expired_handle: None,
                cache_buster: None,
            },
            log: None,
            definition,
            query,
            subset: None,
            dropped: 0,
        })
    }
}

/// What has been read so far.
struct Reading<'d> {
    declared: &'d Declared,
    seen: BTreeSet<String>,
    definition: AskedDefinition,
    query: Vec<(Arc<str>, Scalar)>,
}

impl<'d> Reading<'d> {
    fn new(declared: &'d Declared) -> Self {
        Self {
            declared,
            seen: BTreeSet::new(),
            definition: AskedDefinition::default(),
            query: Vec::new(),
        }
    }

    fn take_pairs(&mut self, raw: &str) -> Result<(), Refusal> {
        for pair in query::pairs(raw)? {
            let (name, value) = pair?;
            self.once(&name)?;
            self.take_text(&name, value)?;
        }
        Ok(())
    }

    fn take_form(&mut self, form: &[u8]) -> Result<(), Refusal> {
        if form.len() > QUERY_BYTES_MAX {
            let text = format!("A form has at most {QUERY_BYTES_MAX} bytes here.");
            return Err(Refusal::new(Code::BodyTooLarge, text));
        }
        let text = std::str::from_utf8(form).map_err(|_| body_refusal("The form is not ASCII."))?;
        self.take_pairs(text)
    }

    fn take_json(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let value = json::parse(body, BODY_LIMITS).map_err(|error| {
            body_refusal(format!(
                "The body is not the JSON that is taken: {}.",
                brief(&error)
            ))
        })?;
        let Value::Map(members) = value else {
            return Err(body_refusal("The body must be a JSON object."));
        };
        for (name, value) in &members {
            self.once(name)?;
            self.take_value(name, value)?;
        }
        Ok(())
    }

    /// Query and body together say everything once.
    fn once(&mut self, name: &str) -> Result<(), Refusal> {
        if self.seen.insert(name.to_owned()) {
            Ok(())
        } else {
            Err(duplicate(name))
        }
    }

    fn take_text(&mut self, name: &str, value: Cow<'_, str>) -> Result<(), Refusal> {
        match name {
            "where" => self.definition.take_where(&value),
            "columns" => self.definition.take_columns(&value),
            "replica" => self.take_replica(&value),
            "params" => Err(Refusal::new(
                Code::ParameterMalformed,
                "params must be spelled params[1], params[2] and so on.",
            )),
            _ if name.contains(['[', ']']) => self.definition.take_parameter(name, value),
            _ => self.take_declared(name, &value),
        }
    }

    fn take_value(&mut self, name: &str, value: &Value) -> Result<(), Refusal> {
        match (name, value) {
            ("where" | "columns" | "params" | "replica", Value::Null) => Ok(()),
            ("params", Value::Map(values)) => self.take_params(values.iter().map(|(n, value)| (&**n, value))),
            ("params", Value::List(values)) => {
                let names: Vec<String> = (1..=values.len()).map(|n| n.to_string()).collect();
                self.take_params(names.iter().map(String::as_str).zip(values))
            }
            ("columns", Value::List(names)) => self.take_column_list(names),
            ("where" | "columns" | "replica", Value::String(text)) => {
                self.take_text(name, Cow::Borrowed(text))
            }
            ("where" | "columns" | "params" | "replica", other) => Err(wrong_kind(name, other)),
            _ if name.contains(['[', ']']) => {
                let text = plain_text(value).ok_or_else(|| wrong_kind(name, value))?;
                self.definition.take_parameter(name, text)
            }
            _ if self.declared.find(name).is_some() => {
                let text = plain_text(value).ok_or_else(|| wrong_kind(name, value))?;
                self.take_declared(name, &text)
            }
            _ => Ok(()),
        }
    }

    fn take_params<'v>(&mut self, values: impl Iterator<Item = (&'v str, &'v Value)>) -> Result<(), Refusal> {
        for (number, value) in values {
            let name = format!("params[{number}]");
            let text = plain_text(value).ok_or_else(|| wrong_kind(&name, value))?;
            self.definition.take_parameter(&name, text)?;
        }
        Ok(())
    }

    fn take_column_list(&mut self, names: &[Value]) -> Result<(), Refusal> {
        let read = names.iter().map(|name| match name {
            Value::String(name) => Identifier::parse(name).map_err(|error| refuse("columns", &error)),
            other => Err(wrong_kind("a name in columns", other)),
        });
        let read: Vec<Identifier> = read.collect::<Result<_, _>>()?;
        self.definition.columns =
            Some(ColumnSet::from_iter(read).map_err(|error| refuse("columns", &error))?);
        Ok(())
    }

    fn take_replica(&mut self, value: &str) -> Result<(), Refusal> {
        if value.is_empty() {
            return Ok(());
        }
        let replica = Replica::named(value).ok_or_else(|| malformed("replica", "default or full"))?;
        self.definition.replica = Some(replica);
        Ok(())
    }

    fn take_declared(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        if let Some((_, shared, kind)) = self.declared.find(name) {
            let scalar = kind
                .read(value)
                .ok_or_else(|| malformed(name, kind.expectation()))?;
            self.query.push((Arc::clone(shared), scalar));
        }
        Ok(())
    }
}

/// A value as the text that a query would have; `None` for what has none, or several.
fn plain_text(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::String(text) => Cow::Borrowed(&**text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Int(number) => Cow::Owned(number.to_string()),
        Value::UInt(number) => Cow::Owned(number.to_string()),
        Value::Null | Value::Float(_) | Value::List(_) | Value::Map(_) => return None,
    })
}

fn wrong_kind(name: &str, found: &Value) -> Refusal {
    let name = query::shown(name);
    body_refusal(format!("{name} cannot be {}.", found.kind()))
}

fn body_refusal(text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::BodyMalformed, text)
}
