//! `cluster`: what several gateways share, and where.

mod url;

use super::electric::{Authority, read_ca};
use super::reading::{Reading, Section};
use super::source::Span;
use super::yaml::{Kind, Node};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

pub use url::{RedisPlace, RedisUrl, RedisUrlError};

/// How long a rate is asked for where nothing else is said.
pub(super) const TIMEOUT_DEFAULT: Duration = Duration::from_millis(100);
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_secs(10);
/// What all keys begin with where nothing else is said.
pub(super) const PREFIX_DEFAULT: &str = "shapegate";
/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 64;
const URL_HELP: &str = "write `url: { env: REDIS_URL }`, and there `redis://:password@host:6379/0`";

/// The Redis that several gateways share.
#[derive(Clone)]
pub struct ClusterSettings {
    /// Where it is, and as whom it is asked.
    pub url: RedisUrl,
    /// Whom to trust instead of the machine's authorities.
    pub ca: Option<Authority>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long a request waits for its rate at most.
    pub timeout: Duration,
}

impl PartialEq for ClusterSettings {
    fn eq(&self, other: &Self) -> bool {
        let certificates = |settings: &Self| settings.ca.as_ref().map(|ca| ca.certificates.clone());
        self.url == other.url
            && self.prefix == other.prefix
            && self.timeout == other.timeout
            && certificates(self) == certificates(other)
    }
}

impl fmt::Debug for ClusterSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClusterSettings")
            .field("url", &self.url)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Reads `cluster`.
pub(super) fn cluster(reading: &mut Reading<'_>, node: &Node) -> Option<ClusterSettings> {
    let mut section = Section::open(reading, node, "cluster")?;
    let redis = section.require(
        reading,
        "redis",
        "write `cluster: { redis: { url: { env: REDIS_URL } } }`",
    );
    section.finish(reading);
    redis_settings(reading, &redis?.value)
}

fn redis_settings(reading: &mut Reading<'_>, node: &Node) -> Option<ClusterSettings> {
    let mut section = Section::open(reading, node, "redis")?;
    let url = read_url(reading, &mut section);
    let password = section
        .get(reading, "password")
        .map(|entry| (entry.key_span, reading.secret(&entry.value, "password")));
    let ca = section
        .get(reading, "ca")
        .map(|entry| (entry.key_span, read_ca(reading, &entry.value)));
    let prefix = section.get(reading, "prefix").map_or_else(
        || Some(PREFIX_DEFAULT.to_owned()),
        |entry| prefix(reading, &entry.value),
    );
    let timeout = section
        .get(reading, "timeout")
        .map_or(Some(TIMEOUT_DEFAULT), |entry| {
            reading.duration(&entry.value, "timeout", TIMEOUT_RANGE)
        });
    section.finish(reading);
    let (mut url, span) = url?;
    if let Some((span, password)) = password {
        if url.password.is_some() {
            let message = "the password is in `url` and in `password`";
            return reading.refuse(span, message, "keep one of them");
        }
        url.password = Some(password?.text);
    }
    if url.user.is_some() && url.password.is_none() {
        return reading.refuse(
            span,
            "`url` has a user without a password",
            "add it, or `password` beside `url`",
        );
    }
    let ca = authority(reading, &url, ca)?;
    warn_if_plain(reading, span, &url);
    Some(ClusterSettings {
        url,
        ca,
        prefix: prefix?,
        timeout: timeout?,
    })
}

/// A URL with its password is a secret, and is named like one; a URL without may be written.
fn read_url(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<(RedisUrl, Span)> {
    let entry = section.require(reading, "url", URL_HELP)?;
    let span = entry.value.span;
    let text = match &entry.value.kind {
        Kind::Scalar { text, .. } if text.contains('@') => {
            let message = "`url` has a user or password in it, which does not stay secret here";
            return reading.refuse(span, message, URL_HELP);
        }
        Kind::Scalar { .. } => reading.text(&entry.value, "url")?.value,
        _ => reading.secret(&entry.value, "url")?.text,
    };
    match RedisUrl::parse(&text) {
        Ok(url) => Some((url, span)),
        // The URL itself is not repeated: a wrong one may hold a password.
        Err(error) => reading.refuse(
            span,
            format!("the URL of `redis` is not taken: {error}"),
            URL_HELP,
        ),
    }
}

fn authority(
    reading: &mut Reading<'_>,
    url: &RedisUrl,
    ca: Option<(Span, Option<Authority>)>,
) -> Option<Option<Authority>> {
    match ca {
        None => Some(None),
        Some((_, ca)) if matches!(url.place, RedisPlace::Tcp { tls: true, .. }) => ca.map(Some),
        Some((span, _)) => reading.refuse(
            span,
            "`ca` has a meaning for `rediss://` alone",
            "remove it, or write `rediss://` in the URL",
        ),
    }
}

fn prefix(reading: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = reading.text(node, "prefix")?;
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | ':');
    if text.value.len() <= PREFIX_BYTES_MAX && text.value.chars().all(plain) {
        return Some(text.value);
    }
    let help = format!("use letters, digits, `-`, `_`, `.` and `:`, {PREFIX_BYTES_MAX} at most");
    reading.refuse(text.span, "`prefix` cannot begin keys", help)
}

/// Who can read along learns who is revoked; who can write, revokes.
fn warn_if_plain(reading: &mut Reading<'_>, span: Span, url: &RedisUrl) {
    let RedisPlace::Tcp { host, .. } = &url.place else {
        return;
    };
    let is_name_elsewhere = host.contains('.') && !host.ends_with(".internal") && !host.ends_with(".local");
    if !url.is_private() && is_name_elsewhere && host.parse::<std::net::IpAddr>().is_err() {
        let message = format!("revocations travel to {host} in clear text");
        reading.warn(span, message, "use `rediss://` outside a private network");
    }
}
