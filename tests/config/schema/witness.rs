//! Configurations that the reader takes, and what becomes of them when something in them is changed.

use crate::support::{Given, PUBLIC_KEYS, load_in, private_key};
use serde_json::Value;
use shapegate::config::yaml::{self, Entry, Kind, Node};
use shapegate::config::{Severity, Sources, Span, revocations_of};
use shapegate::gatekeeper::SigningAlgorithm;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use super::place::{Places, Step};

/// What the reader says of a fault.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) message: String,
    pub(super) help: String,
}

/// Which reader a witness is for.
#[derive(Clone, Copy)]
enum Reader {
    Configuration,
    ApiKeys,
    Revocations,
}

/// A text that the reader takes.
pub(super) struct Witness {
    pub(super) name: String,
    /// Where its schema begins.
    pub(super) root: String,
    pub(super) node: Node,
    reader: Reader,
}

fn folder(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(folder(path)).unwrap()
}

/// The examples, and texts with everything that there is.
pub(super) fn witnesses() -> Vec<Witness> {
    let mut examples: Vec<String> = std::fs::read_dir(folder("conf"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .map(|name| format!("conf/{name}"))
        .collect();
    examples.sort();
    let own = ["one", "several", "listed", "folder"].map(|name| format!("tests/config/schema/{name}.yaml"));
    let configurations = own.into_iter().chain(examples);
    let configurations =
        configurations.map(|name| Witness::new(name, "#/$defs/configuration", Reader::Configuration));
    let beside = [
        ("keys", "#/$defs/apiKeyFile", Reader::ApiKeys),
        ("revoked", "#/$defs/revocationFile", Reader::Revocations),
    ]
    .map(|(name, root, reader)| Witness::new(format!("tests/config/schema/{name}.yaml"), root, reader));
    configurations.chain(beside).collect()
}

/// The machine that all witnesses fit.
static GIVEN: LazyLock<Given> = LazyLock::new(|| given(&read("tests/config/schema/keys.yaml")));

fn given(keys: &str) -> Given {
    let tls = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let private = private_key(SigningAlgorithm::Es256);
    Given::with_what_examples_name()
        .variable(
            "JWT_SECRET_BASE64",
            "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        )
        .variable("CREDENTIALS_DIRECTORY", "/run/credentials")
        .file("/run/credentials/electric-secret", "electric-secret")
        .file(
            "/run/credentials/gatekeeper",
            &private_key(SigningAlgorithm::Es256),
        )
        .file("/etc/redis-password", "redis-password")
        .file("/etc/ca.pem", &tls.cert.pem())
        .file("/etc/tls/cert.pem", &tls.cert.pem())
        .file("/etc/tls/key.pem", &tls.signing_key.serialize_pem())
        .file("/etc/jwks.json", PUBLIC_KEYS)
        .file("/etc/keys.yaml", keys)
        .file("/etc/revoked.yaml", &read("tests/config/schema/revoked.yaml"))
        .file("/etc/gatekeeper.pem", &private)
        .file("/etc/gatekeeper-jwks.json", PUBLIC_KEYS)
        .folder("/etc/tenants")
        .file("/etc/tenants/acme.yaml", &read("tests/config/schema/tenant.yaml"))
        .folder("/etc/templates")
}

/// A text as the reader sees it.
pub(super) fn parsed(text: &str) -> Node {
    let mut sources = Sources::default();
    let source = sources.add(Path::new("witness.yaml"), text.to_owned()).unwrap();
    yaml::read(source, text)
        .unwrap_or_else(|problem| panic!("{text}\n{problem:?}"))
        .unwrap()
}

impl Witness {
    fn new(name: String, root: &str, reader: Reader) -> Self {
        Self {
            node: parsed(&read(&name)),
            root: root.to_owned(),
            name,
            reader,
        }
    }

    /// The same with something else at a place.
    pub(super) fn changed(&self, path: &[Step], change: impl FnOnce(&mut Node)) -> Node {
        let mut node = self.node.clone();
        change(place_in(&mut node, path));
        node
    }

    /// What the reader says against it.
    pub(super) fn refused(&self, node: &Node) -> Vec<Said> {
        let text = text_of(node);
        let whole = |message: String| {
            vec![Said {
                help: message.clone(),
                message,
            }]
        };
        match self.reader {
            Reader::Configuration => errors(load_in(&text, &GIVEN)),
            Reader::ApiKeys => errors(load_in(ASKS_FOR_KEYS, &given(&text))),
            Reader::Revocations => {
                let read = revocations_of(Path::new("revoked.yaml"), text.into_bytes());
                read.map_or_else(whole, |_| Vec::new())
            }
        }
    }

    /// What `check --print` makes of it, if it is right.
    pub(super) fn printed(&self, node: &Node) -> Option<String> {
        match self.reader {
            Reader::Configuration => load_in(&text_of(node), &GIVEN).ok().map(|loaded| loaded.print()),
            Reader::ApiKeys | Reader::Revocations => None,
        }
    }

    /// Everything that it comes to but the places where it is written, if it is right.
    pub(super) fn checked(&self, node: &Node) -> Option<String> {
        let text = text_of(node);
        let told = match self.reader {
            Reader::Configuration => format!("{:?}", load_in(&text, &GIVEN).ok()?.config),
            Reader::ApiKeys => format!("{:?}", load_in(ASKS_FOR_KEYS, &given(&text)).ok()?.config),
            Reader::Revocations => format!(
                "{:?}",
                revocations_of(Path::new("revoked.yaml"), text.into_bytes()).ok()?
            ),
        };
        Some(without_spans(&told))
    }
}

/// A configuration that reads a file of keys.
const ASKS_FOR_KEYS: &str = "electric: { url: http://x, secret: { env: ELECTRIC_SECRET } }
identity: [ { api_keys: { file: keys.yaml } } ]
shapes: { users: { table: users, columns: all, rules: [ { rows: all } ] } }
";

/// Without what tells one place from another.
fn without_spans(told: &str) -> String {
    let mut parts = told.split("Span { ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut kept, part| {
        let (place, rest) = part.split_once('}').unwrap();
        assert!(place.starts_with("source: SourceId("), "{place}");
        kept.push_str("Span");
        kept.push_str(rest);
        kept
    })
}

fn errors<T>(read: Result<T, shapegate::config::Problems>) -> Vec<Said> {
    let problems = read.err().map(|problems| problems.list).unwrap_or_default();
    let errors = problems
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error);
    errors
        .map(|problem| Said {
            message: problem.message,
            help: problem.help.unwrap_or_default(),
        })
        .collect()
}

fn place_in<'n>(node: &'n mut Node, path: &[Step]) -> &'n mut Node {
    let Some((step, rest)) = path.split_first() else {
        return node;
    };
    let next = match (step, &mut node.kind) {
        (Step::Key(key), Kind::Map(entries)) => {
            let entry = entries.iter_mut().find(|entry| entry.key == *key);
            &mut entry.unwrap().value
        }
        (Step::Index(index), Kind::List(items)) => &mut items[*index],
        _ => panic!("{step:?} is nowhere"),
    };
    place_in(next, rest)
}

