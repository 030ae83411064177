//! `revocations`, the file that it names, and what operators ask for: one form for all.

use super::moment::moment;
use super::problem::{Problem, Problems};
use super::reading::{Reading, Section, Shown};
use super::source::{Sources, Spanned};
use super::surroundings::{FileContent, Surroundings};
use super::yaml::{self, Kind as NodeKind, Node};
use crate::revocation::{Entry, Kind, Name, REASON_BYTES_MAX, VALUE_BYTES_MAX};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::time::UnixMillis;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const ENTRY_HELP: &str = "write `{ jti: … }`, `{ subject: … }`, `{ kid: … }` or `{ tenant: … }`";
/// Longest `ttl` that may be asked for.
const TTL_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// A file of revocations, watched while the process serves.
#[derive(Clone, Debug)]
pub struct RevocationFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub entries: Vec<Entry>,
}

/// What a text of revocations may name: nothing of this machine. It is written by others than the configuration.
struct Nothing;

impl Surroundings for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path, _: usize) -> io::Result<FileContent> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// What systemd sets to the folders of `StateDirectory=`.
const STATE_FOLDER_VARIABLE: &str = "STATE_DIRECTORY";
/// The state file's name in the first of them.
const STATE_FILE_NAME: &str = "revocations.json";
const HELP: &str =
    "write `revocations: { file: revoked.yaml }`, `{ state: /var/lib/shapegate/revocations.json }`, or both";

/// `revocations`, read.
#[derive(Clone, Debug, Default)]
pub(super) struct RevocationSettings {
    /// What is revoked by whoever writes that file.
    pub(super) file: Option<RevocationFile>,
    /// Where what operators revoke is kept.
    pub(super) state: Option<PathBuf>,
}

/// Reads `revocations`, and the file that it names; that must be there, so that a wrong path denies too much rather
/// than nothing. The state file is not read: it belongs to the process that serves.
pub(super) fn revocations(reading: &mut Reading<'_>, node: Option<&Node>) -> Option<RevocationSettings> {
    let in_folder = state_in_folder(reading);
    let Some(node) = node else {
        return Some(RevocationSettings {
            file: None,
            state: in_folder,
        });
    };
    let mut section = Section::open(reading, node, "revocations")?;
    let [file, state] = ["file", "state"].map(|key| section.get(reading, key));
    section.finish(reading);
    if !section.has("file") && !section.has("state") {
        return reading.refuse(
            node.span,
            "`revocations` names neither a `file` nor a `state`",
            HELP,
        );
    }
    let file = file.map(|entry| read_file(reading, &entry.value));
    let state = state.map_or(Some(in_folder), |entry| state_path(reading, &entry.value));
    Some(RevocationSettings {
        file: transposed(file)?,
        state: state?,
    })
}

/// A path, or `off`.
fn state_path(reading: &mut Reading<'_>, node: &Node) -> Option<Option<PathBuf>> {
    let text = reading.text(node, "state")?;
    if text.value == "off" {
        return Some(None);
    }
    Some(Some(reading.sources.resolve(text.span, &text.value)))
}

/// In the first of the folders that systemd keeps for this service.
fn state_in_folder(reading: &Reading<'_>) -> Option<PathBuf> {
    let folders = reading.surroundings.variable(STATE_FOLDER_VARIABLE)?;
    let folder = folders.split(':').next().filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(folder).join(STATE_FILE_NAME))
}

fn read_file(reading: &mut Reading<'_>, node: &Node) -> Option<RevocationFile> {
    let Spanned { value, span } = reading.text(node, "file")?;
    let path = reading.sources.resolve(span, &value);
    let file = reading.file_at(path.clone(), span, yaml::FILE_BYTES_MAX)?;
    match revocations_of(&path, file.content.bytes) {
        Ok(entries) => Some(RevocationFile { path, entries }),
        Err(problems) => {
            let message = format!("the file of revocations is wrong:\n{}", problems.trim_end());
            reading.refuse(span, message, "mend that file")
        }
    }
}

/// Reads the content of a file of revocations.
///
/// # Errors
/// Everything that is wrong with it, as text with places.
pub fn revocations_of(path: &Path, bytes: Vec<u8>) -> Result<Vec<Entry>, String> {
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    read(path, &text, None).map_err(|problems| problems.render())
}

/// Reads what an operator asks for: one entry or a list, in JSON.
///
/// # Errors
/// What is wrong with it.
pub fn requested_revocations(body: &[u8], now: UnixMillis) -> Result<Vec<Entry>, String> {
    json::parse(body, JsonLimits::CLAIMS).map_err(|error| format!("this is not JSON: {error}"))?;
    // JSON's escapes are not all YAML's; printed anew, they are.
    let body: serde_json::Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let body = match body {
        one @ serde_json::Value::Object(_) => serde_json::Value::Array(vec![one]),
        other => other,
    };
    read(Path::new("request"), &body.to_string(), Some(now)).map_err(|problems| {
        let said = problems.list.iter().map(|problem| {
            let help = problem.help.as_deref().unwrap_or_default();
            format!("{}; {help}", problem.message)
        });
        said.collect::<Vec<_>>().join("\n")
    })
}

