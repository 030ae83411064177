//! Filters: what is printed, what becomes of literals and parameters, what is refused and where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use proptest::prelude::*;
use shapegate_core::clause::{
    Clause, ClauseError, ClauseProblem, Expression, Filter, FilterError, Literal, ParameterError,
    ParameterText, Place,
};
use shapegate_core::limits;

fn policy(text: &str) -> Clause {
    Clause::read_policy(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn values(texts: &[&str]) -> Vec<ParameterText> {
    texts
        .iter()
        .map(|text| ParameterText::new(text).unwrap())
        .collect()
}

fn client(text: &str, given: &[&str]) -> Filter {
    Filter::client(Clause::read_client(text).unwrap(), values(given)).unwrap()
}

fn texts(filter: &Filter) -> Vec<&str> {
    filter.parameters().iter().map(ParameterText::as_str).collect()
}

fn problem(error: Result<Clause, ClauseError>) -> ClauseProblem {
    error.expect_err("this should be refused").problem
}

#[test]
fn what_is_printed_has_quotes_and_brackets_everywhere() {
    for (text, printed) in [
        ("Org_ID=$1", "(\"org_id\" = $1)"),
        (
            "a=1 and not b or \"C\" is not null",
            "(((\"a\" = 1) AND (NOT \"b\")) OR (\"C\" IS NOT NULL))",
        ),
        ("a AND b AND c", "(\"a\" AND \"b\" AND \"c\")"),
        ("a AND (b AND c)", "(\"a\" AND (\"b\" AND \"c\"))"),
        ("a<>-1", "(\"a\" <> (-1))"),
        ("a = 'it''s \\'", "(\"a\" = 'it''s \\')"),
        ("a NOT IN (1,2)", "(\"a\" NOT IN (1,2))"),
        ("a BETWEEN 1 AND 2", "(\"a\" BETWEEN 1 AND 2)"),
        ("a = any(array['x'])", "(\"a\" = ANY (ARRAY['x']))"),
        (
            "CAST(a AS integer) = b::text[]",
            "((\"a\"::int4) = (\"b\"::text[]))",
        ),
        ("Lower(a) ~~* 'x'", "(lower(\"a\") ILIKE 'x')"),
        (
            "(a) IN (SELECT b FROM T WHERE c)",
            "(\"a\" IN (SELECT \"b\" FROM \"public\".\"t\" WHERE \"c\"))",
        ),
        (
            "(a,b) NOT IN (SELECT c,d FROM s.t)",
            "((\"a\",\"b\") NOT IN (SELECT \"c\",\"d\" FROM \"s\".\"t\"))",
        ),
        ("a[1][2:] = b", "(\"a\"[1][2:] = \"b\")"),
    ] {
        assert_eq!(policy(text).to_string(), printed, "{text}");
        assert_eq!(policy(printed), policy(text), "{text}");
    }
}

#[test]
fn the_same_filter_in_other_spellings_is_the_same_clause() {
    let spellings = [
        "\"a\" = 1 AND b <> 'x'",
        "A=1\nand B!='x'",
        "((a) = (1)) AND ((b <> 'x'))",
    ];
    for text in spellings {
        assert_eq!(policy(text), policy(spellings[0]));
    }
    assert_ne!(policy("a = 1 AND b = 2"), policy("b = 2 AND a = 1"));
    assert_ne!(policy("\"A\" = 1"), policy("a = 1"));
}

#[test]
fn every_literal_of_a_client_becomes_a_parameter_of_its_type() {
    let filter = client(
        "a = 'x' AND b > -5 AND c <> 1.5 AND d = TRUE AND e = 5000000000 AND f IN ('y', $1)",
        &["z"],
    );
    assert_eq!(
        filter.text(),
        "((\"a\" = $1) AND (\"b\" > ($2::int4)) AND (\"c\" <> ($3::numeric)) AND (\"d\" = ($4::bool)) \
         AND (\"e\" = ($5::int8)) AND (\"f\" IN ($6,$7)))"
    );
    assert_eq!(texts(&filter), ["x", "-5", "1.5", "true", "5000000000", "y", "z"]);
}

#[test]
fn hostile_texts_of_a_client_travel_as_values() {
    for hostile in [
        "' OR 1=1 --",
        "\\' OR 1=1 --",
        "'; DROP TABLE items; --",
        "$1",
        "\u{2019}",
        "a\nb",
        "/*",
        "E'",
    ] {
        let filter = client(&format!("a = '{}'", hostile.replace('\'', "''")), &[]);
        assert_eq!(
            (filter.text(), texts(&filter).as_slice()),
            ("(\"a\" = $1)", [hostile].as_slice())
        );
    }
    let filter = client("\"a\"\" = 1 OR 1=1 --\" = 'x'", &[]);
    assert_eq!(filter.text(), "(\"a\"\" = 1 OR 1=1 --\" = $1)");
}

#[test]
fn a_clients_parameters_are_numbered_as_they_appear() {
    let filter = client("b = $2 AND a = $1 AND c = $2 AND d = 'x'", &["one", "two"]);
    assert_eq!(
        filter.text(),
        "((\"b\" = $1) AND (\"a\" = $2) AND (\"c\" = $1) AND (\"d\" = $3))"
    );
    assert_eq!(texts(&filter), ["two", "one", "x"]);
}

#[test]
fn numbers_that_electric_cannot_read_are_for_parameters() {
    for number in [
        "2147483648",
        "-2147483649",
        "1e3",
        "1.5e3",
        ".5",
        "99999999999999999999",
    ] {
        let text = format!("a = {number}");
        let error = Clause::read_policy(&text).unwrap_err();
        assert_eq!(error.problem, ClauseProblem::NumberNeedsParameter, "{text}");
        assert!(error.to_string().contains("make it a parameter"), "{error}");
        assert_eq!(texts(&client(&text, &[])), [number]);
    }
    for number in ["2147483647", "-2147483648", "0.5", "-1.50"] {
        assert!(Clause::read_policy(&format!("a = {number}")).is_ok(), "{number}");
    }
}

#[test]
fn a_policy_and_a_client_are_both_held_with_one_numbering() {
    let ours = Filter::new(policy("org = $1 OR owner = $2"), values(&["1", "me"])).unwrap();
    let both = ours.and(&client("done = FALSE OR org = $1", &["2"])).unwrap();
    assert_eq!(
        both.text(),
        "(((\"org\" = $1) OR (\"owner\" = $2)) AND ((\"done\" = ($3::bool)) OR (\"org\" = $4)))"
    );
    assert_eq!(texts(&both), ["1", "me", "false", "2"]);
    assert!(matches!(both.clause().expression(), Expression::And(items) if items.len() == 2));
}

#[test]
fn the_same_rows_are_recognised_in_other_spellings_only() {
    let ours = Filter::new(policy("\"org_id\" = $1 AND done = FALSE"), values(&["5"])).unwrap();
    for (text, given) in [
        ("org_id = 5 AND done = false", vec![]),
        ("ORG_ID='5' AND (done = $1)", vec!["false"]),
        ("org_id = $2 AND done = $1", vec!["false", "5"]),
    ] {
        assert!(client(text, &given).same_rows_as(&ours), "{text}");
        assert!(ours.same_rows_as(&client(text, &given)), "{text}");
    }
    for text in [
        "org_id = 6 AND done = false",
        "done = false AND org_id = 5",
        "org_id = 5",
        "\"ORG_ID\" = 5 AND done = false",
    ] {
        assert!(!client(text, &[]).same_rows_as(&ours), "{text}");
    }
    let subquery =
        |value| Filter::new(policy("a IN (SELECT b FROM c WHERE d = $1)"), values(&[value])).unwrap();
    assert!(subquery("1").same_rows_as(&subquery("1")));
    assert!(!subquery("1").same_rows_as(&subquery("2")));
}

#[test]
fn parameters_and_values_belong_together_exactly() {
    let new = |text: &str, given: &[&str]| Filter::new(policy(text), values(given)).map(|_| ());
    assert_eq!(new("a = $1 AND b = $2", &["x", "y"]), Ok(()));
    assert_eq!(new("a IN (SELECT b FROM c WHERE d = $1)", &["x"]), Ok(()));
    assert_eq!(
        new("a = $1 AND b = $2", &["x"]),
        Err(FilterError::ValueMissing(2))
    );
    assert_eq!(
        new("a = $1 AND b = $3", &["x", "y", "z"]),
        Err(FilterError::ValueUnused(2))
    );
    assert_eq!(new("a = 1", &["x"]), Err(FilterError::ValueUnused(1)));
}

#[test]
fn a_client_may_ask_neither_subqueries_nor_null_as_a_value() {
    assert_eq!(
        problem(Clause::read_client("a IN (SELECT b FROM c)")),
        ClauseProblem::Subquery
    );
    assert_eq!(
        problem(Clause::read_client("b OR NOT (a IN (SELECT b FROM c WHERE d))")),
        ClauseProblem::Subquery
    );
    assert_eq!(problem(Clause::read_client("a = NULL")), ClauseProblem::Null);
    assert!(Clause::read_client("a IS NULL").is_ok());
    let policy = policy("a IN (SELECT b FROM c)");
    assert_eq!(
        Filter::client(policy, Vec::new()).map(|_| ()),
        Err(FilterError::Subquery)
    );
}

#[test]
fn columns_are_those_of_the_filtered_table() {
    let clause = policy("a = 1 AND (b, c) IN (SELECT x, y FROM t WHERE z = 1) AND lower(d) = ANY (e[f:])");
    let columns: Vec<&str> = clause.columns().map(|name| name.as_str()).collect();
    assert_eq!(columns, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(
        policy("a = $2 AND b IN (SELECT c FROM d WHERE e = $3)").parameters_max(),
        3
    );
}

#[test]
fn refusals_say_where_and_what_to_do() {
    let refused = |text: &str| Clause::read_policy(text).unwrap_err();
    assert_eq!(
        refused("a = 1 AND\n  b = E'x'").place,
        Some(Place { line: 2, column: 7 })
    );
    assert_eq!(refused("a = 1 AND b ~ 'x'").place.unwrap().line, 1);
    assert_eq!(refused("a = 1)").place, Some(Place { line: 1, column: 6 }));
    assert_eq!(
        refused("a = 1 -- b").to_string(),
        "at character 7: comments are not allowed in a filter"
    );
    assert!(refused("user = 1").to_string().contains("in double quotes"));
    assert!(refused("-a ^ 2 = 1").to_string().contains("brackets"));
    assert!(refused("a = 'x\u{0}'").to_string().contains("not part"));
    assert!(refused("t.a = 1").to_string().contains("table's name"));
}

#[test]
fn what_is_too_big_is_refused_before_it_costs_anything() {
    let deep =
        |open: &str, close: &str, times: usize| format!("{}a{}", open.repeat(times), close.repeat(times));
    for text in [
        "a".repeat(limits::CLAUSE_TEXT_BYTES_MAX + 1),
        deep("(", ")", 8000),
        deep("NOT ", "", 700),
        deep("NOT (", ")", 700),
        deep("-", "", 3).replace("-", "- ").repeat(200),
        deep("lower(", ")", 700),
        deep("coalesce(a,", ")", 700),
        deep("CAST(", " AS text)", 500),
        deep("a IN (", ")", 700),
        deep("a IN (SELECT a FROM a WHERE ", ")", 120),
        deep("a[", "]", 300),
        deep("ARRAY[", "]", 300),
        deep("a BETWEEN (", ") AND b", 200),
        deep("case when ", " then b end", 100),
        deep("interval ", "", 700),
        deep("a = ANY(", ")", 300),
        deep("(a, ", ")", 3000),
        vec!["a"; 400].join("||"),
        format!("a{}", "::text".repeat(300)),
        format!("a{}", "[1]".repeat(2000)),
        format!("a = ANY ('{{}}'::int{})", "[]".repeat(2000)),
        vec!["a"; 800].join(" AND "),
        format!(
            "a IN ({})",
            vec!["1"; limits::CLAUSE_LIST_ITEMS_MAX + 1].join(",")
        ),
        format!(
            "a = ANY (ARRAY[{}])",
            vec!["1"; limits::CLAUSE_LIST_ITEMS_MAX + 1].join(",")
        ),
    ] {
        let start: String = text.chars().take(40).collect();
        assert!(Clause::read_policy(&text).is_err(), "{start}");
        assert!(Clause::read_client(&text).is_err(), "{start}");
    }
    assert!(Clause::read_policy(&vec!["a"; 300].join(" AND ")).is_ok());
    assert!(Clause::read_policy(&deep("(", ")", 40)).is_ok());
    let ours = Filter::new(policy("a = $1"), values(&["x"])).unwrap();
    let list = vec!["1"; usize::from(limits::PARAMETERS_MAX)].join(",");
    assert_eq!(
        ours.and(&client(&format!("a IN ({list})"), &[])),
        Err(FilterError::TooManyParameters)
    );
}

#[test]
fn arrays_of_values_are_written_as_postgres_reads_them() {
    let array = |items: &[&str]| {
        ParameterText::array(items.iter().copied())
            .unwrap()
            .as_str()
            .to_owned()
    };
    assert_eq!(array(&[]), "{}");
    assert_eq!(array(&["1", "-2", "b3c0-x"]), "{1,-2,b3c0-x}");
    assert_eq!(
        array(&["", "null", "a b", "a,b", "{}", "a\"b", "a\\b", "ä"]),
        r#"{"","null","a b","a,b","{}","a\"b","a\\b","ä"}"#
    );
    assert_eq!(ParameterText::array(["a\0"]), Err(ParameterError::Nul));
    assert_eq!(ParameterText::new("\0"), Err(ParameterError::Nul));
    let long = "a".repeat(limits::PARAMETER_BYTES_MAX + 1);
    assert_eq!(ParameterText::new(&long), Err(ParameterError::TooLong));
    assert_eq!(
        ParameterText::array([long.as_str()]),
        Err(ParameterError::TooLong)
    );
    assert_eq!(
        format!("{:?}", ParameterText::new("secret").unwrap()),
        "ParameterText(6 bytes)"
    );
}

fn literals(expression: &Expression) -> usize {
    let own = usize::from(matches!(expression, Expression::Literal(_)));
    own + expression.children().into_iter().map(literals).sum::<usize>()
}

/// Tokens in any order, of which some are sentences.
fn tokens() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "\"B\"",
        "1",
        "-",
        "2.5",
        "'x'",
        "''",
        "'\\'",
        "TRUE",
        "false",
        "NULL",
        "$1",
        "=",
        "<>",
        "AND",
        "OR",
        "NOT",
        "IN",
        "(",
        ")",
        ",",
        "IS",
        "BETWEEN",
        "LIKE",
        "ANY",
        "ARRAY",
        "[",
        "]",
        "::",
        "int4",
        "date",
        "interval",
        "lower",
        "||",
        "E",
        "U&",
        "--",
        "/*",
        "*/",
        ";",
        "\\",
        "$$",
        "SELECT",
        "FROM",
        "WHERE",
        ".",
        ":",
        "@",
        "|/",
        "9999999999",
        "1e5",
        "ä",
        "\u{0}",
        "\n",
    ]);
    prop::collection::vec((token, prop::sample::select(vec!["", " "])), 1..14).prop_map(|tokens| {
        tokens
            .into_iter()
            .map(|(token, space)| format!("{token}{space}"))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_client_writes_no_literal_is_left(text in prop_oneof![tokens(), "\\PC{0,30}", "[a'=()$1 \\\\-]{0,20}"]) {
        let Ok(clause) = Clause::read_client(&text) else { return Ok(()) };
        let given = vec!["v"; usize::from(clause.parameters_max())];
        let Ok(filter) = Filter::client(clause, values(&given)) else { return Ok(()) };
        prop_assert_eq!(literals(filter.clause().expression()), 0);
        let outside_of_names: String = filter.text().split('"').step_by(2).collect();
        prop_assert!(!outside_of_names.contains('\''), "{}", filter.text());
        let again = Clause::read_client(filter.text()).unwrap();
        prop_assert_eq!(&again, filter.clause());
        prop_assert_eq!(Filter::client(again, filter.parameters().to_vec()).unwrap(), filter);
    }

    #[test]
    fn whatever_a_policy_writes_is_read_again_as_it_was(text in tokens()) {
        if let Ok(clause) = Clause::read_policy(&text) {
            prop_assert_eq!(Clause::read_policy(&clause.to_string()), Ok(clause));
        }
    }

    #[test]
    fn any_text_is_a_literal_and_stays_what_it_is(text in "[^\\x00-\\x1f\\x7f-\\x9f]{0,40}") {
        let clause = policy(&format!("a = '{}'", text.replace('\'', "''")));
        let Expression::Compare { right, .. } = clause.expression() else { panic!("{clause}") };
        prop_assert_eq!(&**right, &Expression::Literal(Literal::Text(text.as_str().into())));
        prop_assert_eq!(policy(&clause.to_string()), clause);
    }
}
