//! `identity`: how those who ask are known.

use super::api_keys::{self, ApiKeySettings};
use super::jwt::{JwtMethod, jwt};
use super::keys;
use super::presets::Preset;
use super::providers::{self, ProviderSettings};
use super::reading::{Reading, Section};
use super::source::{Span, Spanned};
use super::yaml::{Entry, Kind, Node};
use crate::identity::{
    AudienceRule, Carrier, ClaimKind, ClaimMapping, ClaimPath, ISSUERS_MAX, IssuerSource, KeySource,
};
use shapegate_core::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Longest lifetime of a token, from `iat` to `exp`, where none is set.
pub const LIFETIME_MAX_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most audiences of one issuer.
const LIST_MAX: usize = 64;

/// How those who ask are known.
#[derive(Clone, Debug, Default)]
pub struct IdentitySettings {
    /// Issuers of signed tokens, each with its place.
    pub issuers: Vec<Spanned<IssuerSource>>,
    /// Whoever is asked about credentials that say nothing themselves, each with its place.
    pub providers: Vec<Spanned<ProviderSettings>>,
    /// Keys that programs send.
    pub api_keys: Option<Spanned<ApiKeySettings>>,
    /// The cookies that carry tokens, each with its place.
    pub cookies: Vec<Spanned<String>>,
    /// The presets that issuers have.
    pub presets: Vec<Preset>,
    /// The claims of the user that everybody without a credential is. For development.
    pub dev_user: Option<Spanned<BTreeMap<Arc<str>, Value>>>,
}

impl IdentitySettings {
    /// Whether nobody can be known.
    pub fn is_empty(&self) -> bool {
        let nobody_asked = self.providers.is_empty() && self.api_keys.is_none();
        self.issuers.is_empty() && nobody_asked && self.dev_user.is_none()
    }

    /// Everything that carries a credential besides bearer tokens.
    pub fn carriers(&self) -> impl Iterator<Item = &Carrier> {
        let providers = self.providers.iter().map(|provider| &provider.value.from);
        providers.chain(self.api_keys.iter().flat_map(|keys| &keys.value.from))
    }

    /// The cookies that are credentials, each with its place.
    pub fn credential_cookies(&self) -> Vec<Spanned<String>> {
        let of_provider = |provider: &Spanned<ProviderSettings>| match &provider.value.from {
            Carrier::Cookie(name) => Some(Spanned::new(name.clone(), provider.span)),
            _ => None,
        };
        let of_keys = |keys: &Spanned<ApiKeySettings>| -> Vec<Spanned<String>> {
            let carriers = keys.value.from.iter();
            let cookies = carriers.filter_map(|carrier| match carrier {
                Carrier::Cookie(name) => Some(Spanned::new(name.clone(), keys.span)),
                _ => None,
            });
            cookies.collect()
        };
        let providers = self.providers.iter().filter_map(of_provider);
        let keys = self.api_keys.iter().flat_map(of_keys);
        self.cookies
            .iter()
            .cloned()
            .chain(providers)
            .chain(keys)
            .collect()
    }

    /// Names that `user` has whoever it is: mapped with a default by every issuer, and given to the
    /// development user.
    pub fn certain_claims(&self) -> BTreeSet<Arc<str>> {
        let of = |claims: &[ClaimMapping]| -> BTreeSet<Arc<str>> {
            let certain = claims.iter().filter(|claim| claim.has_default());
            certain.map(|claim| claim.name().into()).collect()
        };
        let dev_user = self
            .dev_user
            .iter()
            .map(|user| user.value.keys().cloned().collect());
        let issuers = self.issuers.iter().map(|issuer| of(&issuer.value.claims));
        let providers = self.providers.iter().map(|provider| of(&provider.value.claims));
        let keys = self.api_keys.iter().map(|keys| keys.value.certain_claims());
        let all = issuers.chain(providers).chain(keys).chain(dev_user);
        all.reduce(|one, other| one.intersection(&other).cloned().collect())
            .unwrap_or_default()
    }
}

enum Method {
    Issuer(Box<JwtMethod>),
    Provider(Box<ProviderSettings>),
    Keys(ApiKeySettings),
    DevUser(BTreeMap<Arc<str>, Value>),
}

pub(super) fn identity(reading: &mut Reading<'_>, node: &Node) -> Option<IdentitySettings> {
    let read = reading.each(node, "identity", method)?;
    let mut settings = IdentitySettings::default();
    let mut right = true;
    for Spanned { value, span } in read {
        right &= match value {
            Method::Issuer(jwt) => add_issuer(reading, &mut settings, *jwt, span),
            Method::Provider(provider) => add_provider(reading, &mut settings, *provider, span),
            Method::Keys(keys) => add_keys(reading, &mut settings, keys, span),
            Method::DevUser(claims) => add_dev_user(reading, &mut settings, claims, span),
        };
    }
    if settings.issuers.len() > ISSUERS_MAX {
        return reading.refuse(
            node.span,
            format!("more than {ISSUERS_MAX} issuers"),
            "remove some",
        );
    }
    right.then_some(settings)
}

