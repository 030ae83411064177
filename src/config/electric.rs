//! `electric`: where the upstream is and how we prove who we are.

use super::files::NamedFile;
use super::host::{is_bracketed_address, is_host_name, split_port};
use super::reading::{Reading, Section};
use super::secret::SecretSetting;
use super::source::{Span, Spanned};
use super::yaml::Node;
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::path::PathBuf;

/// Where Electric is and how we prove who we are.
#[derive(Clone, Debug)]
pub struct ElectricSettings {
    /// Its address.
    pub url: ElectricUrl,
    /// Its API secret; none only with `insecure_no_secret: true`.
    pub secret: Option<SecretSetting>,
    /// The `source_id` that Electric Cloud asks for.
    pub source_id: Option<String>,
    /// Whom to trust instead of the public authorities.
    pub ca: Option<Authority>,
}

/// Certificate authorities of the operator's own.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// Where they were read.
    pub path: PathBuf,
    /// The certificates, one at least.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authority({})", self.path.display())
    }
}

/// Electric's base URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectricUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// A host name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, written or the scheme's.
    pub port: u16,
    /// What stands before `/v1/shape`: empty, or `/…` without a slash at the end.
    pub prefix: String,
}

impl fmt::Display for ElectricUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(
            formatter,
            "{scheme}://{open}{}{close}:{}{}",
            self.host, self.port, self.prefix
        )
    }
}

impl ElectricUrl {
    /// Takes a base URL apart. The error says what is wrong and what to do.
    ///
    /// # Errors
    /// Anything but `http(s)://host[:port][/prefix]`.
    pub fn parse(text: &str) -> Result<Self, (&'static str, &'static str)> {
        const SHAPE: &str = "write it as `http://host:3000`, with `https` for TLS";
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            _ => return Err(("is no http or https URL", SHAPE)),
        };
        let (authority, path) = rest
            .find('/')
            .and_then(|at| rest.split_at_checked(at))
            .unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err((
                "has a user or password in it",
                "remove it: Electric is asked with `secret`",
            ));
        }
        if rest.contains(['?', '#']) {
            return Err((
                "has a query or fragment",
                "remove it: `secret` and `source_id` have keys of their own",
            ));
        }
        let (host, port) = split_port(authority).ok_or(("has a wrong port", SHAPE))?;
        let host = host.to_ascii_lowercase();
        if !is_host_name(&host) && !is_bracketed_address(&host) {
            return Err(("has no host name", SHAPE));
        }
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if prefix.ends_with("/v1/shape") {
            return Err((
                "names the shape endpoint",
                "write the base URL: `/v1/shape` is added",
            ));
        }
        if !is_plain_path(prefix) {
            return Err((
                "has an unusual path",
                "use letters, digits, `-`, `_`, `.`, `~` between single slashes",
            ));
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self {
            tls,
            host,
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            prefix: prefix.to_owned(),
        })
    }
}

fn is_plain_path(path: &str) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '~');
    path.split('/')
        .skip(1)
        .all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain))
}

const SECRET_HELP: &str =
    "write `secret: { env: ELECTRIC_SECRET }`; an Electric without one needs `insecure_no_secret: true`";

pub(super) fn electric(reading: &mut Reading<'_>, node: &Node) -> Option<ElectricSettings> {
    let mut section = Section::open(reading, node, "electric")?;
    let url = section.require(reading, "url", "write `url: http://127.0.0.1:3000`");
    let url = url.and_then(|entry| read_url(reading, &entry.value));
    let secret = read_secret(reading, &mut section);
    let source_id = section
        .get(reading, "source_id")
        .map(|entry| read_source_id(reading, &entry.value));
    let ca = section
        .get(reading, "ca")
        .map(|entry| (entry.key_span, read_ca(reading, &entry.value)));
    section.finish(reading);
    let url = url?;
    let ca = match ca {
        None => None,
        Some((span, _)) if !url.value.tls => {
            return reading.refuse(
                span,
                "`ca` has no meaning for an http URL",
                "remove it, or use https",
            );
        }
        Some((_, ca)) => Some(ca?),
    };
    warn_if_plain(reading, &url);
    let source_id = source_id.map_or(Some(None), |id| id.map(Some))?;
    Some(ElectricSettings {
        url: url.value,
        secret: secret?,
        source_id,
        ca,
    })
}

