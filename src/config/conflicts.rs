//! What only several settings together can get wrong.

use super::cors::{Cors, Origins};
use super::identity::IdentitySettings;
use super::path::PathPattern;
use super::problem::Problem;
use super::reading::Reading;
use super::shapes::{AccessSetting, ShapeSettings, TableSetting};
use super::source::{Span, Spanned};
use std::collections::HashMap;

/// The last segment of an open route's path, and of the health endpoint that it brings along.
pub const OPEN_ROUTE_LAST: (&str, &str) = ("shape", "health");

/// Shapes that need a user, where nobody could be one.
pub(super) fn nobody_can_enter(
    reading: &mut Reading<'_>,
    shapes: &[ShapeSettings],
    identity: &IdentitySettings,
) {
    if !identity.is_empty() {
        return;
    }
    if let Some(shape) = shapes
        .iter()
        .find(|shape| shape.access.value == AccessSetting::Required)
    {
        let message = format!(
            "the shape `{}` needs a user, and there is no `identity` to know one by",
            shape.name.value
        );
        let help = "write `identity: [ { jwt: … } ]`; `access: public` is for what everybody may read";
        reading.refuse::<()>(shape.access.span, message, help);
    }
}

/// Paths that one request could mean, and shapes on one path that a table could not tell apart.
pub(super) fn routes(reading: &mut Reading<'_>, shapes: &[ShapeSettings]) {
    let mut by_path: HashMap<&PathPattern, Vec<&ShapeSettings>> = HashMap::new();
    let mut in_order: Vec<&ShapeSettings> = Vec::new();
    for shape in shapes {
        let sharing = by_path.entry(&shape.path.value).or_default();
        match sharing.first() {
            Some(first) => sharing_one_path(reading, first, sharing, shape),
            None => in_order.push(shape),
        }
        sharing.push(shape);
    }
    overlapping(reading, &in_order);
    health_paths(reading, &in_order);
}

/// Compared only within one number of segments and, between fixed paths, not at all: those are equal or apart.
fn overlapping(reading: &mut Reading<'_>, shapes: &[&ShapeSettings]) {
    let mut by_length: HashMap<usize, Vec<&ShapeSettings>> = HashMap::new();
    for shape in shapes {
        by_length
            .entry(shape.path.value.segments().len())
            .or_default()
            .push(shape);
    }
    for alike in by_length.values() {
        let (fixed, captured): (Vec<&ShapeSettings>, Vec<&ShapeSettings>) = alike
            .iter()
            .copied()
            .partition(|shape| shape.path.value.names().next().is_none());
        for (index, shape) in captured.iter().enumerate() {
            let others = fixed.iter().chain(captured.iter().take(index));
            if let Some(other) = others
                .copied()
                .find(|other: &&ShapeSettings| other.path.value.overlaps(&shape.path.value))
            {
                ambiguous(reading, shape.path.span, other, &shape.path.value);
            }
        }
    }
}

fn ambiguous(reading: &mut Reading<'_>, span: Span, other: &ShapeSettings, path: &PathPattern) {
    let theirs = &other.path.value;
    let message = format!(
        "the path `{path}` and that of `{}`, `{theirs}`, can mean the same request",
        other.name.value
    );
    reading.refuse::<()>(
        span,
        message,
        "change one of them, or write both exactly alike to share it",
    );
}

fn sharing_one_path(
    reading: &mut Reading<'_>,
    first: &ShapeSettings,
    sharing: &[&ShapeSettings],
    shape: &ShapeSettings,
) {
    let (path, other) = (&shape.path.value, &first.name.value);
    if matches!(shape.table.value, TableSetting::AnyOf(_))
        || matches!(first.table.value, TableSetting::AnyOf(_))
    {
        let message = format!(
            "`{}` and `{other}` share the path `{path}`, and one of them takes any table",
            shape.name.value
        );
        reading.refuse::<()>(shape.path.span, message, "give the open route a path of its own");
    } else if let Some(twin) = sharing.iter().find(|one| one.table.value == shape.table.value) {
        let message = format!(
            "`{}` and `{}` share the path `{path}` and the table",
            shape.name.value, twin.name.value
        );
        reading.refuse::<()>(
            shape.table.span,
            message,
            "change one path or table, or put their rules together",
        );
    } else if shape.declared != first.declared {
        let message = format!(
            "`{}` and `{other}` share the path `{path}`, but not `query` and `strict`",
            shape.name.value
        );
        reading.refuse::<()>(
            shape.path.span,
            message,
            "write the same `query` and `strict` for both",
        );
    }
}

/// An open route at `…/shape` answers `…/health` too.
fn health_paths(reading: &mut Reading<'_>, shapes: &[&ShapeSettings]) {
    let (last, health) = OPEN_ROUTE_LAST;
    let open = shapes
        .iter()
        .filter(|shape| matches!(shape.table.value, TableSetting::AnyOf(_)));
    for path in open.filter_map(|shape| shape.path.value.with_last(last, health)) {
        for shape in shapes.iter().filter(|shape| shape.path.value.overlaps(&path)) {
            let message = format!("`{path}` is where an open route answers health checks");
            reading.refuse::<()>(shape.path.span, message, "choose another path");
        }
    }
}

/// A page of any origin could then act for whoever has the cookie.
pub(super) fn cookies_for_any_origin(reading: &mut Reading<'_>, cookies: &[Spanned<String>], cors: &Cors) {
    if cors.origins != Origins::Any {
        return;
    }
    for cookie in cookies {
        let message = format!(
            "the cookie `{}` is a credential, and any origin may send it",
            cookie.value
        );
        let help = "list the origins of your pages: `cors: { origins: [https://app.example.com], credentials: true }`";
        reading
            .problems
            .push(Problem::error(cookie.span, message).help(help));
    }
}
