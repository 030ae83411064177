//! Names of columns, tables and functions.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use crate::clause::{ClauseProblem, Function};
use crate::identifier::{Identifier, TableName};

/// The words that name no column in Postgres unless they are in quotes: some are other things there (`user`),
/// some are syntax errors. Its reserved words, those reserved except for functions and types, and the ones
/// that later versions than ours may reserve. Sorted.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

/// A column's name.
pub(super) fn column(ident: &Ident) -> Result<Identifier, ClauseProblem> {
    if ident.quote_style.is_some() {
        return Ok(Identifier::exact(&ident.value)?);
    }
    let name = Identifier::parse(&ident.value)?;
    if RESERVED.binary_search(&name.as_str()).is_ok() {
        return Err(ClauseProblem::Reserved(name.as_str().to_owned()));
    }
    Ok(name)
}

/// A table's name, with or without its schema.
pub(super) fn table(name: &ObjectName) -> Result<TableName, ClauseProblem> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Ok(TableName::in_default_schema(column(name)?)),
        [
            ObjectNamePart::Identifier(schema),
            ObjectNamePart::Identifier(name),
        ] => Ok(TableName::new(column(schema)?, column(name)?)),
        _ => Err(ClauseProblem::Unsupported(
            "a table with more than a schema and a name",
        )),
    }
}

/// A function that takes this many arguments.
pub(super) fn function(name: &ObjectName, arguments: usize) -> Result<Function, ClauseProblem> {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
        return Err(ClauseProblem::Unsupported("a function in a schema"));
    };
    let name = Identifier::parse(&ident.value)
        .map(|name| name.as_str().to_owned())
        .unwrap_or_default();
    let (function, fits) = match name.as_str() {
        "lower" => (Function::Lower, arguments == 1),
        "upper" => (Function::Upper, arguments == 1),
        "concat" => (Function::Concat, arguments >= 1),
        "coalesce" => (Function::Coalesce, arguments >= 1),
        "greatest" => (Function::Greatest, arguments >= 1),
        "least" => (Function::Least, arguments >= 1),
        "timezone" => (Function::Timezone, arguments == 2),
        "justify_days" => (Function::JustifyDays, arguments == 1),
        "justify_hours" => (Function::JustifyHours, arguments == 1),
        "justify_interval" => (Function::JustifyInterval, arguments == 1),
        "array_cat" => (Function::ArrayCat, arguments == 2),
        "array_prepend" => (Function::ArrayPrepend, arguments == 2),
        "array_append" => (Function::ArrayAppend, arguments == 2),
        "array_ndims" => (Function::ArrayNdims, arguments == 1),
        _ => return Err(ClauseProblem::Function(name)),
    };
    match fits && ident.quote_style.is_none() {
        true => Ok(function),
        false => Err(ClauseProblem::Function(name)),
    }
}
