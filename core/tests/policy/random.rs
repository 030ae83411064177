//! Whatever a client asks, the upstream is asked for what the policy says.
use proptest::prelude::*;
use shapegate_core::definition::Rows;
use shapegate_core::permit::SubsetLimits;
use shapegate_core::policy::{
    ClientAllowances, ClientColumns, ClientFilter, Ignorable, RowsSource, ShapePolicy, ShapeSource,
};
use shapegate_core::request::{Asked, Declared, Verb};
use shapegate_core::upstream::{UpstreamBase, UpstreamRequest};

use crate::support::{NOW, PLAIN, ask, claims, compiled, judge, users, with_rule};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("users".to_owned()),
        Just("secrets".to_owned()),
        Just("id,ssn".to_owned()),
        Just("id".to_owned()),
        Just("org_id,name".to_owned()),
        Just("true".to_owned()),
        Just("1=1) OR (1=1".to_owned()),
        Just("name = 'x' OR org_id = 'org_2'".to_owned()),
        Just("org_id = $1".to_owned()),
        Just("ssn = '1'".to_owned()),
        Just("id IN (SELECT id FROM secrets)".to_owned()),
        Just("full".to_owned()),
        Just("org_2".to_owned()),
        "[ -~]{0,24}",
    ]
}

fn query() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "table",
        "where",
        "columns",
        "replica",
        "params[1]",
        "params[2]",
        "log",
        "secret",
        "queryable_columns",
        "subset__where",
        "subset__limit",
        "subset__order_by",
        "handle",
        "foo",
        "where[]",
        "Table",
        "table ",
    ]);
    prop::collection::vec((names, word()), 0..5).prop_map(|pairs| {
        let mut query = "offset=-1".to_owned();
        for (name, value) in pairs {
            let encode = |text: &str| {
                text.bytes()
                    .map(|byte| format!("%{byte:02X}"))
                    .collect::<String>()
            };
            query = format!("{query}&{}={}", encode(name), encode(&value));
        }
        query
    })
}

fn allowances() -> impl Strategy<Value = ClientAllowances> {
    let ignorable = prop::sample::subsequence(vec![Ignorable::Table, Ignorable::Replica], 0..=2);
    let filter = prop_oneof![
        Just(ClientFilter::Forbidden),
        Just(ClientFilter::Narrow),
        Just(ClientFilter::Any)
    ];
    let columns = prop_oneof![Just(ClientColumns::Fixed), Just(ClientColumns::Subset)];
    (ignorable, filter, columns, any::<bool>()).prop_map(|(ignore, filter, columns, subsets)| {
        ClientAllowances {
            filter,
            columns,
            replica: Vec::new(),
            subset: subsets.then(SubsetLimits::default),
            ignore: ignore.into_iter().collect(),
        }
    })
}

/// Conditions over claims that may be missing: `a` and `b` numbers, `c` an object that may have an `x`, `l` a
/// list of such objects.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "has(user.a)",
        "has(user.b)",
        "has(user.c)",
        "has(user.c.x)",
        "has(user.l)",
        "'a' in user",
        "user.a == 1",
        "user.b == user.a",
        "user.c.x == 1",
        "user['a'] == 2",
        "user != null",
        "user.l.exists(e, has(e.x) && e.x == 1)",
        "user.l.all(e, e.x == 1)",
        "user.l.exists(e, has(user.a) && user.a == 1 || !has(e.x))",
        "user.b in [1, 2]",
        "true",
        "false",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(6, 40, 3, |inner| {
        prop_oneof![
            4 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            2 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn claims_text() -> impl Strategy<Value = String> {
    let member = |name: &'static str, values: &'static [&'static str]| {
        prop::option::of(prop::sample::select(values))
            .prop_map(move |value| value.map(|v| format!("\"{name}\":{v}")))
    };
    let members = (
        member("a", &["1", "2"]),
        member("b", &["1", "2"]),
        member("c", &["{}", r#"{"x":1}"#]),
        member("l", &["[]", "[{}]", r#"[{"x":1},{}]"#]),
    );
    members.prop_map(|(a, b, c, l)| {
        let members: Vec<String> = [a, b, c, l].into_iter().flatten().collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_condition_that_loads_never_fails_for_want_of_a_claim(when in condition(), text in claims_text()) {
        let Ok(policy) = ShapePolicy::compile(with_rule(&when, RowsSource::All)) else { return Ok(()) };
        if let Err(refusal) = judge(&policy, Some(&claims(&text)), &ask(PLAIN)) {
            prop_assert_eq!(refusal.code.as_str(), "forbidden", "{} {}: {:?}", when, text, refusal.detail);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn table_rows_columns_and_values_come_from_the_policy_alone(query in query(), client in allowances()) {
        let Ok(asked) = Asked::parse(Verb::Get, &query, &Declared::default()) else { return Ok(()) };
        let narrow = client.filter != ClientFilter::Forbidden;
        let policy = compiled(ShapeSource { client, ..users() });
        let who = claims(r#"{"sub":"b","org_id":"org_1"}"#);
        let own = judge(&policy, Some(&who), &ask(PLAIN)).unwrap();
        let Ok(allowed) = judge(&policy, Some(&who), &asked) else { return Ok(()) };
        let (own, given) = (own.definition(), allowed.definition());

        prop_assert_eq!(given.table(), own.table());
        prop_assert_eq!(given.replica(), own.replica());
        let (Rows::Where(ours), Rows::Where(rows)) = (own.rows(), given.rows()) else { panic!("{given}") };
        prop_assert_eq!(&rows.parameters()[0], &ours.parameters()[0]);
        if !narrow || rows == ours {
            prop_assert_eq!(rows, ours);
        } else {
            // The server's filter is the first operand of the outermost AND.
            use shapegate_core::clause::Expression;
            let Expression::And(operands) = rows.clause().expression() else { panic!("{}", rows.text()) };
            prop_assert_eq!(&operands[0], ours.clause().expression());
        }
        let visible = ["id", "name", "org_id"];
        prop_assert!(rows.clause().columns().all(|column| visible.contains(&column.as_str())));
        let shapegate_core::definition::Columns::Only(columns) = given.columns() else { panic!("{given}") };
        prop_assert!(columns.iter().all(|column| visible.contains(&column.as_str())));

        if let Ok(permit) = allowed.permit(asked, NOW) {
            let reads = permit.subset().and_then(|subset| subset.filter());
            let hidden = reads.is_some_and(|filter| filter.clause().columns().any(|column| column.as_str() == "ssn"));
            prop_assert!(!hidden);

            let request = UpstreamRequest::build(&permit, &UpstreamBase::new("", None, None).unwrap()).unwrap();
            let received = received(&request.target_with(None));
            let names: Vec<&str> = received.iter().map(|(name, _)| name.as_str()).collect();
            let known = ["columns", "log", "offset", "queryable_columns", "replica", "table", "where"];
            prop_assert!(names.iter().all(|name| known.contains(name) || name.starts_with("params[")), "{:?}", names);
            prop_assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", names);
            let value = |name: &str| received.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
            prop_assert_eq!(value("table"), Some(own.table().to_string()));
            prop_assert_eq!(value("where"), Some(rows.text().to_owned()));
            prop_assert_eq!(value("params[1]"), Some("org_1".to_owned()));
            prop_assert_eq!(value("queryable_columns"), Some(columns.to_string()));
        }
    }
}

/// What an upstream reads from a request's target.
fn received(target: &str) -> Vec<(String, String)> {
    let (path, query) = target.split_once('?').unwrap();
    assert_eq!(path, "/v1/shape");
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