/// `now` is given where entries may count from it.
fn read(path: &Path, text: &str, now: Option<UnixMillis>) -> Result<Vec<Entry>, Problems> {
    let mut problems = Problems::default();
    let node = match problems.sources.add(path, text.to_owned()) {
        Some(source) => yaml::read(source, text),
        None => Ok(None),
    };
    let node = match node {
        Ok(Some(node)) => node,
        Ok(None) => return Ok(Vec::new()),
        Err(problem) => {
            problems.list.push(problem);
            return Err(problems);
        }
    };
    let sources: Sources = problems.sources;
    let mut reading = Reading {
        sources: &sources,
        surroundings: &Nothing,
        problems: Vec::new(),
        shown: Shown::default(),
    };
    let entries = reading.each(&node, "the list of revocations", |reading, item| {
        entry(reading, item, now)
    });
    let list: Vec<Problem> = reading.problems;
    match entries {
        Some(entries) if list.is_empty() => Ok(entries),
        _ => Err(Problems { sources, list }),
    }
}

fn entry(reading: &mut Reading<'_>, node: &Node, now: Option<UnixMillis>) -> Option<Entry> {
    let mut section = Section::open(reading, node, "a revocation")?;
    let named = name(reading, &mut section);
    let expires = section
        .get(reading, "expires")
        .map(|entry| moment(reading, entry));
    let ttl = now.and_then(|now| {
        let entry = section.get(reading, "ttl")?;
        let ttl = reading.duration(&entry.value, "ttl", Duration::from_secs(1)..=TTL_MAX);
        Some(ttl.map(|ttl| now.plus(ttl)))
    });
    let issued_before = section
        .get(reading, "issued_before")
        .map(|entry| match (&entry.value.kind, now) {
            (NodeKind::Scalar { text, .. }, Some(now)) if text == "now" => Some(now),
            _ => moment(reading, entry),
        });
    let reason = section
        .get(reading, "reason")
        .map(|entry| bounded(reading, &entry.value, "reason", REASON_BYTES_MAX));
    section.finish(reading);
    if expires.is_some() && ttl.is_some() {
        let span = section.span();
        return reading.refuse(span, "both `expires` and `ttl`", "keep one of them");
    }
    Some(Entry {
        name: named?,
        expires: transposed(expires.or(ttl))?,
        issued_before: transposed(issued_before)?,
        reason: transposed(reason)?,
    })
}

/// What was read of a key that may be missing; none if it was wrong.
fn transposed<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |read| read.map(Some))
}

fn name(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Name> {
    let keys = Kind::ALL.map(|kind| (kind, section.get(reading, kind.as_str())));
    let issuer = section.get(reading, "issuer");
    let mut read = |key: &'static str, node: &Node| bounded(reading, node, key, VALUE_BYTES_MAX);
    let issuer = match issuer {
        None => None,
        Some(entry) => Some(read("issuer", &entry.value)?),
    };
    let mut values = Vec::new();
    for (kind, entry) in keys {
        if let Some(entry) = entry {
            values.push((kind, read(kind.as_str(), &entry.value)?));
        }
    }
    let (kind, value, tenant) = match <[_; 1]>::try_from(values) {
        Ok([(kind, value)]) => (kind, value, None),
        Err(values) => match <[_; 2]>::try_from(values) {
            // Kinds come in their order, a tenant last: with another one it says where.
            Ok([(kind, value), (Kind::Tenant, tenant)]) => (kind, value, Some(tenant)),
            _ => {
                let message = "a revocation names one thing, and perhaps the `tenant` at which";
                return reading.refuse(section.span(), message, ENTRY_HELP);
            }
        },
    };
    if kind == Kind::Tenant && issuer.is_some() {
        let help = "remove `issuer`, or name a `kid` or `subject`";
        return reading.refuse(section.span(), "a tenant is not of an issuer", help);
    }
    Some(Name {
        kind,
        value,
        tenant,
        issuer,
    })
}

fn bounded(reading: &mut Reading<'_>, node: &Node, key: &str, bytes_max: usize) -> Option<Arc<str>> {
    // No `{ env: … }`: whoever may revoke may not look into the environment.
    if matches!(node.kind, NodeKind::Map(_) | NodeKind::List(_)) {
        let message = format!("`{key}` must be text, not {}", node.described());
        return reading.refuse(node.span, message, "write it in quotes");
    }
    let text = reading.text(node, key)?;
    if text.value.len() > bytes_max {
        let message = format!("`{key}` is longer than {bytes_max} bytes");
        return reading.refuse(text.span, message, "no credential has such a one");
    }
    Some(text.value.into())
}
