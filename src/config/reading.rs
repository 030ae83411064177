//! From the tree to values: one place that collects every problem instead of stopping at the first.

use super::problem::{Problem, did_you_mean};
use super::source::{Sources, Span, Spanned};
use super::surroundings::Surroundings;
use super::yaml::{Entry, Kind, Node};
use std::collections::{HashMap, HashSet};

/// What reading a configuration needs and gathers.
pub(super) struct Reading<'a> {
    pub(super) sources: &'a Sources,
    pub(super) surroundings: &'a dyn Surroundings,
    pub(super) problems: Vec<Problem>,
    pub(super) shown: Shown,
}

/// What is needed to print the configuration as it was understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Where an environment variable gave a value that is no secret: the value, and whether it is text.
    pub(super) resolved: HashMap<Span, (String, bool)>,
    /// Where a secret is written.
    pub(super) secrets: HashSet<Span>,
}

impl Shown {
    /// What is needed for both.
    pub(super) fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.resolved.extend(other.resolved.clone());
        both.secrets.extend(&other.secrets);
        both
    }
}

impl<'a> Reading<'a> {
    /// Nothing read yet.
    pub(super) fn new(sources: &'a Sources, surroundings: &'a dyn Surroundings) -> Self {
        Self {
            sources,
            surroundings,
            problems: Vec::new(),
            shown: Shown::default(),
        }
    }
}

impl Reading<'_> {
    /// Notes an error at a place. Gives none, so that readers can end with it.
    pub(super) fn refuse<T>(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        self.problems.push(Problem::error(span, message).help(help));
        None
    }

    /// Notes a warning at a place.
    pub(super) fn warn(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::warning(span, message).help(help));
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::List(items) => Some(items),
            _ => {
                let message = format!("`{name}` must be a list, not {}", node.described());
                self.refuse(
                    node.span,
                    message,
                    "write `[one, two]`, or one item a line, each after `- `",
                )
            }
        }
    }

    /// The items of a list, each read by `read`; none if the list or any item is wrong.
    pub(super) fn each<T>(
        &mut self,
        node: &Node,
        name: &str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(node, name)?;
        // Every item is read before any is missed, so that all problems are told at once.
        let read: Vec<Option<T>> = items.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }

    /// A scalar with its environment variable resolved.
    pub(super) fn leaf(&mut self, node: &Node, name: &str) -> Option<Leaf> {
        match &node.kind {
            Kind::Scalar { text, quoted } => self.written_leaf(node.span, name, text, *quoted),
            Kind::Map(_) if node.get("env").is_some() => self.leaf_from_environment(node, name),
            Kind::Null => self.refuse(
                node.span,
                format!("`{name}` has no value"),
                "write one, or remove the key",
            ),
            _ => {
                let message = format!("`{name}` must be a single value, not {}", node.described());
                self.refuse(
                    node.span,
                    message,
                    "write one value, or `{ env: NAME, default: … }`",
                )
            }
        }
    }

    fn written_leaf(&mut self, span: Span, name: &str, text: &str, quoted: bool) -> Option<Leaf> {
        if text.trim().is_empty() {
            return self.refuse(
                span,
                format!("`{name}` is blank"),
                "write a value, or remove the key",
            );
        }
        if let Some(variable) = text.strip_prefix("${").and_then(|text| text.strip_suffix('}')) {
            let help = format!(
                "write `{{ env: {} }}`",
                variable.split(':').next().unwrap_or(variable)
            );
            return self.refuse(span, "`${…}` is not replaced in this file", help);
        }
        Some(Leaf {
            text: text.to_owned(),
            quoted,
            span,
            variable: None,
        })
    }

    /// `{ env: NAME, default: … }`. A variable that is set but blank counts as not set.
    fn leaf_from_environment(&mut self, node: &Node, name: &str) -> Option<Leaf> {
        let mut section = Section::open(self, node, name)?;
        let variable = section.require(self, "env", "name the environment variable");
        let default = section.get(self, "default");
        section.finish(self);
        let variable = self.variable_name(variable?)?;
        match self
            .surroundings
            .variable(&variable.value)
            .filter(|text| !text.trim().is_empty())
        {
            // The length bound is that of a configuration file: a variable must not be larger than one.
            Some(text) if text.len() > super::yaml::FILE_BYTES_MAX => {
                let message = format!("the environment variable {} is too long", variable.value);
                self.refuse(variable.span, message, "it may have 1 MiB at most")
            }
            Some(text) => {
                self.shown.resolved.insert(node.span, (text.clone(), false));
                Some(Leaf {
                    text,
                    quoted: false,
                    span: node.span,
                    variable: Some(variable.value),
                })
            }
            None => match default {
                Some(entry) => {
                    let leaf = self.plain_default(&entry.value, name)?;
                    self.shown
                        .resolved
                        .insert(node.span, (leaf.text.clone(), leaf.quoted));
                    Some(leaf)
                }
                None => {
                    let message = format!("the environment variable {} is not set, or blank", variable.value);
                    let help = format!(
                        "set it, or give a default: `{{ env: {}, default: … }}`",
                        variable.value
                    );
                    self.refuse(variable.span, message, help)
                }
            },
        }
    }

    fn plain_default(&mut self, node: &Node, name: &str) -> Option<Leaf> {
        if let Kind::Scalar { text, quoted } = &node.kind {
            return self.written_leaf(node.span, name, text, *quoted);
        }
        let message = format!(
            "the default of `{name}` must be a single value, not {}",
            node.described()
        );
        self.refuse(node.span, message, "write the value itself")
    }

    /// The name of an environment variable.
    pub(super) fn variable_name(&mut self, entry: &Entry) -> Option<Spanned<String>> {
        let Kind::Scalar { text, .. } = &entry.value.kind else {
            let message = format!("`env` must name a variable, not be {}", entry.value.described());
            return self.refuse(entry.value.span, message, "write `env: NAME`");
        };
        let mut chars = text.chars();
        let starts = chars
            .next()
            .is_some_and(|char| char.is_ascii_alphabetic() || char == '_');
        if starts && chars.all(|char| char.is_ascii_alphanumeric() || char == '_') {
            return Some(Spanned::new(text.clone(), entry.value.span));
        }
        let help = "write its name without `$`: letters, digits and `_`";
        self.refuse(
            entry.value.span,
            format!("`{text}` is no name of an environment variable"),
            help,
        )
    }
}

