//! A strict JSON reader: no duplicate members, bounded depth and size, exact integers.
//!
//! Two readers that disagree about one document are how signed things get bent (the first `alg` for one, the
//! last for the other), so a repeated member is an error here, at every level and however it is escaped.
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits;
use crate::value::Value;

/// How much of a document is read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// The length of the text, in bytes.
    pub bytes_max: usize,
    /// How deep lists and objects may nest; `[1]` is one deep.
    pub depth_max: usize,
    /// How many values there may be in all, members and elements at every level included.
    pub values_max: usize,
}

impl JsonLimits {
    /// For the header and the claims of a token, and for answers about an identity.
    pub const CLAIMS: Self = Self {
        bytes_max: limits::CLAIMS_BYTES_MAX,
        depth_max: limits::CLAIMS_DEPTH_MAX,
        values_max: limits::CLAIMS_VALUES_MAX,
    };
}

/// Why a text is not taken for JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than [`JsonLimits::bytes_max`].
    #[error("longer than {bytes_max} bytes")]
    TooLong {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// Deeper than [`JsonLimits::depth_max`].
    #[error("nested more than {depth_max} deep")]
    TooDeep {
        /// The limit, in levels.
        depth_max: usize,
    },
    /// More values than [`JsonLimits::values_max`].
    #[error("more than {values_max} values")]
    TooManyValues {
        /// The limit, in values.
        values_max: usize,
    },
    /// An object has two members of one name.
    #[error("the member {name:?} is there twice")]
    DuplicateMember {
        /// The repeated name, unescaped.
        name: Arc<str>,
    },
    /// Not JSON, not UTF-8, a number beyond every range, or something after the document's end.
    #[error("not valid JSON at line {line}, column {column}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
    },
}

/// Reads a whole text as one JSON document.
pub fn parse(text: &[u8], limits: JsonLimits) -> Result<Value, JsonError> {
    if text.len() > limits.bytes_max {
        return Err(JsonError::TooLong {
            bytes_max: limits.bytes_max,
        });
    }
    let budget = Budget {
        limits,
        values: Cell::new(0),
        refusal: RefCell::new(None),
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let result = Node {
        budget: &budget,
        depth: 0,
    }
    .deserialize(&mut reader);
    result
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| budget.explain(&error))
}

/// What is left to spend, and the typed reason why reading stopped: serde's errors are text only.
struct Budget {
    limits: JsonLimits,
    values: Cell<usize>,
    refusal: RefCell<Option<JsonError>>,
}

impl Budget {
    fn refuse<E: Error>(&self, reason: JsonError) -> E {
        let error = E::custom(&reason);
        *self.refusal.borrow_mut() = Some(reason);
        error
    }

    fn spend_value<E: Error>(&self) -> Result<(), E> {
        let values_max = self.limits.values_max;
        self.values.set(self.values.get() + 1);
        if self.values.get() > values_max {
            return Err(self.refuse(JsonError::TooManyValues { values_max }));
        }
        Ok(())
    }

    fn explain(&self, error: &serde_json::Error) -> JsonError {
        let malformed = JsonError::Malformed {
            line: error.line(),
            column: error.column(),
        };
        self.refusal.take().unwrap_or(malformed)
    }
}

/// One value at its depth; both the seed and the visitor.
#[derive(Clone, Copy)]
struct Node<'a> {
    budget: &'a Budget,
    depth: usize,
}

impl Node<'_> {
    fn descend<E: Error>(self) -> Result<Self, E> {
        let depth_max = self.budget.limits.depth_max;
        if self.depth >= depth_max {
            return Err(self.budget.refuse(JsonError::TooDeep { depth_max }));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.spend_value()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.descend()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.descend()?;
        let mut map = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            match map.entry(Arc::from(name)) {
                Entry::Occupied(twice) => {
                    let name = Arc::clone(twice.key());
                    return Err(self.budget.refuse(JsonError::DuplicateMember { name }));
                }
                Entry::Vacant(free) => free.insert(members.next_value_seed(inner)?),
            };
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests;
