//! What `spicedb` and `openfga` have in common: objects, subjects and names of relations.

use super::super::reading::{Reading, Section};
use super::super::yaml::{Entry, Node};
use super::{Told, params};
use crate::authorizer::{ALLOWED, IDS, IDS_DEFAULT, IDS_MAX, ObjectSetting, SubjectSetting};
use shapegate_core::policy::FactNames;
use std::sync::Arc;

/// The longest name of a type or relation, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The most values that make up one id.
const ID_PARTS_MAX: usize = 8;
/// Bytes of an answer that one id may take up.
pub(super) const ID_ANSWER_BYTES: usize = 2 * 1024;

/// A name of a type, a permission or a relation: the configuration's alone.
pub(super) fn name(reading: &mut Reading<'_>, node: &Node, key: &str) -> Option<Arc<str>> {
    let text = reading.text(node, key)?;
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '/' | '.');
    if text.value.len() <= NAME_BYTES_MAX && text.value.chars().all(plain) {
        return Some(text.value.into());
    }
    let help = "write the name as the schema has it: letters, digits, `_`, `-`, `.` and `/`";
    reading.refuse(
        text.span,
        format!("`{}` is no name for `{key}`", text.value),
        help,
    )
}

pub(super) fn require_name(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
) -> Option<Arc<str>> {
    let help = format!("write `{key}: …` as the schema has it");
    let entry = section.require(reading, key, &help)?;
    name(reading, &entry.value, key)
}

/// `{ type: project, id: request.path.project_id }`.
pub(super) fn object(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    told: &mut Told,
) -> Option<ObjectSetting> {
    let help = format!("write `{key}: {{ type: project, id: request.path.project_id }}`");
    let entry = section.require(reading, key, &help)?;
    let mut section = Section::open(reading, &entry.value, key)?;
    let object = typed_id(reading, &mut section, told);
    section.finish(reading);
    object
}

/// `{ type: user, id: user.id }`, with `relation: member` for all who have it.
pub(super) fn subject(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    told: &mut Told,
) -> Option<SubjectSetting> {
    let help = format!("write `{key}: {{ type: user, id: user.id }}`");
    let entry = section.require(reading, key, &help)?;
    let mut section = Section::open(reading, &entry.value, key)?;
    let object = typed_id(reading, &mut section, told);
    let relation = section.get(reading, "relation");
    let relation = relation.map(|entry| name(reading, &entry.value, "relation"));
    section.finish(reading);
    Some(SubjectSetting {
        object: object?,
        relation: relation.map_or(Some(None), |read| read.map(Some))?,
    })
}

fn typed_id(reading: &mut Reading<'_>, section: &mut Section<'_>, told: &mut Told) -> Option<ObjectSetting> {
    let kind = require_name(reading, section, "type");
    let help = "write an expression, or a list of those that make up the id: `id: user.id`";
    let id = section.require(reading, "id", help);
    let parts = id.and_then(|entry| Some((entry, params(reading, &entry.value, "id")?)));
    let (entry, parts) = parts?;
    if parts.is_empty() || parts.len() > ID_PARTS_MAX {
        let message = format!("`id` must have 1 to {ID_PARTS_MAX} parts");
        return reading.refuse(entry.value.span, message, help);
    }
    let count = parts.len();
    parts.into_iter().for_each(|part| told.add_param(part));
    Some(ObjectSetting {
        kind: kind?,
        parts: count,
    })
}

/// `limit`: how many ids a decision may be made from.
pub(super) fn limit(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<usize> {
    let Some(entry) = section.get(reading, "limit") else {
        return Some(IDS_DEFAULT);
    };
    let most = u64::try_from(IDS_MAX).unwrap_or(u64::MAX);
    let limit = reading.integer(&entry.value, "limit", 1..=most)?;
    usize::try_from(limit).ok()
}

/// What is found out, all of which must be read: nothing of it denies by itself.
pub(super) fn facts(checks: bool, looks_up: bool) -> FactNames {
    let names = [(checks, ALLOWED), (looks_up, IDS)];
    let there: std::collections::BTreeSet<Arc<str>> = names
        .iter()
        .filter(|(there, _)| *there)
        .map(|(_, name)| Arc::from(*name))
        .collect();
    FactNames {
        certain: there.clone(),
        to_be_read: there,
        ..FactNames::default()
    }
}

/// Refuses one that asks nothing.
pub(super) fn refuse_idle<T>(reading: &mut Reading<'_>, entry: &Entry, help: &str) -> Option<T> {
    let message = format!("`{}` asks nothing", entry.key);
    reading.refuse(entry.key_span, message, help)
}
