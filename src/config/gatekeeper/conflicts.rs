//! What only `gatekeeper` and the rest together can get wrong.

use super::super::identity::IdentitySettings;
use super::super::path::PathPattern;
use super::super::reading::Reading;
use super::super::shapes::{ShapeSettings, TableSetting};
use super::super::source::{Span, Spanned};
use super::super::{OPEN_ROUTE_LAST, problem::did_you_mean};
use super::{GatekeeperPart, MintSetting};
use crate::gatekeeper::{JWKS_PATH, SigningKeySource, SigningKeys};
use crate::identity::{AudienceRule, IssuerSource};
use std::time::Duration;

/// Tells everything that does not fit together.
pub(in super::super) fn check(
    reading: &mut Reading<'_>,
    part: Option<&GatekeeperPart>,
    shapes: &[ShapeSettings],
    identity: &IdentitySettings,
) {
    rule_ttls(reading, part, shapes);
    let Some(part) = part else { return };
    names(reading, part, shapes);
    paths(reading, part, shapes);
    issuers(reading, part, identity);
    if let Some(mint) = &part.mint {
        keys(reading, mint, longest_ttl(mint, part, shapes));
    }
    nothing_to_verify(reading, part);
}

fn is_minted(part: Option<&GatekeeperPart>, shape: &ShapeSettings) -> bool {
    part.is_some_and(|part| part.shapes.iter().any(|name| name.value == shape.name.value))
}

fn rule_ttls(reading: &mut Reading<'_>, part: Option<&GatekeeperPart>, shapes: &[ShapeSettings]) {
    for shape in shapes.iter().filter(|shape| !is_minted(part, shape)) {
        for ttl in shape.rules.iter().filter_map(|rule| rule.ttl.as_ref()) {
            let message = "`ttl` says how long a token lives, and this shape is not minted";
            reading.refuse::<()>(
                ttl.span,
                message,
                "remove it, or name the shape under `gatekeeper.shapes`",
            );
        }
    }
}

fn longest_ttl(mint: &MintSetting, part: &GatekeeperPart, shapes: &[ShapeSettings]) -> Duration {
    let minted = shapes.iter().filter(|shape| is_minted(Some(part), shape));
    let ttls = minted
        .flat_map(|shape| &shape.rules)
        .filter_map(|rule| rule.ttl.as_ref());
    ttls.map(|ttl| ttl.value).fold(mint.ttl, Duration::max)
}

fn names(reading: &mut Reading<'_>, part: &GatekeeperPart, shapes: &[ShapeSettings]) {
    for (index, name) in part.shapes.iter().enumerate() {
        if !shapes.iter().any(|shape| shape.name.value == name.value) {
            let known = shapes.iter().map(|shape| &*shape.name.value);
            let help = match did_you_mean(&name.value, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name one of those under `shapes`".to_owned(),
            };
            reading.refuse::<()>(name.span, format!("there is no shape `{}`", name.value), help);
        } else if part
            .shapes
            .iter()
            .take(index)
            .any(|before| before.value == name.value)
        {
            reading.refuse::<()>(
                name.span,
                format!("`{}` is there twice", name.value),
                "remove one of them",
            );
        }
    }
}

/// Every path means one thing.
fn paths(reading: &mut Reading<'_>, part: &GatekeeperPart, shapes: &[ShapeSettings]) {
    let mut ours: Vec<Spanned<PathPattern>> = Vec::new();
    if let Some(mint) = &part.mint {
        ours.push(Spanned::new(mint.path.value.pattern().clone(), mint.path.span));
        if let Ok(keys) = PathPattern::parse(JWKS_PATH) {
            ours.push(Spanned::new(keys, part.span));
        }
    }
    ours.extend(part.verify.iter().flat_map(|verify| verify.paths.iter().cloned()));
    for (index, path) in ours.iter().enumerate() {
        let taken = taken_by(shapes, &path.value);
        let twin = ours
            .iter()
            .take(index)
            .find(|other| other.value.overlaps(&path.value));
        let message = match (taken, twin) {
            (Some(name), _) => format!("`{}` is a path of the shape `{name}` as well", path.value),
            (None, Some(twin)) => format!("`{}` and `{}` can mean the same request", path.value, twin.value),
            (None, None) => continue,
        };
        reading.refuse::<()>(path.span, message, "change one of them");
    }
}

