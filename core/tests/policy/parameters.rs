use shapegate_core::policy::{ParamSource, Part, RowsSource};
use shapegate_core::value::Value;

use crate::support::{fault, parameter, with_rule};

const GUARDED: &str = r#"has(user.v) ? user.v : "none""#;

fn value(text: &str) -> Result<String, String> {
    parameter(GUARDED, &format!(r#"{{"v":{text}}}"#))
}

#[test]
fn strings_travel_byte_for_byte() {
    for text in [
        "' OR '1'='1",
        "$2",
        r"\",
        "%",
        "{a,b}",
        "\u{2028}",
        "null",
        " ",
        "🦀",
        "\"; DROP TABLE users --",
    ] {
        assert_eq!(value(&serde_json::to_string(text).unwrap()), Ok(text.to_owned()));
    }
}

#[test]
fn integers_are_exact_and_booleans_are_words() {
    assert_eq!(value("9223372036854775808"), Ok("9223372036854775808".into()));
    assert_eq!(value("18446744073709551615"), Ok("18446744073709551615".into()));
    assert_eq!(value("-9223372036854775808"), Ok("-9223372036854775808".into()));
    assert_eq!(value("1000000000000000000"), Ok("1000000000000000000".into()));
    assert_eq!(
        (value("true"), value("false")),
        (Ok("true".into()), Ok("false".into()))
    );
}

#[test]
fn what_has_no_exact_text_denies() {
    let cases = [
        ("null", "is null"),
        (r#""""#, "is an empty string"),
        ("1.0", "fraction"),
        ("1e18", "fraction"),
        ("18446744073709551616", "fraction"),
        ("{}", "is an object"),
        (r#"{"a":1}"#, "is an object"),
        (r#""a\u0000b""#, "NUL"),
        ("[[1]]", "list in a list"),
        ("[null]", "is null"),
        ("[1.5]", "fraction"),
        (r#"["a",""]"#, "is an empty string"),
        (r#"["a\u0000"]"#, "NUL"),
    ];
    for (text, reason) in cases {
        let detail = value(text).unwrap_err();
        assert!(
            detail.starts_with("rules[0].params[0]: ") && detail.contains(reason),
            "{text}: {detail}"
        );
    }
}

#[test]
fn a_value_beyond_every_measure_denies() {
    let expression = r#"user.id + user.id + user.id + user.id + user.id"#;
    let subject = "x".repeat(15_000);
    assert!(
        parameter(expression, &format!(r#"{{"sub":"{subject}"}}"#))
            .unwrap_err()
            .contains("params[0]")
    );
}

#[test]
fn lists_are_array_literals_and_an_empty_one_holds_nothing() {
    assert_eq!(value("[]"), Ok("{}".into()));
    let quoted = value(r#"["a","b,c","d\"e","f\\g","{h}","NULL"," i ",7,true]"#).unwrap();
    for piece in [
        r#""b,c""#,
        r#""d\"e""#,
        r#""f\\g""#,
        r#""{h}""#,
        r#""NULL""#,
        r#"" i ""#,
    ] {
        assert!(quoted.contains(piece), "{piece} in {quoted}");
    }
}

#[test]
fn no_value_is_ever_the_word_null() {
    for text in ["null", "[null]", "{}"] {
        assert!(value(text).is_err());
    }
    assert!(parameter("user.id", "{}").is_err());
}

#[test]
fn a_plain_value_is_checked_at_load() {
    let plain = |value: Value| {
        with_rule(
            "true",
            RowsSource::Where {
                text: "org_id = $1".into(),
                params: vec![ParamSource::Value(value)],
            },
        )
    };
    for value in [
        Value::Null,
        Value::from(""),
        Value::Float(1.5),
        Value::Map([].into()),
    ] {
        assert_eq!(fault(plain(value)).part, Part::Parameter(0, 0));
    }
    assert!(shapegate_core::policy::ShapePolicy::compile(plain(Value::from("published"))).is_ok());
}
