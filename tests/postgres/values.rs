use std::collections::BTreeMap;

use shapegate::postgres::QueryError;
use shapegate_core::value::Value;

use super::{pool, rows, text, value};
use crate::support::postgres::Server;

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| text(item)).collect())
}

#[tokio::test]
async fn columns_are_values_exactly() {
    let server = Server::start().await;
    server
        .execute(
            "create type mood as enum ('sad', 'ok'); create domain email as text check (value like '%@%')",
        )
        .await;
    let pool = pool(&server.url());
    let map = Value::Map(BTreeMap::from([(
        "a".into(),
        Value::List(vec![Value::Int(1), Value::Null]),
    )]));
    for (column, expected) in [
        ("null", Value::Null),
        ("true", Value::Bool(true)),
        ("(-32768)::int2", Value::Int(-32_768)),
        ("2147483647", Value::Int(2_147_483_647)),
        ("9223372036854775807::int8", Value::Int(i64::MAX)),
        ("(-9223372036854775808)::int8", Value::Int(i64::MIN)),
        ("4294967295::oid", Value::Int(4_294_967_295)),
        ("1.5::float8", Value::Float(1.5)),
        ("'x''y\\z'", text("x'y\\z")),
        ("'ab'::char(4)", text("ab  ")),
        ("'n'::name", text("n")),
        ("'ok'::mood", text("ok")),
        ("'a@b'::email", text("a@b")),
        (
            "'5F0C4D3A-0000-4000-8000-0123456789AB'::uuid",
            text("5f0c4d3a-0000-4000-8000-0123456789ab"),
        ),
        ("'2024-02-29'::date", text("2024-02-29")),
        (
            "'2026-11-23 09:05:00.25'::timestamp",
            text("2026-11-23T09:05:00.25"),
        ),
        (
            "'2026-11-23 09:05:00+02'::timestamptz",
            text("2026-11-23T07:05:00Z"),
        ),
        ("'{\"a\":[1,null]}'::json", map.clone()),
        ("'{\"a\":[1,null]}'::jsonb", map),
        ("array['a','b,\"']", list(&["a", "b,\""])),
        ("array[]::text[]", list(&[])),
        (
            "array[1,null]::int8[]",
            Value::List(vec![Value::Int(1), Value::Null]),
        ),
        ("array['ok']::mood[]", list(&["ok"])),
        ("array['a@b']::email[]", list(&["a@b"])),
    ] {
        assert_eq!(
            value(&pool, &format!("select {column} as c"), &[]).await,
            Ok(expected),
            "{column}"
        );
    }
}

#[tokio::test]
async fn numerics_have_every_digit_that_the_server_prints() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    for number in [
        "0",
        "-0.5",
        "1",
        "10000",
        "9999.9999",
        "0.0001",
        "0.00010",
        "123456789012345678901234567890.5",
        "-12345678",
        "100000000",
        "0.000000000000000000001",
        "1e30",
        "99990000.00000001",
    ] {
        let query = format!("select {number}::numeric as c");
        let printed = value(&pool, &format!("select ({number}::numeric)::text as c"), &[]).await;
        assert_eq!(value(&pool, &query, &[]).await, printed, "{number}");
    }
}

#[tokio::test]
async fn what_has_no_exact_value_is_refused_and_told_by_its_column() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    for column in [
        "'NaN'::float8",
        "'Infinity'::float4",
        "'NaN'::numeric",
        "'infinity'::timestamptz",
        "'infinity'::date",
        "'10.0.0.1'::inet",
        "'\\x00'::bytea",
        "interval '1 day'",
        "point(1,2)",
        "array[[1,2],[3,4]]",
        "'{\"a\":1,\"a\":2}'::json",
        "row(1,2)",
        "array(select generate_series(1,5000))",
    ] {
        let answer = value(&pool, &format!("select {column} as odd"), &[]).await;
        assert!(
            matches!(&answer, Err(QueryError::Answer(why)) if why.contains("`odd`")),
            "{column}: {answer:?}"
        );
    }
    assert_eq!(
        value(&pool, "select 1 as c", &[]).await,
        Ok(Value::Int(1)),
        "the pool stands"
    );
}

#[tokio::test]
async fn parameters_arrive_as_what_they_are() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    for (query, parameter, expected) in [
        (
            "select $1::text as c",
            text("it's \"x\" \\ $2 -- ;"),
            text("it's \"x\" \\ $2 -- ;"),
        ),
        ("select $1::int8 as c", Value::Int(i64::MIN), Value::Int(i64::MIN)),
        ("select $1::int4 as c", text("7"), Value::Int(7)),
        (
            "select $1::numeric as c",
            Value::UInt(u64::MAX),
            text("18446744073709551615"),
        ),
        ("select $1::bool as c", Value::Bool(false), Value::Bool(false)),
        ("select $1::text is null as c", Value::Null, Value::Bool(true)),
        (
            "select $1::uuid as c",
            text("5f0c4d3a-0000-4000-8000-0123456789ab"),
            text("5f0c4d3a-0000-4000-8000-0123456789ab"),
        ),
        (
            "select $1::text[] as c",
            list(&["a,b", "NULL", "", "\"", "{}"]),
            list(&["a,b", "NULL", "", "\"", "{}"]),
        ),
        (
            "select 2 = any($1::int[]) as c",
            Value::List(vec![Value::Int(1), Value::Int(2)]),
            Value::Bool(true),
        ),
        (
            "select $1::timestamptz as c",
            text("2026-11-23T07:05:00Z"),
            text("2026-11-23T07:05:00Z"),
        ),
    ] {
        assert_eq!(
            value(&pool, query, std::slice::from_ref(&parameter)).await,
            Ok(expected),
            "{query} {parameter:?}"
        );
    }
}

#[tokio::test]
async fn a_parameter_of_another_type_is_told_without_its_value() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    for (query, parameter) in [
        ("select $1::uuid as c", text("canary' or '1'='1")),
        ("select $1::int4 as c", text("canary")),
        ("select $1::int2 as c", Value::Int(70_000)),
        ("select $1::text as c", text("canary\0")),
        ("select $1::text as c", Value::Float(0.1)),
        ("select $1::text as c", Value::Map(BTreeMap::new())),
        ("select $1::text[] as c", Value::List(vec![Value::Null])),
    ] {
        let answer = value(&pool, query, &[parameter]).await.unwrap_err();
        assert!(matches!(answer, QueryError::Parameter(_)), "{query}: {answer:?}");
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }
    assert_eq!(pool.connections(), 1, "a refused value costs no connection");
}

#[tokio::test]
async fn the_number_of_parameters_and_the_names_of_columns_must_fit() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    let few = rows(&pool, "select $1::text, $2::text", &[text("a")]).await;
    assert!(matches!(few, Err(QueryError::Query(_))), "{few:?}");
    let twice = rows(&pool, "select 1 as a, 2 as a", &[]).await;
    assert!(matches!(twice, Err(QueryError::Answer(_))), "{twice:?}");
}
