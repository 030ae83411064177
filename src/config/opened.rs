//! A configuration opened: what concerns the process is read, and each tenant can be, on its own.

use super::cluster;
use super::problem::{Problem, Problems};
use super::reading::{Reading, Section, Shown};
use super::revocations;
use super::selection::Selection;
use super::server::{self, ServerSettings};
use super::source::{SourceId, Sources};
use super::surroundings::Surroundings;
use super::templates::Templates;
use super::tenant::{self, LoadedTenant, TENANT_KEYS};
use super::tenants::{self, Document, Place, Tenants};
use super::yaml::{self, Node};
use super::{Files, files, logs, traces};
use std::path::{Path, PathBuf};

/// Keys that concern the process, whatever its tenants.
const PROCESS_KEYS: [&str; 11] = [
    "server",
    "admin",
    "health",
    "limits",
    "cluster",
    "revocations",
    "logs",
    "metrics",
    "traces",
    "tenants",
    "templates",
];

/// A configuration whose files are read and merged.
pub struct Opened {
    /// What the process listens on and how much it takes; none where something about it is wrong.
    pub server: Option<ServerSettings>,
    /// What came up so far: about the process, the templates, and which tenants there are.
    pub problems: Problems,
    pub(super) root: Node,
    pub(super) shown: Shown,
    sources: Sources,
    templates: Templates,
    tenants: Option<Tenants>,
}

/// Why a tenant is refused.
pub struct RefusedTenant {
    /// Everything that is wrong with it.
    pub problems: Problems,
    /// The requests that it is meant for, where that much can be read.
    pub selection: Option<Selection>,
}

impl Opened {
    /// Reads files, later ones over earlier ones.
    ///
    /// # Errors
    /// Files that cannot be read, or are not YAML. Whatever else is wrong is in [`Opened::problems`].
    pub fn open(paths: &[PathBuf], surroundings: &dyn Surroundings) -> Result<Self, Problems> {
        let mut files = Files::default();
        for path in paths {
            files.add(path, surroundings);
        }
        Self::of_files(files, surroundings)
    }

    /// Reads texts as if they were files of those names.
    ///
    /// # Errors
    /// As for files.
    pub fn of_texts(texts: &[(&Path, &str)], surroundings: &dyn Surroundings) -> Result<Self, Problems> {
        let mut files = Files::default();
        for (path, text) in texts {
            files.add_bytes(path, text.as_bytes().to_vec());
        }
        Self::of_files(files, surroundings)
    }

    fn of_files(files: Files, surroundings: &dyn Surroundings) -> Result<Self, Problems> {
        let (root, mut sources) = files.merged()?;
        let mut list = Vec::new();
        let templates = Templates::read(&root, &mut sources, surroundings, &mut list);
        let mut reading = Reading::new(&sources, surroundings);
        let server = process(&mut reading, &root);
        let tenants = root
            .get("tenants")
            .map(|node| tenants::tenants(&mut reading, node).unwrap_or_default());
        let Reading { problems, shown, .. } = reading;
        list.extend(problems);
        let mut problems = Problems {
            sources: sources.clone(),
            list,
        };
        problems.sort();
        Ok(Self {
            server,
            problems,
            root,
            shown,
            sources,
            templates,
            tenants,
        })
    }

    /// Whether tenants are named.
    pub fn is_shared(&self) -> bool {
        self.tenants.is_some()
    }

    /// The folder whose files are the tenants, if they are.
    pub fn folder(&self) -> Option<&Path> {
        match &self.tenants {
            Some(Tenants::Folder(folder, _)) => Some(folder),
            _ => None,
        }
    }