fn read_url(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<ElectricUrl>> {
    let text = reading.text(node, "url")?;
    match ElectricUrl::parse(&text.value) {
        Ok(url) => Some(Spanned::new(url, text.span)),
        // The URL itself is not repeated: a wrong one may hold a password from the environment.
        Err((fault, help)) => reading.refuse(text.span, format!("the URL of `electric` {fault}"), help),
    }
}

/// The outer option is none where something is wrong.
fn read_secret(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Option<SecretSetting>> {
    let secret = section.get(reading, "secret");
    let waived = section.get(reading, "insecure_no_secret");
    let waiver = waived.map(|entry| {
        (
            entry.key_span,
            reading.boolean(&entry.value, "insecure_no_secret"),
        )
    });
    match (secret, waiver) {
        (Some(_), Some((span, Some(true)))) => reading.refuse(
            span,
            "`secret` and `insecure_no_secret: true` contradict each other",
            "keep `secret`",
        ),
        (Some(entry), _) => reading.secret(&entry.value, "secret").map(Some),
        (None, Some((span, Some(true)))) => {
            let message = "insecure_no_secret: whoever reaches Electric directly reads everything";
            reading.warn(span, message, "set ELECTRIC_SECRET there and `secret` here");
            Some(None)
        }
        // The key is there without a value: said already.
        (None, _) if section.has("secret") => None,
        (None, _) => refuse_missing(reading, section.span()),
    }
}

fn refuse_missing<T>(reading: &mut Reading<'_>, span: Span) -> Option<T> {
    reading.refuse(span, "`electric` lacks the key `secret`", SECRET_HELP)
}

fn read_source_id(reading: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = reading.text(node, "source_id")?;
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '~');
    if text.value.len() <= 256 && text.value.chars().all(plain) {
        return Some(text.value);
    }
    let help = "use letters, digits, `-`, `_`, `.` and `~`, 256 at most";
    reading.refuse(text.span, format!("`{}` is no source id", text.value), help)
}

pub(super) fn read_ca(reading: &mut Reading<'_>, node: &Node) -> Option<Authority> {
    let file = reading.file(node, "ca")?;
    let certificates = authorities(reading, &file)?;
    Some(Authority {
        path: file.path,
        certificates,
    })
}

/// Certificates of authorities.
pub(super) fn authorities(
    reading: &mut Reading<'_>,
    file: &NamedFile,
) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = reading.certificates(file)?;
    let mut anchors = rustls::RootCertStore::empty();
    for certificate in &certificates {
        if let Err(error) = anchors.add(certificate.clone()) {
            let message = format!(
                "a certificate of {} cannot be trusted: {error}",
                file.path.display()
            );
            return reading.refuse(file.span, message, "give the certificates of authorities, in PEM");
        }
    }
    Some(certificates)
}

/// The secret travels in the request line: in clear it belongs on one machine or in a private network.
fn warn_if_plain(reading: &mut Reading<'_>, url: &Spanned<ElectricUrl>) {
    let name_has_dot = url.value.host.contains('.') && url.value.host.parse::<std::net::IpAddr>().is_err();
    if !url.value.tls
        && name_has_dot
        && !url.value.host.ends_with(".internal")
        && !url.value.host.ends_with(".local")
    {
        let message = format!("the secret travels to {} in clear text", url.value.host);
        reading.warn(url.span, message, "use https outside a private network");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart_and_printed_in_full() {
        for (text, printed) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            (
                "https://API.electric-sql.cloud",
                "https://api.electric-sql.cloud:443",
            ),
            ("http://electric/", "http://electric:80"),
            (
                "https://sync.example.com/tenant/a/",
                "https://sync.example.com:443/tenant/a",
            ),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(ElectricUrl::parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn a_url_that_could_mean_something_else_is_refused() {
        for text in [
            "electric:3000",
            "ftp://electric",
            "http://",
            "http://user:pass@electric",
            "http://electric?secret=x",
            "http://electric:0",
            "http://electric:99999",
            "http://electric:x",
            "http://electric/v1/shape",
            "http://electric//a",
            "http://electric/../a",
            "http://electric/%2e",
            "http://elec tric",
            "http://[::1",
            "http://electric#a",
            "http://[::1]x:3000",
        ] {
            assert!(ElectricUrl::parse(text).is_err(), "{text}");
        }
    }
}
