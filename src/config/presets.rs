//! `preset`: what is known of the tokens of well-known providers, so that nobody has to write it out.

use crate::identity::remote::KeyLocation;
use crate::identity::{AudienceRule, ClaimKind, ClaimMapping, ClaimPath};
use shapegate_core::value::Value;
use std::time::Duration;

/// A provider whose tokens are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Auth0: access tokens of an API.
    Auth0,
    /// Clerk: session tokens, version 2.
    Clerk,
    /// Supabase Auth.
    Supabase,
    /// WorkOS AuthKit.
    Workos,
    /// Better Auth with its JWT plugin.
    BetterAuth,
    /// Firebase Authentication: ID tokens.
    Firebase,
    /// Keycloak: access tokens.
    Keycloak,
}

pub(super) const PRESETS: [(&str, Preset); 7] = [
    ("auth0", Preset::Auth0),
    ("clerk", Preset::Clerk),
    ("supabase", Preset::Supabase),
    ("workos", Preset::Workos),
    ("better-auth", Preset::BetterAuth),
    ("firebase", Preset::Firebase),
    ("keycloak", Preset::Keycloak),
];

/// The keys that all Firebase projects' tokens are signed with.
const FIREBASE_KEYS: &str =
    "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com";
const FIREBASE_ISSUER: &str = "https://securetoken.google.com/";
const WORKOS_KEYS: &str = "https://api.workos.com/sso/jwks/";

impl Preset {
    /// As the configuration spells it.
    pub fn as_str(self) -> &'static str {
        let known = PRESETS.iter().find(|(_, preset)| *preset == self);
        known.map_or("", |(word, _)| word)
    }

    /// What such an issuer looks like, where this one does not.
    pub(super) fn expected_issuer(self, issuer: &str) -> Option<&'static str> {
        let no_slash = !issuer.ends_with('/');
        let (fits, expected) = match self {
            Self::Auth0 => (
                issuer.ends_with('/'),
                "`https://<tenant>.<region>.auth0.com/`, the slash included",
            ),
            Self::Clerk => (
                no_slash,
                "the Frontend API URL, `https://clerk.<domain>`, without a slash at the end",
            ),
            Self::Supabase => (
                issuer.ends_with("/auth/v1"),
                "`https://<ref>.supabase.co/auth/v1`",
            ),
            Self::Workos => (true, ""),
            Self::BetterAuth => (no_slash, "Better Auth's `baseURL`, without a slash at the end"),
            Self::Firebase => (
                firebase_project(issuer).is_some(),
                "`https://securetoken.google.com/<project id>`",
            ),
            Self::Keycloak => (
                no_slash && issuer.contains("/realms/"),
                "`https://<host>/realms/<realm>`",
            ),
        };
        (!fits).then_some(expected)
    }

    /// Where its keys are, unless the configuration says so. WorkOS has a set for each client.
    pub(super) fn location(self, issuer: &str, client_id: Option<&str>) -> Option<KeyLocation> {
        Some(match self {
            Self::Auth0 | Self::Keycloak => KeyLocation::Issuer,
            Self::Clerk | Self::Supabase => KeyLocation::Jwks(format!("{issuer}/.well-known/jwks.json")),
            Self::BetterAuth => KeyLocation::Jwks(format!("{issuer}/api/auth/jwks")),
            Self::Firebase => KeyLocation::Jwks(FIREBASE_KEYS.to_owned()),
            Self::Workos => KeyLocation::Jwks(format!("{WORKOS_KEYS}{}", client_id?)),
        })
    }

    /// Whom its tokens are for, where they say the same to everybody.
    pub(super) fn audience(self, issuer: &str) -> Option<AudienceRule> {
        let one = |audience: &str| Some(AudienceRule::Audience(vec![audience.to_owned()]));
        match self {
            // Tokens of visitors who have not signed in are for `anon`.
            Self::Supabase => one("authenticated"),
            Self::BetterAuth => one(issuer),
            Self::Firebase => one(firebase_project(issuer)?),
            Self::Auth0 | Self::Clerk | Self::Workos | Self::Keycloak => None,
        }
    }

    /// What to write where there is no such default.
    pub(super) fn audience_help(self) -> &'static str {
        match self {
            Self::Clerk => {
                "write `authorized_parties: [https://app.example.com]`, the origins of your application"
            }
            Self::Keycloak => {
                "write `audience: …` with an audience mapper in Keycloak, or `authorized_parties: [<client id>]`"
            }
            Self::Workos => {
                "put an `aud` into AuthKit's JWT template and write it here, or write `insecure_any_audience: true`"
            }
            _ => "write `audience: …`, the identifier of the API",
        }
    }

    /// The longest that its tokens last.
    pub(super) fn lifetime_max(self) -> Option<Duration> {
        match self {
            Self::Clerk => Some(Duration::from_secs(600)),
            Self::Firebase => Some(Duration::from_secs(3600)),
            _ => None,
        }
    }

    /// The names that rules read.
    pub(super) fn claims(self) -> Vec<ClaimMapping> {
        let text = |name, from| claim(name, from, ClaimKind::String, None);
        let list = |name, from| claim(name, from, ClaimKind::List, Some(Value::List(Vec::new())));
        let claims = match self {
            Self::Auth0 => vec![list("permissions", &["permissions"])],
            Self::Clerk => vec![
                text("org_id", &["o", "id"]),
                text("org_slug", &["o", "slg"]),
                text("org_role", &["o", "rol"]),
                text("session_id", &["sid"]),
            ],
            Self::Supabase => {
                vec![claim(
                    "is_anonymous",
                    &["is_anonymous"],
                    ClaimKind::Bool,
                    Some(Value::Bool(false)),
                )]
            }
            Self::Workos => vec![
                list("roles", &["roles"]),
                list("permissions", &["permissions"]),
                list("entitlements", &["entitlements"]),
                text("session_id", &["sid"]),
            ],
            Self::BetterAuth => Vec::new(),
            Self::Firebase => vec![
                text("sign_in_provider", &["firebase", "sign_in_provider"]),
                text("firebase_tenant", &["firebase", "tenant"]),
            ],
            Self::Keycloak => vec![
                list("roles", &["realm_access", "roles"]),
                list("groups", &["groups"]),
            ],
        };
        // A mapping that is not one would be seen by this file's test.
        claims.into_iter().flatten().collect()
    }

    /// A claim that its users can set themselves.
    pub(super) fn users_own_claim(self) -> Option<&'static str> {
        match self {
            Self::Supabase | Self::Auth0 => Some("user_metadata"),
            Self::Clerk => Some("unsafe_metadata"),
            _ => None,
        }
    }
}

fn claim(name: &str, from: &[&str], kind: ClaimKind, default: Option<Value>) -> Option<ClaimMapping> {
    let path = ClaimPath::members(from.iter().copied()).ok()?;
    ClaimMapping::new(name, path, kind, default).ok()
}

fn firebase_project(issuer: &str) -> Option<&str> {
    let project = issuer.strip_prefix(FIREBASE_ISSUER)?;
    (!project.is_empty() && !project.contains('/')).then_some(project)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_all_the_claims_that_it_names() {
        let count = |preset: Preset| preset.claims().len();
        let counts: Vec<usize> = PRESETS.iter().map(|(_, preset)| count(*preset)).collect();
        assert_eq!(counts, [1, 4, 1, 4, 0, 2, 2]);
    }
}
