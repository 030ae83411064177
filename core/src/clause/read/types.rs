//! Types, as Electric knows them: no length, no precision, no time zone where it has none.

use sqlparser::ast::{ArrayElemTypeDef, DataType, ExactNumberInfo, ObjectName, ObjectNamePart, TimezoneInfo};

use crate::clause::{ClauseProblem, Scalar, Type};

/// The type of a cast.
pub(super) fn of(data_type: &DataType) -> Result<Type, ClauseProblem> {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, None)) => Ok(Type {
            scalar: scalar(element)?,
            array: true,
        }),
        other => Ok(Type {
            scalar: scalar(other)?,
            array: false,
        }),
    }
}

fn scalar(data_type: &DataType) -> Result<Scalar, ClauseProblem> {
    Ok(match data_type {
        DataType::Bool | DataType::Boolean => Scalar::Bool,
        DataType::Int2(None) | DataType::SmallInt(None) => Scalar::Int2,
        DataType::Int4(None) | DataType::Int(None) | DataType::Integer(None) => Scalar::Int4,
        DataType::Int8(None) | DataType::BigInt(None) => Scalar::Int8,
        DataType::Float4 | DataType::Real => Scalar::Float4,
        DataType::Float8 | DataType::DoublePrecision | DataType::Float(ExactNumberInfo::None) => {
            Scalar::Float8
        }
        DataType::Numeric(ExactNumberInfo::None)
        | DataType::Decimal(ExactNumberInfo::None)
        | DataType::Dec(ExactNumberInfo::None) => Scalar::Numeric,
        DataType::Text => Scalar::Text,
        DataType::Varchar(None) | DataType::CharacterVarying(None) => Scalar::Varchar,
        DataType::Bytea => Scalar::Bytea,
        DataType::Uuid => Scalar::Uuid,
        DataType::Date => Scalar::Date,
        DataType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Scalar::Time,
        DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Scalar::Timestamp,
        DataType::Timestamp(None, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => Scalar::Timestamptz,
        DataType::Interval {
            fields: None,
            precision: None,
        } => Scalar::Interval,
        DataType::Custom(ObjectName(parts), modifiers) if modifiers.is_empty() => custom(parts)?,
        _ => return Err(ClauseProblem::Type),
    })
}

/// The types of which `sqlparser` has not heard.
fn custom(parts: &[ObjectNamePart]) -> Result<Scalar, ClauseProblem> {
    match parts {
        [ObjectNamePart::Identifier(name)]
            if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("name") =>
        {
            Ok(Scalar::Name)
        }
        _ => Err(ClauseProblem::Type),
    }
}
