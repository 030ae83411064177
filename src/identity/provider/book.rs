//! The providers of all tenants of a process.

use std::sync::Arc;

use shapegate_core::interner::Interner;

use super::{Provider, ProviderSource};

/// The providers of a process. One whose settings are the same stays who it is when its tenant is compiled again,
/// with all that it has said.
#[derive(Default)]
pub struct ProviderBook(Interner<Provider>);

impl ProviderBook {
    /// A tenant's provider of these settings, which `source` reads where it is not known yet.
    ///
    /// # Errors
    /// Those of `source`.
    pub fn provider<S, E>(
        &self,
        tenant: &str,
        settings: &S,
        source: impl FnOnce() -> Result<ProviderSource, E>,
    ) -> Result<Arc<Provider>, E>
    where
        S: Clone + PartialEq + Send + Sync + 'static,
    {
        let same = |known: &Provider| known.made_of.downcast_ref() == Some(settings);
        let make = || {
            let mut provider = Provider::new(source()?);
            provider.made_of = Box::new(settings.clone());
            Ok(provider)
        };
        self.0.find_or_make(tenant, same, make)
    }
}
