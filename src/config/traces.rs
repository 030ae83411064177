//! `traces`: which requests are recorded, and who is told of them.

use super::authorize::read_url;
use super::electric::{ElectricUrl, read_ca};
use super::reading::{Reading, Section};
use super::server::ServerSettings;
use super::source::Span;
use super::yaml::{Entry, Kind, Node};
use crate::traces::{
    CollectorSettings, OTLP_TRACES_PATH, SERVICE_NAME_DEFAULT, SampleRatio, TIMEOUT_DEFAULT, TracesSettings,
};
use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use std::ops::RangeInclusive;
use std::time::Duration;

const HELP: &str = "write `traces: { otlp: { url: http://collector:4318 } }`";
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// The most headers that exports carry.
const HEADERS_MAX: usize = 16;
/// The most attributes that may be said of the process.
const RESOURCE_MAX: usize = 32;
/// The longest name and the longest text of such an attribute, in bytes.
const RESOURCE_TEXT_BYTES_MAX: usize = 256;
/// What exports carry anyway.
const OWN_HEADERS: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ACCEPT_ENCODING,
];

pub(super) fn traces(reading: &mut Reading<'_>, node: &Node) -> Option<TracesSettings> {
    let mut section = Section::open(reading, node, "traces")?;
    let otlp = section.require(reading, "otlp", HELP);
    let collector = otlp.and_then(|entry| collector(reading, &entry.value));
    let ratio = section
        .get(reading, "sample_ratio")
        .map_or(Some(SampleRatio::DEFAULT), |entry| ratio(reading, &entry.value));
    let believes = section.get(reading, "sampled_flag").map_or(Some(false), |entry| {
        let words = [("ignored", false), ("trusted_proxies", true)];
        reading.choice(&entry.value, "sampled_flag", &words)
    });
    let name = section
        .get(reading, "service_name")
        .map_or(Some(SERVICE_NAME_DEFAULT.to_owned()), |entry| {
            resource_text(reading, entry)
        });
    let resource = section
        .get(reading, "resource")
        .map_or(Some(Vec::new()), |entry| resource(reading, &entry.value));
    section.finish(reading);
    Some(TracesSettings {
        collector: collector?,
        sample_ratio: ratio?,
        believes_trusted_proxies: believes?,
        service_name: name?,
        resource: resource?,
    })
}

/// Refuses to believe proxies of which there are none.
pub(super) fn require_believed(
    reading: &mut Reading<'_>,
    root: &Node,
    server: &ServerSettings,
) -> Option<()> {
    let believes = |traces: &TracesSettings| traces.believes_trusted_proxies;
    if !server.traces.as_ref().is_some_and(believes) || !server.trusted_proxies.is_empty() {
        return Some(());
    }
    let span = root.get("traces").and_then(|traces| traces.get("sampled_flag"));
    let message = "`sampled_flag: trusted_proxies` believes nobody: there are no `server.trusted_proxies`";
    let help = "write their networks there, or leave `sampled_flag` out";
    reading.refuse(span.map_or(root.span, |node| node.span), message, help)
}

fn collector(reading: &mut Reading<'_>, node: &Node) -> Option<CollectorSettings> {
    let mut section = Section::open(reading, node, "otlp")?;
    let url = section.require(reading, "url", HELP);
    let url = url.and_then(|entry| collector_url(reading, &entry.value));
    let headers = section
        .get(reading, "headers")
        .map_or(Some(HeaderMap::new()), |entry| headers(reading, &entry.value));
    let ca = section
        .get(reading, "ca")
        .map(|entry| (entry.key_span, read_ca(reading, &entry.value)));
    let timeout = section
        .get(reading, "timeout")
        .map_or(Some(TIMEOUT_DEFAULT), |entry| {
            reading.duration(&entry.value, "timeout", TIMEOUT_RANGE)
        });
    section.finish(reading);
    let (url, headers) = (url?, headers?);
    let is_plain = url.starts_with("http://");
    let authorities = match ca {
        None => None,
        Some((span, _)) if is_plain => return refuse_ca(reading, span),
        Some((_, ca)) => Some(ca?.certificates),
    };
    if is_plain && !headers.is_empty() {
        warn_if_plain(reading, section.span(), &url);
    }
    let authorities: Option<Vec<CertificateDer<'static>>> = authorities;
    Some(CollectorSettings {
        url: url.into(),
        headers,
        authorities,
        timeout: timeout?,
    })
}

fn refuse_ca<T>(reading: &mut Reading<'_>, span: Span) -> Option<T> {
    let message = "`ca` has no meaning for an http URL";
    reading.refuse(span, message, "remove it, or use https")
}

