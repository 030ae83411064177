use std::time::Duration;

use shapegate_core::policy::{
    Access, Facts, HeaderValue, Headers, NoHeaders, RequestFacts, RowsSource, ShapePolicy, ShapeSource,
};
use shapegate_core::time::{Now, UnixMillis};

use crate::support::{
    NOW, PLAIN, ask, claims, compiled, filtered, judge, judge_at, parameter, rows_of, rule, users,
    with_parameter, with_rule,
};

fn decided(source: ShapeSource, claims_text: &str) -> Result<(String, Vec<String>), &'static str> {
    rows_of(judge(&compiled(source), Some(&claims(claims_text)), &ask(PLAIN)))
}

#[test]
fn an_admin_gets_all_a_member_the_rows_of_its_organisation_and_nobody_else_anything() {
    assert_eq!(
        decided(users(), r#"{"sub":"a","roles":["admin"]}"#),
        Ok(("all".into(), vec![]))
    );
    let member = decided(users(), r#"{"sub":"b","org_id":"org_1","roles":["member"]}"#).unwrap();
    assert_eq!(member.1, ["org_1"]);
    assert!(
        member.0.contains(r#""org_id""#) && member.0.contains("$1"),
        "{}",
        member.0
    );
    assert_eq!(decided(users(), r#"{"sub":"c"}"#), Err("forbidden"));
}

#[test]
fn two_organisations_never_share_a_definition() {
    let policy = compiled(users());
    let of = |text: &str| judge(&policy, Some(&claims(text)), &ask(PLAIN)).unwrap();
    let (one, two) = (of(r#"{"org_id":"org_1"}"#), of(r#"{"org_id":"org_2"}"#));
    assert_ne!(one.definition(), two.definition());
    assert_eq!(
        one.definition(),
        of(r#"{"org_id":"org_1","sub":"other"}"#).definition()
    );
}

#[test]
fn the_rule_that_allowed_is_named() {
    let policy = compiled(users());
    let allowed = judge(&policy, Some(&claims(r#"{"org_id":"o"}"#)), &ask(PLAIN)).unwrap();
    assert_eq!(&**allowed.rule(), "rules[1]");
    assert_eq!(allowed.until(), claims("{}").valid_until());
}

#[test]
fn the_first_rule_that_holds_decides_even_if_it_gives_less() {
    let rules = vec![
        rule(r#"user.id == "x""#, RowsSource::None),
        rule("true", RowsSource::All),
    ];
    let source = || ShapeSource {
        rules: rules.clone(),
        ..users()
    };
    assert_eq!(decided(source(), r#"{"sub":"x"}"#), Ok(("none".into(), vec![])));
    assert_eq!(decided(source(), r#"{"sub":"y"}"#), Ok(("all".into(), vec![])));
}

#[test]
fn an_error_denies_and_no_later_rule_is_tried() {
    let failing = [
        r"has(user.n) && user.n > 5",                 // a string and a number
        r"has(user.n) && user.n.startsWith(user.id)", // user.id is missing
        r"has(user.big) && user.big + 1 > 0",         // overflow
        r"has(user.m) && has(user.m.a) && user.m.a",  // not a boolean
        r"has(user.z) && 1 / user.z == 1",            // division by zero
        r"has(user.n) && user.n",                     // not a boolean
    ];
    for when in failing {
        let rules = vec![rule(when, RowsSource::None), rule("true", RowsSource::All)];
        let policy = compiled(ShapeSource { rules, ..users() });
        let who = claims(r#"{"n":"5","big":9223372036854775807,"m":{"a":1},"z":0}"#);
        let refusal = judge(&policy, Some(&who), &ask(PLAIN)).unwrap_err();
        assert_eq!(
            (refusal.code.as_str(), refusal.code.status()),
            ("decision_failed", 403),
            "{when}"
        );
        assert!(refusal.detail.unwrap().starts_with("rules[0].when: "), "{when}");
    }
}

#[test]
fn a_failed_decision_tells_the_log_no_claim_and_the_client_nothing() {
    let mut failed = 0;
    for failing in [
        "user.secret > 5",
        "user.secret < [user.secret]",
        "user.secret + 1 == 2",
        "-user.secret == 1",
        "user.secret && true",
        "user.secret in user.secret",
        "user.secret.exists(x, true)",
        "int(user.secret) == 1",
        "user.secret in {} || {}[user.secret] == 1",
        "has(user.secret.a)",
        "{user.secret: 1, user.secret: 2} == {}",
        "has(user.m) && user.secret in user.m && user.m[user.secret] == 1 || user.secret",
        "user.secret",
    ] {
        let Ok(policy) = ShapePolicy::compile(with_rule(
            &format!("has(user.secret) && {failing}"),
            RowsSource::All,
        )) else {
            continue;
        };
        let refusal = judge(&policy, Some(&claims(r#"{"secret":"hunter2"}"#)), &ask(PLAIN)).unwrap_err();
        assert_eq!(refusal.code.as_str(), "decision_failed", "{failing}");
        assert!(
            !format!("{refusal:?}").contains("hunter2"),
            "{failing}: {refusal:?}"
        );
        failed += 1;
    }
    assert!(failed > 8, "{failed} were evaluated");
}

#[test]
fn what_is_missing_never_equals_what_is_missing() {
    let request_missing = with_rule(
        "has(request.query.org) && has(user.org) && user.org == request.query.org",
        RowsSource::All,
    );
    let source = ShapeSource {
        query_names: ["org".into()].into(),
        ..request_missing
    };
    assert_eq!(decided(source, "{}"), Err("forbidden"));
    assert!(parameter("user.id", r#"{"sub":""}"#).is_err());
    assert!(parameter("user.id", "{}").is_err());
    // A claim that is null is there, and equals no text.
    let source = with_rule(r#"has(user.org) && user.org == """#, RowsSource::All);
    assert_eq!(decided(source, r#"{"org":null}"#), Err("forbidden"));
}

#[test]
fn a_dotted_name_is_a_path_and_never_a_claim_with_a_dot() {
    let source = || with_rule("has(user.a) && has(user.a.b) && user.a.b == 2", RowsSource::All);
    assert_eq!(
        decided(source(), r#"{"a.b":1,"a":{"b":2}}"#),
        Ok(("all".into(), vec![]))
    );
    assert_eq!(decided(source(), r#"{"a.b":2,"a":{"b":1}}"#), Err("forbidden"));
    assert_eq!(decided(source(), r#"{"a.b":2}"#), Err("forbidden"));
    let source = with_rule(r#""a.b" in user && user["a.b"] == 1"#, RowsSource::All);
    assert_eq!(
        decided(source, r#"{"a.b":1,"a":{"b":2}}"#),
        Ok(("all".into(), vec![]))
    );
}

#[test]
fn claims_cannot_pretend_to_be_user_id_or_user_claims() {
    let source = || with_rule(r#"user.id == "root""#, RowsSource::All);
    assert_eq!(decided(source(), r#"{"sub":"root"}"#), Ok(("all".into(), vec![])));
    assert_eq!(
        decided(source(), r#"{"sub":"mallory","id":"root"}"#),
        Err("forbidden")
    );
    assert_eq!(decided(source(), r#"{"id":"root"}"#), Err("decision_failed"));
    let source = with_rule("has(user.claims.admin)", RowsSource::All);
    assert_eq!(decided(source, r#"{"claims":{"admin":true}}"#), Err("forbidden"));
}

#[test]
fn nobody_is_refused_where_somebody_is_required_whatever_the_rules_say() {
    let policy = compiled(with_rule("true", RowsSource::All));
    assert_eq!(rows_of(judge(&policy, None, &ask(PLAIN))), Err("token_missing"));
}

#[test]
fn a_credential_that_is_over_allows_nothing() {
    let policy = compiled(users());
    let who = claims(r#"{"org_id":"o"}"#);
    let later = Now {
        wall: UnixMillis(NOW.wall.0 + 60_000),
        ..NOW
    };
    let request = RequestFacts {
        method: "GET",
        path: &[],
        query: &[],
        headers: &NoHeaders,
    };
    let refusal = policy
        .judge(Some(&who), &request, &ask(PLAIN), &Facts::none(), later)
        .unwrap_err();
    assert_eq!(refusal.code.as_str(), "token_expired");
}

#[test]
fn an_optional_user_is_null_and_rules_can_tell() {
    let rules = vec![
        rule("user == null", RowsSource::None),
        rule("user != null && has(user.org)", RowsSource::All),
    ];
    let policy = compiled(ShapeSource {
        access: Access::Optional,
        rules,
        ..users()
    });
    assert_eq!(
        rows_of(judge(&policy, None, &ask(PLAIN))),
        Ok(("none".into(), vec![]))
    );
    assert_eq!(
        rows_of(judge(&policy, Some(&claims(r#"{"org":1}"#)), &ask(PLAIN))),
        Ok(("all".into(), vec![]))
    );
    assert_eq!(
        rows_of(judge(&policy, Some(&claims("{}")), &ask(PLAIN))),
        Err("forbidden")
    );
}

#[test]
fn a_public_shape_gives_everybody_the_same_and_holds_without_end() {
    let source = ShapeSource {
        access: Access::Public,
        ..with_rule("true", RowsSource::All)
    };
    let policy = compiled(source);
    let nobody = judge(&policy, None, &ask(PLAIN)).unwrap();
    let somebody = judge(&policy, Some(&claims("{}")), &ask(PLAIN)).unwrap();
    assert_eq!(nobody.definition(), somebody.definition());
    assert_eq!((nobody.until(), somebody.until()), (None, None));
}

struct OneHeader(HeaderValue<'static>);

impl Headers for OneHeader {
    fn header(&self, name: &str) -> HeaderValue<'_> {
        if name == "x-team" {
            self.0
        } else {
            HeaderValue::Absent
        }
    }
}

fn with_header(
    policy: &ShapePolicy,
    value: HeaderValue<'static>,
) -> Result<(String, Vec<String>), &'static str> {
    let request = RequestFacts {
        method: "GET",
        path: &[],
        query: &[],
        headers: &OneHeader(value),
    };
    rows_of(policy.judge(Some(&claims("{}")), &request, &ask(PLAIN), &Facts::none(), NOW))
}

#[test]
fn a_header_is_read_once_and_one_that_is_sent_twice_denies() {
    let when = r#""x-team" in request.headers"#;
    let policy = compiled(with_rule(
        when,
        filtered("org_id = $1", &[r#"request.headers["x-team"]"#]),
    ));
    assert_eq!(with_header(&policy, HeaderValue::Text("red")).unwrap().1, ["red"]);
    assert_eq!(with_header(&policy, HeaderValue::Absent), Err("forbidden"));
    assert_eq!(
        with_header(&policy, HeaderValue::Unreadable),
        Err("decision_failed")
    );
    assert!(!policy.remembers());
}

#[test]
fn every_spelling_of_a_read_means_the_same() {
    use shapegate_core::request::Scalar;
    for spelling in [
        "request.path.project",
        r#"request.path["project"]"#,
        r#"request["path"]["project"]"#,
        r#"request["path"].project"#,
    ] {
        let source = ShapeSource {
            path_names: ["project".into()].into(),
            ..with_parameter(spelling)
        };
        let path = [("project".into(), Scalar::Int(7))];
        let result = judge_at(&compiled(source), Some(&claims("{}")), &ask(PLAIN), &path);
        assert_eq!(rows_of(result).unwrap().1, ["7"], "{spelling}");
    }
}

#[test]
fn regular_expressions_and_lists_work_as_they_are_written() {
    let cases = [
        (
            r#"has(user.email) && user.email.matches("^[a-z]+@acme[.]com$")"#,
            r#"{"email":"bob@acme.com"}"#,
            true,
        ),
        (
            r#"has(user.email) && user.email.matches("^[a-z]+@acme[.]com$")"#,
            r#"{"email":"bob@acme.com.evil"}"#,
            false,
        ),
        (
            r#"has(user.teams) && user.teams.exists(t, t == "red")"#,
            r#"{"teams":["blue","red"]}"#,
            true,
        ),
        (
            r#"has(user.orgs) && user.orgs.exists(o, has(o.id) && o.id == 3)"#,
            r#"{"orgs":[{},{"id":3}]}"#,
            true,
        ),
        (
            r#"tenant.id == "default" && request.method == "GET" && asked.table == "public.users""#,
            "{}",
            true,
        ),
        (
            r#"has(user.m) && user.id in user.m && user.m[user.id] == "owner""#,
            r#"{"sub":"a","m":{"a":"owner"}}"#,
            true,
        ),
        (
            r#"has(user.m) && user.id in user.m && user.m[user.id] == "owner""#,
            r#"{"sub":"b","m":{"a":"owner"}}"#,
            false,
        ),
    ];
    for (when, text, holds) in cases {
        let expected = if holds {
            Ok(("all".to_owned(), vec![]))
        } else {
            Err("forbidden")
        };
        assert_eq!(
            decided(with_rule(when, RowsSource::All), text),
            expected,
            "{when} {text}"
        );
    }
}

#[test]
fn a_decision_outlives_neither_clock() {
    let policy = compiled(users());
    let allowed = judge(&policy, Some(&claims(r#"{"org_id":"o"}"#)), &ask(PLAIN)).unwrap();
    let asleep = Now {
        wall: UnixMillis(0),
        monotonic: NOW.monotonic.plus(Duration::from_secs(61)),
    };
    assert!(allowed.permit(ask(PLAIN), NOW).is_ok());
    assert!(allowed.permit(ask(PLAIN), asleep).is_err());
}
