//! Tables and their columns, read from a small JSON form.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::datum::Kind;

/// A table's name with its schema, as Postgres has them in its catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Relation {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl Relation {
    pub(crate) fn new(schema: &str, name: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The beginning of every row's key: `"schema"."table"`, dots and slashes doubled.
    pub(crate) fn key_prefix(&self) -> String {
        let part = |text: &str| text.replace('/', "//").replace('.', "..");
        format!("\"{}\".\"{}\"", part(&self.schema), part(&self.name))
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| text.replace('"', "\"\"");
        write!(f, "\"{}\".\"{}\"", quoted(&self.schema), quoted(&self.name))
    }
}

/// A column and its type.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether it holds an array of the kind.
    pub(crate) array: bool,
    pub(crate) required: bool,
    /// Its place in the primary key.
    pub(crate) key_position: Option<usize>,
}

impl Column {
    /// What `electric-schema` says of the column.
    fn described(&self) -> Value {
        let mut description = json!({ "type": self.kind.name() });
        let Some(fields) = description.as_object_mut() else {
            return description;
        };
        if self.array {
            fields.insert("dims".to_owned(), json!(1));
        }
        if self.required {
            fields.insert("not_null".to_owned(), json!(true));
        }
        if let Some(position) = self.key_position {
            fields.insert("pk_index".to_owned(), json!(position));
        }
        if let Kind::Numeric(Some((precision, scale))) = self.kind {
            fields.insert("precision".to_owned(), json!(precision));
            fields.insert("scale".to_owned(), json!(scale));
        }
        description
    }
}

/// A table: its name, its columns in declaration order, and which of them are its key.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) relation: Relation,
    pub(crate) columns: Vec<Column>,
    /// Indexes of the key's columns, in key order.
    pub(crate) key: Vec<usize>,
}

impl Table {
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    pub(crate) fn name_of(&self, index: usize) -> &str {
        self.columns.get(index).map_or("", |column| &column.name)
    }

    /// The value of `electric-schema` for the columns given.
    pub(crate) fn described(&self, selected: &[usize]) -> String {
        let fields: Map<String, Value> = selected
            .iter()
            .filter_map(|index| self.columns.get(*index))
            .map(|column| (column.name.clone(), column.described()))
            .collect();
        Value::Object(fields).to_string()
    }
}

/// Tables with their first rows.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(crate) tables: Vec<(Arc<Table>, Vec<Value>)>,
}

impl Schema {
    /// Reads the JSON form: `{"tables":[{"table":"users","columns":[{"name":"id","type":"int4","key":true}],"rows":[{"id":1}]}]}`.
    ///
    /// `table` is spelled as Electric spells tables, types as Postgres' catalogue does
    /// (`int4`, `numeric(20,4)`, `text[]`); `required` means `NOT NULL`, which a key implies.
    ///
    /// # Errors
    /// A sentence saying what in the text is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let tables = written
            .tables
            .into_iter()
            .map(WrittenTable::check)
            .collect::<Result<_, _>>()?;
        Ok(Self { tables })
    }

    /// The demo's schema: two organisations, their projects and tasks.
    #[must_use]
    pub fn demo() -> Self {
        Self::built_in(include_str!("../schemas/demo.json"))
    }

    /// The database behind the recordings of a real Electric.
    #[must_use]
    pub fn recordings() -> Self {
        Self::built_in(include_str!("../schemas/recordings.json"))
    }

    #[expect(
        clippy::expect_used,
        reason = "the text is part of the program, a test reads it"
    )]
    fn built_in(text: &str) -> Self {
        Self::read(text).expect("a built-in schema is well-formed")
    }

    /// Adds the other schema's tables to this one's.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tables.extend(other.tables);
        self
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tables: Vec<WrittenTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTable {
    table: String,
    columns: Vec<WrittenColumn>,
    #[serde(default)]
    rows: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenColumn {
    name: String,
    r#type: String,
    #[serde(default)]
    key: bool,
    #[serde(default)]
    required: bool,
}

impl WrittenTable {
    fn check(self) -> Result<(Arc<Table>, Vec<Value>), String> {
        let mut key = Vec::new();
        let mut columns = Vec::new();
        for (index, written) in self.columns.into_iter().enumerate() {
            let key_position = written.key.then_some(key.len());
            if written.key {
                key.push(index);
            }
            columns.push(written.check(key_position)?);
        }
        if key.is_empty() {
            return Err(format!("table {} has no key column", self.table));
        }
        let relation = crate::identifier::relation(&self.table)?;
        Ok((
            Arc::new(Table {
                relation,
                columns,
                key,
            }),
            self.rows,
        ))
    }
}

impl WrittenColumn {
    fn check(self, key_position: Option<usize>) -> Result<Column, String> {
        let (kind, array) = match self.r#type.strip_suffix("[]") {
            Some(element) => (element, true),
            None => (self.r#type.as_str(), false),
        };
        let kind = Kind::named(kind).ok_or_else(|| format!("unknown type {}", self.r#type))?;
        Ok(Column {
            name: self.name,
            kind,
            array,
            required: self.required || key_position.is_some(),
            key_position,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Schema;

    #[test]
    fn the_built_in_schemas_are_well_formed() {
        assert!(!Schema::demo().and(Schema::recordings()).tables.is_empty());
    }

    #[test]
    fn a_schema_says_what_is_wrong_with_it() {
        let no_key = r#"{"tables":[{"table":"t","columns":[{"name":"a","type":"int4"}]}]}"#;
        assert_eq!(Schema::read(no_key).unwrap_err(), "table t has no key column");
        let unknown = r#"{"tables":[{"table":"t","columns":[{"name":"a","type":"int3","key":true}]}]}"#;
        assert_eq!(Schema::read(unknown).unwrap_err(), "unknown type int3");
    }
}
