//! `templates`: what tenants share, and `extends`, which lays a tenant over one.

use super::merge;
use super::opened::read_beside;
use super::problem::{Problem, did_you_mean};
use super::reading::Reading;
use super::source::{SourceId, Sources, Span};
use super::surroundings::Surroundings;
use super::tenants::{FIRST_TENANT, folder, named, yaml_files};
use super::yaml::{Entry, Kind, Node};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most templates.
const TEMPLATES_MAX: usize = 1024;
/// Most templates one over the other.
const EXTENDS_MAX: usize = 8;

/// The templates by their names, each laid over what it extends itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Templates {
    nodes: BTreeMap<Arc<str>, Node>,
    folder: Option<(PathBuf, Span)>,
    /// The files that were in it.
    files: Vec<(Arc<str>, PathBuf)>,
}

impl Templates {
    /// Reads `templates`; what is wrong goes into `problems`.
    pub(super) fn read(
        root: &Node,
        sources: &mut Sources,
        surroundings: &dyn Surroundings,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let Some(node) = root.get("templates") else {
            return Self::default();
        };
        let known = sources.clone();
        let mut reading = Reading::new(&known, surroundings);
        let mut templates = Self::default();
        match folder(&mut reading, node) {
            Some((Some(path), span)) => {
                match yaml_files(&path, span, TEMPLATES_MAX, surroundings) {
                    Ok(files) => {
                        templates.read_files(&files, sources, surroundings, problems);
                        templates.files = files;
                    }
                    Err(list) => problems.extend(list),
                }
                templates.folder = Some((path, span));
            }
            Some((None, _)) => {}
            None => templates
                .nodes
                .extend(named(&mut reading, node, "templates").into_iter().flatten()),
        }
        problems.extend(reading.problems);
        let raw = templates.nodes.clone();
        for (name, node) in &mut templates.nodes {
            if !matches!(node.kind, Kind::Map(_)) {
                let message = format!("the template `{name}` must be a map, not {}", node.described());
                problems.push(Problem::error(node.span, message).help("write a tenant's keys into it"));
                continue;
            }
            match extended(node.clone(), &raw, &[name]) {
                Ok(whole) => *node = whole,
                Err(problem) => problems.push(problem),
            }
        }
        templates
    }

    fn read_files(
        &mut self,
        files: &[(Arc<str>, PathBuf)],
        sources: &mut Sources,
        surroundings: &dyn Surroundings,
        problems: &mut Vec<Problem>,
    ) {
        for (number, (name, path)) in (0..FIRST_TENANT).zip(files) {
            match read_beside(path, SourceId::beside(number), sources, surroundings) {
                Ok(node) => {
                    self.nodes.insert(Arc::clone(name), node);
                }
                Err(problem) => problems.push(problem),
            }
        }
    }

    /// The folder that the templates are in, if they are files.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|(folder, _)| folder.as_path())
    }

    /// Whether other files are in their folder than were read.
    pub(super) fn have_changed(&self, surroundings: &dyn Surroundings) -> bool {
        let Some((folder, span)) = &self.folder else {
            return false;
        };
        // A folder that cannot be read is told when it is read again for another reason.
        let listed = yaml_files(folder, *span, TEMPLATES_MAX, surroundings);
        listed.is_ok_and(|files| files != self.files)
    }

    /// A tenant over the template that it extends.
    pub(super) fn extend(&self, tenant: Node) -> Result<Node, Vec<Problem>> {
        extended(tenant, &self.nodes, &[]).map_err(|problem| vec![problem])
    }
}

/// A node over what it extends, which may extend another; `above` are those on the way here.
fn extended(mut node: Node, templates: &BTreeMap<Arc<str>, Node>, above: &[&str]) -> Result<Node, Problem> {
    let Some(entry) = take_extends(&mut node) else {
        return Ok(node);
    };
    let Kind::Scalar { text, .. } = &entry.value.kind else {
        let message = "`extends` must be the name of one template";
        return Err(Problem::error(entry.value.span, message).help("write `extends: base`"));
    };
    let Some((name, template)) = templates.get_key_value(text.as_str()) else {
        let help = match did_you_mean(text, templates.keys().map(AsRef::as_ref)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name one of those under `templates`".to_owned(),
        };
        let message = format!("there is no template `{text}`");
        return Err(Problem::error(entry.value.span, message).help(help));
    };
    if above.contains(&&**name) || above.len() >= EXTENDS_MAX {
        let message = format!("`{name}` extends itself, or more than {EXTENDS_MAX} others");
        return Err(Problem::error(entry.value.span, message).help("extend another template"));
    }
    let mut path = above.to_vec();
    path.push(name);
    let base = extended(template.clone(), templates, &path)?;
    let span = node.span;
    let mut whole = merge::over_all(Some(base), Some(node)).unwrap_or(Node {
        span,
        kind: Kind::Null,
    });
    whole.span = span;
    Ok(whole)
}

fn take_extends(node: &mut Node) -> Option<Entry> {
    let Kind::Map(entries) = &mut node.kind else {
        return None;
    };
    let place = entries.iter().position(|entry| entry.key == "extends")?;
    Some(entries.remove(place))
}
