//! The configuration: the YAML as it is written, then as checked values.
//!
//! Three stages, and nothing of one leaks into the next:
//!
//! 1. [`yaml`]: files → a tree in which every key and value knows its place; several files are merged, and a
//!    tenant is laid over the template that it extends.
//! 2. [`Opened`]: the tree → [`ServerSettings`] and, a tenant at a time, [`TenantConfig`]: values that cannot be
//!    wrong any more. Every problem is collected, each with its file, line, column and mending; an error
//!    anywhere refuses all of it.
//! 3. [`crate::tenant`]: [`TenantConfig`] → what requests are served with.

mod api_keys;
mod authorize;
mod carrier;
mod client;
mod cluster;
mod codings;
mod conflicts;
mod cors;
mod discreet;
mod electric;
mod files;
mod gatekeeper;
mod host;
mod identity;
mod jwt;
mod keys;
mod leaving;
mod limits;
mod logs;
mod merge;
mod moment;
mod network;
mod opened;
mod path;
mod policy;
mod presets;
mod print;
mod problem;
mod providers;
mod quotas;
mod reading;
mod revocations;
mod rivals;
mod rules;
mod scalar;
mod schema;
mod secret;
mod selection;
mod server;
mod shapes;
mod source;
mod surroundings;
mod templates;
mod tenant;
mod tenants;
mod traces;
mod users_own;
mod value;
pub mod yaml;

pub use api_keys::ApiKeySettings;
pub use authorize::AuthorizerSetting;
pub use client::{ClientColumns, ClientSettings, ClientWhere, IgnoredName, SubsetSetting};
pub use cluster::{ClusterSettings, RedisPlace, RedisUrl, RedisUrlError};
pub use conflicts::OPEN_ROUTE_LAST;
pub use cors::{Cors, OriginPattern, Origins};
pub use electric::{Authority, ElectricSettings, ElectricUrl};
pub use files::KEY_FILE_BYTES_MAX;
pub use gatekeeper::{
    GatekeeperSettings, KeyOrigin, MintSetting, MintShapeSetting, SigningKeySetting, TTL_DEFAULT,
    VERIFY_PATHS_MAX, VerifySetting,
};
pub use host::is_label;
pub use identity::{IdentitySettings, LIFETIME_MAX_DEFAULT};
pub use leaving::Leaving;
pub use limits::Limits;
pub use moment::moment_text;
pub use network::{Network, NetworkError};
pub use opened::{Opened, RefusedTenant};
pub use path::{
    CAPTURE_BYTES_MAX, PATH_BYTES_MAX, PathError, PathPattern, SEGMENTS_MAX, Segment, is_capture_text,
};
pub use policy::{CheckedShape, DEFAULT_TENANT};
pub use presets::Preset;
pub use print::REDACTED;
pub use problem::{Problem, Problems, Severity};
pub use providers::{IntrospectionServer, PostgresMethod, ProviderKind, ProviderSettings};
pub use revocations::{RevocationFile, requested_revocations, revocations_of};
pub use rivals::{Rivalry, TenantClaims, rivalries};
pub use rules::{ParamSetting, RULES_MAX, RowsSetting, RuleSettings};
pub use scalar::read_duration;
pub use schema::{SchemaOf, schema};
pub use secret::{SECRET_BYTES_MAX, SecretOrigin, SecretSetting};
pub use selection::{ClaimSelection, HostPattern, PREFIX_SEGMENTS_MAX, Selection};
pub use server::{AdminListen, Certificate, ServerSettings, Tls};
pub use shapes::{AccessSetting, SHAPES_MAX, ShapeSettings, TableSetting};
pub use source::{FILES_MAX, Source, SourceId, Sources, Span, Spanned};
pub use surroundings::{FileContent, Machine, Surroundings};
pub use tenant::{LoadedTenant, TenantConfig};
pub use tenants::{Document, TENANTS_MAX};

use std::path::{Path, PathBuf};
use yaml::Node;

/// A configuration in which nothing is wrong.
#[derive(Debug)]
pub struct Config {
    /// What the process listens on and how much it takes.
    pub server: ServerSettings,
    /// The tenants; the one called [`DEFAULT_TENANT`] when none are named.
    pub tenants: Vec<TenantConfig>,
}

/// A configuration with what was noticed while it was read.
#[derive(Debug)]
pub struct Loaded {
    /// The checked values.
    pub config: Config,
    /// Warnings, and the files that all places refer to.
    pub warnings: Problems,
    printed: String,
}

impl Loaded {
    /// YAML of all files together, variables and defaults filled in, secrets left out.
    pub fn print(&self) -> String {
        self.printed.clone()
    }
}

/// Reads files, later ones over earlier ones, and every tenant.
///
/// # Errors
/// Everything that is wrong, warnings included.
pub fn load(paths: &[PathBuf], surroundings: &dyn Surroundings) -> Result<Loaded, Problems> {
    load_opened(Opened::open(paths, surroundings)?, surroundings)
}

/// Reads texts as if they were files of those names, later ones over earlier ones.
///
/// # Errors
/// Everything that is wrong, warnings included.
pub fn load_texts(texts: &[(&Path, &str)], surroundings: &dyn Surroundings) -> Result<Loaded, Problems> {
    load_opened(Opened::of_texts(texts, surroundings)?, surroundings)
}

fn load_opened(mut opened: Opened, surroundings: &dyn Surroundings) -> Result<Loaded, Problems> {
    let mut problems = std::mem::take(&mut opened.problems);
    let documents = opened.documents(surroundings).unwrap_or_else(|listing| {
        problems.extend(listing);
        Vec::new()
    });
    let mut loaded = Vec::new();
    for document in &documents {
        match opened.tenant(document, surroundings) {
            Ok(mut tenant) => {
                problems.extend(std::mem::take(&mut tenant.warnings));
                loaded.push(tenant);
            }
            Err(refused) => problems.extend(refused.problems),
        }
    }
    let claims: Vec<TenantClaims> = loaded
        .iter()
        .map(|tenant| TenantClaims::of(&tenant.config))
        .collect();
    let all: Vec<&TenantClaims> = claims.iter().collect();
    problems
        .list
        .extend(rivalries(&all).into_iter().map(|rivalry| rivalry.problem));
    problems.sort();
    match opened.server.take().filter(|_| !problems.refuse()) {
        Some(server) => Ok(Loaded {
            printed: print::print(&opened, &server, &loaded),
            config: Config {
                server,
                tenants: loaded.into_iter().map(|tenant| tenant.config).collect(),
            },
            warnings: problems,
        }),
        None => Err(problems),
    }
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
        let text = files::text(path, bytes)?;
        let copy = text.clone();
        let source = self.problems.sources.add(path, copy);
        let source = source
            .ok_or_else(|| Problem::error(None, format!("more than {FILES_MAX} configuration files")))?;
        yaml::read(source, &text)
    }

    /// What all of them amount to. A file that could not be read is not guessed around: what it lacks would be
    /// told as missing.
    fn merged(mut self) -> Result<(Node, Sources), Problems> {
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
        Ok((merged, self.problems.sources))
    }
}
