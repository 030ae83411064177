use proptest::prelude::*;
use shapegate_core::clause::{Clause, Filter, ParameterText};
use shapegate_core::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use shapegate_core::identifier::{ColumnSet, Identifier, TableName};
use shapegate_core::shape_claims::{ShapeClaimError, SignedShape};

use crate::support::{read, signed, written};

const PUBLISHED: &str = r#"{"namespace":null,"table":"items","where":null,"columns":null}"#;

#[test]
fn the_published_form_is_all_of_a_table_in_public() {
    let shape = signed(PUBLISHED);
    assert_eq!(shape.table(), &TableName::parse("public.items").unwrap());
    assert_eq!(
        (shape.rows(), shape.columns(), shape.replica()),
        (&Rows::All, &Columns::All, None)
    );
    assert_eq!(shape, signed(r#"{"table":"items"}"#));
}

#[test]
fn the_claim_is_written_in_one_form_with_every_member() {
    let definition = ShapeDefinition::new(
        TableName::parse("app.\"Items\"").unwrap(),
        Rows::Where(
            Filter::new(
                Clause::read_policy("Org_Id=$1").unwrap(),
                vec![ParameterText::new("a\"b").unwrap()],
            )
            .unwrap(),
        ),
        Columns::Only(ColumnSet::parse("title,id,\"Due\"").unwrap()),
        Replica::Full,
        Log::ChangesOnly,
    );
    let shape = SignedShape::of(&definition);
    let text = written(&shape);
    assert_eq!(
        text,
        r#"{"namespace":"app","table":"\"Items\"","where":"(\"org_id\" = $1)","columns":"\"Due\",id,title","params":{"1":"a\"b"},"replica":"full"}"#
    );
    assert_eq!(signed(&text), shape);
    assert_eq!(
        (shape.table_text(), shape.columns_text().unwrap()),
        ("app.\"Items\"".into(), "\"Due\",id,title".into())
    );
}

#[test]
fn no_rows_are_where_false_and_all_is_null() {
    let table = TableName::parse("items").unwrap();
    let of = |rows| {
        SignedShape::of(&ShapeDefinition::new(
            table.clone(),
            rows,
            Columns::All,
            Replica::Default,
            Log::Full,
        ))
    };
    let none = written(&of(Rows::None));
    assert!(none.contains(r#""where":"false""#), "{none}");
    assert_eq!(signed(&none).rows(), &Rows::None);
    assert_eq!(
        written(&of(Rows::All)),
        r#"{"namespace":null,"table":"items","where":null,"columns":null,"params":null,"replica":"default"}"#
    );
}

#[test]
fn columns_may_be_a_list_as_the_published_api_signs_them() {
    let text = signed(r#"{"table":"items","columns":"title,id"}"#);
    assert_eq!(text, signed(r#"{"table":"items","columns":["id","title","id"]}"#));
}

#[test]
fn what_is_no_claim_signs_nothing() {
    assert_eq!(SignedShape::read(None), Err(ShapeClaimError::Missing));
    let refused = |text: &str| read(text).expect_err(text);
    for text in ["null", "[]", "\"items\"", "1", "true", r#"[{"table":"items"}]"#] {
        assert!(matches!(refused(text), ShapeClaimError::NotAnObject(_)), "{text}");
    }
    for text in ["{}", r#"{"table":null}"#, r#"{"where":"true"}"#] {
        assert_eq!(refused(text), ShapeClaimError::TableMissing, "{text}");
    }
    for member in ["namespace", "table", "where", "replica"] {
        for value in ["1", "true", "[]", "{}", "[\"items\"]"] {
            let text = format!(r#"{{"table":"items","{member}":{value}}}"#)
                .replace(r#""table":"items","table""#, r#""table""#);
            assert!(matches!(refused(&text), ShapeClaimError::WrongType(..)), "{text}");
        }
    }
    for text in [
        r#"{"table":"items","limit":1}"#,
        r#"{"table":"items","Where":null}"#,
        r#"{"table":"items","log":"full"}"#,
        r#"{"table":"items","queryable_columns":"id"}"#,
    ] {
        assert_eq!(refused(text), ShapeClaimError::UnknownMember, "{text}");
    }
    assert_eq!(
        refused(r#"{"table":"items","replica":"FULL"}"#),
        ShapeClaimError::Replica
    );
}

#[test]
fn a_name_that_two_readers_could_take_for_two_is_refused() {
    for name in [
        "Items",
        "",
        " items",
        "items ",
        "items\\n",
        "app.items",
        "a b",
        "\\\"a\\\"\\\"\\\"b\\\"",
        "\\\"\\\"",
        "items;",
        "\\\"Items",
        "it\\u0000ems",
        "*",
    ] {
        let text = format!(r#"{{"table":"{name}"}}"#);
        assert_eq!(read(&text), Err(ShapeClaimError::Name("table")), "{name}");
        let text = format!(r#"{{"namespace":"{name}","table":"items"}}"#);
        assert_eq!(read(&text), Err(ShapeClaimError::Name("namespace")), "{name}");
        let text = format!(r#"{{"table":"items","columns":["id","{name}"]}}"#);
        assert_eq!(read(&text), Err(ShapeClaimError::Name("columns")), "{name}");
    }
    for columns in ["", "id, title", "id,", "Id", "id,\\\"Due\\\",Title", "*"] {
        let text = format!(r#"{{"table":"items","columns":"{columns}"}}"#);
        assert_eq!(read(&text), Err(ShapeClaimError::Name("columns")), "{columns}");
    }
    assert!(read(r#"{"table":"\"Items\"","columns":"\"Due, \"\"Date\"\"x\",id"}"#).is_ok());
}

#[test]
fn a_filter_must_be_one_and_have_exactly_its_values() {
    for (filter, params) in [
        (r#""a = $1""#, "null"),
        (r#""a = $1""#, r#"{"1":"x","2":"y"}"#),
        (r#""a = $2""#, r#"{"2":"x"}"#),
        (r#""a = 1) OR (1 = 1""#, "null"),
        (r#""""#, "null"),
        (r#""a = 1; DROP TABLE items""#, "null"),
        (r#""a = 'x' -- y""#, "null"),
    ] {
        let text = format!(r#"{{"table":"items","where":{filter},"params":{params}}}"#);
        assert!(
            matches!(
                read(&text),
                Err(ShapeClaimError::Filter(_) | ShapeClaimError::Params)
            ),
            "{text}: {:?}",
            read(&text)
        );
    }
    for params in [
        r#"{"1":"x"}"#,
        r#"{"0":"x"}"#,
        r#"{"01":"x"}"#,
        r#"{"a":"x"}"#,
        r#"{"1":1}"#,
        r#"{"1":null}"#,
        r#"{"1":["x"]}"#,
    ] {
        let text = format!(r#"{{"table":"items","params":{params}}}"#);
        assert_eq!(read(&text), Err(ShapeClaimError::Params), "{params}");
    }
    assert!(matches!(
        read(r#"{"table":"items","params":["x"]}"#),
        Err(ShapeClaimError::WrongType("params", _))
    ));
}

#[test]
fn what_is_larger_than_allowed_is_refused_before_it_is_read() {
    let long = "a".repeat(16 * 1024 + 1);
    let value = shapegate_core::value::Value::Map(
        [
            ("table".into(), "items".into()),
            ("where".into(), long.as_str().into()),
        ]
        .into(),
    );
    assert_eq!(
        SignedShape::read(Some(&value)),
        Err(ShapeClaimError::TooLarge("where"))
    );
    let many = (1..=513)
        .map(|n: u16| (n.to_string().as_str().into(), "x".into()))
        .collect();
    let value = shapegate_core::value::Value::Map(
        [
            ("table".into(), "items".into()),
            ("params".into(), shapegate_core::value::Value::Map(many)),
        ]
        .into(),
    );
    assert_eq!(
        SignedShape::read(Some(&value)),
        Err(ShapeClaimError::TooLarge("params"))
    );
}

fn name() -> impl Strategy<Value = Identifier> {
    "[a-zA-Z_é \".,$-][a-zA-Z0-9_é \".,$-]{0,12}"
        .prop_filter_map("a name", |text| Identifier::exact(&text).ok())
}

fn definition() -> impl Strategy<Value = ShapeDefinition> {
    let columns = prop_oneof![
        Just(Columns::All),
        proptest::collection::vec(name(), 1..5)
            .prop_map(|names| Columns::Only(ColumnSet::from_iter(names).unwrap())),
    ];
    let filter = (name(), "[^\0]{0,20}").prop_map(|(column, value)| {
        let clause = Clause::read_policy(&format!("{column} = $1 OR {column} IS NULL")).unwrap();
        Rows::Where(Filter::new(clause, vec![ParameterText::new(&value).unwrap()]).unwrap())
    });
    let rows = prop_oneof![Just(Rows::All), Just(Rows::None), filter];
    let replica = prop_oneof![Just(Replica::Default), Just(Replica::Full)];
    (name(), name(), rows, columns, replica).prop_map(|(schema, table, rows, columns, replica)| {
        ShapeDefinition::new(TableName::new(schema, table), rows, columns, replica, Log::Full)
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(definition in definition()) {
        let shape = SignedShape::of(&definition);
        prop_assert_eq!(signed(&written(&shape)), shape.clone());
        prop_assert_eq!(TableName::parse(&shape.table_text()).unwrap(), definition.table().clone());
        if let (Some(text), Columns::Only(columns)) = (shape.columns_text(), definition.columns()) {
            prop_assert_eq!(&ColumnSet::parse(&text).unwrap(), columns);
        }
    }
}
