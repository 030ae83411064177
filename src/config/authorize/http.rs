//! `http`: a service that speaks our JSON.

use super::super::reading::{Reading, Section};
use super::super::source::Spanned;
use super::super::yaml::{Entry, Node};
use super::service::{TokenScheme, defaults, service};
use super::{Part, Surrounding, Told, possible_facts, terms};
use crate::authorizer::{HttpAuthorizer, Kind, Member, ServiceKind};
use http::header::HeaderName;
use shapegate_core::policy::InputSource;
use shapegate_core::value::Value;
use std::sync::Arc;

/// The most claims or headers that are sent.
const NAMES_MAX: usize = 24;

pub(super) fn http(reading: &mut Reading<'_>, entry: &Entry, around: &Surrounding<'_>) -> Option<Part> {
    let mut section = Section::open(reading, &entry.value, "http")?;
    let service = service(reading, &mut section, TokenScheme::Bearer);
    let claims = section.get(reading, "claims");
    let claims = claims.map_or_else(
        || Some(Vec::new()),
        |claims| names(reading, &claims.value, "claims"),
    );
    let headers = section.get(reading, "headers");
    let headers = headers.map_or_else(
        || Some(Vec::new()),
        |headers| header_names(reading, &headers.value),
    );
    let anonymous = section.get(reading, "anonymous");
    let anonymous = anonymous.map_or(Some(false), |entry| reading.boolean(&entry.value, "anonymous"));
    let defaults = defaults(reading, &mut section);
    let terms = terms(reading, &mut section);
    section.finish(reading);
    let (mut told, mut members) = (Told::default(), Vec::new());
    let mut top = |name: &'static str, input: InputSource| {
        told.add(input, entry.key_span);
        members.push(Member::Top(name));
    };
    let expression = |text: &str| InputSource::Expression(text.to_owned());
    top("tenant", expression("tenant.id"));
    top("shape", InputSource::Value(Value::from(around.shape)));
    top("table", expression("asked.table"));
    top("method", expression("request.method"));
    top("path", InputSource::Path);
    top("query", InputSource::Query);
    if !anonymous? {
        told.add_claim("id", entry.key_span);
        members.push(Member::Top("subject"));
    }
    for claim in claims? {
        told.add_claim(&claim.value, claim.span);
        members.push(Member::Claim(claim.value.into()));
    }
    for header in headers? {
        told.add_header(header.value.as_str(), header.span);
        members.push(Member::Header(Arc::from(header.value.as_str())));
    }
    let defaults = defaults?;
    let found = possible_facts(defaults.keys());
    let kind = Kind::Service(ServiceKind::Http(HttpAuthorizer { members, defaults }), service?);
    Some(Part::new(told, found, kind, terms?))
}

/// A list of names, each once.
pub(super) fn names(reading: &mut Reading<'_>, node: &Node, key: &str) -> Option<Vec<Spanned<String>>> {
    let names = reading.each(node, key, |reading, item| reading.text(item, key))?;
    if names.len() > NAMES_MAX {
        return reading.refuse(
            node.span,
            format!("`{key}` has more than {NAMES_MAX} entries"),
            "name fewer",
        );
    }
    for (index, name) in names.iter().enumerate() {
        if names.iter().take(index).any(|before| before.value == name.value) {
            let message = format!("`{}` is listed twice", name.value);
            return reading.refuse(name.span, message, "remove one of them");
        }
    }
    Some(names)
}

/// Headers that a connection, and not a request, has: they say nothing about who asks.
const NOT_FORWARDED: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "upgrade",
    "accept",
    "accept-encoding",
];

/// Names of headers, written in lower case as rules write them.
pub(super) fn header_names(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<Spanned<HeaderName>>> {
    let names = names(reading, node, "headers")?;
    let read: Vec<_> = names
        .into_iter()
        .map(|name| {
            let lower = !name.value.chars().any(|char| char.is_ascii_uppercase());
            let ours = name.value.starts_with("x-forwarded-") || NOT_FORWARDED.contains(&name.value.as_str());
            match HeaderName::try_from(name.value.as_str()) {
                Ok(header) if lower && !ours => Some(Spanned::new(header, name.span)),
                _ if ours => {
                    let message = format!("the header `{}` is not the client's to say", name.value);
                    reading.refuse(name.span, message, "remove it: shapegate writes it itself")
                }
                _ => {
                    let message = format!("`{}` is no name of a header", name.value);
                    reading.refuse(
                        name.span,
                        message,
                        "write it in lower case: `authorization`, `cookie`",
                    )
                }
            }
        })
        .collect();
    read.into_iter().collect()
}
