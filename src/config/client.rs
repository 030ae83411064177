//! `client`: what a client may choose itself, within what the rules give.

use super::reading::{Reading, Section};
use super::source::Span;
use super::yaml::{Kind, Node};
use shapegate_core::definition::Replica;

/// Highest `limit_max` that may be set: rows of one subset answer.
const SUBSET_LIMIT_MAX: u64 = 100_000;

/// What a client may do with the rows that its rule gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientWhere {
    /// It may send no filter, or the very one.
    Forbidden,
    /// It may narrow the rows.
    Narrow,
}

/// Which columns a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientColumns {
    /// Those of the shape.
    Fixed,
    /// Some of those of the shape.
    Subset,
}

/// Whether subset queries are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubsetSetting {
    /// They are refused.
    Off,
    /// They are answered, with so many rows at most, which the client must say.
    LimitMax(u32),
    /// They are answered with as many rows as match.
    Unlimited,
}

/// A definition parameter that is dropped instead of refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoredName {
    /// `table`
    Table,
    /// `where`, and `params[n]` with it
    Where,
    /// `columns`
    Columns,
    /// `replica`
    Replica,
}

const IGNORED_NAMES: [(&str, IgnoredName); 4] = [
    ("table", IgnoredName::Table),
    ("where", IgnoredName::Where),
    ("columns", IgnoredName::Columns),
    ("replica", IgnoredName::Replica),
];

impl IgnoredName {
    /// As the configuration spells it.
    pub fn as_str(self) -> &'static str {
        IGNORED_NAMES
            .iter()
            .find(|(_, name)| *name == self)
            .map_or("", |(word, _)| word)
    }
}

/// `client`, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Filters.
    pub filter: ClientWhere,
    /// Columns.
    pub columns: ClientColumns,
    /// Values of `replica` that are allowed.
    pub replica: Vec<Replica>,
    /// Subset queries.
    pub subset: SubsetSetting,
    /// Names that are dropped.
    pub ignore: Vec<IgnoredName>,
}

impl ClientSettings {
    /// What is built in. On an open route the client defines the shape.
    fn built_in(open: bool) -> Self {
        Self {
            filter: ClientWhere::Forbidden,
            columns: if open {
                ClientColumns::Subset
            } else {
                ClientColumns::Fixed
            },
            replica: if open {
                vec![Replica::Default, Replica::Full]
            } else {
                vec![Replica::Default]
            },
            subset: SubsetSetting::Off,
            ignore: Vec::new(),
        }
    }
}

/// `client` as far as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientPart {
    filter: Option<ClientWhere>,
    columns: Option<ClientColumns>,
    replica: Option<Vec<Replica>>,
    subset: Option<SubsetSetting>,
    ignore: Option<Vec<IgnoredName>>,
    /// Where it is written.
    pub(super) span: Option<Span>,
}

impl ClientPart {
    /// This over what is set for every shape, and that over what is built in.
    pub(super) fn over(self, defaults: &Self, open: bool) -> ClientSettings {
        let built_in = ClientSettings::built_in(open);
        ClientSettings {
            filter: self.filter.or(defaults.filter).unwrap_or(built_in.filter),
            columns: self.columns.or(defaults.columns).unwrap_or(built_in.columns),
            replica: self
                .replica
                .or_else(|| defaults.replica.clone())
                .unwrap_or(built_in.replica),
            subset: self.subset.or(defaults.subset).unwrap_or(built_in.subset),
            ignore: self
                .ignore
                .or_else(|| defaults.ignore.clone())
                .unwrap_or(built_in.ignore),
        }
    }
}

/// `defaults`.
pub(super) fn defaults(reading: &mut Reading<'_>, node: &Node) -> Option<ClientPart> {
    let mut section = Section::open(reading, node, "defaults")?;
    let client = section
        .get(reading, "client")
        .map(|entry| client(reading, &entry.value));
    section.finish(reading);
    client.unwrap_or_else(|| Some(ClientPart::default()))
}

pub(super) fn client(reading: &mut Reading<'_>, node: &Node) -> Option<ClientPart> {
    let mut section = Section::open(reading, node, "client")?;
    let filter = section.get(reading, "where").map(|entry| {
        let words = [
            ("forbidden", ClientWhere::Forbidden),
            ("narrow", ClientWhere::Narrow),
        ];
        reading.choice(&entry.value, "where", &words)
    });
    let columns = section.get(reading, "columns").map(|entry| {
        let words = [("fixed", ClientColumns::Fixed), ("subset", ClientColumns::Subset)];
        reading.choice(&entry.value, "columns", &words)
    });
    let replica = section
        .get(reading, "replica")
        .map(|entry| replicas(reading, &entry.value));
    let subset = section
        .get(reading, "subset")
        .map(|entry| subset(reading, &entry.value));
    let ignore = section.get(reading, "ignore").map(|entry| {
        reading.each(&entry.value, "ignore", |reading, item| {
            reading.choice(item, "ignore", &IGNORED_NAMES)
        })
    });
    section.finish(reading);
    // A part that is written and wrong makes all of it wrong; one that is not written stays open.
    Some(ClientPart {
        filter: filter.map_or(Some(None), |read| read.map(Some))?,
        columns: columns.map_or(Some(None), |read| read.map(Some))?,
        replica: replica.map_or(Some(None), |read| read.map(Some))?,
        subset: subset.map_or(Some(None), |read| read.map(Some))?,
        ignore: ignore.map_or(Some(None), |read| read.map(Some))?,
        span: Some(node.span),
    })
}

fn replicas(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<Replica>> {
    let words = [("default", Replica::Default), ("full", Replica::Full)];
    let list = reading.each(node, "replica", |reading, item| {
        reading.choice(item, "replica", &words)
    })?;
    if list.is_empty() || list.len() > words.len() {
        return reading.refuse(
            node.span,
            "`replica` must have one or two entries",
            "write `[default]`, `[full]` or both",
        );
    }
    Some(list)
}

pub(super) fn subset(reading: &mut Reading<'_>, node: &Node) -> Option<SubsetSetting> {
    if matches!(&node.kind, Kind::Scalar { text, .. } if text == "off") {
        return Some(SubsetSetting::Off);
    }
    let mut section = Section::open(reading, node, "subset")?;
    let limit = section.require(
        reading,
        "limit_max",
        "write `subset: { limit_max: 1000 }`, `{ limit_max: none }`, or `subset: off`",
    );
    section.finish(reading);
    if matches!(&limit?.value.kind, Kind::Scalar { text, .. } if text == "none") {
        return Some(SubsetSetting::Unlimited);
    }
    let limit = reading.integer(&limit?.value, "limit_max", 1..=SUBSET_LIMIT_MAX)?;
    u32::try_from(limit).ok().map(SubsetSetting::LimitMax)
}
