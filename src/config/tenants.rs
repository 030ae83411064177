//! `tenants`: which there are. Each is read on its own, so that one that is wrong keeps nobody else from serving.

use super::files;
use super::policy::DEFAULT_TENANT;
use super::problem::Problem;
use super::reading::{Reading, Section};
use super::source::Span;
use super::surroundings::Surroundings;
use super::yaml::{Kind, Node};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most tenants of one process.
pub const TENANTS_MAX: usize = 100_000;
/// Longest id of a tenant or name of a template, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Numbers of files, from here on for tenants; below are templates.
pub(super) const FIRST_TENANT: u32 = 1 << 16;

pub(super) const ID_HELP: &str = "use 1 to 64 letters, digits, `-`, `_` and `.`, the first a letter or digit";

/// One tenant, not yet read.
#[derive(Clone, Debug)]
pub struct Document {
    id: Arc<str>,
    place: Place,
}

/// Where a tenant is written.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// The configuration is that of one tenant.
    Whole,
    /// In the configuration.
    Written(Node),
    /// In a file of its own, and a number that no other file has.
    File(PathBuf, u32),
}

impl Document {
    /// The one tenant of a configuration that names none.
    pub(super) fn whole() -> Self {
        Self {
            id: DEFAULT_TENANT.into(),
            place: Place::Whole,
        }
    }

    /// Its id: `tenant.id` in rules.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The file that it has for itself.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path, _) => Some(path),
            Place::Whole | Place::Written(_) => None,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

/// `tenants`, read.
#[derive(Clone, Debug)]
pub(super) enum Tenants {
    /// Written in the configuration.
    Written(Vec<Document>),
    /// One file each, in a folder.
    Folder(PathBuf, Span),
}

impl Default for Tenants {
    fn default() -> Self {
        Self::Written(Vec::new())
    }
}

impl Tenants {
    pub(super) fn documents(&self, surroundings: &dyn Surroundings) -> Result<Vec<Document>, Vec<Problem>> {
        match self {
            Self::Written(documents) => Ok(documents.clone()),
            Self::Folder(folder, span) => {
                let files = yaml_files(folder, *span, TENANTS_MAX, surroundings)?;
                let numbered = (FIRST_TENANT..).zip(files);
                Ok(numbered
                    .map(|(number, (id, path))| Document {
                        id,
                        place: Place::File(path, number),
                    })
                    .collect())
            }
        }
    }
}

/// A map of ids, a list of tenants with `id`, or a folder.
pub(super) fn tenants(reading: &mut Reading<'_>, node: &Node) -> Option<Tenants> {
    if let Some((folder, span)) = folder(reading, node) {
        return Some(Tenants::Folder(folder?, span));
    }
    let written = match &node.kind {
        Kind::List(items) => items.iter().map(|item| listed(reading, item)).collect(),
        _ => named(reading, node, "tenants")?
            .into_iter()
            .map(|(id, node)| {
                Some(Document {
                    id,
                    place: Place::Written(node),
                })
            })
            .collect::<Vec<_>>(),
    };
    let documents: Vec<Document> = written.into_iter().flatten().collect();
    for (index, document) in documents.iter().enumerate() {
        if documents
            .iter()
            .take(index)
            .any(|before| before.id == document.id)
        {
            let message = format!("the tenant `{}` is there twice", document.id);
            reading.refuse::<()>(node.span, message, "give one of them another `id`");
        }
    }
    if documents.is_empty() {
        let help = "write `tenants: { acme: { hosts: [acme.example.com], extends: base } }`, or `{ folder: tenants }`";
        reading.refuse::<()>(node.span, "there is no tenant", help);
    }
    Some(Tenants::Written(documents))
}

/// `{ folder: path }`. The outer option is none for anything else.
pub(super) fn folder(reading: &mut Reading<'_>, node: &Node) -> Option<(Option<PathBuf>, Span)> {
    let value = node.get("folder")?;
    let is_path = matches!(value.kind, Kind::Scalar { .. }) || value.get("env").is_some();
    if !is_path {
        return None;
    }
    let mut section = Section::open(reading, node, "tenants")?;
    section.know(&["folder"]);
    section.finish(reading);
    let path = reading.text(value, "folder");
    let path = path.map(|path| reading.sources.resolve(path.span, &path.value));
    Some((path, value.span))
}

/// A map of ids.
pub(super) fn named(reading: &mut Reading<'_>, node: &Node, name: &str) -> Option<Vec<(Arc<str>, Node)>> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("`{name}` must be a map of names, not {}", node.described());
        return reading.refuse(node.span, message, format!("write `{name}: {{ acme: {{ … }} }}`"));
    };
    let mut named = Vec::new();
    for entry in entries {
        if is_id(&entry.key) {
            named.push((entry.key.as_str().into(), entry.value.clone()));
        } else {
            let message = format!("`{}` is no name for one of `{name}`", entry.key);
            reading.refuse::<()>(entry.key_span, message, ID_HELP);
        }
    }
    Some(named)
}

