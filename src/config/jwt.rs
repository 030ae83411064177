//! `jwt`: an issuer of signed tokens, its keys given here or published by itself.

use super::files::NamedFile;
use super::identity::{LIFETIME_MAX_DEFAULT, audience, read_claims, read_keys};
use super::keys;
use super::presets::{PRESETS, Preset};
use super::reading::{Reading, Section};
use super::source::Spanned;
use super::yaml::{Entry, Node};
use crate::identity::remote::{KeyLocation, RemoteSource, STALE_MAX_DEFAULT};
use crate::identity::{AudienceRule, ClaimMapping, IssuerSource, KeySource};
use std::time::Duration;

/// The longest that stale keys may be used.
const STALE_MAX_MAX: Duration = Duration::from_secs(7 * 86_400);
const LIFETIMES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);

/// An issuer as it is written.
pub(super) struct JwtMethod {
    pub(super) source: IssuerSource,
    /// The cookie that its tokens come in, besides `Authorization`.
    pub(super) cookie: Option<Spanned<String>>,
    pub(super) preset: Option<Preset>,
}

pub(super) fn jwt(reading: &mut Reading<'_>, node: &Node) -> Option<JwtMethod> {
    let mut section = Section::open(reading, node, "jwt")?;
    let preset = section
        .get(reading, "preset")
        .map(|entry| reading.choice(&entry.value, "preset", &PRESETS));
    let preset = preset.map_or(Some(None), |read| read.map(Some));
    let known = preset.flatten();
    let issuer = section.require(reading, "issuer", "write the exact `iss` of its tokens");
    let issuer = issuer.and_then(|entry| read_issuer(reading, &entry.value, known));
    let name = issuer.as_ref().map(|issuer| issuer.value.as_str());
    let audience = read_audience(reading, &mut section, known, name);
    let keys = read_key_sources(reading, &mut section, known, name);
    let lifetime_max = section.get(reading, "lifetime_max").map_or_else(
        || {
            Some(
                known
                    .and_then(Preset::lifetime_max)
                    .unwrap_or(LIFETIME_MAX_DEFAULT),
            )
        },
        |entry| reading.duration(&entry.value, "lifetime_max", LIFETIMES),
    );
    let token_type = section
        .get(reading, "token_type")
        .map(|entry| reading.text(&entry.value, "token_type"));
    let claims = section
        .get(reading, "claims")
        .map_or_else(|| Some(Vec::new()), |entry| read_claims(reading, &entry.value));
    let cookie = section
        .get(reading, "from")
        .map(|entry| read_cookie(reading, &entry.value));
    section.finish(reading);
    let keys = keys?;
    let source = IssuerSource {
        issuer: issuer?.value,
        keys: Vec::new(),
        audience: audience?,
        lifetime_max: Some(lifetime_max?),
        token_type: token_type.map_or(Some(None), |read| read.map(|text| Some(text.value)))?,
        claims: over(claims?, known),
    };
    Some(JwtMethod {
        source: keys::check(reading, source, node.span, &keys)?,
        cookie: cookie.map_or(Some(None), |read| read.map(Some))?,
        preset: preset?,
    })
}

/// What is written, over what the preset maps.
fn over(mut written: Vec<ClaimMapping>, preset: Option<Preset>) -> Vec<ClaimMapping> {
    let known = preset.map(Preset::claims).unwrap_or_default();
    let is_new = |claim: &ClaimMapping| !written.iter().any(|other| other.name() == claim.name());
    let more: Vec<ClaimMapping> = known.into_iter().filter(is_new).collect();
    written.extend(more);
    written
}

fn read_issuer(reading: &mut Reading<'_>, node: &Node, preset: Option<Preset>) -> Option<Spanned<String>> {
    let issuer = reading.text(node, "issuer")?;
    match preset.and_then(|preset| Some((preset, preset.expected_issuer(&issuer.value)?))) {
        None => Some(issuer),
        Some((preset, expected)) => {
            let message = format!("`{}` is no issuer of {}", issuer.value, preset.as_str());
            reading.refuse(
                issuer.span,
                message,
                format!("it is {expected}; or leave `preset` out"),
            )
        }
    }
}

