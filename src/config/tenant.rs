//! One tenant: everything that is said of it, from the tree to checked values.

use super::authorize::KnownDatabase;
use super::client;
use super::conflicts;
use super::cors::{self, Cors};
use super::electric::{self, ElectricSettings};
use super::gatekeeper::{self, GatekeeperPart, GatekeeperSettings};
use super::identity::{self, IdentitySettings};
use super::opened::RefusedTenant;
use super::policy::{self, CheckedShape};
use super::problem::Problems;
use super::reading::{Reading, Section, Shown};
use super::selection::{self, Selection};
use super::shapes::{self, Defaults, ShapeSettings};
use super::source::Sources;
use super::surroundings::Surroundings;
use super::tenants::{Document, Place};
use super::users_own;
use super::yaml::Node;
use std::sync::Arc;

/// Keys that a tenant has, whether it is the only one or not.
pub(super) const TENANT_KEYS: [&str; 6] =
    ["electric", "identity", "cors", "defaults", "shapes", "gatekeeper"];

/// A tenant in which nothing is wrong.
#[derive(Clone, Debug)]
pub struct TenantConfig {
    /// Its id: `tenant.id` in rules.
    pub id: Arc<str>,
    /// The requests that it is for; none stands for all of them.
    pub selection: Option<Selection>,
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

/// A tenant with what was noticed while it was read.
#[derive(Debug)]
pub struct LoadedTenant {
    /// The checked values.
    pub config: TenantConfig,
    /// Warnings, and the files that all places refer to.
    pub warnings: Problems,
    pub(super) merged: Node,
    pub(super) shown: Shown,
}

/// From a tree, what a tenant extends included, to values; `elsewhere` are keys in it that others read.
pub(super) fn load(
    document: &Document,
    merged: Node,
    elsewhere: &[&'static str],
    sources: Sources,
    surroundings: &dyn Surroundings,
) -> Result<LoadedTenant, Box<RefusedTenant>> {
    let mut reading = Reading::new(&sources, surroundings);
    let (config, selection) = match Section::open(&mut reading, &merged, &name(document)) {
        Some(mut section) => {
            section.know(elsewhere);
            let selection = match document.place() {
                Place::Whole => None,
                Place::Written(_) | Place::File(..) => Some(selection::selection(&mut reading, &mut section)),
            };
            let read = selection.clone().flatten();
            (check(&mut reading, &mut section, document.id(), selection), read)
        }
        None => (None, None),
    };
    let Reading {
        problems: list,
        shown,
        ..
    } = reading;
    let mut problems = Problems { sources, list };
    problems.sort();
    match config.filter(|_| !problems.refuse()) {
        Some(config) => Ok(LoadedTenant {
            config,
            warnings: problems,
            merged,
            shown,
        }),
        None => Err(Box::new(RefusedTenant { problems, selection })),
    }
}

fn name(document: &Document) -> String {
    match document.place() {
        Place::Whole => "the configuration".to_owned(),
        Place::Written(_) | Place::File(..) => document.id().to_string(),
    }
}

fn check(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    id: &Arc<str>,
    selection: Option<Option<Selection>>,
) -> Option<TenantConfig> {
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
    let client = section
        .get(reading, "defaults")
        .and_then(|entry| client::defaults(reading, &entry.value));
    let defaults = Defaults {
        client: client.unwrap_or_default(),
        database: KnownDatabase::of(identity.as_ref()),
    };
    let gatekeeper = section
        .get(reading, "gatekeeper")
        .map(|entry| gatekeeper::gatekeeper(reading, &entry.value));
    let shapes = read_shapes(reading, section, gatekeeper.as_ref(), &defaults);
    section.finish(reading);
    let shapes = shapes?;
    conflicts::routes(reading, &shapes);
    let identity = identity?;
    conflicts::nobody_can_enter(reading, &shapes, &identity);
    if let Some(cors) = &cors {
        conflicts::cookies_for_any_origin(reading, &identity.credential_cookies(), cors);
    }
    for entry in ["identity", "member", "shapes"]
        .iter()
        .filter_map(|key| section.entry(key))
    {
        users_own::warn(reading, &identity.presets, &entry.value);
    }
    let part = gatekeeper.as_ref().and_then(Option::as_ref);
    gatekeeper::check(reading, part, &shapes, &identity);
    let common = policy::Common {
        tenant: Arc::clone(id),
        certain_claims: identity.certain_claims(),
        tagger: electric.as_ref().and_then(policy::tagger),
        membership: selection::membership(reading, selection.as_ref(), &identity),
    };
    // Every shape is compiled, whatever else is wrong: its faults belong into the same list.
    let shapes: Vec<CheckedShape> = shapes
        .into_iter()
        .filter_map(|shape| policy::compile(reading, shape, &common))
        .collect();
    let gatekeeper = match gatekeeper {
        None => None,
        Some(part) => Some(gatekeeper::settings(reading, part?, &shapes, common.tagger)?),
    };
    let selection = selection.map_or(Some(None), |read| read.map(Some))?;
    selection::gatekeeper(reading, selection.as_ref(), gatekeeper.as_ref());
    Some(TenantConfig {
        id: Arc::clone(id),
        selection,
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
    defaults: &Defaults,
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