fn nowhere() -> Span {
    parsed("x").span
}

fn node(kind: Kind) -> Node {
    Node {
        span: nowhere(),
        kind,
    }
}

/// A plain scalar.
pub(super) fn scalar(text: &str) -> Kind {
    Kind::Scalar {
        text: text.to_owned(),
        quoted: false,
    }
}

/// A key with a plain scalar.
pub(super) fn entry(key: &str, text: &str) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: nowhere(),
        value: node(scalar(text)),
    }
}

/// A value of each kind.
pub(super) fn kinds(word: &str) -> [(&'static str, Kind); 4] {
    [
        ("a word", scalar(word)),
        (
            "a list",
            Kind::List(vec![node(Kind::List(vec![node(scalar(word))]))]),
        ),
        ("a map", Kind::Map(vec![entry(word, word)])),
        ("nothing", Kind::Null),
    ]
}

/// Takes a key out of a map.
pub(super) fn remove(node: &mut Node, key: &str) {
    let Kind::Map(entries) = &mut node.kind else {
        panic!("no map")
    };
    entries.retain(|entry| entry.key != key);
}

/// Puts a key into a map.
pub(super) fn insert(node: &mut Node, key: &str, value: &Value) {
    let Kind::Map(entries) = &mut node.kind else {
        panic!("no map")
    };
    entries.push(Entry {
        key: key.to_owned(),
        key_span: nowhere(),
        value: node_of(value),
    });
}

fn node_of(value: &Value) -> Node {
    node(match value {
        Value::Null => Kind::Null,
        Value::String(text) => scalar(text),
        Value::Array(items) => Kind::List(items.iter().map(node_of).collect()),
        Value::Object(members) => Kind::Map(
            members
                .iter()
                .map(|(key, value)| Entry {
                    key: key.clone(),
                    key_span: nowhere(),
                    value: node_of(value),
                })
                .collect(),
        ),
        other => scalar(&other.to_string()),
    })
}

/// A tree as YAML.
fn text_of(node: &Node) -> String {
    let mut out = String::new();
    write_node(&mut out, node, 0);
    out
}

fn write_node(out: &mut String, node: &Node, depth: usize) {
    let indent = "  ".repeat(depth);
    match &node.kind {
        Kind::Null => _ = write!(out, " ~"),
        Kind::Scalar { text, quoted } if *quoted || text.contains('\n') => {
            _ = write!(out, " {}", Value::from(text.as_str()));
        }
        Kind::Scalar { text, .. } => _ = write!(out, " {text}"),
        Kind::List(items) if items.is_empty() => _ = write!(out, " []"),
        Kind::Map(entries) if entries.is_empty() => _ = write!(out, " {{}}"),
        Kind::List(items) => {
            for item in items {
                _ = write!(out, "\n{indent}-");
                write_node(out, item, depth + 1);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                _ = write!(out, "\n{indent}{}:", Value::from(entry.key.as_str()));
                write_node(out, &entry.value, depth + 1);
            }
        }
    }
}

/// A tree as an editor's YAML 1.2 sees it.
pub(super) fn json_of(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Scalar { text, quoted: true } => Value::from(text.as_str()),
        Kind::Scalar { text, .. } => plain(text),
        Kind::List(items) => items.iter().map(json_of).collect(),
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json_of(&entry.value)))
            .collect(),
    }
}

