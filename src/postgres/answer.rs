//! Columns as values, exactly or not at all.

use std::error::Error;
use std::sync::Arc;

use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;
use tokio_postgres::types::{FromSql, Kind, Type};

use super::{date, numeric};

/// Elements of one array.
const ELEMENTS_MAX: usize = shapegate_core::limits::CLAIMS_VALUES_MAX;
/// How deep domains and arrays are looked through.
const DEPTH_MAX: usize = 4;

/// One column of one row.
#[derive(Debug, PartialEq)]
pub(super) struct Cell(pub(super) Value);

type Fault = Box<dyn Error + Sync + Send>;

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        read(ty, raw, DEPTH_MAX).map(Self)
    }

    fn from_sql_null(_: &Type) -> Result<Self, Fault> {
        Ok(Self(Value::Null))
    }

    /// Everything, so that what is not taken is told as such.
    fn accepts(_: &Type) -> bool {
        true
    }
}

fn read(ty: &Type, raw: &[u8], depth: usize) -> Result<Value, Fault> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err("it is nested too deep".into());
    };
    match ty.kind() {
        Kind::Domain(base) => return read(base, raw, depth),
        Kind::Array(element) => return array(element, raw, depth),
        Kind::Enum(_) => return text(raw),
        _ => {}
    }
    scalar(ty, raw)
}

fn scalar(ty: &Type, raw: &[u8]) -> Result<Value, Fault> {
    Ok(match *ty {
        Type::BOOL => Value::Bool(bool::from_sql(ty, raw)?),
        Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
        Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
        Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
        Type::OID => Value::Int(u32::from_sql(ty, raw)?.into()),
        Type::FLOAT4 => float(f32::from_sql(ty, raw)?.into())?,
        Type::FLOAT8 => float(f64::from_sql(ty, raw)?)?,
        Type::NUMERIC => Value::String(numeric::text(raw).ok_or("it is no numeric")?.into()),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => text(raw)?,
        Type::UUID => Value::String(uuid(raw.try_into()?).into()),
        Type::DATE => moment(date::date(day(raw)?))?,
        Type::TIMESTAMP => moment(date::timestamp(micros(raw)?))?,
        Type::TIMESTAMPTZ => moment(date::timestamp_utc(micros(raw)?))?,
        Type::JSON => json(raw)?,
        // A version comes first.
        Type::JSONB => match raw.split_first() {
            Some((1, text)) => json(text)?,
            _ => return Err("it is no jsonb of a version that is known".into()),
        },
        _ if ty.name() == "citext" => text(raw)?,
        _ => return Err(format!("the type `{}` is not taken; cast it to text", ty.name()).into()),
    })
}

/// Days since 2000-01-01.
fn day(raw: &[u8]) -> Result<i32, Fault> {
    Ok(i32::from_be_bytes(raw.try_into()?))
}

/// Microseconds since 2000-01-01.
fn micros(raw: &[u8]) -> Result<i64, Fault> {
    Ok(i64::from_be_bytes(raw.try_into()?))
}

fn moment(text: Option<String>) -> Result<Value, Fault> {
    Ok(Value::String(
        text.ok_or("it is infinite, or before the year 1 or after 9999")?
            .into(),
    ))
}

fn text(raw: &[u8]) -> Result<Value, Fault> {
    Ok(Value::String(str::from_utf8(raw)?.into()))
}

fn float(number: f64) -> Result<Value, Fault> {
    match number.is_finite() {
        true => Ok(Value::Float(number)),
        false => Err("it is not a finite number".into()),
    }
}

fn json(raw: &[u8]) -> Result<Value, Fault> {
    Ok(json::parse(raw, JsonLimits::CLAIMS)?)
}

fn uuid(raw: [u8; 16]) -> String {
    let number = u128::from_be_bytes(raw);
    let digits = format!("{number:032x}");
    let mut text = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// A list, of one dimension; an empty array has none.
fn array(element: &Type, raw: &[u8], depth: usize) -> Result<Value, Fault> {
    let mut rest = Bytes(raw);
    let dimensions = rest.int()?;
    rest.skip(8)?;
    match dimensions {
        0 => return Ok(Value::List(Vec::new())),
        1 => {}
        _ => return Err("an array of several dimensions is not taken".into()),
    }
    let count = usize::try_from(rest.int()?)?;
    rest.skip(4)?;
    if count > ELEMENTS_MAX {
        return Err(format!("an array of more than {ELEMENTS_MAX} elements is not taken").into());
    }
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(match rest.int()? {
            -1 => Value::Null,
            length => read(element, rest.take(usize::try_from(length)?)?, depth)?,
        });
    }
    Ok(Value::List(elements))
}

/// What is left of a binary form.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("it is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, length: usize) -> Result<(), Fault> {
        self.take(length).map(drop)
    }

    fn int(&mut self) -> Result<i32, Fault> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }
}

/// Members of a row, by their columns' names.
pub(super) fn row(row: &tokio_postgres::Row) -> Result<Vec<(Arc<str>, Value)>, String> {
    let read = row.columns().iter().enumerate().map(|(place, column)| {
        let cell = row.try_get::<_, Cell>(place);
        let cell = cell.map_err(|error| {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            format!("the column `{}`: {cause}", column.name())
        })?;
        Ok((Arc::from(column.name()), cell.0))
    });
    read.collect()
}