fn add_issuer(
    reading: &mut Reading<'_>,
    settings: &mut IdentitySettings,
    jwt: JwtMethod,
    span: Span,
) -> bool {
    let JwtMethod {
        source: issuer,
        cookie,
        preset,
    } = jwt;
    if settings
        .issuers
        .iter()
        .any(|known| known.value.issuer == issuer.issuer)
    {
        let message = format!("the issuer `{}` is there twice", issuer.issuer);
        reading.refuse::<()>(span, message, "keep one; one issuer may have several keys");
        return false;
    }
    settings.issuers.push(Spanned::new(issuer, span));
    settings.presets.extend(preset);
    let taken = |name: &str| {
        settings
            .carriers()
            .any(|known| *known == Carrier::Cookie(name.to_owned()))
    };
    if cookie.as_ref().is_some_and(|cookie| taken(&cookie.value)) {
        return carrier_twice(reading, span);
    }
    if let Some(cookie) = cookie
        && settings.cookies.iter().all(|known| known.value != cookie.value)
    {
        settings.cookies.push(cookie);
    }
    true
}

/// A carrier belongs to one method: which one a credential meant could not be told.
fn add_provider(
    reading: &mut Reading<'_>,
    settings: &mut IdentitySettings,
    provider: ProviderSettings,
    span: Span,
) -> bool {
    let has_tokens = |name: &str| settings.cookies.iter().any(|cookie| cookie.value == name);
    let taken = matches!(&provider.from, Carrier::Cookie(name) if has_tokens(name));
    if taken || settings.carriers().any(|known| *known == provider.from) {
        return carrier_twice(reading, span);
    }
    settings.providers.push(Spanned::new(provider, span));
    true
}

fn add_keys(
    reading: &mut Reading<'_>,
    settings: &mut IdentitySettings,
    keys: ApiKeySettings,
    span: Span,
) -> bool {
    if settings.api_keys.is_some() {
        reading.refuse::<()>(span, "`api_keys` is there twice", "put all keys into one file");
        return false;
    }
    if settings.carriers().any(|known| keys.from.contains(known)) {
        return carrier_twice(reading, span);
    }
    settings.api_keys = Some(Spanned::new(keys, span));
    true
}

fn carrier_twice(reading: &mut Reading<'_>, span: Span) -> bool {
    let message = "another method takes its credentials from the same place";
    let help = "give one of them another cookie, header or scheme, or a `prefix`";
    reading.refuse::<()>(span, message, help);
    false
}

fn add_dev_user(
    reading: &mut Reading<'_>,
    settings: &mut IdentitySettings,
    claims: BTreeMap<Arc<str>, Value>,
    span: Span,
) -> bool {
    if settings.dev_user.is_some() {
        reading.refuse::<()>(span, "`insecure_dev_user` is there twice", "keep one of them");
        return false;
    }
    settings.dev_user = Some(Spanned::new(claims, span));
    true
}

const METHOD_HELP: &str = "write `- jwt: { issuer: …, audience: …, keys: […] }`";

fn method(reading: &mut Reading<'_>, node: &Node) -> Option<Spanned<Method>> {
    let Kind::Map(entries) = &node.kind else {
        return reading.refuse(
            node.span,
            format!("a method must be a map, not {}", node.described()),
            METHOD_HELP,
        );
    };
    let [Entry { key, key_span, value }] = entries.as_slice() else {
        return reading.refuse(node.span, "a method has one key that names its kind", METHOD_HELP);
    };
    let method = match key.as_str() {
        "jwt" => jwt(reading, value).map(|jwt| Method::Issuer(Box::new(jwt))),
        "insecure_dev_user" => dev_user(reading, value, *key_span),
        "session" | "postgres" | "introspection" => providers::provider(reading, key, value)
            .map(Box::new)
            .map(Method::Provider),
        "api_keys" => api_keys::api_keys(reading, value).map(Method::Keys),
        other => {
            let known = [
                "jwt",
                "insecure_dev_user",
                "session",
                "postgres",
                "introspection",
                "api_keys",
            ];
            let help = match super::problem::did_you_mean(other, known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}; {METHOD_HELP}", known.join(", ")),
            };
            reading.refuse(*key_span, format!("unknown method `{other}`"), help)
        }
    };
    Some(Spanned::new(method?, *key_span))
}

