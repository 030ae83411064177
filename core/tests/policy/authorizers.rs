//! What authorisers found out: what rules may read of it, what it narrows, and how long it holds.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shapegate_core::clause::{Clause, Filter, ParameterText};
use shapegate_core::code::Refusal;
use shapegate_core::definition::Columns;
use shapegate_core::identifier::ColumnSet;
use shapegate_core::identity::Identity;
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{
    Access, AuthorizerSource, ClientAllowances, ClientColumns, ClientFilter, FactNames, Facts, Finding,
    InputSource, NoHeaders, OtherFacts, Part, RequestFacts, RowsSource, ShapePolicy, ShapeSource,
    returned_filter,
};
use shapegate_core::request::{Asked, DeclaredType, Scalar};
use shapegate_core::time::{Now, UnixMillis, Until};
use shapegate_core::value::Value;

use crate::support::{
    NOW, PLAIN, ask, ask_declared, claims, compiled, fault, filtered, rows_of, rule, with_rule,
};

fn names(list: &[&str]) -> std::collections::BTreeSet<Arc<str>> {
    list.iter().map(|name| Arc::from(*name)).collect()
}

fn open(certain: &[&str]) -> FactNames {
    FactNames {
        certain: names(certain),
        others: OtherFacts::Possible,
        ..FactNames::default()
    }
}

fn query() -> FactNames {
    FactNames {
        others: OtherFacts::Certain,
        ..FactNames::default()
    }
}

/// As a check does: one fact, which must be read.
fn checked(fact: &str) -> FactNames {
    FactNames {
        certain: names(&[fact]),
        to_be_read: names(&[fact]),
        ..FactNames::default()
    }
}

fn asking(facts: FactNames, inputs: &[&str]) -> AuthorizerSource {
    let expression = |text: &&str| InputSource::Expression((*text).to_owned());
    AuthorizerSource {
        name: None,
        inputs: inputs.iter().map(expression).collect(),
        facts,
    }
}

fn named(name: &str, facts: FactNames) -> AuthorizerSource {
    AuthorizerSource {
        name: Some(name.into()),
        ..asking(facts, &[])
    }
}

fn with(authorizers: Vec<AuthorizerSource>, when: &str, rows: RowsSource) -> ShapeSource {
    ShapeSource {
        authorizers,
        ..with_rule(when, rows)
    }
}

fn until(seconds: u64) -> Until {
    Until::after(NOW, Duration::from_secs(seconds))
}

fn finding(facts: &str) -> Finding {
    let Value::Map(facts) = json::parse(facts.as_bytes(), JsonLimits::CLAIMS).unwrap() else {
        panic!("{facts}")
    };
    Finding {
        facts,
        filter: None,
        columns: None,
        until: until(30),
    }
}

fn only(filter: &str, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| ParameterText::new(value).unwrap());
    Filter::new(Clause::read_policy(filter).unwrap(), values.collect()).unwrap()
}

fn judge(policy: &ShapePolicy, facts: &Facts, asked: &Asked) -> Result<Arc<Allowed>, Refusal> {
    judge_at(policy, facts, asked, NOW)
}

fn judge_at(policy: &ShapePolicy, facts: &Facts, asked: &Asked, now: Now) -> Result<Arc<Allowed>, Refusal> {
    let bob = claims(r#"{"sub":"bob","org_id":"acme"}"#);
    policy.judge(Some(&bob), &request(&[], asked), asked, facts, now)
}

fn request<'a>(path: &'a [(Arc<str>, Scalar)], asked: &'a Asked) -> RequestFacts<'a> {
    RequestFacts {
        method: "GET",
        path,
        query: &asked.query,
        headers: &NoHeaders,
    }
}

fn decided(source: ShapeSource, findings: &[Finding]) -> Result<(String, Vec<String>), &'static str> {
    let names: Vec<_> = source.authorizers.iter().map(|one| one.name.clone()).collect();
    let facts = Facts::gathered(names.iter().map(Option::as_ref).zip(findings));
    rows_of(judge(&compiled(source), &facts, &ask(PLAIN)))
}

