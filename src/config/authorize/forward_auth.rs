//! `forward_auth`: a service for the forward authentication of proxies.

use super::super::path::Segment;
use super::super::reading::{Reading, Section};
use super::super::source::Spanned;
use super::super::yaml::{Entry, Node};
use super::http::{header_names, names};
use super::service::{TokenScheme, defaults, read_url, service};
use super::{Part, Surrounding, Told, possible_facts, terms};
use crate::authorizer::{ForwardAuth, Kind, PathPart, ServiceKind};
use http::header::{HeaderName, HeaderValue};
use shapegate_core::policy::InputSource;
use std::sync::Arc;

const PUBLIC_URL_HELP: &str = "write `public_url: https://sync.example.com`: what X-Forwarded-Proto and -Host say, whatever a client claims";

pub(super) fn forward_auth(
    reading: &mut Reading<'_>,
    entry: &Entry,
    around: &Surrounding<'_>,
) -> Option<Part> {
    let mut section = Section::open(reading, &entry.value, "forward_auth")?;
    let service = service(reading, &mut section, TokenScheme::None);
    let public_url = section.require(reading, "public_url", PUBLIC_URL_HELP);
    let place = public_url.and_then(|entry| public_place(reading, &entry.value));
    let help = "name the credentials that go along: `headers: [authorization]`, or `headers: []` for none";
    let headers = section.require(reading, "headers", help);
    let headers = headers.and_then(|entry| header_names(reading, &entry.value));
    let copied = section.get(reading, "copy_headers");
    let copied = copied.map_or_else(|| Some(Vec::new()), |entry| copy_headers(reading, &entry.value));
    let defaults = defaults(reading, &mut section);
    let terms = terms(reading, &mut section);
    section.finish(reading);
    let (headers, defaults, facts) = (headers?, defaults?, copied?);
    let mut told = Told::default();
    told.add(
        InputSource::Expression("request.method".to_owned()),
        entry.key_span,
    );
    told.add(InputSource::Path, entry.key_span);
    told.add(InputSource::Query, entry.key_span);
    for header in &headers {
        told.add_header(header.value.as_str(), header.span);
    }
    let (proto, host) = place?;
    let found = possible_facts(defaults.keys());
    let kind = Kind::Service(
        ServiceKind::ForwardAuth(ForwardAuth {
            proto,
            host,
            path: around.path.segments().iter().map(path_part).collect(),
            headers: headers.into_iter().map(|header| header.value).collect(),
            facts,
            defaults,
        }),
        service?,
    );
    Some(Part::new(told, found, kind, terms?))
}

fn path_part(segment: &Segment) -> PathPart {
    match segment {
        Segment::Literal(text) => PathPart::Literal(text.clone()),
        Segment::Capture { name, .. } => PathPart::Capture(Arc::clone(name)),
    }
}

/// Scheme and host of a URL without a path.
fn public_place(reading: &mut Reading<'_>, node: &Node) -> Option<(&'static str, HeaderValue)> {
    let url = read_url(reading, node)?;
    let (proto, host) = match url.strip_prefix("https://") {
        Some(host) => ("https", host),
        None => ("http", url.strip_prefix("http://").unwrap_or_default()),
    };
    let host = host.strip_suffix('/').unwrap_or(host);
    match HeaderValue::from_str(host) {
        Ok(value) if !host.contains('/') => Some((proto, value)),
        _ => reading.refuse(node.span, "`public_url` has a path in it", PUBLIC_URL_HELP),
    }
}

/// Headers of the answer, and the facts that they become: `Remote-Groups` is `decision.remote_groups`.
fn copy_headers(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<(HeaderName, Arc<str>)>> {
    let names: Vec<Spanned<String>> = names(reading, node, "copy_headers")?;
    let read: Vec<_> = names
        .into_iter()
        .map(|name| match HeaderName::try_from(name.value.as_str()) {
            Ok(header) => {
                let fact = header.as_str().replace('-', "_");
                Some((header, Arc::from(fact)))
            }
            Err(_) => {
                let message = format!("`{}` is no name of a header", name.value);
                reading.refuse(
                    name.span,
                    message,
                    "write `copy_headers: [Remote-User, Remote-Groups]`",
                )
            }
        })
        .collect();
    read.into_iter().collect()
}
