//! What is refused when a configuration is loaded, with the part that is wrong and a way out.
use shapegate_core::policy::{
    Access, ClientAllowances, ClientFilter, Ignorable, Part, RowsSource, RuleSource, ShapePolicy,
    ShapeSource, TablePattern, TableSpec,
};

use crate::support::{fault, filtered, rule, users, with_parameter, with_rule};

#[test]
fn only_what_there_is_has_a_name() {
    for when in [
        "usr.id == 'x'",
        "claims.a == 1",
        "true && x",
        "request.body == 'x'",
        "request.path.id == 'x'",
        "request.query.org == 'x'",
        "has(request.query.org)",
        "request == 1",
        "request.headers == 1",
        "tenant.name == 'x'",
        "asked.where == 'x'",
        "has(asked.where)",
        "decision.role == 'x'",
        ".user.id == 'x'",
        "env.SECRET == 'x'",
        "size(request.query) == 0",
        "user.l.exists(x, x == y)",
        "tenant == 1",
    ] {
        let error = fault(with_rule(when, RowsSource::All));
        assert_eq!(error.part, Part::When(0), "{when}");
        assert!(!error.advice.is_empty(), "{when}");
    }
}

#[test]
fn only_functions_of_known_cost_can_be_called() {
    for when in [
        "f(1)",
        "user.id.reverse() == 'x'",
        "timestamp('x') == 1",
        "optional.of(1).hasValue()",
        "max([1]) == 1",
        "a.b.c()",
        "msg{a: 1} == 1",
    ] {
        let error = fault(with_rule(when, RowsSource::All));
        assert_eq!(error.part, Part::When(0), "{when}: {error}");
    }
}

#[test]
fn a_comprehension_in_a_comprehension_is_refused() {
    for when in [
        "[1].all(x, [2].all(y, x == y))",
        "[1].exists(x, [2].map(y, y) == [x])",
        "[[1]].map(x, x.filter(y, true)) == []",
        "[1].all(x, true && (false || [2].exists_one(y, y == x)))",
        "has(user.l) && user.l.exists(a, user.l.exists(b, user.l.exists(c, a == b && b == c)))",
    ] {
        assert!(
            fault(with_rule(when, RowsSource::All))
                .message
                .contains("comprehension"),
            "{when}"
        );
    }
    let in_turn = "[1].all(x, x == 1) && [1].filter(x, true).all(y, y == 1)";
    assert!(ShapePolicy::compile(with_rule(in_turn, RowsSource::All)).is_ok());
}

#[test]
fn a_variable_cannot_hide_who_asks() {
    for when in [
        "[1].exists(user, true)",
        "[1].exists(request, true)",
        "[1].all(tenant, true)",
        "[1].all(string, true)",
    ] {
        assert!(
            fault(with_rule(when, RowsSource::All)).message.contains("hides"),
            "{when}"
        );
    }
}

#[test]
fn text_depth_and_patterns_are_bounded() {
    let long = format!("user.id == '{}'", "x".repeat(5000));
    let deep = format!("{}true{}", "!(".repeat(60), ")".repeat(60));
    let chain = format!("1{} == 1", "+1".repeat(1500));
    let regexes = [
        "user.id.matches(user.id)".to_owned(),
        "user.id.matches('a' + 'b')".to_owned(),
        "user.id.matches('(a')".to_owned(),
        "user.id.matches('(a{1000}){1000}')".to_owned(),
        format!("user.id.matches('{}')", "x".repeat(200)),
        "['a'].exists(x, x.matches('a'))".to_owned(),
    ];
    for when in [long, deep, chain].into_iter().chain(regexes) {
        assert_eq!(
            fault(with_rule(&when, RowsSource::All)).part,
            Part::When(0),
            "{when}"
        );
    }
    for when in [
        "",
        " ",
        "user.",
        "1 +",
        "has(1)",
        "'",
        "a b",
        "user.?id",
        "user[?'id']",
    ] {
        assert_eq!(
            fault(with_rule(when, RowsSource::All)).part,
            Part::When(0),
            "{when}"
        );
    }
}

