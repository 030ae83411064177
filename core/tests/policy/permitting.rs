//! From an allowed shape to the permit for one request; and what may be remembered.
use std::sync::Arc;

use shapegate_core::definition::{Columns, Rows};
use shapegate_core::handle::UpstreamHandle;
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::permit::{Allowed, SubsetLimits};
use shapegate_core::policy::{
    Access, ClientAllowances, ClientFilter, NoHeaders, RequestFacts, RowsSource, ShapeSource, Withheld,
};
use shapegate_core::request::{Asked, Declared, DeclaredType, Scalar, Verb};

use crate::support::{
    NOW, PLAIN, ask, ask_declared, claims, compiled, filtered, judge, rule, users, with_rule,
};

fn allowed(source: ShapeSource, query: &str) -> Arc<Allowed> {
    judge(
        &compiled(source),
        Some(&claims(r#"{"org_id":"org_1"}"#)),
        &ask(query),
    )
    .unwrap()
}

fn code(result: Result<impl Sized, Withheld>) -> &'static str {
    match result {
        Ok(_) => "permitted",
        Err(Withheld::MustRefetch) => "must refetch",
        Err(Withheld::Refused(refusal)) => refusal.code.as_str(),
    }
}

#[test]
fn a_permit_carries_the_position_and_what_was_decided() {
    let allowed = allowed(users(), PLAIN);
    let permit = allowed
        .permit(ask("offset=0_0&handle=123-456&live=true&cursor=7"), NOW)
        .unwrap();
    assert_eq!(permit.definition(), allowed.definition());
    assert_eq!(permit.position().handle, UpstreamHandle::parse("123-456"));
    assert_eq!(permit.position().offset.to_string(), "0_0");
    assert_eq!(permit.until(), allowed.until());
    assert_eq!(permit.verb(), Verb::Get);
    assert!(permit.subset().is_none());
}

const NARROWED: &str = "where=name+%3D+%27x%27";

fn narrowing() -> ShapeSource {
    let client = ClientAllowances {
        filter: ClientFilter::Narrow,
        ..ClientAllowances::default()
    };
    ShapeSource { client, ..users() }
}

#[test]
fn a_bound_handle_serves_for_its_own_definition_and_no_other() {
    let narrowed = allowed(narrowing(), &format!("offset=-1&{NARROWED}"));
    let other = allowed(narrowing(), "offset=-1&where=name+%3D+%27y%27");
    let handle = narrowed.handles().tag(&UpstreamHandle::parse("123-456").unwrap());
    let query = format!("offset=0_0&handle={}&{NARROWED}", handle.as_str());
    let permit = narrowed.permit(ask(&query), NOW).unwrap();
    assert_eq!(permit.position().handle, UpstreamHandle::parse("123-456"));
    assert_eq!(code(other.permit(ask(&query), NOW)), "must refetch");
    let raw = format!("offset=0_0&handle=123-456&{NARROWED}");
    assert_eq!(code(narrowed.permit(ask(&raw), NOW)), "must refetch");
}

#[test]
fn a_foreign_expired_handle_is_dropped_so_that_starting_again_ends() {
    let narrowed = allowed(narrowing(), &format!("offset=-1&{NARROWED}"));
    let permit = narrowed
        .permit(ask(&format!("offset=-1&expired_handle=123-456&{NARROWED}")), NOW)
        .unwrap();
    assert_eq!(permit.position().expired_handle, None);
}

#[test]
fn a_deletion_is_permitted_only_where_the_shape_says_so() {
    let delete = || Asked::parse(Verb::Delete, "handle=123-456", &Declared::default()).unwrap();
    assert_eq!(
        code(allowed(users(), PLAIN).permit(delete(), NOW)),
        "method_not_allowed"
    );
    assert_eq!(
        code(
            allowed(
                ShapeSource {
                    delete: true,
                    ..users()
                },
                PLAIN
            )
            .permit(delete(), NOW)
        ),
        "permitted"
    );
}

fn with_subsets(limit_max: Option<u32>) -> ShapeSource {
    let client = ClientAllowances {
        subset: Some(SubsetLimits { limit_max }),
        ..ClientAllowances::default()
    };
    ShapeSource { client, ..users() }
}

#[test]
fn a_disjunction_is_rewritten_only_where_subsets_may_be_added_to_it() {
    let text = |source: ShapeSource| {
        let rules = vec![rule("true", filtered("id = 1 OR id = 2", &[]))];
        let allowed = allowed(ShapeSource { rules, ..source }, PLAIN);
        let Rows::Where(filter) = allowed.definition().rows() else {
            panic!("a filter")
        };
        filter.text().to_owned()
    };
    assert!(text(users()).contains(" OR "));
    assert!(
        text(with_subsets(None)).starts_with("(NOT "),
        "{}",
        text(with_subsets(None))
    );
}

#[test]
fn subsets_are_permitted_only_where_the_shape_says_so_and_within_its_limit() {
    let limited = "offset=-1&subset__limit=10&subset__order_by=id";
    assert_eq!(
        code(allowed(users(), PLAIN).permit(ask(limited), NOW)),
        "parameter_not_allowed"
    );
    assert_eq!(
        code(allowed(with_subsets(Some(10)), PLAIN).permit(ask(limited), NOW)),
        "permitted"
    );
    assert_eq!(
        code(allowed(with_subsets(Some(9)), PLAIN).permit(ask(limited), NOW)),
        "parameter_not_allowed"
    );
    let endless = "offset=-1&subset__where=name+%3D+%27x%27";
    assert_eq!(
        code(allowed(with_subsets(Some(9)), PLAIN).permit(ask(endless), NOW)),
        "parameter_not_allowed"
    );
    assert_eq!(
        code(allowed(with_subsets(None), PLAIN).permit(ask(endless), NOW)),
        "permitted"
    );
}

#[test]
fn a_subset_reads_the_columns_of_the_shape_only() {
    for query in [
        "subset__where=ssn+LIKE+%271%25%27",
        "subset__order_by=ssn",
        "subset__order_by=id,ssn+DESC",
    ] {
        let asked = ask(&format!("offset=-1&{query}"));
        assert_eq!(
            code(allowed(with_subsets(None), PLAIN).permit(asked, NOW)),
            "parameter_not_allowed",
            "{query}"
        );
    }
    let all = ShapeSource {
        columns: Columns::All,
        ..with_subsets(None)
    };
    assert_eq!(
        code(allowed(all, PLAIN).permit(ask("offset=-1&subset__order_by=ssn"), NOW)),
        "permitted"
    );
}

#[test]
fn a_post_without_a_subset_is_nothing() {
    let post = Asked::parse(Verb::Post, PLAIN, &Declared::default()).unwrap();
    assert_eq!(code(allowed(users(), PLAIN).permit(post, NOW)), "body_malformed");
}

#[test]
fn decisions_are_remembered_under_everything_that_they_were_made_from() {
    let source = ShapeSource {
        path_names: ["a".into(), "b".into()].into(),
        ..with_rule("true", RowsSource::All)
    };
    let policy = compiled(source);
    let (one, two) = (claims("{}"), claims("{}"));
    let key = |who: Option<&Identity>, a: &str, b: &str| {
        let path = [
            ("a".into(), Scalar::Text(a.into())),
            ("b".into(), Scalar::Text(b.into())),
        ];
        let request = RequestFacts {
            method: "GET",
            path: &path,
            query: &[],
            headers: &NoHeaders,
        };
        policy.memory_key(who, &request, &ask(PLAIN)).unwrap()
    };
    assert_eq!(key(Some(&one), "x", "y"), key(Some(&one), "x", "y"));
    let others = [
        key(Some(&two), "x", "y"),
        key(None, "x", "y"),
        key(Some(&one), "y", "x"),
        key(Some(&one), "xy", ""),
        key(Some(&one), "x", "y\0"),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(*other, key(Some(&one), "x", "y"), "{index}");
    }
    let number = [
        ("a".into(), Scalar::Int(1)),
        ("b".into(), Scalar::Text("y".into())),
    ];
    let request = RequestFacts {
        method: "GET",
        path: &number,
        query: &[],
        headers: &NoHeaders,
    };
    assert_ne!(
        policy.memory_key(Some(&one), &request, &ask(PLAIN)).unwrap(),
        key(Some(&one), "1", "y")
    );
}

#[test]
fn what_depends_on_more_is_never_remembered() {
    let policy = compiled(users());
    let who = Identity::new(IdentitySource::default());
    let key = |asked: &Asked| {
        let request = RequestFacts {
            method: "GET",
            path: &[],
            query: &asked.query,
            headers: &NoHeaders,
        };
        policy.memory_key(Some(&who), &request, asked)
    };
    assert!(key(&ask("offset=0_0&handle=1&live=true&cursor=9")).is_some());
    for query in [
        "offset=-1&table=users",
        "offset=-1&where=true",
        "offset=-1&params%5B1%5D=x",
        "offset=-1&log=changes_only",
    ] {
        assert!(key(&ask(query)).is_none(), "{query}");
    }
    assert!(key(&ask_declared("offset=-1&org=x", &[("org", DeclaredType::Text)])).is_none());
}

#[test]
fn on_a_public_shape_all_share_what_is_remembered() {
    let policy = compiled(ShapeSource {
        access: Access::Public,
        ..with_rule("true", RowsSource::All)
    });
    let request = RequestFacts {
        method: "GET",
        path: &[],
        query: &[],
        headers: &NoHeaders,
    };
    let who = claims("{}");
    assert_eq!(
        policy.memory_key(Some(&who), &request, &ask(PLAIN)),
        policy.memory_key(None, &request, &ask(PLAIN))
    );
}
