//! `session`, `postgres` and `introspection`: whoever is asked about credentials that say nothing themselves.

use super::carrier;
use super::electric::Authority;
use super::identity::{audience, claim_path, read_claims};
use super::reading::{Reading, Section};
use super::secret::SecretSetting;
use super::source::Span;
use super::yaml::{Kind, Node};
use crate::identity::sessions::{ClientAuthentication, CredentialHash};
use crate::identity::{AudienceRule, Carrier, ClaimMapping, ClaimPath};
use crate::postgres::{POOL_SIZE_DEFAULT, POOL_SIZE_MAX, PostgresUrl};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long an answer is remembered where nothing else is said.
const TTL_DEFAULT: Duration = Duration::from_secs(30);
const TTL_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60 * 60);
/// How long a question may take where nothing else is said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(3);
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(30);
/// Longest URL, query and name of a channel, in bytes.
const URL_BYTES_MAX: usize = 2_048;
pub(super) const QUERY_BYTES_MAX: usize = 16 * 1024;
const CHANNEL_BYTES_MAX: usize = 63;

/// A method that asks somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderSettings {
    /// Whom.
    pub kind: ProviderKind,
    /// What carries its credentials.
    pub from: Carrier,
    /// How long an answer is remembered.
    pub ttl: Duration,
    /// How long a question may take.
    pub timeout: Duration,
    /// The names that rules read.
    pub claims: Vec<ClaimMapping>,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderKind {
    /// An endpoint that knows sessions.
    Session {
        /// Where it is.
        url: String,
        /// Where in its answer the subject is.
        subject: ClaimPath,
        /// Whom to trust instead of the machine's authorities.
        ca: Option<Authority>,
    },
    /// A database.
    Postgres(PostgresMethod),
    /// An authorisation server.
    Introspection(IntrospectionServer),
}

/// An authorisation server that is asked about tokens (RFC 7662).
#[derive(Clone, Debug, PartialEq)]
pub struct IntrospectionServer {
    /// Where it is.
    pub url: String,
    /// As whom it is asked.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: SecretSetting,
    /// How these are sent.
    pub authentication: ClientAuthentication,
    /// Whom tokens must be for.
    pub audience: AudienceRule,
    /// The `iss` that answers may have.
    pub issuer: Option<String>,
    /// Whom to trust instead of the machine's authorities.
    pub ca: Option<Authority>,
}

/// A query for sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresMethod {
    /// Where the database is.
    pub url: PostgresUrl,
    /// Whom to trust instead of the machine's authorities.
    pub ca: Option<Authority>,
    /// Connections at once.
    pub pool_size: usize,
    /// The query.
    pub query: String,
    /// What of the credential it gets.
    pub hash: CredentialHash,
    /// The channel on which the database tells of sessions that end.
    pub notify: Option<String>,
}

pub(super) fn provider(reading: &mut Reading<'_>, name: &str, node: &Node) -> Option<ProviderSettings> {
    let mut section = Section::open(reading, node, name)?;
    let from = match name {
        // Tokens of an authorisation server are bearer tokens unless something else is said.
        "introspection" if !section.has("from") => {
            section.get(reading, "from");
            Some(Carrier::bearer())
        }
        _ => carrier::from(reading, &mut section),
    };
    let kind = match name {
        "session" => session(reading, &mut section),
        "postgres" => postgres(reading, &mut section).map(ProviderKind::Postgres),
        _ => introspection(reading, &mut section).map(ProviderKind::Introspection),
    };
    let ttl = duration(reading, &mut section, "ttl", TTL_DEFAULT, TTL_RANGE);
    let timeout = duration(reading, &mut section, "timeout", TIMEOUT_DEFAULT, TIMEOUT_RANGE);
    let claims = section
        .get(reading, "claims")
        .map_or_else(|| Some(Vec::new()), |entry| read_claims(reading, &entry.value));
    section.finish(reading);
    Some(ProviderSettings {
        kind: kind?,
        from: from?,
        ttl: ttl?,
        timeout: timeout?,
        claims: unique(reading, node.span, claims?)?,
    })
}

fn unique(reading: &mut Reading<'_>, span: Span, claims: Vec<ClaimMapping>) -> Option<Vec<ClaimMapping>> {
    let mut names = std::collections::HashSet::new();
    match claims.iter().find(|claim| !names.insert(claim.name().to_owned())) {
        Some(twice) => {
            let message = format!("the claim `{}` is mapped twice", twice.name());
            reading.refuse(span, message, "keep one of them")
        }
        None => Some(claims),
    }
}

fn duration(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    default: Duration,
    range: RangeInclusive<Duration>,
) -> Option<Duration> {
    match section.get(reading, key) {
        Some(entry) => reading.duration(&entry.value, key, range),
        None => (!section.has(key)).then_some(default),
    }
}

