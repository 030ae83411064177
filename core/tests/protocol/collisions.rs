//! S1: what differs never looks the same: neither the bytes that a definition is signed and tagged by, nor the line that
//! requests are shared by. Everything is compared with everything, over texts made to be mistaken for each other.

use std::collections::{BTreeSet, HashMap, HashSet};

use shapegate_core::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use shapegate_core::identifier::{ColumnSet, TableName};
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::policy::{
    Access, ClientAllowances, Facts, NoHeaders, ParamSource, RequestFacts, RowsSource, RuleSource,
    ShapePolicy, ShapeSource, TableSpec,
};
use shapegate_core::request::{Asked, Declared, Verb};
use shapegate_core::upstream::UpstreamRequest;
use shapegate_core::value::Value;

use super::support::{NOW, base, filter};

/// So many make more than ten million pairs.
const DEFINITIONS: usize = 5_000;
const REQUESTS: usize = 5_000;

const TABLES: [&str; 6] = ["a", "b", "a.b", r#""a.b""#, r#""a""b""#, r#""a"".""b""#];
const COLUMNS: [&str; 6] = ["", "a", "a,b", r#""a,b""#, r#""a"",""b""#, r#""a","b","c""#];
const FILTERS: [(&str, usize); 7] = [
    ("x = $1", 1),
    ("x = $1 AND y = $2", 2),
    ("x = $2 AND y = $1", 2),
    ("x = $1 AND (y = $2 AND z = $3)", 3),
    ("(x = $1 AND y = $2) AND z = $3", 3),
    ("x IN ($1, $2)", 2),
    ("x = $1 OR y = $2", 2),
];
const VALUES: [&str; 14] = [
    "",
    "a",
    "b",
    "ab",
    "a,b",
    "\"",
    "'",
    "&",
    "a&params[2]=b",
    "b&where=true",
    "%26",
    "$1",
    "params[1]=a",
    "\u{1}a",
];

/// Numbers by SplitMix64, the same every time.
struct Chance(u64);

impl Chance {
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let many = u64::try_from(all.len()).unwrap();
        all[usize::try_from((mixed ^ (mixed >> 31)) % many).unwrap()]
    }
}

fn columns(text: &str) -> Columns {
    match text {
        "" => Columns::All,
        some => Columns::Only(ColumnSet::parse(some).unwrap()),
    }
}

fn any_definition(chance: &mut Chance) -> ShapeDefinition {
    let rows = match chance.of(&[0, 1, 2, 2, 2, 2, 2, 2]) {
        0 => Rows::All,
        1 => Rows::None,
        _ => {
            let (text, count) = chance.of(&FILTERS);
            let values: Vec<&str> = (0..count).map(|_| chance.of(&VALUES)).collect();
            Rows::Where(filter(text, &values))
        }
    };
    ShapeDefinition::new(
        TableName::parse(chance.of(&TABLES)).unwrap(),
        rows,
        columns(chance.of(&COLUMNS)),
        chance.of(&[Replica::Default, Replica::Full]),
        chance.of(&[Log::Full, Log::ChangesOnly]),
    )
}

#[test]
fn s1_two_definitions_have_the_same_bytes_only_if_they_are_the_same() {
    let mut chance = Chance(1);
    let (mut by_bytes, mut all) = (HashMap::new(), HashSet::new());
    for _ in 0..DEFINITIONS {
        let definition = any_definition(&mut chance);
        let twin = by_bytes
            .entry(definition.canonical_bytes())
            .or_insert_with(|| definition.clone());
        assert_eq!(*twin, definition, "different, and the same bytes");
        all.insert(definition);
    }
    assert_eq!(all.len(), by_bytes.len(), "the same, and different bytes");
    assert!(all.len() > DEFINITIONS / 2, "{} are few", all.len());
}

/// Each different from every other.
const POSITIONS: [&str; 10] = [
    "offset=-1",
    "offset=now",
    "offset=-1&cache-buster=a",
    "offset=0_0&handle=a",
    "offset=0_0&handle=a-b",
    "offset=0_1&handle=a",
    "offset=0_0&handle=a&live=true",
    "offset=0_0&handle=a&live=true&live_sse=true",
    "offset=0_0&handle=a&live=true&cursor=1",
    "offset=0_0&handle=a&expired_handle=b",
];

fn policy(table: &str, names: &str, text: &str, count: usize) -> ShapePolicy {
    let names_of_values = ["v0", "v1", "v2"].map(|name| name.into());
    let params = (0..count).map(|at| ParamSource::Expression(format!("user.v{at}")));
    let source = ShapeSource {
        name: "any".into(),
        tenant: "acme".into(),
        table: TableSpec::Fixed(TableName::parse(table).unwrap()),
        columns: columns(names),
        access: Access::Required,
        rules: vec![RuleSource {
            when: None,
            rows: RowsSource::Where {
                text: text.to_owned(),
                params: params.collect(),
            },
        }],
        client: ClientAllowances::default(),
        delete: false,
        certain_claims: names_of_values.into(),
        path_names: BTreeSet::new(),
        query_names: BTreeSet::new(),
        authorizers: Vec::new(),
        tagger: None,
    };
    ShapePolicy::compile(source).unwrap()
}

#[test]
fn s1_two_requests_are_shared_only_if_they_ask_for_the_same_of_the_same() {
    let mut chance = Chance(2);
    let (mut policies, mut by_line, mut all) = (HashMap::new(), HashMap::new(), HashSet::new());
    for _ in 0..REQUESTS {
        let (table, names, (text, count)) = (chance.of(&TABLES), chance.of(&COLUMNS), chance.of(&FILTERS));
        let policy = policies
            .entry((table, names, text))
            .or_insert_with(|| policy(table, names, text, count));
        // An empty value denies.
        let claims = ["v0", "v1", "v2"].map(|name| (name.into(), Value::from(chance.of(&VALUES[1..]))));
        let user = Identity::new(IdentitySource {
            mapped: claims.into(),
            ..IdentitySource::default()
        });
        let position = chance.of(&POSITIONS);
        let asked = Asked::parse(Verb::Get, position, &Declared::default()).unwrap();
        let request = RequestFacts {
            method: "GET",
            path: &[],
            query: &[],
            headers: &NoHeaders,
        };
        let allowed = policy
            .judge(Some(&user), &request, &asked, &Facts::none(), NOW)
            .unwrap();
        let permit = allowed.permit(asked, NOW).unwrap();
        let what = (permit.definition().clone(), position);
        let request = UpstreamRequest::build(&permit, &base()).unwrap();
        let line = request.key().unwrap().to_owned();
        let twin = by_line.entry(line.clone()).or_insert_with(|| what.clone());
        assert_eq!(*twin, what, "different, and one line: {line}");
        all.insert(what);
    }
    assert_eq!(all.len(), by_line.len(), "the same, and different lines");
    assert!(all.len() > REQUESTS / 2, "{} are few", all.len());
}
