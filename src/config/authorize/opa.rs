//! `opa`: a policy of Open Policy Agent.

use super::super::reading::{Reading, Section};
use super::super::rules::param;
use super::super::yaml::{Entry, Kind as NodeKind, Node};
use super::service::{TokenScheme, defaults, service};
use super::{Part, Surrounding, Told, possible_facts, terms};
use crate::authorizer::{Kind, Opa, ServiceKind};
use std::sync::Arc;

/// The longest path of a policy, in bytes.
const PATH_BYTES_MAX: usize = 256;

pub(super) fn opa(reading: &mut Reading<'_>, entry: &Entry, _around: &Surrounding<'_>) -> Option<Part> {
    let mut section = Section::open(reading, &entry.value, "opa")?;
    let service = service(reading, &mut section, TokenScheme::Bearer);
    let path = section.require(
        reading,
        "path",
        "name the rule: `path: shapes/allow` for data.shapes.allow",
    );
    let path = path.and_then(|entry| policy_path(reading, &entry.value));
    let help = "say what the policy is told: `input: { user: user.id, project: request.path.project_id }`";
    let input = section.require(reading, "input", help);
    let mut told = Told::default();
    let input = input.and_then(|entry| input_names(reading, &entry.value, &mut told));
    let defaults = defaults(reading, &mut section);
    let terms = terms(reading, &mut section);
    section.finish(reading);
    let defaults = defaults?;
    let found = possible_facts(defaults.keys());
    let kind = Kind::Service(
        ServiceKind::Opa(Opa {
            path: path?,
            input: input?,
            defaults,
        }),
        service?,
    );
    Some(Part::new(told, found, kind, terms?))
}

/// The path below `/v1/data`, of segments that need no escape and mean what they say.
fn policy_path(reading: &mut Reading<'_>, node: &Node) -> Option<Arc<str>> {
    let text = reading.text(node, "path")?;
    let bare = text.value.strip_prefix('/').unwrap_or(&text.value);
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let segment = |segment: &str| !segment.is_empty() && segment.chars().all(plain);
    if bare.len() <= PATH_BYTES_MAX && bare.split('/').all(segment) {
        return Some(format!("/{bare}").into());
    }
    let help = "write it as `shapes/allow`: letters, digits, `-` and `_` between single slashes";
    reading.refuse(
        text.span,
        format!("`{}` is no path of a policy", text.value),
        help,
    )
}

fn input_names(reading: &mut Reading<'_>, node: &Node, told: &mut Told) -> Option<Vec<Arc<str>>> {
    let NodeKind::Map(entries) = &node.kind else {
        let message = format!(
            "`input` must be a map of names and expressions, not {}",
            node.described()
        );
        return reading.refuse(node.span, message, "write `input: { user: user.id }`");
    };
    let read: Vec<_> = entries
        .iter()
        .map(|entry| {
            told.add_param(param(reading, &entry.value)?);
            Some(Arc::from(entry.key.as_str()))
        })
        .collect();
    read.into_iter().collect()
}
