//! Pools that are shared by all who ask the same database in the same way.

use std::sync::Arc;

use shapegate_core::interner::Interner;

use super::error::QueryError;
use super::pool::{Postgres, PostgresSettings};

/// The pools of a process. One lasts as long as somebody needs it.
#[derive(Default)]
pub struct Pools(Interner<Postgres>);

impl Pools {
    /// The pool of these settings. It connects when it is first asked.
    ///
    /// # Errors
    /// For certificates that are none.
    pub fn pool(&self, settings: &PostgresSettings) -> Result<Arc<Postgres>, QueryError> {
        let same = |known: &Postgres| known.settings() == settings;
        let name = settings.url.to_string();
        self.0.find_or_make(&name, same, || Postgres::new(settings))
    }
}
