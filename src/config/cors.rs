//! `cors`: which pages of other origins may read answers.

use super::host::{is_bracketed_address, is_host_name, is_label, split_port};
use super::reading::{Reading, Section};
use super::yaml::{Kind, Node};
use std::fmt;

/// Most origins that may be listed.
const ORIGINS_MAX: usize = 256;

/// Which pages of other origins may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// The origins.
    pub origins: Origins,
    /// Whether cookies may come along. Never true together with any origin.
    pub credentials: bool,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            origins: Origins::Any,
            credentials: false,
        }
    }
}

/// Origins that are granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every origin.
    Any,
    /// These.
    Listed(Vec<OriginPattern>),
}

impl Origins {
    /// Whether the value of an `Origin` header is granted.
    pub fn grant(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        }
    }
}

/// One origin, or all whose first label stands where `*` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// `https://` or `http://`, and for an exact origin all of it.
    head: String,
    /// For a wildcard: what follows the first label, from its dot on, port included.
    tail: Option<String>,
}

impl OriginPattern {
    /// Whether an origin, as browsers serialise it, is meant.
    pub fn matches(&self, origin: &str) -> bool {
        let Some(tail) = &self.tail else {
            return origin == self.head;
        };
        let label = origin
            .strip_prefix(self.head.as_str())
            .and_then(|rest| rest.strip_suffix(tail.as_str()));
        label.is_some_and(is_label)
    }

    /// Reads `https://app.example.com`, `http://localhost:5173` or `https://*.example.com`.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, authority) = match text.split_once("://") {
            Some((scheme @ ("https" | "http"), authority)) => (scheme, authority),
            _ => return Err("does not begin with https:// or http://"),
        };
        if authority.contains(['/', '?', '#', '@']) {
            return Err("has more than a scheme, a host and a port");
        }
        let (host, port) = split_port(authority).ok_or("has a wrong port")?;
        let default = if scheme == "https" { 443 } else { 80 };
        if port == Some(default) {
            return Err("names its scheme's own port, which browsers leave out");
        }
        let wildcard = host.strip_prefix("*.");
        let name = wildcard.unwrap_or(host);
        if !is_host_name(name) && (wildcard.is_some() || !is_bracketed_address(name)) {
            return Err("has no host name in lower case with one `*.` at most, in front");
        }
        if wildcard.is_some_and(|name| !name.contains('.')) {
            return Err("would grant a whole top-level domain");
        }
        match (wildcard, authority.strip_prefix('*')) {
            (Some(_), Some(tail)) => Ok(Self {
                head: format!("{scheme}://"),
                tail: Some(tail.to_owned()),
            }),
            _ => Ok(Self {
                head: text.to_owned(),
                tail: None,
            }),
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tail {
            None => formatter.write_str(&self.head),
            Some(tail) => write!(formatter, "{}*{tail}", self.head),
        }
    }
}

pub(super) fn cors(reading: &mut Reading<'_>, node: &Node) -> Option<Cors> {
    let mut section = Section::open(reading, node, "cors")?;
    let origins = section
        .get(reading, "origins")
        .map(|entry| read_origins(reading, &entry.value));
    let credentials = section.get(reading, "credentials");
    let allowed = credentials.map(|entry| reading.boolean(&entry.value, "credentials"));
    section.finish(reading);
    let origins = origins.unwrap_or(Some(Origins::Any))?;
    let allowed = allowed.unwrap_or(Some(false))?;
    if let (Some(entry), true, Origins::Any) = (credentials, allowed, &origins) {
        let message = "with credentials, any page on the web could read as the user who visits it";
        return reading.refuse(entry.key_span, message, "list `origins`, or remove `credentials`");
    }
    Some(Cors {
        origins,
        credentials: allowed,
    })
}

fn read_origins(reading: &mut Reading<'_>, node: &Node) -> Option<Origins> {
    if matches!(&node.kind, Kind::Scalar { text, .. } if text == "any") {
        return Some(Origins::Any);
    }
    let list = reading.each(node, "origins", origin)?;
    if list.is_empty() || list.len() > ORIGINS_MAX {
        let message = format!("`origins` must have 1 to {ORIGINS_MAX} entries");
        return reading.refuse(node.span, message, "list them, or write `origins: any`");
    }
    Some(Origins::Listed(list))
}

fn origin(reading: &mut Reading<'_>, node: &Node) -> Option<OriginPattern> {
    let text = reading.text(node, "origins")?;
    let help = match text.value.as_str() {
        "*" => "to grant every origin write `origins: any`",
        "null" => "sandboxed pages and files share the origin `null`: it cannot be granted",
        _ => "write `https://app.example.com`, or `https://*.example.com` for one label",
    };
    match OriginPattern::parse(&text.value) {
        Ok(pattern) => Some(pattern),
        Err(fault) => reading.refuse(text.span, format!("the origin `{}` {fault}", text.value), help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        let pattern = OriginPattern::parse("https://*.acme.vercel.app").unwrap();
        assert_eq!(pattern.to_string(), "https://*.acme.vercel.app");
        assert!(pattern.matches("https://feature-1.acme.vercel.app"));
        for other in [
            "https://acme.vercel.app",
            "https://.acme.vercel.app",
            "https://a.b.acme.vercel.app",
            "http://x.acme.vercel.app",
            "https://x.acme.vercel.app:8443",
            "https://x.acme.vercel.app.evil.com",
            "https://evil.com/.acme.vercel.app",
            "https://x@y.acme.vercel.app",
            "null",
            "",
        ] {
            assert!(!pattern.matches(other), "{other}");
        }
    }

    #[test]
    fn an_exact_origin_is_matched_to_the_letter() {
        let pattern = OriginPattern::parse("http://localhost:5173").unwrap();
        assert!(pattern.matches("http://localhost:5173"));
        assert!(!pattern.matches("http://localhost") && !pattern.matches("http://localhost:51730"));
    }

    #[test]
    fn what_no_browser_would_send_is_refused() {
        for text in [
            "*",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://App.example.com",
            "https://*.com",
            "https://a.*.example.com",
            "https://*",
            "https://app.example.com:443",
            "http://x:80",
            "https://u@x.com",
            "https://*.*.example.com",
            "https://[::1",
            "https://x.com:0",
        ] {
            assert!(OriginPattern::parse(text).is_err(), "{text}");
        }
    }
}
