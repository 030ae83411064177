//! From what an expression gave to what a filter takes: exact, or not at all.
use std::borrow::Cow;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelNull, CelString, CelUInt};
use cel::common::value::Val;

use crate::clause::{ParameterError, ParameterText};

/// Why a value cannot be a parameter. Every one of them denies. Values are left out: this is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParameterFault {
    #[error("is null")]
    Null,
    #[error("is an empty string")]
    Empty,
    #[error("is a number with a fraction")]
    Float,
    #[error("is an object")]
    Object,
    #[error("is a list in a list")]
    Nested,
    #[error("is neither a string, an integer, a boolean nor a list of them")]
    Other,
    #[error(transparent)]
    Text(#[from] ParameterError),
}

/// Strings as they are, integers and booleans in their one spelling, lists as a Postgres array literal.
///
/// An empty string is refused, in lists too: it is what a missing value becomes on its way through other
/// systems, and two missing values must never be found equal.
pub(super) fn encode(value: &dyn Val) -> Result<ParameterText, ParameterFault> {
    match value.downcast_ref::<CelList>() {
        Some(list) => {
            let items = list.inner().iter().map(|item| scalar(item.as_ref()));
            let items = items.collect::<Result<Vec<_>, _>>()?;
            Ok(ParameterText::array(items.iter().map(AsRef::as_ref))?)
        }
        None => Ok(ParameterText::new(&scalar(value)?)?),
    }
}

fn scalar(value: &dyn Val) -> Result<Cow<'_, str>, ParameterFault> {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return if text.inner().is_empty() {
            Err(ParameterFault::Empty)
        } else {
            Ok(text.inner().into())
        };
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Ok(number.inner().to_string().into());
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Ok(number.inner().to_string().into());
    }
    if let Some(truth) = value.downcast_ref::<CelBool>() {
        return Ok(if *truth.inner() { "true" } else { "false" }.into());
    }
    Err(fault(value))
}

fn fault(value: &dyn Val) -> ParameterFault {
    if value.downcast_ref::<CelNull>().is_some() {
        ParameterFault::Null
    } else if value.downcast_ref::<CelDouble>().is_some() {
        ParameterFault::Float
    } else if value.downcast_ref::<CelMap>().is_some() {
        ParameterFault::Object
    } else if value.downcast_ref::<CelList>().is_some() {
        ParameterFault::Nested
    } else {
        ParameterFault::Other
    }
}
