//! The configuration: the YAML as it is written, then as checked values.
//!
//! Three stages, and nothing of one leaks into the next:
//!
//! 1. [`yaml`]: files → a tree in which every key and value knows its place; several files are merged.
//! 2. [`load`]: the tree → [`Config`], values that cannot be wrong any more. Every problem is collected, each
//!    with its file, line, column and mending; an error anywhere refuses all of it.
//! 3. [`crate::tenant`]: [`Config`] → what requests are served with.

mod authorize;
mod client;
mod conflicts;
mod cors;
mod electric;
mod files;
mod gatekeeper;
mod host;
mod identity;
mod keys;
mod merge;
mod network;
mod path;
mod policy;
mod print;
mod problem;
mod reading;
mod rules;
mod scalar;
mod secret;
mod server;
mod shapes;
mod source;
mod surroundings;
mod value;
pub mod yaml;

pub use authorize::AuthorizerSetting;
pub use client::{ClientColumns, ClientSettings, ClientWhere, IgnoredName, SubsetSetting};
pub use conflicts::OPEN_ROUTE_LAST;
pub use cors::{Cors, OriginPattern, Origins};
pub use electric::{Authority, ElectricSettings, ElectricUrl};
pub use files::KEY_FILE_BYTES_MAX;
pub use gatekeeper::{
    GatekeeperSettings, KeyOrigin, MintSetting, MintShapeSetting, SigningKeySetting, TTL_DEFAULT,
    VERIFY_PATHS_MAX, VerifySetting, moment_text,
};
pub use identity::{IdentitySettings, LIFETIME_MAX_DEFAULT};
pub use network::{Network, NetworkError};
pub use path::{
    CAPTURE_BYTES_MAX, PATH_BYTES_MAX, PathError, PathPattern, SEGMENTS_MAX, Segment, is_capture_text,
};
pub use policy::{CheckedShape, DEFAULT_TENANT};
pub use print::REDACTED;
pub use problem::{Problem, Problems, Severity};
pub use rules::{ParamSetting, RULES_MAX, RowsSetting, RuleSettings};
pub use scalar::read_duration;
pub use secret::{SECRET_BYTES_MAX, SecretOrigin, SecretSetting};
pub use server::{AdminListen, Certificate, Limits, ServerSettings, Tls};
pub use shapes::{AccessSetting, SHAPES_MAX, ShapeSettings, TableSetting};
pub use source::{FILES_MAX, Source, SourceId, Sources, Span, Spanned};
pub use surroundings::{FileContent, Machine, Surroundings};

use client::ClientPart;
use gatekeeper::GatekeeperPart;
use reading::{Reading, Section, Shown};
use std::path::{Path, PathBuf};
use yaml::Node;

/// A configuration in which nothing is wrong.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the process listens on and how much it takes.
    pub server: ServerSettings,
    /// The upstream.
    pub electric: ElectricSettings,
    /// How those who ask are known.
    pub identity: IdentitySettings,
    /// Which pages of other origins may read answers.
    pub cors: Cors,
    /// What may be synced, in the order of the file.
    pub shapes: Vec<CheckedShape>,
    /// Tokens that sign shapes.
    pub gatekeeper: Option<GatekeeperSettings>,
}

/// A configuration with what was noticed while it was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked values.
    pub config: Config,
    /// Warnings, and the files that all places refer to.
    pub warnings: Problems,
    merged: Node,
    shown: Shown,
}

impl Loaded {
    /// YAML of all files together, variables and defaults filled in, secrets left out.
    pub fn print(&self) -> String {
        print::print(&self.merged, &self.shown, &self.config)
    }
}

/// Reads files, later ones over earlier ones.
///
/// # Errors
/// Everything that is wrong, warnings included.
pub fn load(paths: &[PathBuf], surroundings: &dyn Surroundings) -> Result<Loaded, Problems> {
    let mut files = Files::default();
    for path in paths {
        files.add(path, surroundings);
    }
    files.check(surroundings)
}

/// Reads texts as if they were files of those names, later ones over earlier ones.
///
/// # Errors
/// Everything that is wrong, warnings included.
pub fn load_texts(texts: &[(&Path, &str)], surroundings: &dyn Surroundings) -> Result<Loaded, Problems> {
    let mut files = Files::default();
    for (path, text) in texts {
        files.add_bytes(path, text.as_bytes().to_vec());
    }
    files.check(surroundings)
}

/// Stage one: what the files say, one over the other.
#[derive(Default)]
struct Files {
    problems: Problems,
    merged: Option<Node>,
}

impl Files {
    fn add(&mut self, path: &Path, surroundings: &dyn Surroundings) {
        match surroundings.file(path, yaml::FILE_BYTES_MAX) {
            Ok(content) => self.add_bytes(path, content.bytes),
            Err(error) => {
                let message = files::unreadable(path, error.kind(), yaml::FILE_BYTES_MAX);
                self.problems.list.push(Problem::error(None, message));
            }
        }
    }

