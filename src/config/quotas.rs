//! `limits.per_subject`, `per_tenant`, `per_address`: how much each may ask for.

use super::reading::{Reading, Section};
use super::yaml::{Kind, Node};
use crate::limits::Quota;

/// The largest number that may be written.
const MAX: u64 = 1_000_000;

/// Reads a quota over `defaults`: each key a number, or `none`.
pub(super) fn quota(reading: &mut Reading<'_>, node: &Node, name: &str, defaults: Quota) -> Option<Quota> {
    let mut section = Section::open(reading, node, name)?;
    let mut quota = defaults;
    let mut right = true;
    for (key, slot) in slots(&mut quota) {
        let Some(entry) = section.get(reading, key) else {
            right &= !section.has(key);
            continue;
        };
        match number(reading, &entry.value, key) {
            Some(number) => *slot = number,
            None => right = false,
        }
    }
    section.finish(reading);
    right.then_some(quota)
}

fn slots(quota: &mut Quota) -> [(&'static str, &mut Option<u32>); 5] {
    [
        ("held_polls", &mut quota.held_polls),
        ("requests_per_minute", &mut quota.requests_per_minute),
        ("new_shapes_per_minute", &mut quota.new_shapes_per_minute),
        ("subsets_per_minute", &mut quota.subsets_per_minute),
        ("mints_per_minute", &mut quota.mints_per_minute),
    ]
}

fn number(reading: &mut Reading<'_>, node: &Node, key: &str) -> Option<Option<u32>> {
    if matches!(&node.kind, Kind::Scalar { text, quoted: false } if text == "none") {
        return Some(None);
    }
    let number = reading.integer(node, key, 1..=MAX)?;
    u32::try_from(number).ok().map(Some)
}

/// Names and values of a quota, as they would be written.
pub(super) fn written(mut quota: Quota) -> impl Iterator<Item = (&'static str, String)> {
    let slots = slots(&mut quota).map(|(key, number)| {
        let text = number.map_or_else(|| "none".to_owned(), |number| number.to_string());
        (key, text)
    });
    slots.into_iter()
}
