//! Names of tables and columns.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use proptest::prelude::*;
use shapegate_core::identifier::{ColumnSet, ColumnSetError, Identifier, IdentifierError, TableName};
use shapegate_core::limits;

fn refused(text: &str) -> IdentifierError {
    Identifier::parse(text).expect_err(text)
}

#[test]
fn names_are_folded_in_ascii_only_and_kept_in_quotes() {
    for (text, name) in [
        ("items", "items"),
        ("Items_1$", "items_1$"),
        ("_x", "_x"),
        ("ÄÖb", "ÄÖb"),
        ("\"Items\"", "Items"),
        ("\"with space, comma. dot\"", "with space, comma. dot"),
        ("\"a\"\"b\"", "a\"b"),
        ("\"1\"", "1"),
    ] {
        assert_eq!(Identifier::parse(text).unwrap().as_str(), name, "{text}");
    }
}

#[test]
fn names_that_electric_reads_otherwise_are_refused() {
    assert_eq!(refused(""), IdentifierError::Empty);
    assert_eq!(refused("\"\""), IdentifierError::Empty);
    assert_eq!(refused("items\n"), IdentifierError::ControlCharacter);
    assert_eq!(refused("\"items\n\""), IdentifierError::ControlCharacter);
    assert_eq!(refused("a\0"), IdentifierError::ControlCharacter);
    assert_eq!(refused("\"a\u{85}\""), IdentifierError::ControlCharacter);
    for text in [
        "\"a\"\"\"b\"",
        "\"",
        "\"a",
        "a\"",
        "a\"b",
        "\"a\"b",
        "\"a\"b\"",
        "\"\"\"a\"",
        "\"a\"\"\"\"b\"",
        "\"a\" ",
    ] {
        assert_eq!(refused(text), IdentifierError::Quotes, "{text}");
    }
    for text in [
        " items",
        "1items",
        "$a",
        "a b",
        "a-b",
        "a.b",
        "a,b",
        "e\u{301}",
        "a\u{200b}",
        "\u{a0}a",
        "*",
    ] {
        assert!(matches!(refused(text), IdentifierError::NeedsQuotes(_)), "{text}");
    }
}

#[test]
fn names_are_as_long_as_postgres_keeps_them() {
    let longest = "a".repeat(limits::IDENTIFIER_BYTES_MAX);
    assert!(Identifier::parse(&longest).is_ok());
    assert_eq!(refused(&format!("{longest}a")), IdentifierError::TooLong);
    assert_eq!(refused(&"ä".repeat(32)), IdentifierError::TooLong);
}

#[test]
fn tables_without_a_schema_are_in_public() {
    for text in [
        "items",
        "ITEMS",
        "\"items\"",
        "public.items",
        "\"public\".\"items\"",
        "PUBLIC.Items",
    ] {
        let table = TableName::parse(text).unwrap();
        assert_eq!(table.to_string(), "\"public\".\"items\"", "{text}");
        assert_eq!(
            (table.schema().as_str(), table.name().as_str()),
            ("public", "items")
        );
    }
    assert_ne!(
        TableName::parse("\"Items\"").unwrap(),
        TableName::parse("items").unwrap()
    );
    assert_eq!(
        TableName::parse("\"a.b\".\"c.d\"").unwrap().name().as_str(),
        "c.d"
    );
}

#[test]
fn tables_in_odd_spellings_are_refused() {
    for text in [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a.b.c",
        "a. b",
        "a.b\n",
        "a.\"b",
        "\"a\"\".b",
    ] {
        assert!(TableName::parse(text).is_err(), "{text}");
    }
}

#[test]
fn columns_are_a_set() {
    let columns = ColumnSet::parse("b,a,\"B\",A,\"x,y\"").unwrap();
    assert_eq!(columns.to_string(), "\"B\",\"a\",\"b\",\"x,y\"");
    assert_eq!(columns, ColumnSet::parse("\"x,y\",a,b,\"B\"").unwrap());
    assert!(columns.contains(&Identifier::parse("A").unwrap()));
    assert!(ColumnSet::parse("a,b").unwrap().is_subset_of(&columns));
    assert!(!ColumnSet::parse("a,c").unwrap().is_subset_of(&columns));
}

#[test]
fn columns_that_are_none_or_malformed_are_refused() {
    assert_eq!(ColumnSet::parse(""), Err(ColumnSetError::Empty));
    assert_eq!(ColumnSet::from_iter([]), Err(ColumnSetError::Empty));
    for text in [",", "a,", ",a", "a,,b", "a, b", "a b", "*", "\"a", "a\n"] {
        assert!(
            matches!(ColumnSet::parse(text), Err(ColumnSetError::Identifier(_))),
            "{text}"
        );
    }
    let many: Vec<String> = (0..=limits::COLUMNS_MAX).map(|n| format!("c{n}")).collect();
    assert_eq!(ColumnSet::parse(&many.join(",")), Err(ColumnSetError::TooMany));
}

proptest! {
    #[test]
    fn whatever_is_a_name_is_read_again_from_what_is_printed(text in "\\PC{1,40}") {
        if let Ok(name) = Identifier::exact(&text) {
            prop_assert_eq!(Identifier::parse(&name.to_string()), Ok(name.clone()));
            let columns = ColumnSet::from_iter([name.clone(), Identifier::parse("id").unwrap()]).unwrap();
            prop_assert_eq!(ColumnSet::parse(&columns.to_string()), Ok(columns));
            let table = TableName::new(name.clone(), name);
            prop_assert_eq!(TableName::parse(&table.to_string()), Ok(table));
        }
    }

    #[test]
    fn no_text_makes_the_readers_fail(text in "[a\"., \\n\\x00ä]{0,12}") {
        let _ = Identifier::parse(&text);
        let _ = ColumnSet::parse(&text);
        let _ = TableName::parse(&text);
    }
}
