use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Filter;
use crate::params::Errors;
use crate::schema::{Schema, Table};
use crate::table::{Row, Rows};

/// A table with a column of each interesting type, and one row.
fn sample() -> (Arc<Table>, Row) {
    let schema = Schema::read(
        r#"{"tables":[{"table":"t","columns":[
            {"name":"id","type":"int4","key":true},{"name":"big","type":"int8"},
            {"name":"name","type":"text"},{"name":"flag","type":"bool"},
            {"name":"nothing","type":"text"},{"name":"Mixed Case","type":"text"},
            {"name":"ratio","type":"float8"},{"name":"key","type":"uuid"},
            {"name":"at","type":"timestamptz"},{"name":"tags","type":"text[]"}],
          "rows":[{"id":7,"big":9007199254740993,"name":"Ann","flag":true,"nothing":null,
            "Mixed Case":"x","ratio":0.5,"key":"00000000-0000-4000-8000-00000000000a",
            "at":"2026-01-02 03:04:05+00","tags":"{p,\"q r\"}"}]}]}"#,
    )
    .unwrap();
    let (table, first) = schema.tables.into_iter().next().unwrap();
    let mut rows = Rows::new(Arc::clone(&table));
    rows.insert(&first[0]).unwrap();
    let row = rows.iter().next().unwrap().clone();
    (table, row)
}

fn compiled(text: &str, params: &[&str]) -> Result<(Filter, Row), Errors> {
    let (table, row) = sample();
    let numbered = params
        .iter()
        .zip(1..)
        .map(|(value, n)| (n.to_string(), (*value).to_owned()));
    let params: BTreeMap<String, String> = numbered.collect();
    let visible: Vec<usize> = (0..table.columns.len()).collect();
    Ok((Filter::compile(text, &params, &table, &visible)?, row))
}

fn holds(text: &str, params: &[&str]) -> bool {
    let (filter, row) = compiled(text, params).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    filter.holds(&row)
}

fn refusal(text: &str, params: &[&str]) -> Value {
    Value::Object(compiled(text, params).err().unwrap().fields)
}

#[test]
fn conditions_that_hold() {
    for text in [
        "id = 7",
        "id <> 8",
        "id < 8 AND id > 6",
        "id >= 7",
        "id BETWEEN 5 AND 7",
        "id IN (1, 7)",
        "id NOT IN (1, 2)",
        "id = 7 OR nothing = 'x'",
        "NOT (id = 8)",
        "flag",
        "flag = true",
        "flag IS TRUE",
        "nothing IS NULL",
        "name IS NOT NULL",
        "nothing IS DISTINCT FROM 'x'",
        "(nothing = 'x') IS UNKNOWN",
        "name LIKE 'A%'",
        "name LIKE '_nn'",
        "name ILIKE 'ann'",
        "name NOT LIKE 'B%'",
        "\"Mixed Case\" = 'x'",
        "lower(name) = 'ann'",
        "big > 5",
        "ratio = 0.5",
        "ratio < 1",
        "id::text = '7'",
        "true",
        "key = '00000000-0000-4000-8000-00000000000A'",
        "at > '2026-01-01'",
        "'p' = ANY (tags)",
        "id = ANY (ARRAY[1, 7])",
        "coalesce(nothing, 'y') = 'y'",
        "id + 1 = 8",
    ] {
        assert!(holds(text, &[]), "{text}");
    }
}

#[test]
fn conditions_that_are_false_or_unknown_do_not_hold() {
    for text in [
        "id = 8",
        "nothing = 'x'",
        "nothing <> 'x'",
        "NOT (nothing = 'x')",
        "nothing = 'x' AND id = 7",
        "nothing NOT IN ('x')",
        "id BETWEEN 8 AND 9",
        "flag IS FALSE",
        "false",
        "name LIKE 'nn'",
        "'z' = ANY (tags)",
        "id <> ALL (ARRAY[1, 7])",
    ] {
        assert!(!holds(text, &[]), "{text}");
    }
}

#[test]
fn parameters_are_read_as_the_type_they_meet() {
    for (text, params) in [
        ("id = $1", &["7"][..]),
        ("big = $1", &["9007199254740993"]),
        ("id = ANY ($1)", &["{1,7}"]),
        ("name = ANY ($1)", &["{\"a\\\"b,c\",\"Ann\"}"]),
        ("key = ANY ($1)", &["{00000000-0000-4000-8000-00000000000A}"]),
        ("name = $1 AND id = $2", &["Ann", "7"]),
        ("$1 = name", &["Ann"]),
        ("id = $1::int4", &["7"]),
        ("flag = $1", &["t"]),
    ] {
        assert!(holds(text, params), "{text}");
    }
    assert!(!holds("id = ANY ($1)", &["{}"]));
    assert!(!holds("name = ANY ($1)", &["{ann,NULL}"]));
}

#[test]
fn what_does_not_fit_is_told_in_electrics_words() {
    assert_eq!(
        refusal("nope = 1", &[]),
        json!({"where": ["At location 0: unknown reference nope"]})
    );
    assert_eq!(
        refusal("id = $1", &[]),
        json!({"where": ["At location 5: parameter $1 was not provided"]})
    );
    assert_eq!(
        refusal("id =", &[]),
        json!({"where": ["At location 19: syntax error at end of input"]})
    );
    assert_eq!(
        refusal("id = $1", &["x"]),
        json!({"where": ["invalid syntax for type int4: x"]})
    );
    assert_eq!(
        refusal("id", &[]),
        json!({"where": ["WHERE clause must return a boolean"]})
    );
    assert!(compiled("id = 'x'", &[]).is_err());
    assert!(compiled("id = name", &[]).is_err());
}

#[test]
fn an_inline_number_beyond_int4_crashes_electric() {
    assert!(compiled("big = 9007199254740993", &[]).err().unwrap().crash);
}

#[test]
fn parameters_are_numbered_without_holes_and_may_be_left_unused() {
    let (table, _) = sample();
    let compile = |names: &[&str]| {
        let params = names
            .iter()
            .map(|name| ((*name).to_owned(), "1".to_owned()))
            .collect();
        Filter::compile("id = 7", &params, &table, &[0])
    };
    assert!(compile(&["1", "2"]).is_ok());
    assert!(compile(&["2"]).is_err());
    assert!(compile(&["a"]).is_err());
}
