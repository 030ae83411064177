//! Tenants read and compiled, several at once.

use super::read::{FilesRead, Recorder};
use crate::config::{Document, Opened, Problem, Problems, Selection, Surroundings, TenantClaims};
use crate::tenant::{Shared, Tenant, compile_tenant};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

/// Tenants below which other threads are not worth their start.
const WORTH_THREADS: usize = 32;

/// A tenant as its files have it now.
pub(super) struct Prepared {
    pub(super) id: Arc<str>,
    pub(super) read: FilesRead,
    pub(super) outcome: Outcome,
    /// What was noticed: warnings, and errors where it is refused.
    pub(super) problems: Problems,
}

/// What became of it.
pub(super) enum Outcome {
    /// It can be served.
    Ready(Arc<Tenant>, Arc<TenantClaims>),
    /// It cannot; the requests that it is for, where that much can be read.
    Refused(Option<Selection>),
}

/// What reading and compiling needs.
#[derive(Clone, Copy)]
pub(super) struct Preparing<'a> {
    pub(super) opened: &'a Opened,
    pub(super) surroundings: &'a (dyn Surroundings + Send + Sync),
    pub(super) shared: &'a Shared,
}

impl Preparing<'_> {
    /// All of them, in their order.
    pub(super) fn all(self, documents: &[&Document]) -> Vec<Prepared> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        if documents.len() < WORTH_THREADS || threads == 1 {
            return self.some(documents);
        }
        let each = documents.len().div_ceil(threads);
        thread::scope(|scope| {
            let parts = documents
                .chunks(each)
                .map(|part| scope.spawn(move || self.some(part)));
            let parts: Vec<_> = parts.collect();
            // A thread that fell is one whose tenants are not there: they stay as they were.
            parts
                .into_iter()
                .filter_map(|part| part.join().ok())
                .flatten()
                .collect()
        })
    }

    fn some(self, documents: &[&Document]) -> Vec<Prepared> {
        documents.iter().map(|document| self.one(document)).collect()
    }

    fn one(self, document: &Document) -> Prepared {
        let recorder = Recorder::over(self.surroundings);
        let (outcome, problems) = self.loaded(document, &recorder);
        Prepared {
            id: Arc::clone(document.id()),
            read: recorder.into_read(),
            outcome,
            problems,
        }
    }

    fn loaded(self, document: &Document, surroundings: &dyn Surroundings) -> (Outcome, Problems) {
        let loaded = match self.opened.tenant(document, surroundings) {
            Ok(loaded) => loaded,
            Err(refused) => return (Outcome::Refused(refused.selection), refused.problems),
        };
        let claims = Arc::new(TenantClaims::of(&loaded.config));
        match compile_tenant(&loaded.config, self.shared) {
            Ok(tenant) => (Outcome::Ready(Arc::new(tenant), claims), loaded.warnings),
            Err(error) => {
                let mut problems = loaded.warnings;
                problems.list.push(Problem::error(None, error.to_string()));
                (Outcome::Refused(loaded.config.selection), problems)
            }
        }
    }
}
