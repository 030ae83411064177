//! A subset: rows of a shape that are asked for once, filtered, ordered and limited by the client.
//!
//! Electric lets a body replace what the URL says, so a body is never passed on: it is read here, strictly,
//! and a new one is written from what was read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::clause::{Clause, Filter, ParameterText};
use crate::code::{Code, Refusal};
use crate::json::{self, JsonLimits};
use crate::limits::{
    CLAUSE_TEXT_BYTES_MAX, PARAMETERS_MAX, SUBSET_BODY_BYTES_MAX, SUBSET_BODY_DEPTH_MAX,
    SUBSET_BODY_VALUES_MAX, SUBSET_ROWS_MAX,
};
use crate::request::definition::{bounded, brief, parameter_number, parameter_texts, refuse};
use crate::request::order::{self, OrderTerm};
use crate::request::parse::malformed;
use crate::value::Value;

const BODY_LIMITS: JsonLimits = JsonLimits {
    bytes_max: SUBSET_BODY_BYTES_MAX,
    depth_max: SUBSET_BODY_DEPTH_MAX,
    values_max: SUBSET_BODY_VALUES_MAX,
};

/// What a subset asks for, read and bounded. Without any part it is the whole shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Subset {
    filter: Option<Filter>,
    limit: Option<u32>,
    offset: Option<u32>,
    order_by: Vec<OrderTerm>,
}

impl Subset {
    /// Reads the body of a `POST`: `{"subset": {…}}`, or the inner object alone.
    ///
    /// Only `where`, `params`, `limit`, `offset` and `order_by` are taken; `where_expr` and `order_by_expr`
    /// say the same once more and are dropped, as Electric does. A `null` counts as absent.
    ///
    /// # Errors
    ///
    /// 400 with a sentence that names the key.
    pub fn parse_body(body: &[u8]) -> Result<Self, Refusal> {
        let value = json::parse(body, BODY_LIMITS).map_err(|error| {
            body_refusal(format!(
                "The body is not the JSON that is taken: {}.",
                brief(&error)
            ))
        })?;
        let Value::Map(members) = value else {
            return Err(body_refusal("The body must be a JSON object."));
        };
        match members.get("subset") {
            Some(Value::Map(inner)) if members.len() == 1 => SubsetText::from_members(inner)?.read(),
            Some(Value::Map(_)) => {
                let other = members.keys().find(|key| &***key != "subset");
                Err(unknown_key(other.map_or("", |key| key)))
            }
            Some(_) => Err(body_refusal("subset must be an object.")),
            None if members.is_empty() => Err(body_refusal("The body describes no subset.")),
            None => SubsetText::from_members(&members)?.read(),
        }
    }

    /// The filter, its literals lifted into parameters.
    #[must_use]
    pub const fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// At most so many rows.
    #[must_use]
    pub const fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Without the first so many rows.
    #[must_use]
    pub const fn offset(&self) -> Option<u32> {
        self.offset
    }

    /// In which order.
    #[must_use]
    pub fn order_by(&self) -> &[OrderTerm] {
        &self.order_by
    }

    /// The body that asks Electric for this subset, in its one canonical form.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        let order_by: Vec<String> = self.order_by.iter().map(ToString::to_string).collect();
        let params = self
            .filter
            .iter()
            .flat_map(Filter::parameters)
            .map(ParameterText::as_str);
        let inner = Inner {
            filter: self.filter.as_ref().map(Filter::text),
            params: (1_u16..).zip(params).collect(),
            limit: self.limit,
            offset: self.offset,
            order_by: (!order_by.is_empty()).then(|| order_by.join(", ")),
        };
        // Strings and integers under string keys always serialize.
        serde_json::to_vec(&Outer { subset: inner }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Outer<'a> {
    subset: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<u16, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_by: Option<String>,
}

/// The parts of a subset as texts, whichever way they came.
#[derive(Debug, Default)]
pub(super) struct SubsetText {
    pub(super) where_text: Option<String>,
    /// A JSON object, as `subset__params` has it.
    pub(super) params: Option<String>,
    /// The same, read.
    values: BTreeMap<u16, String>,
    pub(super) limit: Option<String>,
    pub(super) offset: Option<String>,
    pub(super) order_by: Option<String>,
}

impl SubsetText {
    fn from_members(members: &BTreeMap<Arc<str>, Value>) -> Result<Self, Refusal> {
        let mut text = Self::default();
        for (key, value) in members {
            match (&**key, value) {
                ("where" | "params" | "limit" | "offset" | "order_by", Value::Null)
                | ("where_expr" | "order_by_expr", _) => {}
                ("where", Value::String(value)) => text.where_text = present(value),
                ("order_by", Value::String(value)) => text.order_by = present(value),
                ("params", Value::Map(values)) => text.values = read_values(values)?,
                ("limit", Value::Int(rows)) => text.limit = Some(rows.to_string()),
                ("offset", Value::Int(rows)) => text.offset = Some(rows.to_string()),
                ("where" | "order_by", other) => return Err(wrong_kind(key, "a string", other)),
                ("params", other) => return Err(wrong_kind(key, "an object", other)),
                ("limit" | "offset", other) => return Err(wrong_kind(key, "an integer", other)),
                (other, _) => return Err(unknown_key(other)),
            }
        }
        Ok(text)
    }