    /// The folders whose files matter: a new file in one of them is a new tenant or template.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folder().into_iter().chain(self.templates.folder())
    }

    /// Whether the folder of the templates has other files than when it was read.
    pub fn templates_changed(&self, surroundings: &dyn Surroundings) -> bool {
        self.templates.have_changed(surroundings)
    }

    /// The tenants, each to be read by [`Opened::tenant`].
    ///
    /// # Errors
    /// When their folder cannot be read, or there are more than [`tenants::TENANTS_MAX`].
    pub fn documents(&self, surroundings: &dyn Surroundings) -> Result<Vec<Document>, Problems> {
        let listed = match &self.tenants {
            None => return Ok(vec![Document::whole()]),
            Some(tenants) => tenants.documents(surroundings),
        };
        listed.map_err(|list| Problems {
            sources: self.sources.clone(),
            list,
        })
    }

    /// Reads and checks one tenant.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn tenant(
        &self,
        document: &Document,
        surroundings: &dyn Surroundings,
    ) -> Result<LoadedTenant, Box<RefusedTenant>> {
        let mut sources = self.sources.clone();
        match self.merged(document, &mut sources, surroundings) {
            Ok(merged) => {
                let known: &[&'static str] = match document.place() {
                    Place::Whole => &PROCESS_KEYS,
                    Place::Written(_) | Place::File(..) => &["extends"],
                };
                tenant::load(document, merged, known, sources, surroundings)
            }
            Err(list) => Err(Box::new(RefusedTenant {
                problems: Problems { sources, list },
                selection: None,
            })),
        }
    }

    /// What a tenant says, over what it extends.
    fn merged(
        &self,
        document: &Document,
        sources: &mut Sources,
        surroundings: &dyn Surroundings,
    ) -> Result<Node, Vec<Problem>> {
        let node = match document.place() {
            Place::Whole => return Ok(self.root.clone()),
            Place::Written(node) => node.clone(),
            Place::File(path, number) => read_beside(path, SourceId::beside(*number), sources, surroundings)
                .map_err(|problem| vec![problem])?,
        };
        self.templates.extend(node)
    }
}

/// Reads a file that is a configuration of its own.
pub(super) fn read_beside(
    path: &Path,
    id: SourceId,
    sources: &mut Sources,
    surroundings: &dyn Surroundings,
) -> Result<Node, Problem> {
    let content = surroundings.file(path, yaml::FILE_BYTES_MAX).map_err(|error| {
        let message = files::unreadable(path, error.kind(), yaml::FILE_BYTES_MAX);
        Problem::error(None, message)
    })?;
    let text = files::text(path, content.bytes)?;
    sources.add_as(id, path, text.clone());
    yaml::read(id, &text)?.ok_or_else(|| {
        let message = format!("{} is empty", path.display());
        Problem::error(None, message)
            .help("it needs `hosts` or `path_prefix`, and `extends` or all of a tenant's keys")
    })
}

fn process(reading: &mut Reading<'_>, root: &Node) -> Option<ServerSettings> {
    let mut section = Section::open(reading, root, "the configuration")?;
    let revocations = section.get(reading, "revocations");
    let revocations = revocations.map_or(Some(None), |entry| revocations::file(reading, &entry.value));
    let seen = logs::seen(reading, &mut section);
    let traces = section.get(reading, "traces");
    let wrong_traces = traces.is_none() && section.has("traces");
    let traces = traces.map(|entry| traces::traces(reading, &entry.value));
    let nodes = ["server", "admin", "health", "limits"]
        .map(|key| section.get(reading, key).map(|entry| &entry.value));
    let server = server::server(reading, nodes);
    let cluster = section.get(reading, "cluster");
    let wrong_cluster = cluster.is_none() && section.has("cluster");
    let cluster = cluster.map(|entry| cluster::cluster(reading, &entry.value));
    section.know(&PROCESS_KEYS);
    if section.has("tenants") {
        for key in TENANT_KEYS.iter().filter(|key| section.has(key)) {
            refuse_beside_tenants(reading, root, key);
        }
        section.know(&TENANT_KEYS);
        section.finish(reading);
    } else if let Some(entry) = section.get(reading, "templates") {
        let message = "`templates` are for `tenants`, and there are none";
        reading.refuse::<()>(entry.key_span, message, "remove it, or write `tenants`");
    }
    let mut server = server?;
    server.revocations = revocations?;
    (server.logs, server.metrics) = seen?;
    server.cluster = cluster.map_or((!wrong_cluster).then_some(None), |read| read.map(Some))?;
    server.traces = traces.map_or((!wrong_traces).then_some(None), |read| read.map(Some))?;
    traces::require_believed(reading, root, &server)?;
    Some(server)
}

fn refuse_beside_tenants(reading: &mut Reading<'_>, root: &Node, key: &str) {
    let yaml::Kind::Map(entries) = &root.kind else {
        return;
    };
    if let Some(entry) = entries.iter().find(|entry| entry.key == key) {
        let message = format!("`{key}` belongs to a tenant, and there are `tenants`");
        let help = "put what tenants share into `templates: { base: { … } }`, and `extends: base` into each";
        reading.refuse::<()>(entry.key_span, message, help);
    }
}