/// The core schema of YAML 1.2, as far as JSON knows its values.
fn plain(text: &str) -> Value {
    let number = text.starts_with(|char: char| char.is_ascii_digit() || char == '-');
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if number => serde_json::from_str(text)
            .ok()
            .filter(Value::is_number)
            .unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}

/// Every block of YAML in the documentation, with its place.
pub(super) fn documentation() -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(folder("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(folder("README.md").into());
    files.sort();
    let mut found = Vec::new();
    for path in files
        .iter()
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
    {
        let page = std::fs::read_to_string(path).unwrap();
        for (number, part) in page.split("```yaml\n").skip(1).enumerate() {
            let text = part.split("```").next().unwrap();
            let first = text.lines().next().unwrap_or_default();
            found.push((
                format!("{}, block {}, {first}", path.display(), number + 1),
                text.to_owned(),
            ));
        }
    }
    found
}

/// What an example is of, and the part that is.
pub(super) fn root_of_example<'j>(places: &Places, json: &'j Value) -> Option<(&'static str, &'j Value)> {
    if let Some(first) = json.get(0) {
        let is_identity = first.get("jwt").is_some();
        return Some((
            if is_identity {
                "#/$defs/identity"
            } else {
                "#/$defs/revocationFile"
            },
            json,
        ));
    }
    let keys = json.as_object()?;
    if let Some(list) = keys.get("keys") {
        return Some(match list[0].get("alg") {
            Some(_) => ("#/$defs/mint/properties/keys", list),
            None => ("#/$defs/apiKeyFile", json),
        });
    }
    let known = &places.at("#/$defs/configuration")["properties"];
    let all = keys.keys().all(|key| known.get(key).is_some());
    all.then_some(("#/$defs/configuration", json))
}
