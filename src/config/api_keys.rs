//! `api_keys`: keys that programs send, hashed, in a file of their own.

use super::carrier;
use super::files::NamedFile;
use super::moment::moment;
use super::problem::Severity;
use super::reading::{Reading, Section};
use super::source::{Sources, Spanned};
use super::yaml::{self, Node};
use crate::identity::api_keys::{ApiKey, KeyHash};
use crate::identity::{CREDENTIAL_BYTES_MAX, Carrier, SUBJECT_BYTES_MAX};
use http::HeaderName;
use shapegate_core::value::Value;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Largest file of keys, in bytes.
pub const API_KEY_FILE_BYTES_MAX: usize = yaml::FILE_BYTES_MAX;
/// Most keys of one file.
pub const API_KEYS_MAX: usize = 10_000;
/// What keys begin with where nothing else is said.
pub const PREFIX_DEFAULT: &str = "sk_";
const HELP: &str = "write `- { name: ci, hash: …, subject: ci }`; `shapegate keys hash` makes the hash";

/// Keys that programs send.
#[derive(Clone, Debug)]
pub struct ApiKeySettings {
    /// The file, as found.
    pub path: PathBuf,
    /// The keys.
    pub keys: Vec<ApiKey>,
    /// What carries them.
    pub from: Vec<Carrier>,
}

impl ApiKeySettings {
    /// Claims that every key has.
    pub(super) fn certain_claims(&self) -> BTreeSet<Arc<str>> {
        let names = self.keys.iter().map(|key| key.claims.keys().cloned().collect());
        names
            .reduce(|one: BTreeSet<Arc<str>>, other| one.intersection(&other).cloned().collect())
            .unwrap_or_default()
    }
}

pub(super) fn api_keys(reading: &mut Reading<'_>, node: &Node) -> Option<ApiKeySettings> {
    let mut section = Section::open(reading, node, "api_keys")?;
    let file = section.require(reading, "file", "write `api_keys: { file: keys.yaml }`");
    let from = match section.get(reading, "from") {
        Some(entry) => reading.each(&entry.value, "from", carrier::carrier),
        None => (!section.has("from")).then(usual_carriers),
    };
    section.finish(reading);
    let named = reading.text(&file?.value, "file")?;
    let path = reading.sources.resolve(named.span, &named.value);
    let file = reading.file_at(path, named.span, API_KEY_FILE_BYTES_MAX)?;
    let keys = read_file(reading, &file)?;
    Some(ApiKeySettings {
        path: file.path,
        keys,
        from: from?,
    })
}

/// `x-api-key`, and `Authorization: Bearer sk_…`.
fn usual_carriers() -> Vec<Carrier> {
    let bearer = Carrier::Authorization {
        scheme: "bearer".to_owned(),
        prefix: Some(PREFIX_DEFAULT.to_owned()),
    };
    vec![Carrier::Header(HeaderName::from_static("x-api-key")), bearer]
}

/// The file has places of its own; its faults are told where it is named.
fn read_file(reading: &mut Reading<'_>, file: &NamedFile) -> Option<Vec<ApiKey>> {
    let path = file.path.display();
    let Ok(text) = String::from_utf8(file.content.bytes.clone()) else {
        return reading.refuse(file.span, format!("{path} is not UTF-8"), "write it anew");
    };
    let mut sources = Sources::default();
    let source = sources.add(&file.path, text.clone())?;
    let mut inner = Reading::new(&sources, reading.surroundings);
    let keys = match yaml::read(source, &text) {
        Ok(Some(root)) => keys(&mut inner, &root),
        Ok(None) => Some(Vec::new()),
        Err(problem) => {
            inner.problems.push(problem);
            None
        }
    };
    let faults = std::mem::take(&mut inner.problems);
    let faults = faults
        .into_iter()
        .filter(|problem| problem.severity == Severity::Error);
    let mut right = true;
    for fault in faults {
        right = false;
        let place = fault
            .span
            .map_or(String::new(), |span| format!(":{}:{}", span.line, span.column));
        let help = fault.help.unwrap_or_else(|| HELP.to_owned());
        reading.refuse::<()>(file.span, format!("{path}{place}: {}", fault.message), help);
    }
    keys.filter(|_| right)
}

fn keys(reading: &mut Reading<'_>, root: &Node) -> Option<Vec<ApiKey>> {
    let mut section = Section::open(reading, root, "the file of keys")?;
    let entry = section.require(reading, "keys", HELP);
    section.finish(reading);
    let keys = reading.each(&entry?.value, "keys", key)?;
    if keys.len() > API_KEYS_MAX {
        let message = format!("more than {API_KEYS_MAX} keys");
        return reading.refuse(
            root.span,
            message,
            "keep keys in a table: `postgres` with `from: { header: x-api-key }`",
        );
    }
    let (mut names, mut hashes, mut right) = (HashSet::new(), HashSet::new(), true);
    for Spanned { value, span } in &keys {
        if !names.insert(Arc::clone(&value.name)) || !hashes.insert(value.hash) {
            let message = format!(
                "the key `{}` has the name or the hash of one before it",
                value.name
            );
            reading.refuse::<()>(*span, message, "remove one of them");
            right = false;
        }
    }
    right.then(|| keys.into_iter().map(|key| key.value).collect())
}

fn key(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<ApiKey>> {
    let mut section = Section::open(reading, node, "a key")?;
    let name = section.require(reading, "name", "name the key: the log does");
    let name = name.and_then(|entry| reading.text(&entry.value, "name"));
    let hash = section.require(reading, "hash", "write what `shapegate keys hash` prints");
    let hash = hash.and_then(|entry| key_hash(reading, &entry.value));
    let subject = section.require(reading, "subject", "say who has the key: `subject: service-ci`");
    let subject = subject.and_then(|entry| subject_text(reading, &entry.value));
    let claims = match section.get(reading, "claims") {
        Some(entry) => reading.value_map(&entry.value, "claims"),
        None => Some(Default::default()),
    };
    let expires = section
        .get(reading, "expires")
        .map(|entry| moment(reading, entry));
    section.finish(reading);
    let mut claims = claims?;
    let subject = subject?;
    claims.insert("sub".into(), Value::String(subject.into()));
    let key = ApiKey {
        name: name?.value.into(),
        hash: hash?,
        claims,
        expires: expires.map_or(Some(None), |read| read.map(Some))?,
    };
    Some(Spanned::new(key, node.span))
}

fn subject_text(reading: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = reading.text(node, "subject")?;
    if text.value.len() > SUBJECT_BYTES_MAX {
        let message = format!("`subject` is longer than {SUBJECT_BYTES_MAX} bytes");
        return reading.refuse(text.span, message, "shorten it");
    }
    Some(text.value)
}

/// What is no hash is not shown: it may be the key itself.
fn key_hash(reading: &mut Reading<'_>, node: &Node) -> Option<KeyHash> {
    let text = reading.text(node, "hash")?;
    match KeyHash::parse(&text.value) {
        Some(hash) => Some(hash),
        None => {
            let message = "`hash` is no `sha256:` with 64 hexadecimal digits";
            let help =
                format!("pipe the key (at most {CREDENTIAL_BYTES_MAX} bytes) into `shapegate keys hash`");
            reading.refuse(text.span, message, help)
        }
    }
}