#[test]
fn public_is_accepted_only_where_nothing_depends_on_who_asks() {
    let public = |when: &str, rows| ShapeSource {
        access: Access::Public,
        ..with_rule(when, rows)
    };
    for when in [
        "user == null",
        "user != null",
        "has(user.a)",
        "user.id == 'x'",
        "[1].exists(x, user == null)",
        r#""x-a" in request.headers"#,
        "has(request.headers.a)",
        "true || has(user.a)",
        "'a' in user",
        r#""a" in request["headers"]"#,
    ] {
        assert!(
            ShapePolicy::compile(public(when, RowsSource::All)).is_err(),
            "{when}"
        );
    }
    let by_parameter = public("true", filtered("org_id = $1", &["user.id"]));
    assert_eq!(fault(by_parameter).part, Part::Parameter(0, 0));
    let by_header = public("true", filtered("org_id = $1", &[r#"request.headers["x-org"]"#]));
    assert_eq!(fault(by_header).part, Part::Parameter(0, 0));
    assert!(ShapePolicy::compile(public("request.method == 'GET'", RowsSource::All)).is_ok());
}

#[test]
fn templates_in_a_filter_are_refused_with_the_way_out() {
    for text in [
        "org = '{{claims.org}}'",
        "org = '{{ user.org }}'",
        "org = '${user.org}'",
        "org = '#{org}'",
        "org = '<%= org %>'",
    ] {
        let error = fault(with_rule("true", filtered(text, &[])));
        assert_eq!(error.part, Part::Where(0), "{text}");
        assert!(
            error.advice.contains("$1") && error.advice.contains("params"),
            "{}",
            error.advice
        );
    }
}

#[test]
fn a_filter_and_its_parameters_fit_together() {
    for (text, params) in [
        ("org_id = $1", &[][..]),
        ("org_id = $1", &["user.id", "user.id"]),
        ("org_id = $2", &["user.id", "user.id"]),
        ("org_id = 'x'", &["user.id"]),
        ("org_id = ", &[]),
        ("org_id = $1 OR", &["user.id"]),
        ("org_id = $1; DROP TABLE users", &["user.id"]),
    ] {
        assert_eq!(
            fault(with_rule("true", filtered(text, params))).part,
            Part::Where(0),
            "{text}"
        );
    }
    assert!(ShapePolicy::compile(with_rule("true", filtered("a = $1 OR b = $1", &["user.id"]))).is_ok());
}

#[test]
fn every_fault_of_a_shape_is_reported_with_its_place() {
    let rules = vec![
        rule("nobody.a", filtered("x = $1", &["user.a"])),
        rule("true", filtered("x = = $1", &["user.b", "user.id"])),
    ];
    let source = ShapeSource {
        rules,
        table: TableSpec::AnyOf(vec![]),
        ..users()
    };
    let errors = ShapePolicy::compile(source).unwrap_err();
    let parts: Vec<_> = errors.iter().map(|error| error.part).collect();
    assert_eq!(
        parts,
        [Part::Table, Part::When(0), Part::Where(1), Part::Parameter(1, 0)]
    );
}

#[test]
fn rules_that_say_nothing_are_refused() {
    assert_eq!(
        fault(ShapeSource {
            rules: vec![],
            ..users()
        })
        .part,
        Part::Rules
    );
    let rules = vec![
        RuleSource {
            when: None,
            rows: RowsSource::All,
        },
        rule("true", RowsSource::None),
    ];
    assert_eq!(fault(ShapeSource { rules, ..users() }).part, Part::Rules);
    let rules = vec![rule("true", RowsSource::All); 65];
    assert_eq!(fault(ShapeSource { rules, ..users() }).part, Part::Rules);
}

#[test]
fn what_is_both_allowed_and_ignored_is_refused() {
    let client = ClientAllowances {
        filter: ClientFilter::Narrow,
        ignore: [Ignorable::Where].into(),
        ..ClientAllowances::default()
    };
    assert_eq!(fault(ShapeSource { client, ..users() }).part, Part::Client);
}

#[test]
fn a_pattern_of_tables_names_a_table_or_a_whole_schema() {
    for text in ["public.*", "items", "public.items", r#""Odd Schema".*"#] {
        assert!(TablePattern::parse(text).is_ok(), "{text}");
    }
    for text in [
        "*",
        "*.*",
        "*.items",
        "public.it*",
        "public.",
        ".*",
        "a.b.*",
        "public.**",
        "",
        "public.*\n",
    ] {
        assert!(TablePattern::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn names_of_the_request_are_those_that_the_route_declares() {
    let declared = ShapeSource {
        path_names: ["project".into()].into(),
        query_names: ["org".into()].into(),
        ..with_parameter("request.path.project")
    };
    assert!(ShapePolicy::compile(declared).is_ok());
    let crossed = ShapeSource {
        query_names: ["project".into()].into(),
        ..with_parameter("request.path.project")
    };
    assert_eq!(fault(crossed).part, Part::Parameter(0, 0));
    let shouted = with_rule(
        r#""X-Org" in request.headers && request.headers["X-Org"] == "a""#,
        RowsSource::All,
    );
    assert!(fault(shouted).advice.contains("lower case"));
}
