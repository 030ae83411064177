//! `spicedb`: a check of one permission, a lookup of what a subject has it on, or both.

use super::super::reading::{Reading, Section};
use super::super::rules::param;
use super::super::yaml::{Entry, Kind as NodeKind, Node};
use super::relations::{ID_ANSWER_BYTES, facts, limit, object, refuse_idle, require_name, subject};
use super::service::{TokenScheme, service};
use super::{Part, Surrounding, Told, terms};
use crate::authorizer::{
    ANSWER_BYTES_MAX, Consistency, Kind, ServiceKind, SpiceDb, SpiceDbCheck, SpiceDbLookup,
};

pub(super) fn spicedb(reading: &mut Reading<'_>, entry: &Entry, _around: &Surrounding<'_>) -> Option<Part> {
    let mut section = Section::open(reading, &entry.value, "spicedb")?;
    let service = service(reading, &mut section, TokenScheme::Bearer);
    let mut told = Told::default();
    let check = section.get(reading, "check");
    let check = check.map(|entry| read_check(reading, &entry.value, &mut told));
    let lookup = section.get(reading, "lookup");
    let lookup = lookup.map(|entry| read_lookup(reading, &entry.value, &mut told));
    let consistency = section.get(reading, "consistency");
    let consistency = consistency.map_or(Some(Consistency::default()), |entry| {
        read_consistency(reading, &entry.value, &mut told)
    });
    let terms = terms(reading, &mut section);
    section.finish(reading);
    if check.is_none() && lookup.is_none() {
        let help = "write `check: { resource: …, permission: view, subject: { type: user, id: user.id } }`, or `lookup: …`";
        return refuse_idle(reading, entry, help);
    }
    let check = check.map_or(Some(None), |read| read.map(Some))?;
    let lookup = lookup.map_or(Some(None), |read| read.map(Some))?;
    let mut service = service?;
    let ids_max = lookup.as_ref().map_or(0, |lookup| lookup.ids_max);
    service.answer_bytes_max = ANSWER_BYTES_MAX + ids_max * ID_ANSWER_BYTES;
    let facts = facts(check.is_some(), lookup.is_some());
    let kind = Kind::Service(
        ServiceKind::SpiceDb(SpiceDb {
            check,
            lookup,
            consistency: consistency?,
        }),
        service,
    );
    Some(Part::new(told, facts, kind, terms?))
}

fn read_check(reading: &mut Reading<'_>, node: &Node, told: &mut Told) -> Option<SpiceDbCheck> {
    let mut section = Section::open(reading, node, "check")?;
    let resource = object(reading, &mut section, "resource", told);
    let permission = require_name(reading, &mut section, "permission");
    let subject = subject(reading, &mut section, "subject", told);
    section.finish(reading);
    Some(SpiceDbCheck {
        resource: resource?,
        permission: permission?,
        subject: subject?,
    })
}

fn read_lookup(reading: &mut Reading<'_>, node: &Node, told: &mut Told) -> Option<SpiceDbLookup> {
    let mut section = Section::open(reading, node, "lookup")?;
    let resource = require_name(reading, &mut section, "resource");
    let permission = require_name(reading, &mut section, "permission");
    let subject = subject(reading, &mut section, "subject", told);
    let limit = limit(reading, &mut section);
    section.finish(reading);
    Some(SpiceDbLookup {
        resource: resource?,
        permission: permission?,
        subject: subject?,
        ids_max: limit?,
    })
}

/// A word, or `{ at_least_as_fresh: <expression> }`.
fn read_consistency(reading: &mut Reading<'_>, node: &Node, told: &mut Told) -> Option<Consistency> {
    if matches!(node.kind, NodeKind::Map(_)) && node.get("env").is_none() {
        let mut section = Section::open(reading, node, "consistency")?;
        let help =
            "write `{ at_least_as_fresh: user.zed_token }`, an expression that gives a ZedToken or null";
        let token = section.require(reading, "at_least_as_fresh", help);
        section.finish(reading);
        told.add_param(param(reading, &token?.value)?);
        return Some(Consistency::AtLeastAsFresh);
    }
    let words = [
        ("minimize_latency", Consistency::MinimizeLatency),
        ("fully_consistent", Consistency::FullyConsistent),
    ];
    reading.choice(node, "consistency", &words)
}
