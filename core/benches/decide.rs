//! What one request costs in the core: read what is asked, judge it, permit it, write the upstream request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use shapegate_core::definition::Columns;
use shapegate_core::identifier::{ColumnSet, TableName};
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{
    Access, ClientAllowances, ClientFilter, Facts, NoHeaders, ParamSource, RequestFacts, RowsSource,
    RuleSource, ShapePolicy, ShapeSource, TableSpec,
};
use shapegate_core::request::{Asked, Declared, Verb};
use shapegate_core::time::{Monotonic, Now, UnixMillis};
use shapegate_core::upstream::{UpstreamBase, UpstreamRequest};
use shapegate_core::value::Value;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const NOW: Now = Now {
    wall: UnixMillis(1_000_000),
    monotonic: Monotonic(Duration::from_secs(10)),
};
const FIRST: &str = "offset=-1&log=full";
const NEXT: &str = "cursor=1674440&handle=38083685-1729874417404&live=true&log=full&offset=26_0";
const NARROWED: &str = "offset=-1&log=full&where=name+%3D+%27x%27";
const CLAIMS: &str = r#"{"iss":"https://acme.eu.auth0.com/","sub":"auth0|6523","aud":"sync","exp":1999999999,
    "org_id":"org_1","roles":["member","editor"],"email":"bob@acme.com"}"#;

fn main() {
    divan::main();
}

fn policy() -> ShapePolicy {
    let rule = |when: &str, rows| RuleSource {
        when: Some(when.to_owned()),
        rows,
    };
    let own = RowsSource::Where {
        text: r#""org_id" = $1"#.to_owned(),
        params: vec![ParamSource::Expression("user.org_id".to_owned())],
    };
    let source = ShapeSource {
        name: "users".into(),
        tenant: "default".into(),
        table: TableSpec::Fixed(TableName::parse("users").unwrap()),
        columns: Columns::Only(ColumnSet::parse("id,name,org_id").unwrap()),
        access: Access::Required,
        rules: vec![
            rule(r#"has(user.roles) && "admin" in user.roles"#, RowsSource::All),
            rule("has(user.org_id)", own),
        ],
        client: ClientAllowances {
            filter: ClientFilter::Narrow,
            ..ClientAllowances::default()
        },
        delete: false,
        certain_claims: BTreeSet::new(),
        path_names: BTreeSet::new(),
        query_names: BTreeSet::new(),
        authorizers: Vec::new(),
        tagger: None,
    };
    ShapePolicy::compile(source).unwrap()
}

fn claims() -> IdentitySource {
    let Value::Map(claims) = json::parse(CLAIMS.as_bytes(), JsonLimits::CLAIMS).unwrap() else {
        panic!()
    };
    let subject = claims.get("sub").and_then(Value::as_str).map(Arc::from);
    IdentitySource {
        subject,
        claims,
        ..IdentitySource::default()
    }
}

fn ask(query: &str) -> Asked {
    Asked::parse(Verb::Get, query, &Declared::default()).unwrap()
}

fn judge(policy: &ShapePolicy, who: &Identity, asked: &Asked, facts: &Facts) -> Arc<Allowed> {
    let request = RequestFacts {
        method: "GET",
        path: &[],
        query: &[],
        headers: &NoHeaders,
    };
    policy.judge(Some(who), &request, asked, facts, NOW).unwrap()
}

#[divan::bench(args = [FIRST, NEXT, NARROWED])]
fn parse(bencher: Bencher<'_, '_>, query: &str) {
    let declared = Declared::default();
    bencher.bench(|| Asked::parse(Verb::Get, black_box(query), &declared).unwrap());
}

#[divan::bench]
fn claims_json(bencher: Bencher<'_, '_>) {
    bencher.bench(|| json::parse(black_box(CLAIMS.as_bytes()), JsonLimits::CLAIMS).unwrap());
}

/// Once a credential, and then remembered.
#[divan::bench]
fn prepare_identity(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(claims).bench_values(Identity::new);
}

/// Once an identity and a shape, and then remembered, for what is plain.
#[divan::bench(args = [FIRST, NARROWED])]
fn judge_rules(bencher: Bencher<'_, '_>, query: &str) {
    let (policy, who, asked, facts) = (policy(), Identity::new(claims()), ask(query), Facts::none());
    bencher.bench(|| judge(&policy, &who, black_box(&asked), &facts));
}

/// Every request.
#[divan::bench]
fn memory_key(bencher: Bencher<'_, '_>) {
    let (policy, who, asked) = (policy(), Identity::new(claims()), ask(NEXT));
    let request = RequestFacts {
        method: "GET",
        path: &[],
        query: &[],
        headers: &NoHeaders,
    };
    bencher.bench(|| {
        policy
            .memory_key(Some(&who), &request, black_box(&asked))
            .unwrap()
    });
}

/// Every request.
#[divan::bench(args = [FIRST, NEXT])]
fn permit(bencher: Bencher<'_, '_>, query: &str) {
    let allowed = judge(&policy(), &Identity::new(claims()), &ask(FIRST), &Facts::none());
    bencher
        .with_inputs(|| ask(query))
        .bench_values(|asked| allowed.permit(asked, NOW).unwrap());
}

/// Every request.
#[divan::bench(args = [FIRST, NEXT])]
fn build(bencher: Bencher<'_, '_>, query: &str) {
    let base = UpstreamBase::new("", None, None).unwrap();
    let allowed = judge(&policy(), &Identity::new(claims()), &ask(FIRST), &Facts::none());
    let permit = allowed.permit(ask(query), NOW).unwrap();
    bencher.bench(|| UpstreamRequest::build(black_box(&permit), &base).unwrap());
}
