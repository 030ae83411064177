//! `identity`: how those who ask are known.

use super::keys;
use super::reading::{Reading, Section, not_yet};
use super::source::{Span, Spanned};
use super::yaml::{Entry, Kind, Node};
use crate::identity::{ClaimKind, ClaimMapping, ClaimPath, KeySource};
use shapegate_core::value::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Longest lifetime of a token, from `iat` to `exp`, where none is set.
pub const LIFETIME_MAX_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most methods, and most audiences of one.
const LIST_MAX: usize = 64;

/// One way of being known.
#[derive(Clone, Debug)]
pub enum IdentityMethod {
    /// A signed token of one issuer.
    Jwt(JwtSettings),
    /// Everybody without a credential is this user. For development.
    InsecureDevUser {
        /// The user's claims; `sub` among them.
        claims: BTreeMap<Arc<str>, Value>,
    },
}

/// Tokens of one issuer.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// Where it is written.
    pub span: Span,
    /// The exact `iss`.
    pub issuer: String,
    /// Whom its tokens must be for.
    pub audience: Audience,
    /// Its keys, each with its place.
    pub keys: Vec<Spanned<KeySource>>,
    /// Longest time between `iat` and `exp`.
    pub lifetime_max: Duration,
    /// Claims under names of the operator's choice.
    pub claims: Vec<ClaimMapping>,
}

/// Whom a token must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `aud` must have one of these.
    Audience(Vec<String>),
    /// `azp` must be one of these.
    AuthorizedParties(Vec<String>),
    /// Tokens that the issuer gave to any application are taken.
    InsecureAny,
}

