//! No claim is read that may be missing: proven at load.
use shapegate_core::policy::{Access, Part, RowsSource, ShapePolicy, ShapeSource};

use crate::support::{fault, filtered, users, with_rule};

fn loads(when: &str) -> bool {
    ShapePolicy::compile(with_rule(when, RowsSource::All)).is_ok()
}

#[test]
fn a_read_after_its_guard_is_accepted() {
    let cases = [
        r#"has(user.a) && user.a == "x""#,
        r#"has(user.a) && true && user.a == "x""#,
        r#"(has(user.a) && has(user.b)) && user.a == user.b"#,
        r#"has(user.a) && (user.a == "x" || user.a == "y")"#,
        r#"has(user.a) && has(user.a.b) && user.a.b == 1"#,
        r#"!has(user.a) || user.a == "x""#,
        r#"!(!has(user.a)) && user.a == "x""#,
        r#"has(user.a) ? user.a == "x" : false"#,
        r#"!has(user.a) ? false : user.a == "x""#,
        r#"(has(user.a) || has(user.a)) && user.a == 1"#,
        r#"!(!has(user.a) || !has(user.b)) && user.a == user.b"#,
        r#""a" in user && user.a == 1"#,
        r#"has(user.a) && user["a"] == 1"#,
        r#"has(user.l) && user.l.exists(x, has(x.id) && x.id == 1)"#,
        r#"has(user.l) && user.l.all(x, x == "a")"#,
        r#"user.id == "x""#,
        r#"has(user.claims.a) && user.claims.a == 1"#,
    ];
    for when in cases {
        assert!(
            loads(when),
            "{when}: {:?}",
            ShapePolicy::compile(with_rule(when, RowsSource::All)).err()
        );
    }
}

#[test]
fn a_read_that_its_guard_does_not_cover_is_refused() {
    let cases = [
        r#"user.a == "x""#,
        r#"has(user.a) || user.a == "x""#,
        r#"user.a == "x" && has(user.a)"#,
        r#"has(user.b) && user.a == "x""#,
        r#"!has(user.a) && user.a == "x""#,
        r#"(has(user.a) || has(user.b)) && user.a == "x""#,
        r#"!(has(user.a) && has(user.b)) || user.a == "x" && user.c == 1"#,
        r#"has(user.a) ? user.a == 1 : user.a == 2"#,
        r#"(has(user.a) ? true : true) && user.a == 1"#,
        r#"has(user.a) == false && user.a == 1"#,
        r#"has(user.a.b) && user.a.b == 1"#,
        r#"has(user.a) && user.a.b == 1"#,
        r#"has(user.claims.a) && user.a == 1"#,
        r#"has(user.l) && user.l.exists(x, x.id == 1)"#,
        r#"has(user.l) && user.l.exists(x, has(x.id)) && user.l.all(x, x.id == 1)"#,
        r#"user.l.exists(x, x == 1)"#,
        r#"user["a"] == 1"#,
        r#"[user.a] == [1]"#,
        r#"{"k": user.a} == {"k": 1}"#,
        r#"size(user.a) == 1"#,
        r#"user.a.startsWith("x")"#,
        r#""x".startsWith(user.a)"#,
        r#"has(user.m) && user.m[user.id] == 1"#,
        r#"has(user.m) && "other" in user.m && user.m[user.id] == 1"#,
        r#"!user.a"#,
        r#"-user.a == 1"#,
        r#"(true ? user.a : 1) == 1"#,
        r#"[1].exists(x, user.a == x)"#,
        r#"has(user.a) && [1].exists(x, has(user.b)) && user.b == 1"#,
    ];
    for when in cases {
        let error = fault(with_rule(when, RowsSource::All));
        assert_eq!(error.part, Part::When(0), "{when}");
        assert!(error.message.contains("may be missing"), "{when}: {error}");
    }
}

#[test]
fn what_is_computed_cannot_be_looked_into() {
    for when in [
        "has(user.l) && user.l[0] == 1",
        "has(user.l) && user.l[size(user.l) - 1] == 1",
        "{'a': 1}.a == 1",
        "[1][0] == 1",
        "has({'a': 1}.a)",
        "(true ? user : user).id == 'x'",
        "has(user.l) && user.l.filter(x, true)[0] == 1",
    ] {
        let error = fault(with_rule(when, RowsSource::All));
        assert!(error.message.contains("computed"), "{when}: {error}");
    }
}

#[test]
fn a_parameter_relies_on_its_rules_condition_and_on_no_other() {
    assert!(ShapePolicy::compile(with_rule("has(user.a)", filtered("org_id = $1", &["user.a"]))).is_ok());
    let error = fault(with_rule("has(user.b)", filtered("org_id = $1", &["user.a"])));
    assert_eq!(error.part, Part::Parameter(0, 0));
    assert!(error.advice.contains("has(user.a)"), "{}", error.advice);
    let error = fault(with_rule(
        "has(user.a) || user.id == 'x'",
        filtered("org_id = $1", &["user.a"]),
    ));
    assert_eq!(error.part, Part::Parameter(0, 0));
}

#[test]
fn a_claim_with_a_default_needs_no_guard_but_its_members_do() {
    let certain = |when: &str| ShapeSource {
        certain_claims: ["roles".into()].into(),
        ..with_rule(when, RowsSource::All)
    };
    assert!(ShapePolicy::compile(certain(r#""admin" in user.roles"#)).is_ok());
    assert!(
        fault(certain("user.roles.x == 1"))
            .message
            .contains("user.roles.x")
    );
    assert!(
        fault(certain("user.claims.roles == 1"))
            .message
            .contains("user.claims.roles")
    );
}

#[test]
fn where_a_user_is_optional_it_is_tested_before_anything_of_it() {
    let optional = |when: &str| ShapeSource {
        access: Access::Optional,
        ..with_rule(when, RowsSource::All)
    };
    for when in [
        "user.id == 'x'",
        "has(user.a)",
        "'a' in user",
        "has(user.a) && user.a == 1",
        "user == null || has(user.a) && user.b == 1",
        "user == null && user.id == 'x'",
        "size([user]) == 1",
    ] {
        assert!(ShapePolicy::compile(optional(when)).is_err(), "{when}");
    }
    for when in [
        "user != null && user.id == 'x'",
        "user == null || user.id == 'x'",
        "null != user && has(user.a)",
        "user != null",
    ] {
        assert!(ShapePolicy::compile(optional(when)).is_ok(), "{when}");
    }
}

#[test]
fn the_first_configuration_loads() {
    assert!(ShapePolicy::compile(users()).is_ok());
}
