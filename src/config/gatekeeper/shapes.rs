//! `gatekeeper.shapes`, found among the shapes.

use super::super::path::Segment;
use super::super::policy::CheckedShape;
use super::super::reading::Reading;
use super::super::shapes::TableSetting;
use super::super::source::{Span, Spanned};
use super::GatekeeperPart;
use shapegate_core::request::Declared;
use std::sync::Arc;

/// A shape whose rules may mint.
#[derive(Clone, Debug)]
pub struct MintShapeSetting {
    /// Its name.
    pub name: Spanned<Arc<str>>,
    /// The names that a minting request may give values for: what the shape's path captures and its query declares.
    pub declared: Declared,
}

/// The shapes that `gatekeeper` names. What is wrong with the others is told.
pub(super) fn shapes(
    reading: &mut Reading<'_>,
    part: &GatekeeperPart,
    checked: &[CheckedShape],
) -> Option<Vec<MintShapeSetting>> {
    let found: Vec<Option<MintShapeSetting>> = part
        .shapes
        .iter()
        .map(|name| {
            let shape = checked
                .iter()
                .find(|shape| shape.settings.name.value == name.value)?;
            declared(reading, shape, name.span).map(|declared| MintShapeSetting {
                name: name.clone(),
                declared,
            })
        })
        .collect();
    same_table(reading, part, checked);
    found.into_iter().collect()
}

/// Where tokens are minted there is no path to capture from, so that the same names are parameters.
fn declared(reading: &mut Reading<'_>, shape: &CheckedShape, span: Span) -> Option<Declared> {
    let captures = shape
        .settings
        .path
        .value
        .segments()
        .iter()
        .filter_map(|segment| match segment {
            Segment::Capture { name, kind } => Some((Arc::clone(name), *kind)),
            Segment::Literal(_) => None,
        });
    match Declared::new(captures.chain(shape.settings.query.iter().cloned()), false) {
        Ok(declared) => Some(declared),
        Err(error) => {
            let message = format!(
                "the shape `{}` cannot be minted: {error}",
                shape.settings.name.value
            );
            let help = "its path's captures and its `query` are parameters there: rename one of them";
            reading.refuse(span, message, help)
        }
    }
}

/// The first shape that gives a table is asked; one that is never asked is a mistake.
fn same_table(reading: &mut Reading<'_>, part: &GatekeeperPart, checked: &[CheckedShape]) {
    let fixed = |name: &Spanned<Arc<str>>| {
        let shape = checked
            .iter()
            .find(|shape| shape.settings.name.value == name.value)?;
        match &shape.settings.table.value {
            TableSetting::Fixed(table) => Some(table.clone()),
            TableSetting::AnyOf(_) => None,
        }
    };
    for (index, name) in part.shapes.iter().enumerate() {
        let Some(table) = fixed(name) else { continue };
        let gives = |other: &&Spanned<Arc<str>>| {
            let shape = checked
                .iter()
                .find(|shape| shape.settings.name.value == other.value);
            // The same name twice was told.
            other.value != name.value && shape.is_some_and(|shape| shape.policy.gives_table(&table))
        };
        if let Some(first) = part.shapes.iter().take(index).find(gives) {
            let message = format!(
                "`{}` would never mint: `{}`, before it, gives the same table",
                name.value, first.value
            );
            reading.refuse::<()>(name.span, message, "name one of them, or put it first");
        }
    }
}
