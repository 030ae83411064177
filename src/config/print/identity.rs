//! What methods of `identity` mean where nothing is written: presets spelled out, and how long answers count.

use super::super::identity::{CLAIM_KINDS, IdentitySettings};
use super::super::providers::{ProviderKind, ProviderSettings};
use super::super::scalar::duration_text;
use super::{Out, put, put_in};
use crate::identity::remote::KeyLocation;
use crate::identity::{AudienceRule, ClaimMapping, IssuerSource, KeySource};
use shapegate_core::value::Value;

/// Methods were read in the order in which they are written.
pub(super) fn identity_defaults(root: &mut Out, identity: &IdentitySettings) {
    let Some(Out::List(methods)) = member_mut(root, "identity") else {
        return;
    };
    let (mut issuers, mut providers) = (identity.issuers.iter(), identity.providers.iter());
    for method in methods {
        let Out::Map(entries) = method else { continue };
        let Some((name, written)) = entries.first_mut() else {
            continue;
        };
        match name.as_str() {
            "jwt" => issuers
                .next()
                .into_iter()
                .for_each(|issuer| issuer_defaults(written, &issuer.value)),
            "session" | "postgres" | "introspection" => {
                let provider = providers.next().into_iter();
                provider.for_each(|provider| provider_defaults(written, &provider.value));
            }
            _ => {}
        }
    }
}

fn member_mut<'o>(out: &'o mut Out, key: &str) -> Option<&'o mut Out> {
    let Out::Map(entries) = out else { return None };
    let found = entries.iter_mut().find(|(known, _)| known == key);
    found.map(|(_, value)| value)
}

fn has(out: &Out, keys: &[&str]) -> bool {
    matches!(out, Out::Map(entries) if entries.iter().any(|(known, _)| keys.contains(&known.as_str())))
}

fn provider_defaults(out: &mut Out, provider: &ProviderSettings) {
    put(out, "ttl", Out::Plain(duration_text(provider.ttl)));
    put(out, "timeout", Out::Plain(duration_text(provider.timeout)));
    if let ProviderKind::Postgres(method) = &provider.kind {
        put(out, "pool_size", Out::Plain(method.pool_size.to_string()));
    }
}

fn issuer_defaults(out: &mut Out, issuer: &IssuerSource) {
    if let Some(longest) = issuer.lifetime_max {
        put(out, "lifetime_max", Out::Plain(duration_text(longest)));
    }
    if !has(out, &["preset"]) {
        return;
    }
    if !has(out, &["audience", "authorized_parties", "insecure_any_audience"]) {
        audience(out, &issuer.audience);
    }
    if let [KeySource::Remote(remote)] = issuer.keys.as_slice()
        && !has(out, &["keys", "jwks_url", "discovery"])
    {
        match &remote.location {
            // By the issuer's own name.
            KeyLocation::Issuer => {}
            KeyLocation::Discovery(url) => put(out, "discovery", Out::Text(url.clone())),
            KeyLocation::Jwks(url) => put(out, "jwks_url", Out::Text(url.clone())),
        }
    }
    if !issuer.claims.is_empty() {
        put_in(out, "claims", |out| {
            let mapped = issuer.claims.iter();
            mapped.for_each(|mapping| put(out, mapping.name(), claim(mapping)));
        });
    }
}

fn audience(out: &mut Out, audience: &AudienceRule) {
    let names = |names: &[String]| Out::List(names.iter().cloned().map(Out::Text).collect());
    match audience {
        AudienceRule::Audience(these) => put(out, "audience", names(these)),
        AudienceRule::AuthorizedParties(these) => put(out, "authorized_parties", names(these)),
        AudienceRule::InsecureAny => {}
    }
}

fn claim(mapping: &ClaimMapping) -> Out {
    let path = mapping.from().iter().map(|member| Out::Text(member.to_string()));
    let mut out = Out::Map(vec![("from".to_owned(), Out::List(path.collect()))]);
    let kind = CLAIM_KINDS.iter().find(|(_, kind)| *kind == mapping.kind());
    put(
        &mut out,
        "type",
        Out::Plain(kind.map_or("any", |(word, _)| *word).to_owned()),
    );
    if let Some(default) = mapping.default() {
        put(&mut out, "default", value(default));
    }
    out
}

fn value(value: &Value) -> Out {
    match value {
        Value::Null => Out::Plain("null".to_owned()),
        Value::Bool(truth) => Out::Plain(truth.to_string()),
        Value::Int(number) => Out::Plain(number.to_string()),
        Value::UInt(number) => Out::Plain(number.to_string()),
        Value::Float(number) => Out::Plain(number.to_string()),
        Value::String(text) => Out::Text(text.to_string()),
        Value::List(items) => Out::List(items.iter().map(self::value).collect()),
        Value::Map(members) => {
            let members = members
                .iter()
                .map(|(name, member)| (name.to_string(), self::value(member)));
            Out::Map(members.collect())
        }
    }
}
