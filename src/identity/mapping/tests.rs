//! Paths, types and defaults.
#![allow(clippy::unwrap_used)]

use shapegate_core::json::{self, JsonLimits};

use super::*;

fn claims(text: &str) -> Claims {
    json::parse(text.as_bytes(), JsonLimits::CLAIMS)
        .unwrap()
        .as_map()
        .unwrap()
        .clone()
}

fn mapping(from: &str, kind: ClaimKind, default: Option<Value>) -> ClaimMapping {
    ClaimMapping::new("org", ClaimPath::dotted(from).unwrap(), kind, default).unwrap()
}

fn mapped(mapping: ClaimMapping, text: &str) -> Option<Value> {
    apply(&[mapping], claims(text)).unwrap().0.remove("org")
}

#[test]
fn a_dot_is_always_a_nested_member() {
    let both = r#"{"a.b": 1, "a": {"b": 2}}"#;
    assert_eq!(
        mapped(mapping("a.b", ClaimKind::Int, None), both),
        Some(Value::Int(2))
    );
    assert_eq!(
        mapped(mapping("a.b", ClaimKind::Int, None), r#"{"a.b": 1}"#),
        None
    );
}

#[test]
fn a_name_with_dots_is_written_as_a_list() {
    let literal = |members: &[&str]| {
        let from = ClaimPath::members(members.iter().copied()).unwrap();
        ClaimMapping::new("org", from, ClaimKind::Any, None).unwrap()
    };
    let both = r#"{"a.b": 1, "a": {"b": 2}, "https://acme.com/app": {"x.y": 3}}"#;
    assert_eq!(mapped(literal(&["a.b"]), both), Some(Value::Int(1)));
    assert_eq!(mapped(literal(&["a", "b"]), both), Some(Value::Int(2)));
    assert_eq!(
        mapped(literal(&["https://acme.com/app", "x.y"]), both),
        Some(Value::Int(3))
    );
}

#[test]
fn a_url_written_with_dots_is_refused_with_the_way_to_write_it() {
    let error = ClaimPath::dotted("https://acme.com/roles").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(r#"`from: ["https://acme.com/roles"]`"#),
        "{error}"
    );
}

#[test]
fn empty_and_endless_paths_are_refused() {
    for path in ["", ".", "a.", ".a", "a..b"] {
        assert_eq!(ClaimPath::dotted(path), Err(ClaimPathError::Empty), "{path}");
    }
    assert_eq!(ClaimPath::members([]), Err(ClaimPathError::Empty));
    assert_eq!(ClaimPath::dotted(&"a.".repeat(100)), Err(ClaimPathError::TooLong));
    assert!(ClaimPath::dotted("a.b.c.d.e.f.g.h").is_ok());
}

#[test]
fn a_path_through_what_is_no_object_finds_nothing() {
    for text in [r#"{"a": [{"b": 1}]}"#, r#"{"a": "b"}"#, r#"{"a": null}"#, "{}"] {
        assert_eq!(mapped(mapping("a.b", ClaimKind::Any, None), text), None, "{text}");
    }
}

#[test]
fn the_default_stands_for_what_is_missing_or_null_and_for_nothing_else() {
    let roles = || mapping("roles", ClaimKind::List, Some(Value::List(Vec::new())));
    assert_eq!(mapped(roles(), "{}"), Some(Value::List(Vec::new())));
    assert_eq!(
        mapped(roles(), r#"{"roles": null}"#),
        Some(Value::List(Vec::new()))
    );
    assert_eq!(
        mapped(roles(), r#"{"roles": ["a"]}"#),
        Some(Value::from(vec!["a"]))
    );
    let fault = apply(&[roles()], claims(r#"{"roles": "admin"}"#)).unwrap_err();
    let text = "the claim for \"org\" is a string; a list of strings, integers or booleans is expected";
    assert_eq!(fault.to_string(), text);
}

#[test]
fn without_a_default_a_missing_claim_is_no_name_at_all_rather_than_null() {
    assert_eq!(
        mapped(mapping("o.id", ClaimKind::String, None), r#"{"o": {"id": null}}"#),
        None
    );
}

#[test]
fn a_claim_that_happens_to_have_a_mapped_name_does_not_stand_in_for_it() {
    let from_org = || [mapping("o.id", ClaimKind::String, None)];
    let (mapped, left) = apply(&from_org(), claims(r#"{"org": "forged", "sub": "a"}"#)).unwrap();
    assert!(mapped.is_empty());
    assert_eq!(left, claims(r#"{"sub": "a"}"#));
    let (mapped, left) = apply(&from_org(), claims(r#"{"org": "other", "o": {"id": "right"}}"#)).unwrap();
    assert_eq!(mapped.get("org"), Some(&Value::from("right")));
    assert!(
        left.contains_key("org"),
        "the token as it came, which the mapped name wins over"
    );
}

#[test]
fn integers_are_exact_and_floats_are_not_integers() {
    let int = || mapping("n", ClaimKind::Int, None);
    assert_eq!(
        mapped(int(), r#"{"n": 9007199254740993}"#),
        Some(Value::Int(9_007_199_254_740_993))
    );
    assert_eq!(
        mapped(int(), r#"{"n": 18446744073709551615}"#),
        Some(Value::UInt(u64::MAX))
    );
    for text in [
        r#"{"n": 1.0}"#,
        r#"{"n": 1e3}"#,
        r#"{"n": 18446744073709551616}"#,
        r#"{"n": true}"#,
    ] {
        assert!(apply(&[int()], claims(text)).is_err(), "{text}");
    }
}

#[test]
fn a_default_of_another_type_and_a_name_that_rules_could_not_read_are_refused() {
    let new = |name: &str, default: Option<Value>| {
        ClaimMapping::new(name, ClaimPath::dotted("a").unwrap(), ClaimKind::Int, default).unwrap_err()
    };
    assert_eq!(
        new("n", Some(Value::from("1"))),
        ClaimMappingError::Default(ClaimKind::Int)
    );
    assert_eq!(
        new("n", Some(Value::Null)),
        ClaimMappingError::Default(ClaimKind::Int)
    );
    for name in ["", "1a", "a-b", "a.b", "ä", "a b"] {
        assert_eq!(
            new(name, None),
            ClaimMappingError::Name(name.to_owned()),
            "{name}"
        );
    }
    assert_eq!(new("id", None), ClaimMappingError::Reserved("id".to_owned()));
    assert_eq!(
        new("claims", None),
        ClaimMappingError::Reserved("claims".to_owned())
    );
}

#[test]
fn every_type_has_its_name() {
    let names = ["string", "int", "bool", "list", "any"];
    assert!(names.iter().all(|name| ClaimKind::parse(name).is_some()));
    assert_eq!(ClaimKind::parse("String"), None);
}
