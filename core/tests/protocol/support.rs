//! One shape, one user, and the way from a client's request to the upstream's.

use std::collections::BTreeSet;
use std::time::Duration;

use shapegate_core::clause::{Clause, Filter, ParameterText};
use shapegate_core::code::Refusal;
use shapegate_core::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use shapegate_core::handle::HandleTagger;
use shapegate_core::identifier::{ColumnSet, TableName};
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::permit::SubsetLimits;
use shapegate_core::policy::{
    Access, ClientAllowances, Facts, Ignorable, NoHeaders, ParamSource, RequestFacts, RowsSource, RuleSource,
    ShapePolicy, ShapeSource, TableSpec, Withheld,
};
use shapegate_core::request::{Asked, Declared, Verb};
use shapegate_core::time::{Monotonic, Now, UnixMillis};
use shapegate_core::upstream::{Secret, UpstreamBase, UpstreamRequest};
use shapegate_core::value::Value;

pub(crate) const NOW: Now = Now {
    wall: UnixMillis(0),
    monotonic: Monotonic(Duration::ZERO),
};

/// What every request for [`todos`] by a user of organisation `acme` says of the definition, decoded.
pub(crate) const DEFINITION: [(&str, &str); 6] = [
    ("columns", r#""id","title""#),
    ("params[1]", "acme"),
    ("queryable_columns", r#""id","title""#),
    ("replica", "default"),
    ("table", r#""public"."todos""#),
    ("where", r#"("org_id" = $1)"#),
];

/// Todos of the user's organisation, without their `ssn`.
pub(crate) fn todos() -> ShapeSource {
    ShapeSource {
        name: "todos".into(),
        tenant: "acme".into(),
        table: TableSpec::Fixed(TableName::parse("todos").unwrap()),
        columns: Columns::Only(ColumnSet::parse("title,id").unwrap()),
        access: Access::Required,
        rules: vec![RuleSource {
            when: None,
            rows: RowsSource::Where {
                text: "org_id = $1".to_owned(),
                params: vec![ParamSource::Expression("user.org".to_owned())],
            },
        }],
        client: ClientAllowances {
            subset: Some(SubsetLimits { limit_max: None }),
            ..ClientAllowances::default()
        },
        delete: true,
        certain_claims: ["org".into()].into(),
        path_names: BTreeSet::new(),
        query_names: BTreeSet::new(),
        authorizers: Vec::new(),
        tagger: Some(HandleTagger::new(&[7; 32])),
    }
}

/// The same, dropping whatever a client says of the definition.
pub(crate) fn ignoring() -> ShapeSource {
    let mut source = todos();
    source.client.ignore = [
        Ignorable::Table,
        Ignorable::Where,
        Ignorable::Columns,
        Ignorable::Replica,
    ]
    .into();
    source
}

pub(crate) fn user(org: &str) -> Identity {
    let mapped = [("org".into(), Value::from(org))].into();
    Identity::new(IdentitySource {
        mapped,
        ..IdentitySource::default()
    })
}

pub(crate) fn secret() -> Secret {
    Secret::new("s3cr&t canary").unwrap()
}

pub(crate) fn base() -> UpstreamBase {
    UpstreamBase::new("", None, Some(&secret())).unwrap()
}

/// All the way, for a user of `acme`.
pub(crate) fn send(
    source: ShapeSource,
    verb: Verb,
    query: &str,
    body: &[u8],
) -> Result<UpstreamRequest, Refusal> {
    let policy = ShapePolicy::compile(source).unwrap();
    send_as(&policy, &user("acme"), &base(), verb, query, body)
}

pub(crate) fn send_as(
    policy: &ShapePolicy,
    user: &Identity,
    base: &UpstreamBase,
    verb: Verb,
    query: &str,
    body: &[u8],
) -> Result<UpstreamRequest, Refusal> {
    let mut asked = Asked::parse(verb, query, &Declared::default())?;
    if verb == Verb::Post {
        asked.take_body(body)?;
    }
    let request = RequestFacts {
        method: verb.as_str(),
        path: &[],
        query: &[],
        headers: &NoHeaders,
    };
    let allowed = policy.judge(Some(user), &request, &asked, &Facts::none(), NOW)?;
    let permit = allowed.permit(asked, NOW).map_err(|withheld| match withheld {
        Withheld::Refused(refusal) => refusal,
        Withheld::MustRefetch => panic!("a bad handle"),
    })?;
    UpstreamRequest::build(&permit, base)
}

pub(crate) fn get(query: &str) -> UpstreamRequest {
    send(todos(), Verb::Get, query, b"").unwrap_or_else(|refusal| panic!("{query}: {refusal}"))
}

/// Names and values of a target's query, decoded as RFC 3986 has it.
pub(crate) fn pairs(target: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let query = target.split_once('?').unwrap().1;
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// What a request says of the definition.
pub(crate) fn definition_pairs(request: &UpstreamRequest) -> Vec<(String, String)> {
    const POSITION: [&str; 9] = [
        "cache-buster",
        "cursor",
        "expired_handle",
        "handle",
        "live",
        "live_sse",
        "log",
        "offset",
        "secret",
    ];
    let mut pairs = pairs(&request.target_with(Some(&secret())));
    pairs.retain(|(name, _)| !POSITION.contains(&name.as_str()));
    pairs
}

pub(crate) fn filter(text: &str, values: &[&str]) -> Filter {
    let values = values
        .iter()
        .map(|value| ParameterText::new(value).unwrap())
        .collect();
    Filter::new(Clause::read_policy(text).unwrap(), values).unwrap()
}

/// A definition of all columns, with the protocol's defaults.
pub(crate) fn definition(table: &str, rows: Rows) -> ShapeDefinition {
    let table = TableName::parse(table).unwrap();
    ShapeDefinition::new(table, rows, Columns::All, Replica::Default, Log::Full)
}