fn session(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<ProviderKind> {
    let url = url(reading, section);
    let subject = section.require(
        reading,
        "subject",
        "name the user's id in the answer: `subject: user.id`",
    );
    let subject = subject.and_then(|entry| claim_path(reading, &entry.value));
    let ca = authority(reading, section);
    Some(ProviderKind::Session {
        url: url?,
        subject: subject?,
        ca: ca?,
    })
}

fn introspection(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<IntrospectionServer> {
    let url = url(reading, section);
    let client_id = section.require(reading, "client_id", "write the id of the gateway as a client");
    let client_id = client_id.and_then(|entry| reading.text(&entry.value, "client_id"));
    let secret = section.require(
        reading,
        "client_secret",
        "write `client_secret: { env: CLIENT_SECRET }`",
    );
    let secret = secret.and_then(|entry| reading.secret(&entry.value, "client_secret"));
    let words = [
        ("basic", ClientAuthentication::Basic),
        ("post", ClientAuthentication::Post),
    ];
    let authentication = match section.get(reading, "auth") {
        Some(entry) => reading.choice(&entry.value, "auth", &words),
        None => Some(ClientAuthentication::Basic),
    };
    let audience = audience(reading, section);
    let issuer = section
        .get(reading, "issuer")
        .map(|entry| reading.text(&entry.value, "issuer"));
    let ca = authority(reading, section);
    Some(IntrospectionServer {
        url: url?,
        client_id: client_id?.value,
        client_secret: secret?,
        authentication: authentication?,
        audience: audience?,
        issuer: issuer.map_or(Some(None), |read| read.map(|text| Some(text.value)))?,
        ca: ca?,
    })
}

const URL_HELP: &str = "write `https://host/path`; secrets have keys of their own";

fn url(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<String> {
    let entry = section.require(reading, "url", URL_HELP)?;
    let text = reading.text(&entry.value, "url")?;
    let is_url = || {
        let uri: http::Uri = text.value.parse().ok()?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority()?;
        let plain = !authority.as_str().contains('@') && !text.value.contains('#');
        (web && plain && !authority.host().is_empty() && text.value.len() <= URL_BYTES_MAX).then_some(())
    };
    match is_url() {
        Some(()) => Some(text.value),
        None => reading.refuse(
            text.span,
            "`url` is no http or https URL that could be asked",
            URL_HELP,
        ),
    }
}

pub(super) fn authority(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Option<Authority>> {
    let Some(entry) = section.get(reading, "ca") else {
        return Some(None);
    };
    let file = reading.file(&entry.value, "ca")?;
    let certificates = reading.certificates(&file)?;
    Some(Some(Authority {
        path: file.path,
        certificates,
    }))
}

fn postgres(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<PostgresMethod> {
    let url = postgres_url(reading, section);
    let ca = authority(reading, section);
    let pool_size = pool_size(reading, section);
    let help = "write `query: \"select user_id as sub from sessions where token_hash = $1\"`";
    let query = section.require(reading, "query", help);
    let query = query.and_then(|entry| bounded(reading, &entry.value, "query", QUERY_BYTES_MAX));
    let words = [("sha256", CredentialHash::Sha256), ("none", CredentialHash::None)];
    let hash = section.require(
        reading,
        "hash",
        "write `hash: sha256`, or `hash: none` where tokens are stored as they are",
    );
    let hash = hash.and_then(|entry| reading.choice(&entry.value, "hash", &words));
    let notify = section
        .get(reading, "notify")
        .map(|entry| bounded(reading, &entry.value, "notify", CHANNEL_BYTES_MAX));
    Some(PostgresMethod {
        url: url?,
        ca: ca?,
        pool_size: pool_size?,
        query: query?,
        hash: hash?,
        notify: notify.map_or(Some(None), |read| read.map(Some))?,
    })
}

pub(super) fn pool_size(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<usize> {
    let Some(entry) = section.get(reading, "pool_size") else {
        return Some(POOL_SIZE_DEFAULT);
    };
    let most = u64::try_from(POOL_SIZE_MAX).unwrap_or(u64::MAX);
    let size = reading.integer(&entry.value, "pool_size", 1..=most)?;
    usize::try_from(size).ok()
}

pub(super) fn bounded(
    reading: &mut Reading<'_>,
    node: &Node,
    name: &str,
    bytes_max: usize,
) -> Option<String> {
    let text = reading.text(node, name)?;
    if text.value.len() > bytes_max || text.value.contains('\0') {
        let message = format!("`{name}` is longer than {bytes_max} bytes, or has NUL in it");
        return reading.refuse(text.span, message, "shorten it");
    }
    Some(text.value)
}

/// A URL with its password is a secret, and is named like one; a URL without may be written.
pub(super) fn postgres_url(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<PostgresUrl> {
    let help = "write `url: { env: DATABASE_URL }`";
    let entry = section.require(reading, "url", help)?;
    let text = match &entry.value.kind {
        Kind::Scalar { text, .. } if has_password(text) => {
            let message = "`url` has a password in it, which does not stay secret here";
            return reading.refuse(entry.value.span, message, help);
        }
        Kind::Scalar { .. } => reading.text(&entry.value, "url")?.value,
        _ => reading.secret(&entry.value, "url")?.text,
    };
    match PostgresUrl::parse(&text) {
        Ok(url) => {
            warn_if_plain(reading, entry.value.span, &url);
            Some(url)
        }
        Err(error) => {
            let help = "write `postgres://user:password@host:5432/database`, with `?sslmode=…` where needed";
            reading.refuse(entry.value.span, format!("`url` is not taken: {error}"), help)
        }
    }
}

/// Written badly as well: what comes before the last `@`, or a parameter of that name.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || url.contains("password")
}

fn warn_if_plain(reading: &mut Reading<'_>, span: Span, url: &PostgresUrl) {
    if !url.has_tls() && !url.is_local() {
        let message = "sslmode=disable: passwords and sessions cross the network in the clear";
        reading.warn(span, message, "remove it, or write `sslmode=verify-full`");
    }
}