const AUDIENCE_HELP: &str = "write `audience: sync`, the `aud` that the issuer puts into tokens for this service, or `authorized_parties`";

pub(super) fn audience(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<AudienceRule> {
    let audience = section.get(reading, "audience");
    let parties = section.get(reading, "authorized_parties");
    let any = section.get(reading, "insecure_any_audience");
    if audience.is_none() && section.has("audience") || parties.is_none() && section.has("authorized_parties")
    {
        return None;
    }
    match (audience, parties, any) {
        (Some(entry), None, None) => names(reading, entry).map(AudienceRule::Audience),
        (None, Some(entry), None) => names(reading, entry).map(AudienceRule::AuthorizedParties),
        (None, None, Some(entry)) => any_audience(reading, entry),
        (None, None, None) => reading.refuse(
            section.span(),
            "`jwt` does not say whom tokens must be for",
            AUDIENCE_HELP,
        ),
        _ => {
            let message = "`audience`, `authorized_parties` and `insecure_any_audience` exclude each other";
            reading.refuse(section.span(), message, "keep one of them")
        }
    }
}

fn any_audience(reading: &mut Reading<'_>, entry: &Entry) -> Option<AudienceRule> {
    if !reading.boolean(&entry.value, "insecure_any_audience")? {
        return reading.refuse(
            entry.key_span,
            "`jwt` does not say whom tokens must be for",
            AUDIENCE_HELP,
        );
    }
    let message = "insecure_any_audience: a token that the issuer made for any other application is taken";
    reading.warn(entry.key_span, message, "set `audience`");
    Some(AudienceRule::InsecureAny)
}

/// One name, or a list of them.
fn names(reading: &mut Reading<'_>, entry: &Entry) -> Option<Vec<String>> {
    let list = match &entry.value.kind {
        Kind::List(_) => reading.each(&entry.value, &entry.key, |reading, item| {
            reading.text(item, &entry.key)
        })?,
        _ => vec![reading.text(&entry.value, &entry.key)?],
    };
    if list.is_empty() || list.len() > LIST_MAX {
        let message = format!("`{}` must have 1 to {LIST_MAX} entries", entry.key);
        return reading.refuse(entry.value.span, message, "write the values that tokens have");
    }
    Some(list.into_iter().map(|name| name.value).collect())
}

pub(super) fn read_keys(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
) -> Option<Vec<Spanned<KeySource>>> {
    let Some(entry) = section.get(reading, "keys") else {
        if !section.has("keys") {
            let message = format!("`{}` lacks the key `keys`", section.name());
            return reading.refuse(section.span(), message, keys::KEY_HELP);
        }
        return None;
    };
    let sources = reading.each(&entry.value, "keys", keys::key)?;
    if sources.is_empty() {
        return reading.refuse(
            entry.value.span,
            "`keys` is empty: no token could be verified",
            keys::KEY_HELP,
        );
    }
    Some(sources)
}

pub(super) fn read_claims(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<ClaimMapping>> {
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
        let kind = section
            .get(reading, "type")
            .map(|kind| reading.choice(&kind.value, "type", &CLAIM_KINDS));
        let default = section
            .get(reading, "default")
            .map(|default| reading.value(&default.value, "default"));
        section.finish(reading);
        (
            from?,
            kind.unwrap_or(Some(ClaimKind::Any))?,
            default.map_or(Some(None), |value| value.map(Some))?,
        )
    } else {
        (claim_path(reading, &entry.value)?, ClaimKind::Any, None)
    };
    match ClaimMapping::new(&entry.key, from, kind, default) {
        Ok(mapping) => Some(mapping),
        Err(error) => reading.refuse(
            entry.key_span,
            error.to_string(),
            "choose another name or default",
        ),
    }
}

pub(super) const CLAIM_KINDS: [(&str, ClaimKind); 5] = [
    ("string", ClaimKind::String),
    ("int", ClaimKind::Int),
    ("bool", ClaimKind::Bool),
    ("list", ClaimKind::List),
    ("any", ClaimKind::Any),
];

pub(super) fn claim_path(reading: &mut Reading<'_>, node: &Node) -> Option<ClaimPath> {
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

fn dev_user(reading: &mut Reading<'_>, node: &Node, span: Span) -> Option<Method> {
    let claims = reading.value_map(node, "insecure_dev_user")?;
    let subject = claims.get("sub").and_then(Value::as_str);
    if subject.is_none_or(str::is_empty) {
        return reading.refuse(
            node.span,
            "`insecure_dev_user` lacks `sub`",
            "write `{ sub: user_1, … }`",
        );
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
    Some(Method::DevUser(claims))
}
