//! The shape of a first configuration, and short ways to ask for it.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shapegate_core::code::Refusal;
use shapegate_core::definition::{Columns, Rows};
use shapegate_core::handle::HandleTagger;
use shapegate_core::identifier::{ColumnSet, TableName};
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::permit::Allowed;
use shapegate_core::policy::{
    Access, ClientAllowances, Facts, NoHeaders, ParamSource, PolicyError, RequestFacts, RowsSource,
    RuleSource, ShapePolicy, ShapeSource, TableSpec,
};
use shapegate_core::request::{Asked, Declared, DeclaredType, Scalar, Verb};
use shapegate_core::time::{Monotonic, Now, UnixMillis, Until};
use shapegate_core::value::Value;

pub(crate) const NOW: Now = Now {
    wall: UnixMillis(1_000_000),
    monotonic: Monotonic(Duration::from_secs(10)),
};

/// The shape of the first configuration: admins get all, others the rows of their organisation.
pub(crate) fn users() -> ShapeSource {
    ShapeSource {
        name: "users".into(),
        tenant: "default".into(),
        table: TableSpec::Fixed(TableName::parse("users").unwrap()),
        columns: Columns::Only(ColumnSet::parse("id,name,org_id").unwrap()),
        access: Access::Required,
        rules: vec![
            rule(r#"has(user.roles) && "admin" in user.roles"#, RowsSource::All),
            rule("has(user.org_id)", filtered(r#""org_id" = $1"#, &["user.org_id"])),
        ],
        client: ClientAllowances::default(),
        delete: false,
        certain_claims: BTreeSet::new(),
        path_names: BTreeSet::new(),
        query_names: BTreeSet::new(),
        authorizers: Vec::new(),
        tagger: Some(HandleTagger::new(&[7; 32])),
    }
}

pub(crate) fn rule(when: &str, rows: RowsSource) -> RuleSource {
    RuleSource {
        when: Some(when.to_owned()),
        rows,
    }
}

pub(crate) fn filtered(text: &str, params: &[&str]) -> RowsSource {
    let params = params
        .iter()
        .map(|param| ParamSource::Expression((*param).to_owned()))
        .collect();
    RowsSource::Where {
        text: text.to_owned(),
        params,
    }
}

/// The first shape with this one rule instead of its own.
pub(crate) fn with_rule(when: &str, rows: RowsSource) -> ShapeSource {
    ShapeSource {
        rules: vec![rule(when, rows)],
        ..users()
    }
}

/// The first shape with rows by this one parameter, whoever asks.
pub(crate) fn with_parameter(param: &str) -> ShapeSource {
    let rules = vec![RuleSource {
        when: None,
        rows: filtered("org_id = $1", &[param]),
    }];
    ShapeSource { rules, ..users() }
}

pub(crate) fn compiled(source: ShapeSource) -> ShapePolicy {
    ShapePolicy::compile(source).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// The only error of a shape that must not load.
pub(crate) fn fault(source: ShapeSource) -> PolicyError {
    let mut errors = ShapePolicy::compile(source).expect_err("must not load");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

pub(crate) fn claims(text: &str) -> Identity {
    let Value::Map(claims) = json::parse(text.as_bytes(), JsonLimits::CLAIMS).unwrap() else {
        panic!("{text}")
    };
    let subject = claims.get("sub").and_then(Value::as_str).map(Arc::from);
    let valid_until = Some(Until::after(NOW, Duration::from_secs(60)));
    Identity::new(IdentitySource {
        subject,
        claims,
        valid_until,
        ..IdentitySource::default()
    })
}

pub(crate) fn ask(query: &str) -> Asked {
    Asked::parse(Verb::Get, query, &Declared::default()).unwrap()
}

pub(crate) fn ask_declared(query: &str, names: &[(&str, DeclaredType)]) -> Asked {
    let names = names.iter().map(|(name, kind)| (Arc::from(*name), *kind));
    Asked::parse(Verb::Get, query, &Declared::new(names, false).unwrap()).unwrap()
}

pub(crate) const PLAIN: &str = "offset=-1";

pub(crate) fn judge(
    policy: &ShapePolicy,
    who: Option<&Identity>,
    asked: &Asked,
) -> Result<Arc<Allowed>, Refusal> {
    judge_at(policy, who, asked, &[])
}

pub(crate) fn judge_at(
    policy: &ShapePolicy,
    who: Option<&Identity>,
    asked: &Asked,
    path: &[(Arc<str>, Scalar)],
) -> Result<Arc<Allowed>, Refusal> {
    let request = RequestFacts {
        method: "GET",
        path,
        query: &asked.query,
        headers: &NoHeaders,
    };
    policy.judge(who, &request, asked, &Facts::none(), NOW)
}

/// The filter's text and values, or why there is none.
pub(crate) fn rows_of(result: Result<Arc<Allowed>, Refusal>) -> Result<(String, Vec<String>), &'static str> {
    let allowed = result.map_err(|refusal| refusal.code.as_str())?;
    Ok(match allowed.definition().rows() {
        Rows::All => ("all".to_owned(), Vec::new()),
        Rows::None => ("none".to_owned(), Vec::new()),
        Rows::Where(filter) => {
            let values = filter.parameters().iter().map(|value| value.as_str().to_owned());
            (filter.text().to_owned(), values.collect())
        }
    })
}

/// What this rule parameter becomes for these claims.
pub(crate) fn parameter(param: &str, claims_text: &str) -> Result<String, String> {
    let policy = compiled(with_parameter(param));
    match judge(&policy, Some(&claims(claims_text)), &ask(PLAIN)) {
        Ok(allowed) => Ok(rows_of(Ok(allowed)).unwrap().1.remove(0)),
        Err(refusal) => {
            assert_eq!(refusal.code.as_str(), "decision_failed");
            Err(refusal.detail.unwrap())
        }
    }
}
