//! `authorize`: who is asked before the rules of a shape decide.

mod forward_auth;
mod http;
mod opa;
mod openfga;
mod postgres;
mod relations;
mod service;
mod spicedb;

pub(super) use postgres::KnownDatabase;
pub(super) use service::read_url;

use super::path::PathPattern;
use super::reading::{Reading, Section};
use super::rules::{ParamSetting, param};
use super::scalar::duration_text;
use super::source::{Span, Spanned};
use super::yaml::{Entry, Kind as NodeKind, Node};
use crate::authorizer::{
    AuthorizerSettings, CONCURRENCY_DEFAULT, DENY_TTL_DEFAULT, Kind, TIMEOUT_DEFAULT, TIMEOUT_MAX,
    TTL_DEFAULT, TTL_MAX, TTL_MIN, Terms,
};
use shapegate_core::limits::AUTHORIZERS_MAX;
use shapegate_core::policy::{AuthorizerSource, FactNames, InputSource, OtherFacts};
use std::sync::Arc;
use std::time::Duration;

/// The kinds of authorisers, as the configuration spells them.
const KINDS: [&str; 6] = ["postgres", "http", "forward_auth", "spicedb", "openfga", "opa"];
/// The longest name of an authoriser, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The shortest that an answer may be waited for.
const TIMEOUT_MIN: Duration = Duration::from_millis(50);
/// The most questions that one authoriser may be asked at once.
const CONCURRENCY_MAX: u64 = 1024;

const HELP: &str = "write `authorize: { http: … }`, or one of postgres, forward_auth, spicedb, openfga and opa; several \
                    each under a name: `authorize: { membership: { http: … }, … }`";

/// Somebody who is asked.
#[derive(Clone, Debug)]
pub struct AuthorizerSetting {
    /// Where it is written.
    pub span: Span,
    /// What rules see of it.
    pub source: AuthorizerSource,
    /// Where what it is told is written, in the order of the source's inputs.
    pub input_spans: Vec<Span>,
    /// How it is asked.
    pub settings: AuthorizerSettings,
}

/// What a kind reads: whom it asks, what they are told, and what they find out.
struct Part {
    told: Told,
    facts: FactNames,
    settings: AuthorizerSettings,
}

impl Part {
    /// One without a name of its own.
    fn new(told: Told, facts: FactNames, kind: Kind, terms: Terms) -> Self {
        let name = None;
        Self {
            told,
            facts,
            settings: AuthorizerSettings { name, kind, terms },
        }
    }
}

/// Facts that an answer may have, of which some have defaults.
fn possible_facts<'d>(defaults: impl IntoIterator<Item = &'d Arc<str>>) -> FactNames {
    FactNames {
        certain: defaults.into_iter().cloned().collect(),
        others: OtherFacts::Possible,
        ..FactNames::default()
    }
}

/// What an authoriser is told, with the places where that is written.
#[derive(Default)]
struct Told {
    inputs: Vec<InputSource>,
    spans: Vec<Span>,
}

impl Told {
    fn add(&mut self, input: InputSource, span: Span) {
        self.inputs.push(input);
        self.spans.push(span);
    }

    /// A parameter as rules write it: an expression, or `{ value: … }`.
    fn add_param(&mut self, param: Spanned<ParamSetting>) {
        let input = match param.value {
            ParamSetting::Expression(text) => InputSource::Expression(text),
            ParamSetting::Value(value) => InputSource::Value(value),
        };
        self.add(input, param.span);
    }

    /// A claim that may be missing, and is then null.
    fn add_claim(&mut self, name: &str, span: Span) {
        let quoted = quoted(name);
        let text = format!("user != null && {quoted} in user ? user[{quoted}] : null");
        self.add(InputSource::Expression(text), span);
    }

    /// A header of the request that may be missing, and is then null.
    fn add_header(&mut self, name: &str, span: Span) {
        let quoted = quoted(name);
        let text = format!("{quoted} in request.headers ? request.headers[{quoted}] : null");
        self.add(InputSource::Expression(text), span);
    }
}

/// A name as a CEL string. JSON's spelling is one of them.
fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// What is read before, and may be spoken of here.
pub(super) struct Surrounding<'a> {
    /// The shape's name.
    pub(super) shape: &'a str,
    /// Its path.
    pub(super) path: &'a PathPattern,
    /// The database that is asked where none is named.
    pub(super) database: &'a KnownDatabase,
}

/// Those who are asked; none where something is wrong.
pub(super) fn authorize(
    reading: &mut Reading<'_>,
    node: &Node,
    around: &Surrounding<'_>,
) -> Option<Vec<AuthorizerSetting>> {
    let NodeKind::Map(entries) = &node.kind else {
        let message = format!("`authorize` must be a map, not {}", node.described());
        return reading.refuse(node.span, message, HELP);
    };
    let is_kind = |entry: &Entry| KINDS.contains(&entry.key.as_str());
    match entries.as_slice() {
        [] => reading.refuse(node.span, "`authorize` is empty: nobody would be asked", HELP),
        [only] if is_kind(only) => one(reading, None, node, around).map(|one| vec![one]),
        several if several.len() > AUTHORIZERS_MAX => {
            let message = format!("`authorize` has more than {AUTHORIZERS_MAX} entries");
            reading.refuse(node.span, message, "let one of them ask the others")
        }
        several => match several.iter().find(|entry| is_kind(entry)) {
            Some(entry) => {
                let message = format!("`{}` stands beside other authorisers without a name", entry.key);
                reading.refuse(entry.key_span, message, HELP)
            }
            None => {
                let read: Vec<_> = several
                    .iter()
                    .map(|entry| named(reading, entry, around))
                    .collect();
                read.into_iter().collect()
            }
        },
    }
}

