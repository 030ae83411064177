//! `gatekeeper.mint`.

use super::super::reading::{Reading, Section};
use super::super::source::Spanned;
use super::super::yaml::{Entry, Node};
use super::keys::{self, SigningKeySetting};
use crate::gatekeeper::{MintPath, TTL_MAX};
use std::time::Duration;

/// How long a token lives where neither `mint` nor a rule says.
pub const TTL_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// Where tokens are minted where nothing is said.
const PATH_DEFAULT: &str = "/gatekeeper/{table}";
/// Longest URL that clients are told, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// `gatekeeper.mint`, checked.
#[derive(Clone, Debug)]
pub struct MintSetting {
    /// Where tokens are minted.
    pub path: Spanned<MintPath>,
    /// Where clients take them.
    pub url: String,
    /// Their `iss`.
    pub issuer: Spanned<String>,
    /// Whether somebody else verifies them.
    pub external: bool,
    /// How long they live.
    pub ttl: Duration,
    /// What signs them.
    pub keys: Vec<SigningKeySetting>,
    /// Where the keys are written.
    pub keys_span: super::super::source::Span,
}

/// The bounds of every `ttl`.
pub(in super::super) fn ttl(reading: &mut Reading<'_>, node: &Node) -> Option<Duration> {
    reading.duration(node, "ttl", Duration::from_secs(1)..=TTL_MAX)
}

pub(super) fn mint(reading: &mut Reading<'_>, node: &Node) -> Option<MintSetting> {
    let mut section = Section::open(reading, node, "mint")?;
    let path = path(reading, &mut section);
    let url = section.require(
        reading,
        "url",
        "write where clients take their tokens: `url: https://sync.example.com/proxy/v1/shape`",
    );
    let url = url.and_then(|entry| read_url(reading, entry));
    let issuer = section
        .get(reading, "issuer")
        .map(|entry| reading.text(&entry.value, "issuer"));
    let external = section.get(reading, "audience").map_or(Some(false), |entry| {
        reading.choice(&entry.value, "audience", &[("own", false), ("external", true)])
    });
    let ttl = section
        .get(reading, "ttl")
        .map_or(Some(TTL_DEFAULT), |entry| ttl(reading, &entry.value));
    let keys_entry = section.require(reading, "keys", keys::KEYS_HELP);
    let keys = keys_entry.and_then(|entry| reading.each(&entry.value, "keys", keys::key));
    section.finish(reading);
    let url = url?;
    let issuer = match issuer {
        Some(written) => written?,
        None => Spanned::new(origin(&url.value), url.span),
    };
    Some(MintSetting {
        path: path?,
        url: url.value,
        issuer,
        external: external?,
        ttl: ttl?,
        keys: keys?,
        keys_span: keys_entry?.value.span,
    })
}

fn path(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Spanned<MintPath>> {
    let text = match section.get(reading, "path") {
        Some(entry) => reading.text(&entry.value, "path")?,
        None => Spanned::new(PATH_DEFAULT.to_owned(), section.span()),
    };
    let help = "write `path: \"/gatekeeper/{table}\"`";
    match MintPath::parse(&text.value) {
        Ok(Some(path)) => Some(Spanned::new(path, text.span)),
        Ok(None) => {
            let message = format!(
                "the path `{}` does not end in `/{{table}}`, its only capture",
                text.value
            );
            reading.refuse(text.span, message, help)
        }
        Err(error) => reading.refuse(text.span, format!("the path `{}` {error}", text.value), help),
    }
}

fn read_url(reading: &mut Reading<'_>, entry: &Entry) -> Option<Spanned<String>> {
    let text = reading.text(&entry.value, "url")?;
    let uri = text.value.parse::<http::Uri>().ok().filter(|uri| {
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let plain = uri.authority().is_some_and(|host| !host.as_str().contains('@'));
        scheme && plain && uri.query().is_none()
    });
    if uri.is_none() || text.value.contains('#') || text.value.len() > URL_BYTES_MAX {
        let help = "write it as clients reach it, without a query: `https://sync.example.com/proxy/v1/shape`";
        return reading.refuse(
            text.span,
            "the `url` of `mint` is no plain http or https URL",
            help,
        );
    }
    Some(text)
}

/// Scheme and authority, which name an issuer well enough.
fn origin(url: &str) -> String {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .bytes()
        .enumerate()
        .skip(authority)
        .find(|(_, byte)| *byte == b'/')
        .map_or(url.len(), |(at, _)| at);
    url.get(..end).unwrap_or(url).to_owned()
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn an_origin_is_scheme_and_authority() {
        assert_eq!(
            origin("https://sync.example.com/proxy/v1/shape"),
            "https://sync.example.com"
        );
        assert_eq!(origin("http://localhost:8080"), "http://localhost:8080");
    }
}