fn taken_by<'s>(shapes: &'s [ShapeSettings], path: &PathPattern) -> Option<&'s str> {
    let (last, health) = OPEN_ROUTE_LAST;
    let takes = |shape: &&ShapeSettings| {
        let open = matches!(shape.table.value, TableSetting::AnyOf(_));
        let health = shape.path.value.with_last(last, health).filter(|_| open);
        shape.path.value.overlaps(path) || health.is_some_and(|health| health.overlaps(path))
    };
    shapes.iter().find(takes).map(|shape| &*shape.name.value)
}

/// A token must be one or the other: a user's, or a shape's.
fn issuers(reading: &mut Reading<'_>, part: &GatekeeperPart, identity: &IdentitySettings) {
    let own = part.mint.as_ref().map(|mint| mint.issuer.value.as_str());
    for (index, issuer) in part.issuers().iter().enumerate() {
        let name = issuer.value.issuer.as_str();
        let twice = part
            .issuers()
            .iter()
            .take(index)
            .any(|other| other.value.issuer == name);
        let confusable = identity
            .issuers
            .iter()
            .any(|user| user.value.issuer == name && takes_both(&user.value, &issuer.value));
        let (message, help) = if own == Some(name) {
            (
                format!("`{name}` is the issuer that `mint` signs for: its tokens are taken anyhow"),
                "remove it, or give `mint` another `issuer`",
            )
        } else if twice {
            (
                format!("the issuer `{name}` is there twice"),
                "keep one; one issuer may have several keys",
            )
        } else if confusable {
            (
                format!("a token of `{name}` could be a user's and sign a shape: `identity` takes it too"),
                "give one of them another `audience` or `token_type`",
            )
        } else {
            continue;
        };
        reading.refuse::<()>(issuer.span, message, help);
    }
}

/// Whether some token could be taken by both.
fn takes_both(user: &IssuerSource, shape: &IssuerSource) -> bool {
    let types_differ = match (&user.token_type, &shape.token_type) {
        (Some(user), Some(shape)) => !user.eq_ignore_ascii_case(shape),
        (None, Some(shape)) => !["JWT", "at+jwt"]
            .iter()
            .any(|usual| shape.eq_ignore_ascii_case(usual)),
        _ => false,
    };
    let audiences_differ = match (&user.audience, &shape.audience) {
        (AudienceRule::Audience(user), AudienceRule::Audience(shape)) => {
            // One token may be meant for several, unless no name is in both.
            !user.iter().any(|name| shape.contains(name))
        }
        _ => false,
    };
    !types_differ && !audiences_differ
}

fn keys(reading: &mut Reading<'_>, mint: &MintSetting, ttl_max: Duration) {
    let sources: Vec<SigningKeySource> = mint.keys.iter().map(|key| key.source.clone()).collect();
    if let Err((place, error)) = SigningKeys::compile(&sources, ttl_max) {
        let span: Span = mint.keys.get(place).map_or(mint.keys_span, |key| key.span);
        let help =
            "see `gatekeeper` in docs/configuration.md; `shapegate keys rotate` writes the keys for you";
        reading.refuse::<()>(span, error.to_string(), help);
    }
}

fn nothing_to_verify(reading: &mut Reading<'_>, part: &GatekeeperPart) {
    let nobody = part.mint.is_none() && part.issuers().is_empty();
    if let Some(path) = part
        .verify
        .as_ref()
        .and_then(|verify| verify.paths.first())
        .filter(|_| nobody)
    {
        let message = "nobody's tokens could be verified: there is no `mint`, and there are no `issuers`";
        let help = "write `issuers: [ { issuer: …, audience: …, keys: [ { file: jwks.json } ] } ]`";
        reading.refuse::<()>(path.span, message, help);
    }
}