    fn add_bytes(&mut self, path: &Path, bytes: Vec<u8>) {
        match self.read(path, bytes) {
            Ok(node) => self.merged = merge::over_all(self.merged.take(), node),
            Err(problem) => self.problems.list.push(problem),
        }
    }

    fn read(&mut self, path: &Path, bytes: Vec<u8>) -> Result<Option<Node>, Problem> {
        if bytes.len() > yaml::FILE_BYTES_MAX {
            let kind = std::io::ErrorKind::FileTooLarge;
            return Err(Problem::error(
                None,
                files::unreadable(path, kind, yaml::FILE_BYTES_MAX),
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            Problem::error(
                None,
                format!("the configuration file {} is not UTF-8", path.display()),
            )
        })?;
        let copy = text.clone();
        let source = self.problems.sources.add(path, copy);
        let source = source
            .ok_or_else(|| Problem::error(None, format!("more than {FILES_MAX} configuration files")))?;
        yaml::read(source, &text)
    }

    /// Stage two. A file that could not be read is not guessed around: what it lacks would be told as missing.
    fn check(mut self, surroundings: &dyn Surroundings) -> Result<Loaded, Problems> {
        if self.problems.refuse() {
            return Err(self.problems);
        }
        let Some(merged) = self.merged else {
            let problem = Problem::error(None, "the configuration is empty");
            self.problems
                .list
                .push(problem.help("it needs `electric`, `identity` and `shapes`"));
            return Err(self.problems);
        };
        let sources = self.problems.sources;
        let mut reading = Reading {
            sources: &sources,
            surroundings,
            problems: Vec::new(),
            shown: Shown::default(),
        };
        let config = check(&mut reading, &merged);
        let Reading {
            problems: list,
            shown,
            ..
        } = reading;
        let mut problems = Problems { sources, list };
        problems.sort();
        match config.filter(|_| !problems.refuse()) {
            Some(config) => Ok(Loaded {
                config,
                warnings: problems,
                merged,
                shown,
            }),
            None => Err(problems),
        }
    }
}

fn check(reading: &mut Reading<'_>, root: &Node) -> Option<Config> {
    let mut section = Section::open(reading, root, "the configuration")?;
    let server = ["server", "admin", "health", "limits"]
        .map(|key| section.get(reading, key).map(|entry| &entry.value));
    let server = server::server(reading, server);
    let electric = section.require(
        reading,
        "electric",
        "write `electric: { url: …, secret: { env: ELECTRIC_SECRET } }`",
    );
    let electric = electric.and_then(|entry| electric::electric(reading, &entry.value));
    let identity = section.get(reading, "identity");
    let identity = identity.map_or_else(
        || Some(IdentitySettings::default()),
        |entry| identity::identity(reading, &entry.value),
    );
    let cors = section.get(reading, "cors");
    let cors = cors.map_or_else(
        || Some(Cors::default()),
        |entry| cors::cors(reading, &entry.value),
    );
    let defaults = section
        .get(reading, "defaults")
        .and_then(|entry| client::defaults(reading, &entry.value));
    let gatekeeper = section
        .get(reading, "gatekeeper")
        .map(|entry| gatekeeper::gatekeeper(reading, &entry.value));
    let shapes = read_shapes(
        reading,
        &mut section,
        gatekeeper.as_ref(),
        &defaults.unwrap_or_default(),
    );
    for (key, instead) in [("cluster", ""), ("tenants", "; without it there is one tenant")] {
        section.later(reading, key, instead);
    }
    section.finish(reading);
    let shapes = shapes?;
    conflicts::routes(reading, &shapes);
    let identity = identity?;
    conflicts::nobody_can_enter(reading, &shapes, &identity);
    let part = gatekeeper.as_ref().and_then(Option::as_ref);
    gatekeeper::check(reading, part, &shapes, &identity);
    let certain = identity.certain_claims();
    let tagger = electric.as_ref().and_then(policy::tagger);
    // Every shape is compiled, whatever else is wrong: its faults belong into the same list.
    let shapes: Vec<CheckedShape> = shapes
        .into_iter()
        .filter_map(|shape| policy::compile(reading, shape, &certain, tagger.as_ref()))
        .collect();
    let gatekeeper = match gatekeeper {
        None => None,
        Some(part) => Some(gatekeeper::settings(reading, part?, &shapes, tagger)?),
    };
    Some(Config {
        server: server?,
        electric: electric?,
        identity,
        cors: cors?,
        shapes,
        gatekeeper,
    })
}

/// The shapes, which may be missing where tokens are verified and nothing else is done.
fn read_shapes(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    gatekeeper: Option<&Option<GatekeeperPart>>,
    defaults: &ClientPart,
) -> Option<Vec<ShapeSettings>> {
    // Nothing is said of shapes that a wrong `gatekeeper` might do without.
    let waived = gatekeeper.is_some_and(|part| part.as_ref().is_none_or(GatekeeperPart::needs_no_shapes));
    if waived && !section.has("shapes") {
        return Some(Vec::new());
    }
    let help = "write `shapes: { users: { table: users, … } }`";
    let entry = section.require(reading, "shapes", help)?;
    shapes::shapes(reading, &entry.value, defaults)
}
