//! Whom the shapes of a tenant ask, from checked values.

use super::{CompileError, Shared};
use crate::authorizer::Authorizers;
use crate::breaker::Watched;
use crate::config::{CheckedShape, TenantConfig};
use std::collections::HashMap;
use std::sync::Arc;

/// Those whom each shape asks, by its name. Its route and the tokens that are minted for it ask the same ones.
pub(super) struct ShapeAuthorizers(HashMap<Arc<str>, Arc<Authorizers>>);

impl ShapeAuthorizers {
    pub(super) fn of(config: &TenantConfig, shared: &Shared) -> Result<Self, CompileError> {
        let asking = config
            .shapes
            .iter()
            .filter(|shape| !shape.settings.authorizers.is_empty());
        let compiled = asking.map(|shape| {
            let name = &shape.settings.name.value;
            let asked = shape.settings.authorizers.iter();
            let asked = asked.map(|one| (&one.source, &one.settings));
            let place = format!("{}/{name}", config.id);
            let compiled = shared.authorizers.authorizers(&place, asked, &shared.pools);
            let compiled = compiled.map_err(|error| CompileError::Authorizer(place, error.to_string()))?;
            Ok((Arc::clone(name), Arc::new(compiled)))
        });
        Ok(Self(compiled.collect::<Result<_, CompileError>>()?))
    }

    /// What keeps each of them from being asked while it fails again and again.
    pub(super) fn breakers(&self) -> impl Iterator<Item = Watched> {
        self.0.values().flat_map(|authorizers| authorizers.breakers())
    }

    pub(super) fn of_shape(&self, shape: &CheckedShape) -> Arc<Authorizers> {
        self.0
            .get(&shape.settings.name.value)
            .cloned()
            .unwrap_or_default()
    }
}