/// An entry of a list: its `id`, and all the rest.
fn listed(reading: &mut Reading<'_>, node: &Node) -> Option<Document> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("a tenant must be a map, not {}", node.described());
        return reading.refuse(
            node.span,
            message,
            "write `- id: acme`, and its other keys below it",
        );
    };
    let Some(id) = node.get("id") else {
        return reading.refuse(node.span, "this tenant has no `id`", "write `- id: acme`");
    };
    let id = reading.text(id, "id")?;
    if !is_id(&id.value) {
        return reading.refuse(id.span, format!("`{}` is no id", id.value), ID_HELP);
    }
    let rest = entries
        .iter()
        .filter(|entry| entry.key != "id")
        .cloned()
        .collect();
    Some(Document {
        id: id.value.into(),
        place: Place::Written(Node {
            span: node.span,
            kind: Kind::Map(rest),
        }),
    })
}

/// What logs, metrics, tokens and file names can carry as it is.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    let starts = text.starts_with(|char: char| char.is_ascii_alphanumeric());
    starts && text.len() <= ID_BYTES_MAX && text.chars().all(plain)
}

/// The YAML files of a folder by the names that they give, in their order. Hidden files are nobody's.
pub(super) fn yaml_files(
    folder: &Path,
    span: Span,
    files_max: usize,
    surroundings: &dyn Surroundings,
) -> Result<Vec<(Arc<str>, PathBuf)>, Vec<Problem>> {
    let listed = surroundings.folder(folder).map_err(|error| {
        let message = format!(
            "the folder {} cannot be read: {}",
            folder.display(),
            files::why(error.kind(), 0)
        );
        let help = "paths are relative to the folder of the configuration file";
        vec![Problem::error(span, message).help(help)]
    })?;
    let mut files: Vec<(Arc<str>, PathBuf)> = Vec::new();
    let mut problems = Vec::new();
    for path in listed {
        match named_by(&path) {
            None => {}
            Some(id) if is_id(&id) => files.push((id.into(), path)),
            Some(_) => {
                let message = format!("{} does not name a tenant or template", path.display());
                problems.push(Problem::error(span, message).help(ID_HELP));
            }
        }
    }
    files.sort();
    for pair in files.windows(2) {
        if let [(one, path), (other, second)] = pair
            && one == other
        {
            let message = format!("{} and {} have one name", path.display(), second.display());
            problems.push(Problem::error(span, message).help("remove one of them"));
        }
    }
    if files.len() > files_max {
        let message = format!("{} has more than {files_max} files", folder.display());
        problems.push(Problem::error(span, message).help("run several processes, each with some of them"));
    }
    if problems.is_empty() {
        Ok(files)
    } else {
        Err(problems)
    }
}

/// The file's name without `.yaml` or `.yml`; none for other files.
fn named_by(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"))?;
    (!stem.starts_with('.')).then(|| stem.to_owned())
}
