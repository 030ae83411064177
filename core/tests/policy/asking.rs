//! What a client may ask of the definition, and what the upstream would be asked for then.
use std::sync::Arc;

use shapegate_core::code::Refusal;
use shapegate_core::definition::{Columns, Log, Replica};
use shapegate_core::identifier::ColumnSet;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{
    ClientAllowances, ClientColumns, ClientFilter, Ignorable, RowsSource, ShapeSource, TablePattern,
    TableSpec,
};

use crate::support::{ask, claims, compiled, judge, rows_of, users, with_rule};

fn member(source: ShapeSource, query: &str) -> Result<Arc<Allowed>, Refusal> {
    judge(
        &compiled(source),
        Some(&claims(r#"{"sub":"b","org_id":"org_1"}"#)),
        &ask(query),
    )
}

fn allowing(client: ClientAllowances) -> ShapeSource {
    ShapeSource { client, ..users() }
}

fn narrowing() -> ShapeSource {
    allowing(ClientAllowances {
        filter: ClientFilter::Narrow,
        ..ClientAllowances::default()
    })
}

fn open(rows: RowsSource) -> ShapeSource {
    let client = ClientAllowances {
        filter: ClientFilter::Any,
        columns: ClientColumns::Subset,
        ..ClientAllowances::default()
    };
    let patterns = ["public.*", "audit.log"].map(|text| TablePattern::parse(text).unwrap());
    let table = TableSpec::AnyOf(patterns.into());
    ShapeSource {
        client,
        table,
        columns: Columns::All,
        ..with_rule("true", rows)
    }
}

#[test]
fn what_equals_the_servers_own_is_accepted_in_every_spelling_and_changes_nothing() {
    let own = member(users(), "offset=-1").unwrap();
    for query in [
        "offset=-1&table=users",
        "offset=-1&table=public.users",
        "offset=-1&table=%22public%22.%22users%22",
        "offset=-1&table=USERS",
        "offset=-1&columns=org_id,name,id",
        "offset=-1&columns=%22id%22,name,org_id,id",
        "offset=-1&replica=default",
        "offset=-1&where=org_id+%3D+%241&params%5B1%5D=org_1",
        "offset=-1&where=(org_id+%3D+%27org_1%27)",
        "offset=-1&log=full",
    ] {
        let allowed = member(users(), query).unwrap_or_else(|refusal| panic!("{query}: {refusal}"));
        assert_eq!(allowed.definition(), own.definition(), "{query}");
        assert!(!allowed.handles().is_tagged(), "{query}");
    }
}

#[test]
fn anything_else_is_refused_by_name_with_the_key_that_would_allow_it() {
    for (query, name, key) in [
        ("table=secrets", "table", "any_of"),
        ("table=public.users2", "table", "any_of"),
        ("table=other.users", "table", "any_of"),
        ("where=true", "where", "where: narrow"),
        ("where=1%3D1)+OR+(1%3D1", "where", "where: narrow"),
        ("where=org_id+%3D+%27org_2%27", "where", "where: narrow"),
        (
            "where=org_id+%3D+%241&params%5B1%5D=org_2",
            "where",
            "where: narrow",
        ),
        ("params%5B1%5D=org_2", "params[1]", "where: narrow"),
        ("params%5B2%5D=org_1", "params[2]", "where: narrow"),
        ("columns=id,ssn", "columns", "columns: subset"),
        ("columns=id", "columns", "columns: subset"),
        ("replica=full", "replica", "replica: [default, full]"),
    ] {
        let refusal = member(users(), &format!("offset=-1&{query}")).unwrap_err();
        assert_eq!(
            (refusal.code.as_str(), refusal.code.status()),
            ("parameter_not_allowed", 400),
            "{query}"
        );
        assert!(
            refusal.message.starts_with(name) && refusal.message.contains(key),
            "{query}: {}",
            refusal.message
        );
    }
}

#[test]
fn a_refusal_comes_only_after_the_rules_so_that_strangers_learn_nothing() {
    let refusal = judge(
        &compiled(users()),
        Some(&claims("{}")),
        &ask("offset=-1&table=secrets"),
    )
    .unwrap_err();
    assert_eq!(refusal.code.as_str(), "forbidden");
}

#[test]
fn what_is_ignored_is_dropped_and_never_widens() {
    let all = [
        Ignorable::Table,
        Ignorable::Where,
        Ignorable::Columns,
        Ignorable::Replica,
    ];
    let source = || {
        allowing(ClientAllowances {
            ignore: all.into(),
            ..ClientAllowances::default()
        })
    };
    let own = member(users(), "offset=-1").unwrap();
    let query = "offset=-1&table=secrets&where=true&params%5B1%5D=org_2&columns=ssn&replica=full";
    let allowed = member(source(), query).unwrap();
    assert_eq!(allowed.definition(), own.definition());
    assert!(!allowed.handles().is_tagged());
    let some = allowing(ClientAllowances {
        ignore: [Ignorable::Columns].into(),
        ..ClientAllowances::default()
    });
    assert!(member(some, "offset=-1&columns=ssn&where=true").is_err());
}

#[test]
fn a_narrowing_filter_is_anded_behind_the_rules_with_its_literals_lifted() {
    let (text, values) = rows_of(member(narrowing(), "offset=-1&where=name+%3D+%27x%27+OR+true")).unwrap();
    assert_eq!(values[..2], ["org_1", "x"]);
    let (rule, _) = text.split_once(" AND ").unwrap();
    assert!(rule.contains("$1") && !rule.contains("OR"), "{text}");
    assert!(!text.contains("'x'"), "{text}");
}

#[test]
fn an_admin_narrows_all_rows_and_rows_none_stay_none() {
    let admin = claims(r#"{"roles":["admin"]}"#);
    let (_, values) = rows_of(judge(
        &compiled(narrowing()),
        Some(&admin),
        &ask("offset=-1&where=name+%3D+%27x%27"),
    ))
    .unwrap();
    assert_eq!(values, ["x"]);
    let none = ShapeSource {
        client: narrowing().client,
        ..with_rule("true", RowsSource::None)
    };
    assert_eq!(
        rows_of(member(none, "offset=-1&where=name+%3D+%27x%27")),
        Ok(("none".into(), vec![]))
    );
}

#[test]
fn a_narrowing_filter_reads_permitted_columns_only() {
    for query in [
        "where=ssn+LIKE+%271%25%27",
        "where=name+%3D+%27x%27+AND+ssn+IS+NULL",
        "where=lower(ssn)+%3D+%27a%27",
    ] {
        let refusal = member(narrowing(), &format!("offset=-1&{query}")).unwrap_err();
        assert!(refusal.message.contains("ssn"), "{query}: {refusal}");
    }
    // Fewer columns asked for do not hide the others from the filter: they are permitted all the same.
    let both = allowing(ClientAllowances {
        filter: ClientFilter::Narrow,
        columns: ClientColumns::Subset,
        ..ClientAllowances::default()
    });
    assert!(member(both, "offset=-1&columns=id&where=name+%3D+%27x%27").is_ok());
}

#[test]
fn a_narrowing_filter_holds_no_subquery() {
    for query in ["where=id+IN+(SELECT+id+FROM+secrets)", "where=EXISTS+(SELECT+1)"] {
        assert!(
            member(narrowing(), &format!("offset=-1&{query}")).is_err(),
            "{query}"
        );
    }
}

#[test]
fn a_client_may_choose_among_the_columns_but_not_beyond_them() {
    let source = || {
        allowing(ClientAllowances {
            columns: ClientColumns::Subset,
            ..ClientAllowances::default()
        })
    };
    let allowed = member(source(), "offset=-1&columns=name,id").unwrap();
    assert_eq!(
        *allowed.definition().columns(),
        Columns::Only(ColumnSet::parse("id,name").unwrap())
    );
    assert!(allowed.handles().is_tagged());
    let refusal = member(source(), "offset=-1&columns=id,ssn").unwrap_err();
    assert_eq!(refusal.code.as_str(), "parameter_not_allowed");
}

#[test]
fn replica_modes_are_those_that_are_listed() {
    let source = |modes: &[Replica]| {
        allowing(ClientAllowances {
            replica: modes.to_vec(),
            ..ClientAllowances::default()
        })
    };
    let mode = |source, query| member(source, query).map(|allowed| allowed.definition().replica());
    let both = [Replica::Default, Replica::Full];
    assert_eq!(mode(source(&both), "offset=-1&replica=full"), Ok(Replica::Full));
    assert_eq!(mode(source(&both), "offset=-1"), Ok(Replica::Default));
    assert_eq!(mode(source(&[Replica::Full]), "offset=-1"), Ok(Replica::Full));
    assert!(mode(source(&[Replica::Full]), "offset=-1&replica=default").is_err());
}

#[test]
fn the_log_is_the_clients_choice() {
    let allowed = member(users(), "offset=-1&log=changes_only").unwrap();
    assert_eq!(allowed.definition().log(), Log::ChangesOnly);
}

#[test]
fn an_open_route_gives_the_tables_of_its_patterns_and_no_others() {
    let table = |query: &str| {
        member(open(RowsSource::All), query).map(|allowed| allowed.definition().table().to_string())
    };
    assert_eq!(table("offset=-1&table=items").unwrap(), r#""public"."items""#);
    assert_eq!(table("offset=-1&table=audit.log").unwrap(), r#""audit"."log""#);
    for query in [
        "table=audit.secrets",
        "table=auth.users",
        "table=%22public.x%22.items",
        "table=pg_catalog.pg_authid",
    ] {
        let refusal = table(&format!("offset=-1&{query}")).unwrap_err();
        assert_eq!(refusal.code.as_str(), "parameter_not_allowed", "{query}");
    }
    assert_eq!(table("offset=-1").unwrap_err().code.as_str(), "parameter_missing");
}

#[test]
fn on_an_open_route_the_rules_filter_is_anded_with_the_clients() {
    let source = || open(crate::support::filtered("tenant_id = $1", &["user.id"]));
    let with_a_hole = "offset=-1&table=items&where=a+%3D+1+OR+b+%3D+%242&params%5B1%5D=x&params%5B2%5D=y";
    assert_eq!(rows_of(member(source(), with_a_hole)), Err("parameter_malformed"));
    let (text, values) = rows_of(member(
        source(),
        "offset=-1&table=items&where=a+%3D+1+OR+b+%3D+%241&params%5B1%5D=x",
    ))
    .unwrap();
    assert_eq!(values, ["b", "1", "x"]);
    assert!(text.find(r#""tenant_id""#) < text.find(" AND "), "{text}");
}

#[test]
fn handles_are_bound_exactly_where_the_client_has_a_say() {
    let tagged = |source, query| member(source, query).unwrap().handles().is_tagged();
    assert!(!tagged(narrowing(), "offset=-1"));
    assert!(tagged(narrowing(), "offset=-1&where=name+%3D+%27x%27"));
    assert!(tagged(open(RowsSource::All), "offset=-1&table=items"));
    assert!(!tagged(
        ShapeSource {
            tagger: None,
            ..open(RowsSource::All)
        },
        "offset=-1&table=items"
    ));
    let by_query = ShapeSource {
        query_names: ["org".into()].into(),
        ..with_rule(
            "has(request.query.org)",
            crate::support::filtered("org_id = $1", &["request.query.org"]),
        )
    };
    let asked = crate::support::ask_declared(
        "offset=-1&org=a",
        &[("org", shapegate_core::request::DeclaredType::Text)],
    );
    let allowed = judge(&compiled(by_query), Some(&claims("{}")), &asked).unwrap();
    assert!(allowed.handles().is_tagged());
}

#[test]
fn rules_can_tell_open_tables_apart_without_being_fooled_by_dots() {
    let when = r#"asked.table == "public.items""#;
    let source = || ShapeSource {
        ..ShapeSource {
            rules: vec![crate::support::rule(when, RowsSource::All)],
            ..open(RowsSource::All)
        }
    };
    assert!(member(source(), "offset=-1&table=items").is_ok());
    assert_eq!(
        member(source(), "offset=-1&table=orders")
            .unwrap_err()
            .code
            .as_str(),
        "forbidden"
    );
    let odd = TableSpec::AnyOf(vec![
        TablePattern::parse(r#""public.items""#).unwrap(),
        TablePattern::parse("public.*").unwrap(),
    ]);
    let source = ShapeSource {
        table: odd,
        ..source()
    };
    assert_eq!(
        member(source, "offset=-1&table=%22public.items%22")
            .unwrap_err()
            .code
            .as_str(),
        "forbidden"
    );
}
