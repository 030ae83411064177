//! `limits`: how much is taken from clients, and how much upstreams are asked for.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::quotas;
use super::reading::{Reading, Section};
use super::yaml::Node;
use crate::limits::Quota;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const COUNTS: RangeInclusive<u64> = 1..=1_000_000;
const DEADLINES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

/// How much is taken from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, bytes.
    pub body_bytes_max: usize,
    /// Largest request head, bytes.
    pub header_bytes_max: usize,
    /// Answers that the hub keeps, all together, bytes; 0 keeps none, and only shares what is under way.
    pub hub_bytes_max: usize,
    /// Most open client connections.
    pub connections_max: usize,
    /// Most open connections from one address; trusted proxies are not counted.
    pub connections_per_address_max: usize,
    /// Most requests to one tenant's Electric at once; new shapes and subsets are refused a little earlier.
    pub upstream_requests_max: usize,
    /// Most of them that are new shapes or subsets.
    pub upstream_new_shapes_max: usize,
    /// How much one subject may ask for.
    pub per_subject: Quota,
    /// How much one tenant may ask for.
    pub per_tenant: Quota,
    /// How much one address may ask for.
    pub per_address: Quota,
    /// Within which a request's head must have arrived.
    pub head_deadline: Duration,
    /// Within which a request's body must have arrived.
    pub body_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 256 * 1024,
            header_bytes_max: 32 * 1024,
            hub_bytes_max: 256 * 1024 * 1024,
            connections_max: 65_536,
            connections_per_address_max: 4_096,
            upstream_requests_max: 10_000,
            upstream_new_shapes_max: 300,
            per_subject: Quota::SUBJECT,
            per_tenant: Quota::default(),
            per_address: Quota::default(),
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
        }
    }
}

/// Reads the map; what is not in it has its default.
pub(super) fn limits(reading: &mut Reading<'_>, node: &Node) -> Option<Limits> {
    let mut section = Section::open(reading, node, "limits")?;
    let mut limits = Limits::default();
    // All are read before any is missed, so that all problems are told at once.
    let right = [
        sizes(reading, &mut section, &mut limits),
        counts(reading, &mut section, &mut limits),
        deadlines(reading, &mut section, &mut limits),
        per_each(reading, &mut section, &mut limits),
    ];
    section.finish(reading);
    right.iter().all(|right| *right).then_some(limits)
}

fn sizes(reading: &mut Reading<'_>, section: &mut Section<'_>, limits: &mut Limits) -> bool {
    let keys = [
        ("body_bytes_max", &mut limits.body_bytes_max, KIB..=8 * MIB),
        ("header_bytes_max", &mut limits.header_bytes_max, 4 * KIB..=MIB),
        ("hub_bytes_max", &mut limits.hub_bytes_max, 0..=64 * 1024 * MIB),
    ];
    let mut right = true;
    for (key, slot, range) in keys {
        if let Some(entry) = section.get(reading, key) {
            right &= fill(slot, reading.size(&entry.value, key, range));
        }
    }
    right
}

fn counts(reading: &mut Reading<'_>, section: &mut Section<'_>, limits: &mut Limits) -> bool {
    let keys = [
        ("connections_max", &mut limits.connections_max),
        (
            "connections_per_address_max",
            &mut limits.connections_per_address_max,
        ),
        ("upstream_requests_max", &mut limits.upstream_requests_max),
        ("upstream_new_shapes_max", &mut limits.upstream_new_shapes_max),
    ];
    let mut right = true;
    for (key, slot) in keys {
        if let Some(entry) = section.get(reading, key) {
            right &= fill(slot, reading.integer(&entry.value, key, COUNTS));
        }
    }
    right
}

fn deadlines(reading: &mut Reading<'_>, section: &mut Section<'_>, limits: &mut Limits) -> bool {
    let keys = [
        ("head_deadline", &mut limits.head_deadline),
        ("body_deadline", &mut limits.body_deadline),
    ];
    let mut right = true;
    for (key, slot) in keys {
        if let Some(entry) = section.get(reading, key) {
            let read = reading.duration(&entry.value, key, DEADLINES);
            right &= read.map(|deadline| *slot = deadline).is_some();
        }
    }
    right
}

fn per_each(reading: &mut Reading<'_>, section: &mut Section<'_>, limits: &mut Limits) -> bool {
    let keys = [
        ("per_subject", &mut limits.per_subject),
        ("per_tenant", &mut limits.per_tenant),
        ("per_address", &mut limits.per_address),
    ];
    let mut right = true;
    for (key, slot) in keys {
        if let Some(entry) = section.get(reading, key) {
            let read = quotas::quota(reading, &entry.value, key, *slot);
            right &= read.map(|quota| *slot = quota).is_some();
        }
    }
    right
}

fn fill(slot: &mut usize, read: Option<u64>) -> bool {
    let read = read.and_then(|value| usize::try_from(value).ok());
    read.map(|value| *slot = value).is_some()
}
