//! Where a service is and how we prove who we are: `url`, `token`, `ca`.

use super::super::electric::read_ca;
use super::super::host::{is_bracketed_address, is_host_name, split_port};
use super::super::reading::{Reading, Section};
use super::super::yaml::Node;
use crate::authorizer::{ANSWER_BYTES_MAX, ServiceSettings, ServiceUrl};
use http::header::HeaderValue;
use shapegate_core::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a token is sent.
#[derive(Clone, Copy)]
pub(super) enum TokenScheme {
    /// `Authorization: Bearer …`.
    Bearer,
    /// None is: what goes along belongs to whoever asks.
    None,
}

pub(super) fn service(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    scheme: TokenScheme,
) -> Option<ServiceSettings> {
    let url = section.require(reading, "url", "write `url: http://authorizer:8080`");
    let url = url.and_then(|entry| read_url(reading, &entry.value));
    let token = match scheme {
        TokenScheme::Bearer => section.get(reading, "token"),
        TokenScheme::None => None,
    };
    let authorization = token.map(|entry| bearer(reading, &entry.value));
    let ca = section.get(reading, "ca");
    let ca = ca.map(|entry| (entry.key_span, read_ca(reading, &entry.value)));
    let url = url?;
    let is_plain = url.starts_with("http://");
    let authorities = match ca {
        None => None,
        Some((span, _)) if is_plain => {
            return reading.refuse(
                span,
                "`ca` has no meaning for an http URL",
                "remove it, or use https",
            );
        }
        Some((_, ca)) => Some(ca?.certificates),
    };
    Some(ServiceSettings {
        url: ServiceUrl::new(&url),
        authorization: authorization.map_or(Some(None), |read| read.map(Some))?,
        authorities,
        answer_bytes_max: ANSWER_BYTES_MAX,
    })
}

fn bearer(reading: &mut Reading<'_>, node: &Node) -> Option<HeaderValue> {
    let secret = reading.secret(node, "token")?;
    match HeaderValue::try_from(format!("Bearer {}", secret.text)) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Some(value)
        }
        Err(_) => reading.refuse(
            secret.span,
            "the secret `token` does not fit into a header",
            "use ASCII",
        ),
    }
}

/// The text of a URL that means one thing: `http(s)://host[:port][/path]`.
pub(in super::super) fn read_url(reading: &mut Reading<'_>, node: &Node) -> Option<String> {
    let text = reading.text(node, "url")?;
    match check_url(&text.value) {
        Ok(()) => Some(text.value),
        // The URL itself is not repeated: a wrong one may hold a password from the environment.
        Err(fault) => {
            let help = "write it as `https://host:port/path`, without a user, a query or a fragment";
            reading.refuse(text.span, format!("the URL {fault}"), help)
        }
    }
}

fn check_url(text: &str) -> Result<(), &'static str> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or("is no http or https URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err("has a user or password in it");
    }
    if rest.contains(['?', '#']) {
        return Err("has a query or fragment");
    }
    let (host, _) = split_port(authority).ok_or("has a wrong port")?;
    let host = host.to_ascii_lowercase();
    if !is_host_name(&host) && !is_bracketed_address(&host) {
        return Err("has no host name");
    }
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '~');
    let bare = path.strip_suffix('/').unwrap_or(path);
    let usual = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(plain);
    if !bare.is_empty() && !bare.split('/').all(usual) {
        return Err("has an unusual path");
    }
    Ok(())
}

/// `defaults`: facts that are there even where an answer lacks them.
pub(super) fn defaults(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
) -> Option<BTreeMap<Arc<str>, Value>> {
    match section.get(reading, "defaults") {
        None => Some(BTreeMap::new()),
        Some(entry) => reading.value_map(&entry.value, "defaults"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_could_mean_something_else_is_refused() {
        for text in [
            "http://opa:8181",
            "https://[::1]:8443/v1",
            "https://authz.example.com/a/b",
        ] {
            assert_eq!(check_url(text), Ok(()), "{text}");
        }
        for text in [
            "opa:8181",
            "ftp://opa",
            "http://",
            "http://u:p@opa",
            "http://opa?x=1",
            "http://opa#x",
            "http://opa:0",
            "http://opa/../x",
            "http://opa//x",
            "http://opa/%2e",
            "http://o pa",
            "file:///etc/passwd",
        ] {
            assert!(check_url(text).is_err(), "{text}");
        }
    }
}
