//! `openfga`: a check of one relation, a list of the objects that a user has it to, or both.

use super::super::reading::{Reading, Section};
use super::super::yaml::{Entry, Node};
use super::relations::{ID_ANSWER_BYTES, facts, limit, object, refuse_idle, require_name, subject};
use super::service::{TokenScheme, service};
use super::{Part, Surrounding, Told, terms};
use crate::authorizer::{ANSWER_BYTES_MAX, Kind, OpenFga, OpenFgaCheck, OpenFgaList, ServiceKind};
use std::sync::Arc;
use std::time::Duration;

/// When OpenFGA ends a list that is not whole yet, silently, unless its operator says otherwise
/// (`OPENFGA_LIST_OBJECTS_DEADLINE`).
const LIST_DEADLINE: Duration = Duration::from_secs(3);

pub(super) fn openfga(reading: &mut Reading<'_>, entry: &Entry, _around: &Surrounding<'_>) -> Option<Part> {
    let mut section = Section::open(reading, &entry.value, "openfga")?;
    let service = service(reading, &mut section, TokenScheme::Bearer);
    let store = section.require(reading, "store", "write the store's id: `store: 01J…`");
    let store = store.and_then(|entry| identifier(reading, &entry.value, "store"));
    let model = section.get(reading, "model");
    let model = model.map(|entry| identifier(reading, &entry.value, "model"));
    let mut told = Told::default();
    let check = section.get(reading, "check");
    let check = check.map(|entry| read_check(reading, &entry.value, &mut told));
    let list = section.get(reading, "list_objects");
    let list = list.map(|entry| read_list(reading, &entry.value, &mut told));
    let words = [("minimize_latency", false), ("higher_consistency", true)];
    let consistency = section.get(reading, "consistency");
    let consistency = consistency.map_or(Some(false), |entry| {
        reading.choice(&entry.value, "consistency", &words)
    });
    let terms = terms(reading, &mut section);
    section.finish(reading);
    if check.is_none() && list.is_none() {
        let help = "write `check: { object: …, relation: viewer, user: { type: user, id: user.id } }`, or `list_objects: …`";
        return refuse_idle(reading, entry, help);
    }
    let check = check.map_or(Some(None), |read| read.map(Some))?;
    let list = list.map_or(Some(None), |read| read.map(Some))?;
    let terms = terms?;
    if list.is_some() && terms.timeout >= LIST_DEADLINE {
        let help = "keep `timeout` below 3s, or OPENFGA_LIST_OBJECTS_DEADLINE above `timeout`";
        let message = "OpenFGA ends a list silently after 3s: parts of lists would be taken for whole ones";
        reading.warn(entry.key_span, message, help);
    }
    let mut service = service?;
    let ids_max = list.as_ref().map_or(0, |list| list.ids_max);
    service.answer_bytes_max = ANSWER_BYTES_MAX + ids_max * ID_ANSWER_BYTES;
    let facts = facts(check.is_some(), list.is_some());
    let kind = Kind::Service(
        ServiceKind::OpenFga(OpenFga {
            store: store?,
            model: model.map_or(Some(None), |read| read.map(Some))?,
            higher_consistency: consistency?,
            check,
            list,
        }),
        service,
    );
    Some(Part::new(told, facts, kind, terms))
}

/// The id of a store or model, which becomes part of a path.
fn identifier(reading: &mut Reading<'_>, node: &Node, key: &str) -> Option<Arc<str>> {
    let text = reading.text(node, key)?;
    if text.value.len() <= 64 && text.value.chars().all(|char| char.is_ascii_alphanumeric()) {
        return Some(text.value.into());
    }
    let message = format!("`{}` is no id of a {key}", text.value);
    reading.refuse(
        text.span,
        message,
        "write the id that OpenFGA gave it: letters and digits",
    )
}

fn read_check(reading: &mut Reading<'_>, node: &Node, told: &mut Told) -> Option<OpenFgaCheck> {
    let mut section = Section::open(reading, node, "check")?;
    let object = object(reading, &mut section, "object", told);
    let relation = require_name(reading, &mut section, "relation");
    let user = subject(reading, &mut section, "user", told);
    section.finish(reading);
    Some(OpenFgaCheck {
        object: object?,
        relation: relation?,
        user: user?,
    })
}

fn read_list(reading: &mut Reading<'_>, node: &Node, told: &mut Told) -> Option<OpenFgaList> {
    let mut section = Section::open(reading, node, "list_objects")?;
    let object = require_name(reading, &mut section, "type");
    let relation = require_name(reading, &mut section, "relation");
    let user = subject(reading, &mut section, "user", told);
    let limit = limit(reading, &mut section);
    section.finish(reading);
    Some(OpenFgaList {
        object: object?,
        relation: relation?,
        user: user?,
        ids_max: limit?,
    })
}