fn read_audience(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    preset: Option<Preset>,
    issuer: Option<&str>,
) -> Option<AudienceRule> {
    let written = ["audience", "authorized_parties", "insecure_any_audience"]
        .iter()
        .any(|key| section.has(key));
    let Some(preset) = preset.filter(|_| !written) else {
        return audience(reading, section);
    };
    // Asked for, so that they are known keys.
    for key in ["audience", "authorized_parties", "insecure_any_audience"] {
        section.get(reading, key);
    }
    // Without an issuer something is wrong already.
    let known = preset.audience(issuer?);
    if known.is_none() {
        let message = "`jwt` does not say whom tokens must be for";
        return reading.refuse(section.span(), message, preset.audience_help());
    }
    known
}

/// The keys themselves, or where they are published.
pub(super) fn read_key_sources(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    preset: Option<Preset>,
    issuer: Option<&str>,
) -> Option<Vec<Spanned<KeySource>>> {
    let span = section.span();
    let remote = read_remote(reading, section, preset, issuer);
    if !section.has("keys") {
        section.get(reading, "keys");
        return Some(vec![Spanned::new(KeySource::Remote(remote?), span)]);
    }
    let remote_keys = [
        "jwks_url",
        "discovery",
        "jwks_stale_max",
        "ca",
        "client_id",
        "insecure_allow_private_addresses",
        "insecure_allow_http",
    ];
    if let Some(other) = remote_keys.iter().find(|key| section.has(key)) {
        let message = format!("`keys` and `{other}` exclude each other");
        return reading.refuse(span, message, "give the keys, or let them be fetched");
    }
    read_keys(reading, section)
}

fn read_remote(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    preset: Option<Preset>,
    issuer: Option<&str>,
) -> Option<RemoteSource> {
    let allow_private_addresses = waiver(reading, section, "insecure_allow_private_addresses");
    let allow_http = waiver(reading, section, "insecure_allow_http");
    let location = read_location(reading, section, preset, issuer, allow_http);
    let stale_max = section
        .get(reading, "jwks_stale_max")
        .map_or(Some(STALE_MAX_DEFAULT), |entry| {
            reading.duration(
                &entry.value,
                "jwks_stale_max",
                Duration::from_secs(300)..=STALE_MAX_MAX,
            )
        });
    let authorities = section
        .get(reading, "ca")
        .map(|entry| read_authorities(reading, &entry.value));
    Some(RemoteSource {
        location: location?,
        stale_max: stale_max?,
        allow_private_addresses,
        allow_http,
        authorities: authorities.map_or(Some(None), |read| read.map(Some))?,
    })
}

/// One insecure switch; what is wrong with it is told, and leaves it off.
fn waiver(reading: &mut Reading<'_>, section: &mut Section<'_>, key: &'static str) -> bool {
    let Some(entry) = section.get(reading, key) else {
        return false;
    };
    let allowed = reading.boolean(&entry.value, key) == Some(true);
    if allowed {
        let message = match key {
            "insecure_allow_http" => format!("{key}: whoever is on the way can put in keys of his own"),
            _ => format!("{key}: the issuer's names may lead to any address that this machine reaches"),
        };
        reading.warn(entry.key_span, message, "for issuers in a private network only");
    }
    allowed
}