/// The URL without the path of traces, as other signals have paths of their own.
fn collector_url(reading: &mut Reading<'_>, node: &Node) -> Option<String> {
    let url = read_url(reading, node)?;
    let bare = url.trim_end_matches('/');
    if bare.ends_with(OTLP_TRACES_PATH) {
        let message = format!("the URL ends with `{OTLP_TRACES_PATH}`, which is added");
        return reading.refuse(node.span, message, "write what stands before it");
    }
    Some(bare.to_owned())
}

/// Headers, each of which may be what lets us in.
fn headers(reading: &mut Reading<'_>, node: &Node) -> Option<HeaderMap> {
    let entries = entries(reading, node, "headers", HEADERS_MAX)?;
    let read: Vec<_> = entries.iter().map(|entry| header(reading, entry)).collect();
    read.into_iter().collect()
}

fn header(reading: &mut Reading<'_>, entry: &Entry) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(entry.key.to_ascii_lowercase().as_bytes());
    let name = match name {
        Ok(name) if !OWN_HEADERS.contains(&name) => name,
        Ok(_) => {
            let message = format!("exports have a `{}` of their own", entry.key);
            return reading.refuse(entry.key_span, message, "remove it");
        }
        Err(_) => {
            let message = format!("`{}` is no name of a header", entry.key);
            return reading.refuse(entry.key_span, message, "use letters, digits and `-`");
        }
    };
    let secret = reading.secret(&entry.value, "headers")?;
    match HeaderValue::try_from(secret.text) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Some((name, value))
        }
        Err(_) => {
            let message = format!("the secret `{}` does not fit into a header", entry.key);
            reading.refuse(entry.value.span, message, "use ASCII")
        }
    }
}

fn ratio(reading: &mut Reading<'_>, node: &Node) -> Option<SampleRatio> {
    let leaf = reading.leaf(node, "sample_ratio")?;
    let read = SampleRatio::read(&leaf.text).filter(|_| !leaf.quoted);
    if read.is_some() {
        return read;
    }
    let message = format!("`sample_ratio` must be between 0 and 1, not {}", leaf.described());
    let help = "write a number with nine decimal places at most, such as `0.01`";
    reading.refuse(leaf.span, message, help)
}

/// What else is said of the process, such as `deployment.environment.name`.
fn resource(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<(String, String)>> {
    let entries = entries(reading, node, "resource", RESOURCE_MAX)?;
    let read: Vec<_> = entries
        .iter()
        .map(|entry| resource_entry(reading, entry))
        .collect();
    read.into_iter().collect()
}

fn resource_entry(reading: &mut Reading<'_>, entry: &Entry) -> Option<(String, String)> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    if entry.key.len() > RESOURCE_TEXT_BYTES_MAX || !entry.key.bytes().all(plain) || entry.key.is_empty() {
        let message = format!("`{}` is no name of an attribute", entry.key);
        let help = "use lower-case letters, digits, `.`, `_` and `-`, as in `deployment.environment.name`";
        return reading.refuse(entry.key_span, message, help);
    }
    if entry.key == "service.name" {
        let message = "`service.name` has a key of its own";
        return reading.refuse(entry.key_span, message, "write `service_name` below `traces`");
    }
    Some((entry.key.clone(), resource_text(reading, entry)?))
}

fn resource_text(reading: &mut Reading<'_>, entry: &Entry) -> Option<String> {
    let text = reading.text(&entry.value, &entry.key)?;
    if text.value.len() <= RESOURCE_TEXT_BYTES_MAX {
        return Some(text.value);
    }
    let message = format!("`{}` is longer than {RESOURCE_TEXT_BYTES_MAX} bytes", entry.key);
    reading.refuse(text.span, message, "shorten it")
}

fn entries<'n>(reading: &mut Reading<'_>, node: &'n Node, name: &str, max: usize) -> Option<&'n [Entry]> {
    match &node.kind {
        Kind::Map(entries) if entries.len() <= max => Some(entries),
        Kind::Map(_) => {
            let message = format!("`{name}` has more than {max} entries");
            reading.refuse(node.span, message, "keep what is needed")
        }
        _ => {
            let message = format!("`{name}` must be a map, not {}", node.described());
            reading.refuse(node.span, message, "write `name: value` lines below it")
        }
    }
}

/// What lets us in travels with every export.
fn warn_if_plain(reading: &mut Reading<'_>, span: Span, url: &str) {
    let Ok(ElectricUrl { host, .. }) = ElectricUrl::parse(url) else {
        return;
    };
    let is_name_elsewhere = host.contains('.') && !host.ends_with(".internal") && !host.ends_with(".local");
    if is_name_elsewhere && host.parse::<std::net::IpAddr>().is_err() {
        let message = format!("the headers of `otlp` travel to {host} in clear text");
        reading.warn(span, message, "use https outside a private network");
    }
}