fn named(reading: &mut Reading<'_>, entry: &Entry, around: &Surrounding<'_>) -> Option<AuthorizerSetting> {
    let mut chars = entry.key.chars();
    let starts = chars.next().is_some_and(|char| char.is_ascii_lowercase());
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if !starts || !chars.all(plain) || entry.key.len() > NAME_BYTES_MAX {
        let message = format!("`{}` is neither an authoriser nor a name for one", entry.key);
        return reading.refuse(entry.key_span, message, HELP);
    }
    one(reading, Some(entry.key.as_str().into()), &entry.value, around)
}

/// One authoriser: a map whose only key is its kind.
fn one(
    reading: &mut Reading<'_>,
    name: Option<Arc<str>>,
    node: &Node,
    around: &Surrounding<'_>,
) -> Option<AuthorizerSetting> {
    let mut section = Section::open(reading, node, name.as_deref().unwrap_or("authorize"))?;
    let found = KINDS.map(|kind| section.get(reading, kind));
    section.finish(reading);
    let mut found = found.into_iter().flatten();
    let (Some(entry), None) = (found.next(), found.next()) else {
        return reading.refuse(node.span, "an authoriser must be of one kind", HELP);
    };
    let read = match entry.key.as_str() {
        "postgres" => postgres::postgres,
        "http" => http::http,
        "forward_auth" => forward_auth::forward_auth,
        "spicedb" => spicedb::spicedb,
        "openfga" => openfga::openfga,
        _ => opa::opa,
    };
    let mut part = read(reading, entry, around)?;
    part.settings.name.clone_from(&name);
    Some(AuthorizerSetting {
        span: entry.key_span,
        source: AuthorizerSource {
            name,
            inputs: part.told.inputs,
            facts: part.facts,
        },
        input_spans: part.told.spans,
        settings: part.settings,
    })
}

/// `ttl`, `deny_ttl`, `timeout` and `concurrency`.
fn terms(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Terms> {
    let mut duration = |key, range| {
        let entry = section.get(reading, key);
        let read = entry.map(|entry| (entry.value.span, reading.duration(&entry.value, key, range)));
        read.map_or(Some(None), |(span, read)| {
            read.map(|read| Some(Spanned::new(read, span)))
        })
    };
    let ttl = duration("ttl", TTL_MIN..=TTL_MAX);
    let deny_ttl = duration("deny_ttl", TTL_MIN..=TTL_MAX);
    let timeout = duration("timeout", TIMEOUT_MIN..=TIMEOUT_MAX);
    let concurrency = section.get(reading, "concurrency");
    let concurrency =
        concurrency.map(|entry| reading.integer(&entry.value, "concurrency", 1..=CONCURRENCY_MAX));
    let (ttl, deny_ttl, timeout) = (ttl?.map(|ttl| ttl.value), deny_ttl?, timeout?);
    let ttl = ttl.unwrap_or(TTL_DEFAULT);
    let within = |limit: &Spanned<Duration>| limit.value <= ttl;
    if let Some(long) = deny_ttl.as_ref().filter(|limit| !within(limit)) {
        let message = format!("`deny_ttl` is longer than `ttl`, which is {}", duration_text(ttl));
        return reading.refuse(
            long.span,
            message,
            "a no must not be remembered longer than a yes",
        );
    }
    if let Some(long) = timeout.as_ref().filter(|limit| !within(limit)) {
        let message = format!("`timeout` is longer than `ttl`, which is {}", duration_text(ttl));
        let help = "an answer holds from when it was asked for: make `ttl` longer, or `timeout` shorter";
        return reading.refuse(long.span, message, help);
    }
    let or =
        |given: Option<Spanned<Duration>>, default: Duration| given.map_or(default.min(ttl), |one| one.value);
    Some(Terms {
        ttl,
        deny_ttl: or(deny_ttl, DENY_TTL_DEFAULT),
        timeout: or(timeout, TIMEOUT_DEFAULT),
        concurrency: match concurrency {
            Some(read) => usize::try_from(read?).unwrap_or(CONCURRENCY_DEFAULT),
            None => CONCURRENCY_DEFAULT,
        },
    })
}

/// What follows a key that needs a list of expressions, or a single one.
fn params(reading: &mut Reading<'_>, node: &Node, name: &str) -> Option<Vec<Spanned<ParamSetting>>> {
    match &node.kind {
        NodeKind::List(_) => reading.each(node, name, param),
        _ => param(reading, node).map(|one| vec![one]),
    }
}
