//! `gatekeeper`: which tokens are minted, and which are taken.

mod conflicts;
mod keys;
mod mint;
mod shapes;
mod verify;

pub use keys::{KeyOrigin, SigningKeySetting};
pub use mint::{MintSetting, TTL_DEFAULT};
pub use shapes::MintShapeSetting;
pub use verify::{VERIFY_PATHS_MAX, VerifySetting};

pub(super) use conflicts::check;
pub(super) use mint::ttl;

use super::policy::CheckedShape;
use super::reading::{Reading, Section};
use super::source::{Span, Spanned};
use super::yaml::Node;
use crate::identity::IssuerSource;
use shapegate_core::handle::HandleTagger;
use std::sync::Arc;

/// `gatekeeper`, checked.
#[derive(Clone, Debug)]
pub struct GatekeeperSettings {
    /// Minting.
    pub mint: Option<MintSetting>,
    /// Verifying.
    pub verify: Option<VerifySetting>,
    /// The shapes whose rules may mint, in the order in which they are asked for a table.
    pub shapes: Vec<MintShapeSetting>,
    /// Binds the handles of signed shapes.
    pub tagger: Option<HandleTagger>,
}

/// `gatekeeper` before the shapes are known.
pub(super) struct GatekeeperPart {
    pub(super) span: Span,
    pub(super) mint: Option<MintSetting>,
    pub(super) verify: Option<VerifySetting>,
    pub(super) shapes: Vec<Spanned<Arc<str>>>,
}

impl GatekeeperPart {
    /// Whether the gateway can do without shapes: it verifies and has no rules.
    pub(super) fn needs_no_shapes(&self) -> bool {
        self.mint.is_none() && self.verify.is_some()
    }

    /// The issuers whose tokens sign shapes, the own one aside.
    pub(super) fn issuers(&self) -> &[Spanned<IssuerSource>] {
        self.verify.as_ref().map_or(&[], |verify| &verify.issuers)
    }
}

/// `gatekeeper` with the shapes that it names, once they are compiled.
pub(super) fn settings(
    reading: &mut Reading<'_>,
    part: GatekeeperPart,
    shapes: &[CheckedShape],
    tagger: Option<HandleTagger>,
) -> Option<GatekeeperSettings> {
    Some(GatekeeperSettings {
        shapes: shapes::shapes(reading, &part, shapes)?,
        mint: part.mint,
        verify: part.verify,
        tagger,
    })
}

const HELP: &str =
    "write `mint: { url: …, keys: […] }` and the names of `shapes`, or `verify: { paths: […] }`, or both";

pub(super) fn gatekeeper(reading: &mut Reading<'_>, node: &Node) -> Option<GatekeeperPart> {
    let mut section = Section::open(reading, node, "gatekeeper")?;
    let mint = section
        .get(reading, "mint")
        .map(|entry| mint::mint(reading, &entry.value));
    let verify = section
        .get(reading, "verify")
        .map(|entry| verify::verify(reading, &entry.value));
    let shapes = section.get(reading, "shapes").map(|entry| {
        reading.each(&entry.value, "shapes", |reading, item| {
            reading.text(item, "shapes")
        })
    });
    section.finish(reading);
    if !section.has("mint") && !section.has("verify") {
        return reading.refuse(node.span, "`gatekeeper` neither mints nor verifies", HELP);
    }
    let named = shapes.map_or(Some(Vec::new()), |names| names)?;
    let named: Vec<_> = named.into_iter().map(|name| name.map(Arc::from)).collect();
    if section.has("mint") && named.is_empty() {
        let message = "`gatekeeper` mints, and no `shapes` say what";
        return reading.refuse(node.span, message, "name them: `shapes: [issues]`");
    }
    if let Some(first) = named.first().filter(|_| !section.has("mint")) {
        let message = "`shapes` of `gatekeeper` are those that may be minted, and it does not mint";
        return reading.refuse(first.span, message, "remove it, or write `mint`");
    }
    Some(GatekeeperPart {
        span: node.span,
        mint: mint.map_or(Some(None), |read| read.map(Some))?,
        verify: verify.map_or(Some(None), |read| read.map(Some))?,
        shapes: named,
    })
}