    pub(super) fn read(self) -> Result<Subset, Refusal> {
        let values = match &self.params {
            Some(params) => read_params_text(params)?,
            None => self.values,
        };
        let filter = read_filter(self.where_text.as_deref(), &values)?;
        let limit = self.limit.map(|text| read_rows("limit", &text, 1)).transpose()?;
        let offset = self
            .offset
            .map(|text| read_rows("offset", &text, 0))
            .transpose()?;
        let order_by = self
            .order_by
            .map(|text| order::parse("order_by", &text))
            .transpose()?
            .unwrap_or_default();
        if order_by.is_empty() && (limit.is_some() || offset.is_some()) {
            let text = "order_by is required when limit or offset is present.";
            return Err(Refusal::new(Code::ParameterMissing, text));
        }
        Ok(Subset {
            filter,
            limit,
            offset,
            order_by,
        })
    }
}

fn present(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.to_owned())
}

fn read_filter(text: Option<&str>, values: &BTreeMap<u16, String>) -> Result<Option<Filter>, Refusal> {
    let Some(text) = text else {
        return if values.is_empty() {
            Ok(None)
        } else {
            Err(malformed(
                "params of a subset",
                "those of its where, and there is none",
            ))
        };
    };
    bounded("where of the subset", text, CLAUSE_TEXT_BYTES_MAX)?;
    let clause = Clause::read_client(text).map_err(|error| refuse("where of the subset", &error))?;
    let values = parameter_texts(values)?;
    Filter::client(clause, values)
        .map(Some)
        .map_err(|error| refuse("where of the subset", &error))
}

fn read_params_text(text: &str) -> Result<BTreeMap<u16, String>, Refusal> {
    match json::parse(text.as_bytes(), BODY_LIMITS) {
        Ok(Value::Map(values)) => read_values(&values),
        Ok(other) => Err(wrong_kind("subset__params", "an object", &other)),
        Err(error) => Err(refuse("subset__params", &error)),
    }
}

fn read_values(values: &BTreeMap<Arc<str>, Value>) -> Result<BTreeMap<u16, String>, Refusal> {
    let mut read = BTreeMap::new();
    for (key, value) in values {
        let index = parameter_number(key).filter(|index| *index <= PARAMETERS_MAX);
        let index =
            index.ok_or_else(|| malformed("params", "an object with the keys \"1\", \"2\" and so on"))?;
        let text = match value {
            Value::String(text) => Cow::Borrowed(&**text),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Int(number) => Cow::Owned(number.to_string()),
            Value::UInt(number) => Cow::Owned(number.to_string()),
            Value::Float(number) => Cow::Owned(number.to_string()),
            other @ (Value::Null | Value::List(_) | Value::Map(_)) => {
                return Err(wrong_kind(
                    &format!("params[{index}]"),
                    "a string, a number or a boolean",
                    other,
                ));
            }
        };
        read.insert(index, text.into_owned());
    }
    Ok(read)
}

fn read_rows(name: &str, text: &str, rows_min: u32) -> Result<u32, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rows = if digits { text.parse().ok() } else { None };
    rows.filter(|rows| (rows_min..=SUBSET_ROWS_MAX).contains(rows))
        .ok_or_else(|| malformed(name, &format!("an integer from {rows_min} to {SUBSET_ROWS_MAX}")))
}

fn wrong_kind(name: &str, expected: &str, found: &Value) -> Refusal {
    malformed(name, &format!("{expected}, not {}", found.kind()))
}

fn unknown_key(key: &str) -> Refusal {
    body_refusal(format!(
        "{} is not a key of a subset: where, params, limit, offset and order_by are.",
        super::query::shown(key)
    ))
}

fn body_refusal(text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::BodyMalformed, text)
}