fn read_location(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    preset: Option<Preset>,
    issuer: Option<&str>,
    allow_http: bool,
) -> Option<KeyLocation> {
    let jwks = section.get(reading, "jwks_url");
    let discovery = section.get(reading, "discovery");
    let client_id = section
        .get(reading, "client_id")
        .map(|entry| read_client_id(reading, entry, preset));
    let client_id = client_id.map_or(Some(None), |read| read.map(Some))?;
    let given = section.has("keys");
    match (jwks, discovery) {
        (Some(entry), None) => url(reading, &entry.value, "jwks_url", allow_http).map(KeyLocation::Jwks),
        (None, Some(entry)) => {
            url(reading, &entry.value, "discovery", allow_http).map(KeyLocation::Discovery)
        }
        (Some(_), Some(_)) => {
            let message = "`jwks_url` and `discovery` exclude each other";
            reading.refuse(
                section.span(),
                message,
                "keep `jwks_url`: then nothing has to be discovered",
            )
        }
        (None, None) => {
            let issuer = issuer?;
            let location = preset.map_or(Some(KeyLocation::Issuer), |preset| {
                preset.location(issuer, client_id.as_deref())
            });
            let fault = if given {
                None
            } else {
                url_fault(issuer, allow_http)
            };
            match (location, fault) {
                (Some(_), Some(fault)) => {
                    let message =
                        format!("the keys of `{issuer}` cannot be found by its name, which {fault}");
                    let help = "give them: `keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ]`, or their place: `jwks_url: https://…`";
                    reading.refuse(section.span(), message, help)
                }
                (Some(location), None) => Some(location),
                (None, _) if given => None,
                (None, _) => reading.refuse(
                    section.span(),
                    "`workos` has a set of keys for each client",
                    "write `client_id: client_…`",
                ),
            }
        }
    }
}

fn read_client_id(reading: &mut Reading<'_>, entry: &Entry, preset: Option<Preset>) -> Option<String> {
    let text = reading.text(&entry.value, "client_id")?;
    if preset != Some(Preset::Workos) {
        let message = "`client_id` has a meaning only for `preset: workos`";
        return reading.refuse(entry.key_span, message, "remove it");
    }
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    if text.value.chars().all(plain) {
        return Some(text.value);
    }
    let message = format!("`{}` is no client id", text.value);
    reading.refuse(text.span, message, "write `client_…`, as WorkOS shows it")
}

fn url(reading: &mut Reading<'_>, node: &Node, name: &str, allow_http: bool) -> Option<String> {
    let text = reading.text(node, name)?;
    match url_fault(&text.value, allow_http) {
        None => Some(text.value),
        // The URL itself is not repeated: it may hold what it should not.
        Some(fault) => {
            let help = "write `https://host/path`; `insecure_allow_http: true` takes `http` as well";
            reading.refuse(text.span, format!("`{name}` {fault}"), help)
        }
    }
}

fn url_fault(text: &str, allow_http: bool) -> Option<&'static str> {
    let uri = text.parse::<http::Uri>().ok();
    match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("https") => {}
        Some("http") if allow_http => {}
        Some("http") => return Some("is http, not https"),
        _ => return Some("is no https URL"),
    }
    let authority = uri.as_ref().and_then(http::Uri::authority);
    match authority {
        Some(authority) if !authority.as_str().contains('@') => None,
        _ => Some("has a user in it"),
    }
}

fn read_authorities(
    reading: &mut Reading<'_>,
    node: &Node,
) -> Option<Vec<rustls::pki_types::CertificateDer<'static>>> {
    let file: NamedFile = reading.file(node, "ca")?;
    super::electric::authorities(reading, &file)
}

/// `{ cookie: name }`.
fn read_cookie(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<String>> {
    let mut section = Section::open(reading, node, "from")?;
    let help = "write `from: { cookie: __session }`; `Authorization: Bearer` is read all the same";
    let entry = section.require(reading, "cookie", help);
    section.finish(reading);
    let name = reading.text(&entry?.value, "cookie")?;
    // A token (RFC 6265 §4.1.1).
    let plain = |char: char| char.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(char);
    if name.value.len() <= 256 && name.value.chars().all(plain) {
        return Some(name);
    }
    reading.refuse(
        name.span,
        format!("`{}` is no name of a cookie", name.value),
        help,
    )
}
