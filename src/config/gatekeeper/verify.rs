//! `gatekeeper.verify`.

use super::super::client::subset;
use super::super::path::PathPattern;
use super::super::reading::{Reading, Section};
use super::super::source::Spanned;
use super::super::yaml::Node;
use super::super::{LIFETIME_MAX_DEFAULT, SubsetSetting};
use super::super::{identity, jwt, keys};
use crate::identity::{ISSUERS_MAX, IssuerSource};
use shapegate_core::definition::{Log, Replica};
use shapegate_core::permit::SubsetLimits;
use shapegate_core::shape_claims::Unsigned;
use std::time::Duration;

/// Most paths at which tokens are verified.
pub const VERIFY_PATHS_MAX: usize = 64;

/// `gatekeeper.verify`, checked.
#[derive(Clone, Debug)]
pub struct VerifySetting {
    /// Where signed shapes are served; paths without captures.
    pub paths: Vec<Spanned<PathPattern>>,
    /// Issuers besides the own one.
    pub issuers: Vec<Spanned<IssuerSource>>,
    /// What tokens do not sign.
    pub unsigned: Unsigned,
}

const PATHS_HELP: &str = "write `paths: [/proxy/v1/shape]`";

pub(super) fn verify(reading: &mut Reading<'_>, node: &Node) -> Option<VerifySetting> {
    let mut section = Section::open(reading, node, "verify")?;
    let paths = section
        .require(reading, "paths", PATHS_HELP)
        .and_then(|entry| paths(reading, &entry.value));
    let issuers = section.get(reading, "issuers").map_or(Some(Vec::new()), |entry| {
        reading.each(&entry.value, "issuers", issuer)
    });
    let unsigned = section.get(reading, "unsigned").map_or_else(
        || Some(Unsigned::default()),
        |entry| unsigned(reading, &entry.value),
    );
    section.finish(reading);
    let issuers = issuers?;
    if issuers.len() > ISSUERS_MAX {
        return reading.refuse(
            node.span,
            format!("more than {ISSUERS_MAX} issuers"),
            "remove some",
        );
    }
    Some(VerifySetting {
        paths: paths?,
        issuers,
        unsigned: unsigned?,
    })
}

fn paths(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<Spanned<PathPattern>>> {
    let paths = reading.each(node, "paths", |reading, item| {
        let text = reading.text(item, "paths")?;
        match PathPattern::parse(&text.value) {
            Ok(path) if path.names().next().is_none() => Some(Spanned::new(path, text.span)),
            Ok(_) => reading.refuse(text.span, "a path of `verify` has no captures", PATHS_HELP),
            Err(error) => reading.refuse(
                text.span,
                format!("the path `{}` {error}", text.value),
                PATHS_HELP,
            ),
        }
    })?;
    if paths.is_empty() || paths.len() > VERIFY_PATHS_MAX {
        let message = format!("`paths` must have 1 to {VERIFY_PATHS_MAX} entries");
        return reading.refuse(node.span, message, PATHS_HELP);
    }
    Some(paths)
}

/// As an issuer of users' tokens, without the names that rules read.
fn issuer(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<IssuerSource>> {
    let mut section = Section::open(reading, node, "issuers")?;
    let name = section
        .require(reading, "issuer", "write the exact `iss` of its tokens")
        .and_then(|entry| reading.text(&entry.value, "issuer"));
    let audience = identity::audience(reading, &mut section);
    let issuer = name.as_ref().map(|name| name.value.as_str());
    let keys = jwt::read_key_sources(reading, &mut section, None, issuer);
    let lifetime_max = section
        .get(reading, "lifetime_max")
        .map_or(Some(LIFETIME_MAX_DEFAULT), |entry| {
            let longest = Duration::from_secs(366 * 86_400);
            reading.duration(&entry.value, "lifetime_max", Duration::from_secs(1)..=longest)
        });
    let token_type = section
        .get(reading, "token_type")
        .map(|entry| reading.text(&entry.value, "token_type"));
    section.finish(reading);
    let keys = keys?;
    let source = IssuerSource {
        issuer: name?.value,
        keys: Vec::new(),
        audience: audience?,
        lifetime_max: Some(lifetime_max?),
        token_type: None,
        claims: Vec::new(),
    };
    let mut source = keys::check(reading, source, node.span, &keys)?;
    source.token_type = token_type.map_or(Some(None), |read| read.map(|text| Some(text.value)))?;
    Some(Spanned::new(source, node.span))
}

fn unsigned(reading: &mut Reading<'_>, node: &Node) -> Option<Unsigned> {
    let default = Unsigned::default();
    let mut section = Section::open(reading, node, "unsigned")?;
    let replica = section
        .get(reading, "replica")
        .map_or(Some(default.replica), |entry| {
            let words = [Replica::Default, Replica::Full].map(|mode| (mode.as_str(), mode));
            some_of(reading, &entry.value, "replica", &words)
        });
    let log = section.get(reading, "log").map_or(Some(default.log), |entry| {
        let words = [Log::Full, Log::ChangesOnly].map(|log| (log.as_str(), log));
        some_of(reading, &entry.value, "log", &words)
    });
    let subset = section
        .get(reading, "subset")
        .map_or(Some(SubsetSetting::Off), |entry| subset(reading, &entry.value));
    section.finish(reading);
    Some(Unsigned {
        replica: replica?,
        log: log?,
        subset: match subset? {
            SubsetSetting::Off => None,
            SubsetSetting::Unlimited => Some(SubsetLimits { limit_max: None }),
            SubsetSetting::LimitMax(limit) => Some(SubsetLimits {
                limit_max: Some(limit),
            }),
        },
    })
}

fn some_of<T: Copy + PartialEq>(
    reading: &mut Reading<'_>,
    node: &Node,
    name: &str,
    words: &[(&str, T)],
) -> Option<Vec<T>> {
    let list = reading.each(node, name, |reading, item| reading.choice(item, name, words))?;
    if !list.is_empty() && list.len() <= words.len() {
        return Some(list);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let help = format!("write some of: {}", known.join(", "));
    reading.refuse(node.span, format!("`{name}` must have one or two entries"), help)
}