fn loads(facts: FactNames, when: &str) -> bool {
    ShapePolicy::compile(with(vec![asking(facts, &[])], when, RowsSource::All)).is_ok()
}

#[test]
fn facts_of_a_single_authoriser_are_read_from_decision_itself_in_conditions_and_parameters() {
    let source = || {
        with(
            vec![asking(query(), &["user.id"])],
            r#"decision.role in ["owner", "member"]"#,
            filtered("team_id = $1", &["decision.team"]),
        )
    };
    assert_eq!(
        decided(source(), &[finding(r#"{"role":"member","team":7}"#)]),
        Ok((r#"("team_id" = $1)"#.to_owned(), vec!["7".to_owned()]))
    );
    assert_eq!(
        decided(source(), &[finding(r#"{"role":"guest","team":7}"#)]),
        Err("forbidden")
    );
    assert_eq!(
        decided(source(), &[finding(r#"{"role":"owner","team":null}"#)]),
        Err("decision_failed"),
        "a null denies as it does in claims"
    );
}

#[test]
fn facts_of_several_authorisers_are_read_under_their_names_and_never_mixed() {
    let source = |when: &str| {
        with(
            vec![named("membership", query()), named("billing", query())],
            when,
            RowsSource::All,
        )
    };
    let findings = [finding(r#"{"role":"owner"}"#), finding(r#"{"plan":"pro"}"#)];
    let both = r#"decision.membership.role == "owner" && decision.billing.plan == "pro""#;
    assert!(decided(source(both), &findings).is_ok());
    let swapped = r#"has(decision.billing.role) && decision.billing.role == "owner""#;
    assert_eq!(decided(source(swapped), &findings), Err("forbidden"));
    for unknown in [
        "decision.other.role == 'x'",
        "has(decision.other.role)",
        "decision.role == 'x'",
    ] {
        let fault = fault(source(unknown));
        assert!(
            fault.message.contains("no authoriser of this shape is called"),
            "{fault}"
        );
    }
}

#[test]
fn a_fact_that_may_be_missing_is_read_behind_a_guard_or_not_at_all() {
    for (when, loaded) in [
        ("decision.plan == 'pro'", false),
        ("has(decision.plan) && decision.plan == 'pro'", true),
        ("'plan' in decision && decision.plan == 'pro'", true),
        ("decision['plan'] == 'pro'", false),
        ("has(decision.org.plan)", false),
        (
            "has(decision.org) && has(decision.org.plan) && decision.org.plan == 'pro'",
            true,
        ),
        ("decision.tier == 'free'", true),
        ("decision.tier.deep == 'free'", false),
        ("decision[user.id] == 'x'", false),
        ("user.id in decision && decision[user.id] == 'x'", true),
    ] {
        assert_eq!(loads(open(&["tier"]), when), loaded, "{when}");
    }
    assert!(
        loads(query(), "decision.anything == 1"),
        "columns are always there"
    );
    assert!(
        !loads(query(), "decision.column.member == 1"),
        "what is in them is not"
    );
}

#[test]
fn a_fact_that_an_authoriser_never_finds_out_is_refused_even_behind_a_guard() {
    let source = |when: &str| with(vec![asking(checked("allowed"), &[])], when, RowsSource::All);
    assert!(ShapePolicy::compile(source("decision.allowed")).is_ok());
    for when in [
        "decision.allowed && has(decision.role)",
        "decision.allowed && decision.role == 'x'",
    ] {
        let fault = fault(source(when));
        assert!(fault.message.contains("finds out no role"), "{fault}");
        assert!(fault.advice.contains("allowed"), "{fault:?}");
    }
}

#[test]
fn a_check_that_no_rule_reads_is_refused_because_it_would_decide_nothing() {
    let unread = with(vec![asking(checked("allowed"), &[])], "true", RowsSource::All);
    let fault = fault(unread);
    assert_eq!(fault.part, Part::Authorizer(0));
    assert!(
        fault.message.contains("no rule reads decision.allowed"),
        "{fault}"
    );

    let wrong_one = with(
        vec![named("a", checked("allowed")), named("b", checked("ids"))],
        "decision.a.allowed",
        filtered("id = ANY($1)", &["decision.b.ids"]),
    );
    assert!(
        ShapePolicy::compile(wrong_one).is_ok(),
        "a parameter reads it, too"
    );
    let only_asked = with(
        vec![asking(checked("ids"), &[])],
        "has(decision.ids)",
        RowsSource::All,
    );
    assert!(
        ShapePolicy::compile(only_asked).is_ok(),
        "what has() asks for is read"
    );
}

#[test]
fn without_an_authoriser_there_is_no_decision_and_none_is_told_of_anothers() {
    assert!(
        fault(with_rule("decision.role == 'x'", RowsSource::All))
            .message
            .contains("no decision")
    );
    assert!(
        fault(with_rule("has(decision.role)", RowsSource::All))
            .message
            .contains("no decision")
    );
    let nosy = with(vec![asking(query(), &["decision.role"])], "true", RowsSource::All);
    assert_eq!(fault(nosy).part, Part::Input(0, 0));
}

#[test]
fn what_an_authoriser_is_told_is_checked_as_rules_are() {
    let told = |input: &str| with(vec![asking(query(), &[input])], "true", RowsSource::All);
    for (input, loaded) in [
        ("user.id", true),
        ("user.org_id", false),
        ("\"org_id\" in user ? user.org_id : null", true),
        ("request.path.project", false),
        ("request.query.organizationId", false),
        ("request.headers['x-org']", false),
        ("tenant.id", true),
        ("asked.table", true),
        ("nonsense(", false),
    ] {
        assert_eq!(ShapePolicy::compile(told(input)).is_ok(), loaded, "{input}");
    }
}

#[test]
fn a_public_shape_may_ask_only_what_tells_nothing_of_who_asks() {
    let public = |input: &str| ShapeSource {
        access: Access::Public,
        ..with(vec![asking(query(), &[input])], "decision.open", RowsSource::All)
    };
    assert!(ShapePolicy::compile(public("tenant.id")).is_ok());
    for input in ["user.id", "user != null", r#""x" in request.headers"#] {
        assert_eq!(fault(public(input)).part, Part::Input(0, 0), "{input}");
    }
}

#[test]
fn authorisers_are_told_exact_values_in_their_order() {
    let bob = claims(
        r#"{"sub":"bob","n":9007199254740993,"u":18446744073709551615,"l":["a",1,true],"m":{"a":null}}"#,
    );
    let inputs = [
        "user.id",
        "user.claims.n",
        "user.claims.u",
        "user.claims.l",
        "user.claims.m",
    ];
    let guarded = inputs.map(|input| format!("has({input}) ? {input} : null"));
    let inputs: Vec<&str> = guarded.iter().map(String::as_str).collect();
    let policy = compiled(with(vec![asking(query(), &inputs)], "true", RowsSource::All));
    let asked = ask(PLAIN);
    let told = policy
        .inputs(Some(&bob), &request(&[], &asked), &asked, NOW)
        .unwrap();
    assert_eq!(
        told,
        [vec![
            Value::from("bob"),
            Value::Int(9_007_199_254_740_993),
            Value::UInt(u64::MAX),
            Value::List(vec![Value::from("a"), Value::Int(1), Value::Bool(true)]),
            Value::Map(BTreeMap::from([(Arc::from("a"), Value::Null)])),
        ]]
    );
}

#[test]
fn captures_and_declared_names_are_told_whole_and_typed() {
    let source = ShapeSource {
        authorizers: vec![AuthorizerSource {
            inputs: vec![
                InputSource::Path,
                InputSource::Query,
                InputSource::Value(Value::from("x")),
            ],
            ..asking(query(), &[])
        }],
        ..with_rule("true", RowsSource::All)
    };
    let asked = ask_declared(
        "offset=-1&n=7",
        &[("n", DeclaredType::Int), ("other", DeclaredType::Text)],
    );
    let path = [(Arc::from("project"), Scalar::Text("p1".into()))];
    let bob = claims(r#"{"sub":"bob"}"#);
    let told = compiled(source)
        .inputs(Some(&bob), &request(&path, &asked), &asked, NOW)
        .unwrap();
    let map = |name: &str, value: Value| Value::Map(BTreeMap::from([(Arc::from(name), value)]));
    assert_eq!(
        told,
        [vec![
            map("project", "p1".into()),
            map("n", Value::Int(7)),
            "x".into()
        ]]
    );
}

#[test]
fn a_returned_filter_is_read_as_a_rules_is_and_its_values_never_become_text() {
    let filter = returned_filter(
        "owner = $1 AND n = $2 AND open = $3 AND tag = ANY($4)",
        &[
            Value::from("x' OR '1'='1"),
            Value::Int(7),
            Value::Bool(true),
            Value::List(vec!["a,b".into()]),
        ],
    )
    .unwrap();
    let values: Vec<&str> = filter.parameters().iter().map(ParameterText::as_str).collect();
    assert_eq!(values, ["x' OR '1'='1", "7", "true", r#"{"a,b"}"#]);
    assert!(!filter.text().contains("OR"), "{}", filter.text());

    for (text, params) in [
        ("owner = $1", vec![]),
        ("owner = 'x'", vec![Value::from("unused")]),
        ("owner = $2", vec![Value::from("a"), Value::from("b")]),
        ("owner = $1", vec![Value::Null]),
        ("owner = $1", vec![Value::from("")]),
        ("owner = $1", vec![Value::Float(1.5)]),
        ("owner = $1", vec![Value::from("a\u{0}b")]),
        ("true) OR (true", vec![]),
        ("true; DROP TABLE x", vec![]),
        ("true -- comment", vec![]),
        ("", vec![]),
    ] {
        let error = returned_filter(text, &params).expect_err(text);
        assert!(!error.contains("unused"), "no value is in {error}");
    }
}

#[test]
fn nobody_is_asked_for_those_who_must_be_known_and_are_not() {
    let policy = compiled(with(vec![asking(query(), &["user.id"])], "true", RowsSource::All));
    let asked = ask(PLAIN);
    let told = |who: Option<&Identity>, now| policy.inputs(who, &request(&[], &asked), &asked, now);
    assert_eq!(told(None, NOW).unwrap_err().code.as_str(), "token_missing");
    let bob = claims(r#"{"sub":"bob"}"#);
    let later = Now {
        wall: NOW.wall.plus(Duration::from_secs(60)),
        ..NOW
    };
    assert_eq!(
        told(Some(&bob), later).unwrap_err().code.as_str(),
        "token_expired"
    );
    let nameless = claims("{}");
    assert_eq!(
        told(Some(&nameless), NOW).unwrap_err().code.as_str(),
        "decision_failed"
    );
}

#[test]
fn a_returned_filter_narrows_all_rows_a_rules_rows_and_none() {
    let narrowing = || Finding {
        filter: Some(only("hidden = false OR owner = $1", &["bob"])),
        ..finding("{}")
    };
    let narrowed = |rows: RowsSource| decided(with(vec![asking(query(), &[])], "true", rows), &[narrowing()]);
    let (text, values) = narrowed(filtered("a = $1 OR b = $2", &["user.id", "tenant.id"])).unwrap();
    assert_eq!(
        text,
        r#"((("a" = $1) OR ("b" = $2)) AND (("hidden" = FALSE) OR ("owner" = $3)))"#
    );
    assert_eq!(values, ["bob", "default", "bob"]);
    let (text, values) = narrowed(RowsSource::All).unwrap();
    assert_eq!(
        (text.as_str(), values.as_slice()),
        (
            r#"(("hidden" = FALSE) OR ("owner" = $1))"#,
            &["bob".to_owned()][..]
        )
    );
    assert_eq!(narrowed(RowsSource::None).unwrap().0, "none");
}

#[test]
fn filters_of_several_authorisers_are_all_anded() {
    let source = with(
        vec![named("a", query()), named("b", query())],
        "true",
        RowsSource::All,
    );
    let narrowing = |filter: &str, value: &str| Finding {
        filter: Some(only(filter, &[value])),
        ..finding("{}")
    };
    let (text, values) = decided(source, &[narrowing("x = $1", "1"), narrowing("y = $1", "2")]).unwrap();
    assert_eq!(text, r#"(("x" = $1) AND ("y" = $2))"#);
    assert_eq!(values, ["1", "2"]);
}

fn columns_of(source: ShapeSource, allowed: &[&str], query: &str) -> Result<Columns, &'static str> {
    let narrowing = |allowed: &&str| Finding {
        columns: Some(ColumnSet::parse(allowed).unwrap()),
        ..finding("{}")
    };
    let findings: Vec<Finding> = allowed.iter().map(narrowing).collect();
    let names: Vec<_> = source.authorizers.iter().map(|one| one.name.clone()).collect();
    let facts = Facts::gathered(names.iter().map(Option::as_ref).zip(&findings));
    let judged = judge(&compiled(source), &facts, &ask(query));
    let allowed = judged.map_err(|refusal| refusal.code.as_str())?;
    Ok(allowed.definition().columns().clone())
}

#[test]
fn returned_columns_only_ever_take_columns_away() {
    let one = || with(vec![asking(query(), &[])], "true", RowsSource::All);
    let some = |columns: &str| Ok(Columns::Only(ColumnSet::parse(columns).unwrap()));
    assert_eq!(columns_of(one(), &["id,name,ssn"], PLAIN), some("id,name"));
    assert_eq!(columns_of(one(), &["ssn"], PLAIN), Err("forbidden"));
    let all = ShapeSource {
        columns: Columns::All,
        ..one()
    };
    assert_eq!(columns_of(all, &["id,name"], PLAIN), some("id,name"));
    let two = with(
        vec![named("a", query()), named("b", query())],
        "true",
        RowsSource::All,
    );
    assert_eq!(columns_of(two, &["id,name", "id,org_id"], PLAIN), some("id"));
}

#[test]
fn a_client_chooses_and_filters_by_what_is_left_of_the_columns_alone() {
    let generous = || ShapeSource {
        client: ClientAllowances {
            filter: ClientFilter::Narrow,
            columns: ClientColumns::Subset,
            ..ClientAllowances::default()
        },
        ..with(vec![asking(query(), &[])], "true", RowsSource::All)
    };
    let some = |columns: &str| Ok(Columns::Only(ColumnSet::parse(columns).unwrap()));
    assert_eq!(
        columns_of(generous(), &["id,name"], "offset=-1&columns=id"),
        some("id")
    );
    assert_eq!(
        columns_of(generous(), &["id,name"], "offset=-1&columns=id,org_id"),
        Err("parameter_not_allowed")
    );
    assert_eq!(
        columns_of(generous(), &["id,name"], "offset=-1&where=org_id%3D'x'"),
        Err("parameter_not_allowed"),
        "a filter by a column that was taken away would tell its values"
    );
}

#[test]
fn a_decision_ends_with_the_earliest_of_its_facts_or_with_the_credential() {
    let policy = compiled(with(
        vec![named("a", query()), named("b", query())],
        "true",
        RowsSource::All,
    ));
    let lasting = |seconds| Finding {
        until: until(seconds),
        ..finding("{}")
    };
    let ends = |a, b| {
        let names: [Arc<str>; 2] = ["a".into(), "b".into()];
        let findings = [lasting(a), lasting(b)];
        let facts = Facts::gathered(names.iter().map(Some).zip(&findings));
        judge(&policy, &facts, &ask(PLAIN)).unwrap()
    };
    assert_eq!(ends(30, 20).until(), Some(until(20)));
    assert_eq!(ends(90, 300).until(), Some(until(60)), "the credential's");
    assert_eq!(ends(90, 30).credential_until(), Some(until(60)));
}

#[test]
fn facts_that_are_over_deny_by_both_clocks_and_blame_no_credential() {
    let policy = compiled(with(vec![asking(query(), &[])], "true", RowsSource::All));
    let facts = || Facts::gathered([(None, &finding("{}"))]);
    let late = |wall: u64, monotonic: u64| Now {
        wall: NOW.wall.plus(Duration::from_secs(wall)),
        monotonic: NOW.monotonic.plus(Duration::from_secs(monotonic)),
    };
    for now in [late(30, 0), late(0, 30), late(30, 30)] {
        let refusal = judge_at(&policy, &facts(), &ask(PLAIN), now).unwrap_err();
        assert_eq!(refusal.code.as_str(), "decision_unavailable");
        assert!(refusal.retry_after.is_some());
    }
    let allowed = judge(&policy, &facts(), &ask(PLAIN)).unwrap();
    assert!(allowed.permit(ask(PLAIN), late(29, 29)).is_ok());
    let withheld = allowed.permit(ask(PLAIN), late(30, 30)).unwrap_err();
    assert!(
        withheld.to_string().contains("decision_unavailable"),
        "{withheld}"
    );
    let back = Now {
        wall: UnixMillis(0),
        ..late(0, 30)
    };
    assert!(
        allowed.permit(ask(PLAIN), back).is_err(),
        "a clock set back prolongs nothing"
    );
}

#[test]
fn a_shape_that_asks_somebody_is_never_decided_without_their_answers() {
    let policy = compiled(with(
        vec![named("a", query()), named("b", query())],
        "true",
        RowsSource::All,
    ));
    let name: Arc<str> = "a".into();
    for facts in [Facts::none(), Facts::gathered([(Some(&name), &finding("{}"))])] {
        let refusal = judge(&policy, &facts, &ask(PLAIN)).unwrap_err();
        assert_eq!(refusal.code.as_str(), "internal");
    }
}

#[test]
fn decisions_are_remembered_unless_what_was_told_is_no_part_of_the_key() {
    let told = |input: &str| {
        compiled(ShapeSource {
            query_names: names(&["q"]),
            ..with(vec![asking(query(), &[input])], "true", RowsSource::All)
        })
    };
    let bob = claims(r#"{"sub":"bob"}"#);
    let key =
        |policy: &ShapePolicy, asked: &Asked| policy.memory_key(Some(&bob), &request(&[], asked), asked);
    assert!(key(&told("user.id"), &ask(PLAIN)).is_some());
    assert!(key(&told(r#""x-org" in request.headers"#), &ask(PLAIN)).is_none());
    let declared = ask_declared("offset=-1&q=x", &[("q", DeclaredType::Text)]);
    assert!(key(&told("user.id"), &declared).is_none());
}

#[test]
fn several_authorisers_need_a_name_each_and_are_few() {
    let nameless = with(
        vec![named("a", query()), asking(query(), &[])],
        "true",
        RowsSource::All,
    );
    assert_eq!(fault(nameless).part, Part::Authorizer(0));
    let twice = with(
        vec![named("a", query()), named("a", query())],
        "true",
        RowsSource::All,
    );
    assert_eq!(fault(twice).part, Part::Authorizer(0));
    let crowd = (0..9).map(|n| named(&format!("a{n}"), query())).collect();
    assert!(ShapePolicy::compile(with(crowd, "true", RowsSource::All)).is_err());
}

#[test]
fn a_later_rule_is_not_tried_when_one_cannot_be_decided_from_the_facts() {
    let source = ShapeSource {
        rules: vec![
            rule(r#"decision.level > 3"#, RowsSource::All),
            rule("true", RowsSource::All),
        ],
        ..with(vec![asking(query(), &[])], "true", RowsSource::All)
    };
    assert_eq!(
        decided(source, &[finding(r#"{"level":"high"}"#)]),
        Err("decision_failed")
    );
}