pub(super) fn identity(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<IdentityMethod>> {
    let items = reading.list(node, "identity")?;
    if items.len() > LIST_MAX {
        return reading.refuse(node.span, format!("more than {LIST_MAX} methods"), "remove some");
    }
    let read: Vec<_> = items.iter().map(|item| method(reading, item)).collect();
    let methods: Vec<(Span, IdentityMethod)> = read.into_iter().collect::<Option<_>>()?;
    refuse_twins(reading, &methods)?;
    Some(methods.into_iter().map(|(_, method)| method).collect())
}

const METHOD_HELP: &str = "write `- jwt: { issuer: …, audience: …, keys: […] }`";

fn method(reading: &mut Reading<'_>, node: &Node) -> Option<(Span, IdentityMethod)> {
    let Kind::Map(entries) = &node.kind else {
        return reading.refuse(node.span, format!("a method must be a map, not {}", node.described()), METHOD_HELP);
    };
    let [Entry { key, key_span, value }] = entries.as_slice() else {
        return reading.refuse(node.span, "a method has one key that names its kind", METHOD_HELP);
    };
    let method = match key.as_str() {
        "jwt" => jwt(reading, value, *key_span).map(IdentityMethod::Jwt),
        "insecure_dev_user" => dev_user(reading, value, *key_span),
        "session" | "postgres" | "api_keys" => {
            not_yet(reading, *key_span, key, "; `jwt` works");
            None
        }
        other => {
            let known = ["jwt", "insecure_dev_user", "session", "postgres", "api_keys"];
            let help = match super::problem::did_you_mean(other, known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => METHOD_HELP.to_owned(),
            };
            reading.refuse(*key_span, format!("unknown method `{other}`"), help)
        }
    };
    Some((*key_span, method?))
}

fn jwt(reading: &mut Reading<'_>, node: &Node, span: Span) -> Option<JwtSettings> {
    let mut section = Section::open(reading, node, "jwt")?;
    section.later(reading, "preset", "; write `issuer`, `audience` and `keys` out");
    section.later(reading, "jwks_url", "; give `keys: [ { file: jwks.json } ]`");
    section.later(reading, "discovery", "; give `keys: [ { file: jwks.json } ]`");
    let issuer = section.require(reading, "issuer", "write the exact `iss` of its tokens");
    let issuer = issuer.and_then(|entry| reading.text(&entry.value, "issuer"));
    let audience = audience(reading, &mut section);
    let keys = read_keys(reading, &mut section);
    let lifetime = section.get(reading, "lifetime_max").map(|entry| {
        reading.duration(&entry.value, "lifetime_max", Duration::from_secs(1)..=Duration::from_secs(366 * 86_400))
    });
    let claims = section.get(reading, "claims").map(|entry| read_claims(reading, &entry.value));
    section.finish(reading);
    Some(JwtSettings {
        span,
        issuer: issuer?.value,
        audience: audience?,
        keys: keys?,
        lifetime_max: lifetime.unwrap_or(Some(LIFETIME_MAX_DEFAULT))?,
        claims: claims.unwrap_or_else(|| Some(Vec::new()))?,
    })
}

const AUDIENCE_HELP: &str =
    "write `audience: sync`, the `aud` that the issuer puts into tokens for this service, or `authorized_parties`";

fn audience(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Audience> {
    let audience = section.get(reading, "audience");
    let parties = section.get(reading, "authorized_parties");
    let any = section.get(reading, "insecure_any_audience");
    if audience.is_none() && section.has("audience") || parties.is_none() && section.has("authorized_parties") {
        return None;
    }
    match (audience, parties, any) {
        (Some(entry), None, None) => names(reading, entry).map(Audience::Audience),
        (None, Some(entry), None) => names(reading, entry).map(Audience::AuthorizedParties),
        (None, None, Some(entry)) => any_audience(reading, entry),
        (None, None, None) => reading.refuse(section.span(), "`jwt` does not say whom tokens must be for", AUDIENCE_HELP),
        _ => {
            let message = "`audience`, `authorized_parties` and `insecure_any_audience` exclude each other";
            reading.refuse(section.span(), message, "keep one of them")
        }
    }
}

fn any_audience(reading: &mut Reading<'_>, entry: &Entry) -> Option<Audience> {
    if !reading.boolean(&entry.value, "insecure_any_audience")? {
        return reading.refuse(entry.key_span, "`jwt` does not say whom tokens must be for", AUDIENCE_HELP);
    }
    let message = "insecure_any_audience: a token that the issuer made for any other application is taken";
    reading.warn(entry.key_span, message, "set `audience`");
    Some(Audience::InsecureAny)
}

/// One name, or a list of them.
fn names(reading: &mut Reading<'_>, entry: &Entry) -> Option<Vec<String>> {
    let list = match &entry.value.kind {
        Kind::List(_) => reading.each(&entry.value, &entry.key, |reading, item| reading.text(item, &entry.key))?,
        _ => vec![reading.text(&entry.value, &entry.key)?],
    };
    if list.is_empty() || list.len() > LIST_MAX {
        let message = format!("`{}` must have 1 to {LIST_MAX} entries", entry.key);
        return reading.refuse(entry.value.span, message, "write the values that tokens have");
    }
    Some(list.into_iter().map(|name| name.value).collect())
}

fn read_keys(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Vec<Spanned<KeySource>>> {
    let elsewhere = ["preset", "jwks_url", "discovery"].iter().any(|key| section.has(key));
    let Some(entry) = section.get(reading, "keys") else {
        if !elsewhere && !section.has("keys") {
            let message = "finding an issuer's keys by discovery is not yet supported";
            let help = "give them: `keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ]` or `keys: [ { file: jwks.json } ]`";
            reading.problems.push(super::problem::Problem::error(section.span(), message).help(help));
        }
        return None;
    };
    let sources = reading.each(&entry.value, "keys", keys::key)?;
    keys::check(reading, entry.value.span, &sources)?;
    Some(sources)
}

fn read_claims(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<ClaimMapping>> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("`claims` must be a map, not {}", node.described());
        return reading.refuse(node.span, message, "write `claims: { org_id: o.id }`");
    };
    let read: Vec<_> = entries.iter().map(|entry| claim(reading, entry)).collect();
    read.into_iter().collect()
}

/// `name: path`, or `name: { from: path, type: …, default: … }`.
fn claim(reading: &mut Reading<'_>, entry: &Entry) -> Option<ClaimMapping> {
    let written_out = matches!(entry.value.kind, Kind::Map(_)) && entry.value.get("env").is_none();
    let (from, kind, default) = if written_out {
        let mut section = Section::open(reading, &entry.value, &entry.key)?;
        let from = section.require(reading, "from", "name the claim: `from: app_metadata.roles`");
        let from = from.and_then(|from| claim_path(reading, &from.value));
        let kind = section.get(reading, "type").map(|kind| reading.choice(&kind.value, "type", &CLAIM_KINDS));
        let default = section.get(reading, "default").map(|default| reading.value(&default.value, "default"));
        section.finish(reading);
        (from?, kind.unwrap_or(Some(ClaimKind::Any))?, default.map_or(Some(None), |value| value.map(Some))?)
    } else {
        (claim_path(reading, &entry.value)?, ClaimKind::Any, None)
    };
    match ClaimMapping::new(&entry.key, from, kind, default) {
        Ok(mapping) => Some(mapping),
        Err(error) => reading.refuse(entry.key_span, error.to_string(), "choose another name or default"),
    }
}

const CLAIM_KINDS: [(&str, ClaimKind); 5] = [
    ("string", ClaimKind::String),
    ("int", ClaimKind::Int),
    ("bool", ClaimKind::Bool),
    ("list", ClaimKind::List),
    ("any", ClaimKind::Any),
];

fn claim_path(reading: &mut Reading<'_>, node: &Node) -> Option<ClaimPath> {
    let path = match &node.kind {
        Kind::List(_) => {
            let members = reading.each(node, "from", |reading, item| reading.text(item, "from"))?;
            ClaimPath::members(members.iter().map(|member| member.value.as_str()))
        }
        _ => ClaimPath::dotted(&reading.text(node, "from")?.value),
    };
    match path {
        Ok(path) => Some(path),
        Err(error) => reading.refuse(node.span, error.to_string(), "write `org.id`, or `[org, id]`"),
    }
}

fn dev_user(reading: &mut Reading<'_>, node: &Node, span: Span) -> Option<IdentityMethod> {
    let claims = reading.value_map(node, "insecure_dev_user")?;
    if !claims.get("sub").is_some_and(|sub| sub.as_str().is_some_and(|sub| !sub.is_empty())) {
        return reading.refuse(node.span, "`insecure_dev_user` lacks `sub`", "write `{ sub: user_1, … }`");
    }
    if reading.surroundings.variable("SHAPEGATE_ENV").as_deref() == Some("production") {
        let message = "`insecure_dev_user` lets everybody in, and SHAPEGATE_ENV is production";
        return reading.refuse(span, message, "remove it, or set SHAPEGATE_ENV to something else");
    }
    reading.warn(
        span,
        "insecure_dev_user: everybody without a credential is this user",
        "for development only: SHAPEGATE_ENV=production refuses it",
    );
    Some(IdentityMethod::InsecureDevUser { claims })
}

/// Two methods for one issuer, or two made-up users: nobody could say which decides.
fn refuse_twins(reading: &mut Reading<'_>, methods: &[(Span, IdentityMethod)]) -> Option<()> {
    let mut seen = HashSet::new();
    let mut right = true;
    for (span, method) in methods {
        let (name, what) = match method {
            IdentityMethod::Jwt(jwt) => (Some(jwt.issuer.as_str()), format!("the issuer `{}`", jwt.issuer)),
            IdentityMethod::InsecureDevUser { .. } => (None, "`insecure_dev_user`".to_owned()),
        };
        if !seen.insert(name) {
            right = false;
            reading.refuse::<()>(*span, format!("{what} is there twice"), "keep one; one issuer may have several keys");
        }
    }
    right.then_some(())
}
