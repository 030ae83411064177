//! Values as parameters of a query.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use shapegate_core::clause::ParameterText;
use shapegate_core::value::Value;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

use super::error::QueryError;

/// A parameter as text, which the server reads by the parameter's type as it reads a literal's. The value is
/// never part of the query.
#[derive(Debug)]
pub(super) struct Parameter(Option<String>);

impl Parameter {
    /// # Errors
    /// For what no parameter can be: floats, whose text is not exact, and NUL.
    pub(super) fn of(value: &Value) -> Result<Self, QueryError> {
        let text = text(value)?;
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(refused("text with NUL in it"));
        }
        Ok(Self(text))
    }
}

fn refused(what: &str) -> QueryError {
    QueryError::Parameter(format!("{what} cannot be a parameter"))
}

fn text(value: &Value) -> Result<Option<String>, QueryError> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::String(text) => text.to_string(),
        Value::List(elements) => array(elements)?,
        Value::Float(_) => return Err(refused("a number with a fraction")),
        Value::Map(_) => return Err(refused("an object")),
    }))
}

/// A Postgres array of scalars, each quoted.
fn array(elements: &[Value]) -> Result<String, QueryError> {
    let texts = elements.iter().map(|element| match element {
        Value::Null | Value::List(_) => Err(refused("a list of anything but strings, integers and booleans")),
        scalar => text(scalar)?.ok_or_else(|| refused("null in a list")),
    });
    let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    let array = ParameterText::array(texts.iter().map(String::as_str));
    let array = array.map_err(|error| QueryError::Parameter(error.to_string()))?;
    Ok(array.as_str().to_owned())
}

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = &self.0 else {
            return Ok(IsNull::Yes);
        };
        out.put_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
