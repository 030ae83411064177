#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use super::{JsonError, JsonLimits, parse};
use crate::value::Value;

const LIMITS: JsonLimits = JsonLimits {
    bytes_max: 4096,
    depth_max: 3,
    values_max: 10,
};

fn read(text: &str) -> Result<Value, JsonError> {
    parse(text.as_bytes(), LIMITS)
}

#[test]
fn a_member_that_is_there_twice_is_refused_at_every_level_and_however_escaped() {
    let cases = [
        r#"{"alg":"none","alg":"RS256"}"#,
        r#"{"a":{"b":1,"b":1}}"#,
        r#"[{"a":1,"\u0061":2}]"#,
        r#"{"":1,"":1}"#,
    ];
    for text in cases {
        assert!(
            matches!(read(text), Err(JsonError::DuplicateMember { .. })),
            "{text}"
        );
    }
}

#[test]
fn one_name_in_two_objects_is_no_duplicate() {
    assert!(read(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
}

#[test]
fn integers_are_exact_to_the_ends_of_both_ranges() {
    assert_eq!(read("9223372036854775807").unwrap(), Value::Int(i64::MAX));
    assert_eq!(read("-9223372036854775808").unwrap(), Value::Int(i64::MIN));
    assert_eq!(read("9223372036854775808").unwrap(), Value::UInt(1 << 63));
    assert_eq!(read("18446744073709551615").unwrap(), Value::UInt(u64::MAX));
}

#[test]
fn numbers_with_a_fraction_an_exponent_or_no_range_are_floats() {
    for text in ["1.0", "1e3", "18446744073709551616", "-9223372036854775809"] {
        assert!(matches!(read(text).unwrap(), Value::Float(_)), "{text}");
    }
}

#[test]
fn only_one_whole_document_is_json() {
    let cases = [
        "",
        " ",
        "1 2",
        "{}x",
        "{} {}",
        "\u{feff}{}",
        "{'a':1}",
        "[1,]",
        "NaN",
        "1e400",
        "\"\\ud800\"",
    ];
    for text in cases {
        assert!(matches!(read(text), Err(JsonError::Malformed { .. })), "{text:?}");
    }
    assert!(matches!(
        parse(b"\"\xff\"", LIMITS),
        Err(JsonError::Malformed { .. })
    ));
    assert!(matches!(
        parse(b"\xff\xfe1\0", LIMITS),
        Err(JsonError::Malformed { .. })
    ));
}

#[test]
fn depth_values_and_length_are_bounded_exactly() {
    assert!(read("[[[1]]]").is_ok());
    assert_eq!(read("[[[[]]]]"), Err(JsonError::TooDeep { depth_max: 3 }));
    assert!(read("[1,2,3,4,5,6,7,8,9]").is_ok());
    assert_eq!(
        read("[1,2,3,4,5,6,7,8,9,10]"),
        Err(JsonError::TooManyValues { values_max: 10 })
    );
    let long = format!("\"{}\"", "x".repeat(4094));
    assert!(read(&long).is_ok());
    assert_eq!(
        read(&format!("{long} ")),
        Err(JsonError::TooLong { bytes_max: 4096 })
    );
}

#[test]
fn a_document_ten_thousand_deep_costs_no_stack() {
    let text = "[".repeat(10_000);
    let limits = JsonLimits {
        bytes_max: usize::MAX,
        ..LIMITS
    };
    assert_eq!(
        parse(text.as_bytes(), limits),
        Err(JsonError::TooDeep { depth_max: 3 })
    );
}

#[test]
fn strings_keep_what_they_hold_nul_and_line_separators_included() {
    assert_eq!(read(r#""a\u0000\u2028""#).unwrap(), Value::from("a\0\u{2028}"));
}