/// A scalar's text and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) span: Span,
    /// The environment variable that gave the text.
    pub(super) variable: Option<String>,
}

impl Leaf {
    /// The value for an error message: as it is in the file, or the variable that it came from.
    pub(super) fn described(&self) -> String {
        match &self.variable {
            Some(variable) => format!("the value of the environment variable {variable}"),
            None => format!("`{}`", self.text),
        }
    }
}

/// A map that is being read: knows which keys were asked for, so that the rest can be refused.
pub(super) struct Section<'n> {
    name: String,
    span: Span,
    entries: &'n [Entry],
    asked: Vec<&'static str>,
}

impl<'n> Section<'n> {
    /// A map, or a problem.
    pub(super) fn open(reading: &mut Reading<'_>, node: &'n Node, name: &str) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("`{name}` must be a map of keys, not {}", node.described());
            return reading.refuse(
                node.span,
                message,
                "write `key: value` lines below it, or `{ key: value }`",
            );
        };
        Some(Self {
            name: name.to_owned(),
            span: node.span,
            entries,
            asked: Vec::new(),
        })
    }

    /// What the map is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the map starts.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// The entry of a key that was asked for before.
    pub(super) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Whether a key is written, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The entry of a key. A key without a value is a problem: it was meant to say something.
    pub(super) fn get(&mut self, reading: &mut Reading<'_>, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if entry.value.kind != Kind::Null {
            return Some(entry);
        }
        reading.refuse(
            entry.key_span,
            format!("`{key}` has no value"),
            "write one, or remove the key",
        )
    }

    /// The entry of a key that must be there.
    pub(super) fn require(
        &mut self,
        reading: &mut Reading<'_>,
        key: &'static str,
        help: &str,
    ) -> Option<&'n Entry> {
        if !self.has(key) {
            self.asked.push(key);
            return reading.refuse(self.span, format!("`{}` lacks the key `{key}`", self.name), help);
        }
        self.get(reading, key)
    }

    /// Takes note of keys that are read elsewhere.
    pub(super) fn know(&mut self, keys: &[&'static str]) {
        self.asked.extend(keys);
    }

    /// Refuses what nobody asked for.
    pub(super) fn finish(&self, reading: &mut Reading<'_>) {
        let asked = self.asked.iter().copied();
        for entry in self
            .entries
            .iter()
            .filter(|entry| !self.asked.contains(&entry.key.as_str()))
        {
            let message = format!("unknown key `{}` in `{}`", entry.key, self.name);
            let help = match did_you_mean(&entry.key, asked.clone()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", asked.clone().collect::<Vec<_>>().join(", ")),
            };
            reading
                .problems
                .push(Problem::error(entry.key_span, message).help(help));
        }
    }
}
