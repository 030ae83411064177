//! Configuration files as texts, and places in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most files one configuration may be merged from.
pub const FILES_MAX: usize = 64;

/// Which file of a [`Sources`] a [`Span`] lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u32);

impl SourceId {
    /// The id of a file that is read beside those of the configuration: a template's or a tenant's.
    pub(super) fn beside(number: u32) -> Self {
        // Ids below are those of the configuration's own files.
        Self(number.saturating_add(u32::try_from(FILES_MAX).unwrap_or(u32::MAX)))
    }
}

/// A place in a configuration file: where a key or value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub source: SourceId,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Length in characters on that line, at least 1.
    pub length: usize,
}

/// One configuration file.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    folder: PathBuf,
    text: String,
}

impl Source {
    /// The name as the operator gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// All files that a configuration was read from. Copies share the texts.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<SourceId, Arc<Source>>);

impl Sources {
    /// Adds a file; paths inside it are relative to the folder of `path`.
    /// None above [`FILES_MAX`] files.
    pub fn add(&mut self, path: &Path, text: String) -> Option<SourceId> {
        let id = u32::try_from(self.0.len()).ok().map(SourceId)?;
        (self.0.len() < FILES_MAX).then(|| self.add_as(id, path, text))
    }

    /// Adds a file under an id that no other file of these has.
    pub(super) fn add_as(&mut self, id: SourceId, path: &Path, text: String) -> SourceId {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let name = path.display().to_string();
        self.0.insert(id, Arc::new(Source { name, folder, text }));
        id
    }

    /// Adds the files of others.
    pub(super) fn extend(&mut self, others: &Self) {
        let others = others.0.iter().map(|(id, source)| (*id, Arc::clone(source)));
        self.0.extend(others);
    }

    /// The file that a span lies in.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.0.get(&id).map(Arc::as_ref)
    }

    /// What a path written at `span` means: relative to the folder of its file.
    pub fn resolve(&self, span: Span, path: &str) -> PathBuf {
        match self.get(span.source) {
            Some(source) => source.folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// The text of the line that a span is on.
    pub fn line(&self, span: Span) -> Option<&str> {
        let text = self.get(span.source)?.text();
        text.lines().nth(span.line.checked_sub(1)?)
    }
}

/// A value and the place where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned::new(change(self.value), self.span)
    }
}
