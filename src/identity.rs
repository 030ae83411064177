//! Who asks: credentials verified into identities.
//!
//! The method is chosen by what carries the credential, and a token's issuer by its exact `iss`. What fails
//! there fails the request: no other method or issuer is tried after it.
//!
//! A bearer token is a JWT in compact form, and is read in this order: its size and its three parts; its
//! header; its claims, for `iss`; its signature, with that issuer's keys; its type, audience, times and
//! mapped claims. Until the signature holds, nothing of a token is used for more than to choose the keys.
//! What verified is remembered by the whole token until it ends, so that a client that keeps asking costs
//! one look-up.
//!
//! What says nothing itself, a session's cookie or an API key, is looked up by a provider ([`provider`]), whose
//! answer is remembered likewise. Only who is not known is waited for.
//!
//! Clients learn that a credential is not valid or that it has expired; why is for the log.

mod algorithm;
pub mod api_keys;
mod assumed;
mod awaited;
mod carrier;
mod claims;
mod fault;
mod issuer;
mod jws;
mod keys;
mod mapping;
mod memory;
mod metrics;
mod naming;
mod opaque;
pub mod provider;
pub mod remote;
pub mod sessions;
mod verified;
#[cfg(all(test, feature = "wycheproof"))]
mod wycheproof;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shapegate_core::code::{Code, Refusal};
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::time::Now;
use shapegate_core::value::Value;

use crate::breaker::Watched;
use crate::clock::Clock;

pub use algorithm::{Algorithm, Family};
pub use carrier::{CREDENTIAL_BYTES_MAX, Carrier, CredentialHeaders};
pub use claims::{AUDIENCES_MAX, AudienceRule, SKEW, SUBJECT_BYTES_MAX};
pub use issuer::{IssuerError, IssuerSource, SHAPE_TOKEN_TYPE};
pub use jws::{HEADER_BYTES_MAX, TOKEN_BYTES_MAX};
pub use keys::{JWKS_KEYS_MAX, KEY_FILE_BYTES_MAX, KID_BYTES_MAX, KeyError, KeySource, KeyWarning};
pub use mapping::{ClaimKind, ClaimMapping, ClaimMappingError, ClaimPath, ClaimPathError, PATH_MEMBERS_MAX};
pub use memory::MemoryLimits;
pub use metrics::IdentityMetrics;
pub use naming::claimed;

pub(crate) use awaited::AwaitedKeys;
pub(crate) use claims::{ORIGINS_MAX, issuer as issuer_claim, subject};
pub(crate) use fault::{Fault, quoted};
pub(crate) use issuer::{Issuer, VerifiedClaims};
pub(crate) use jws::Jws;
pub(crate) use keys::{Standing, is_kid};
pub(crate) use memory::{Remembered, TokenMemory};

use api_keys::ApiKey;
use claims::Claims;
use issuer::Verified;
use memory::KnownUser;
use opaque::{Chosen, Opaque};
use provider::{Ended, Provider};
use remote::KeyLine;
use verified::VerifiedTokens;

/// Issuers of one tenant; more are refused.
pub const ISSUERS_MAX: usize = 64;

/// Everything under `identity:` of one tenant, as checked values.
#[derive(Debug, Default)]
pub struct IdentitySources {
    /// The issuers of bearer JWTs.
    pub issuers: Vec<IssuerSource>,
    /// The claims of the user that everybody is who sends no credential. Insecure, for development.
    pub dev_user: Option<BTreeMap<Arc<str>, Value>>,
    /// Whoever is asked about credentials that say nothing themselves.
    pub providers: Vec<Arc<Provider>>,
    /// Keys that are known by their hashes, and what carries them.
    pub api_keys: Option<(Vec<Carrier>, Vec<ApiKey>)>,
    /// The cookies that carry tokens, besides `Authorization`.
    pub token_cookies: Vec<String>,
    /// How many verified tokens are remembered.
    pub memory: MemoryLimits,
}

/// Why the methods are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// One of the issuers is not taken.
    #[error("issuer {}: {error}", place + 1)]
    Issuer {
        /// Its place in [`IdentitySources::issuers`], from 0.
        place: usize,
        /// Why.
        error: IssuerError,
    },
    /// More than [`ISSUERS_MAX`].
    #[error("at most {ISSUERS_MAX} issuers, not {0}")]
    TooManyIssuers(usize),
    /// The subject of an API key could not be a token's.
    #[error("the subject of an API key is text of 1 to {SUBJECT_BYTES_MAX} bytes")]
    ApiKeySubject,
    /// Two methods read the same carrier, and a credential could not say which it means.
    #[error("two methods take their credentials from the same place")]
    CarrierTwice {
        /// The place of the second one, from 0; API keys come after the providers.
        place: usize,
    },
    /// The development user's `sub` could not be a token's.
    #[error("the development user's `sub` is text of 1 to {SUBJECT_BYTES_MAX} bytes")]
    DevUserSubject,
}

/// What is known of who asks, before anybody is waited for.
#[must_use]
pub enum Authentication<'m> {
    /// Who it is; `None` for nobody.
    Known(Option<Arc<Identity>>),
    /// Somebody must be asked.
    Pending(Pending<'m>),
}

impl Authentication<'_> {
    /// Who it is, if that is known.
    #[must_use]
    pub fn known(self) -> Option<Arc<Identity>> {
        match self {
            Self::Known(identity) => identity,
            Self::Pending(_) => None,
        }
    }
}

/// A credential that somebody must be asked about.
#[must_use]
pub struct Pending<'m>(Asked<'m>);

/// Who is asked.
enum Asked<'m> {
    Provider(&'m Provider, &'m [u8]),
    Keys(&'m IdentityMethods, &'m [u8], AwaitedKeys<'m>),
}

impl Pending<'_> {
    /// The method that is asked, as the configuration spells it.
    #[must_use]
    pub fn method(&self) -> &str {
        match &self.0 {
            Asked::Provider(provider, _) => provider.name(),
            Asked::Keys(..) => "jwt",
        }
    }

    /// Asks, and waits no longer than the method's timeout. Giving up does not take the question back.
    ///
    /// # Errors
    /// As [`IdentityMethods::authenticate`]; `identity_unavailable` (503) when there is no answer.
    pub async fn identity(self, clock: &Arc<dyn Clock>) -> Result<Arc<Identity>, Refusal> {
        match self.0 {
            Asked::Provider(provider, credential) => provider.ask(credential, clock).await,
            Asked::Keys(methods, token, awaited) => {
                awaited.verified(&**clock, |now| methods.verify(token, now)).await
            }
        }
    }
}

/// A key that is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuer {}: {warning}", place + 1)]
pub struct IdentityWarning {
    /// The issuer's place in [`IdentitySources::issuers`], from 0.
    pub place: usize,
    /// Which key, and why.
    pub warning: KeyWarning,
}

/// The methods by which one tenant's users are known.
///
/// New keys or rules are a new one of these, which takes over what still counts (`verified`). What a provider
/// has said belongs to the provider.
pub struct IdentityMethods {
    issuers: HashMap<Arc<str>, Issuer>,
    opaque: Opaque,
    dev_user: Option<Arc<Identity>>,
    verified: VerifiedTokens,
    signatures_checked: AtomicU64,
}

impl IdentityMethods {
    /// Reads keys, checks rules, and installs the crypto provider.
    ///
    /// # Errors
    /// Everything that is wrong, one error an issuer at most.
    pub fn compile(sources: IdentitySources) -> Result<(Self, Vec<IdentityWarning>), Vec<IdentityError>> {
        install_crypto();
        let mut errors = Vec::new();
        let (issuers, warnings) = compile_issuers(sources.issuers, &mut errors);
        let compiled = Opaque::compile(
            sources.providers,
            sources.api_keys,
            sources.token_cookies,
            issuers.is_empty(),
        );
        let opaque = compiled.unwrap_or_else(|error| {
            errors.push(error);
            Opaque::default()
        });
        let dev_user = sources
            .dev_user
            .map(dev_user)
            .transpose()
            .unwrap_or_else(|error| {
                errors.push(error);
                None
            });
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok((
            Self {
                issuers,
                opaque,
                dev_user,
                verified: VerifiedTokens::new(sources.memory),
                signatures_checked: AtomicU64::new(0),
            },
            warnings,
        ))
    }

    /// Who sends these headers, at once if nobody has to be asked. Nobody is known when they carry no credential
    /// and there is no development user.
    ///
    /// # Errors
    /// `malformed_request` (400) for more than one credential; `token_expired` (401) for a token whose
    /// `exp` alone is against it; `forbidden` (403) for a mapped claim of another type than declared;
    /// `token_invalid` (401) for everything else. The reason is in the refusal's detail, for the log.
    pub fn authenticate<'m>(
        &'m self,
        headers: &CredentialHeaders<'m>,
        now: Now,
    ) -> Result<Authentication<'m>, Refusal> {
        let known = match self.opaque.choose(headers).map_err(|fault| fault.refusal())? {
            Chosen::Nothing => self.dev_user.clone(),
            Chosen::Token(token) => return self.token(token, now),
            Chosen::Key(book, key) => Some(book.find(key, now).map_err(|fault| fault.refusal())?),
            Chosen::Provider(provider, credential) => match provider.recall(credential, now) {
                Some(answer) => Some(answer?),
                None => {
                    return Ok(Authentication::Pending(Pending(Asked::Provider(
                        provider, credential,
                    ))));
                }
            },
        };
        Ok(Authentication::Known(known))
    }

    /// Tells when the credential behind an identity ends before its time, where its method is ever told.
    #[must_use]
    pub fn watch(&self, identity: &Identity) -> Option<Ended> {
        self.opaque.watch(identity)
    }

    fn token<'m>(&'m self, token: &'m [u8], now: Now) -> Result<Authentication<'m>, Refusal> {
        if let Some(identity) = self.recall(token, now) {
            return Ok(Authentication::Known(Some(identity)));
        }
        match self.verify(token, now) {
            Ok(identity) => Ok(Authentication::Known(Some(identity))),
            Err(fault) => {
                let published = |issuer: &str| self.issuers.get(issuer)?.published_keys().map(Arc::as_ref);
                let awaited = AwaitedKeys::of(published, token, fault, now)?;
                Ok(Authentication::Pending(Pending(Asked::Keys(
                    self, token, awaited,
                ))))
            }
        }
    }

    /// The keys that issuers publish, an entry for each of those issuers.
    pub(crate) fn key_lines(&self) -> impl Iterator<Item = &KeyLine> {
        self.issuers.values().filter_map(Issuer::key_line)
    }

    /// The issuers that publish their keys, and how old these are; none where they have not come yet.
    pub fn key_ages(&self, now: Now) -> impl Iterator<Item = (&str, Option<Duration>)> {
        self.key_lines()
            .map(move |line| (line.keys().issuer(), line.keys().age(now)))
    }

    /// What keeps each provider from being asked while it fails again and again.
    pub(crate) fn breakers(&self) -> impl Iterator<Item = Watched> {
        self.opaque.providers().map(Provider::breaker)
    }

    /// Whether there is no method by which anybody could be known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty() && self.opaque.is_empty() && self.dev_user.is_none()
    }

    /// Whether nobody can be known yet, because every method waits for an issuer's first keys.
    #[must_use]
    pub fn awaits_first_keys(&self, now: Now) -> bool {
        let ages = || self.key_ages(now);
        ages().next().is_some()
            && ages().count() == self.issuers.len()
            && ages().all(|(_, age)| age.is_none())
            && self.opaque.is_empty()
            && self.dev_user.is_none()
    }

    /// Whether a cookie is a credential here.
    #[must_use]
    pub fn reads_cookies(&self) -> bool {
        self.opaque.reads_cookies()
    }

    /// How many signatures were checked since this was made, by any key and with any outcome.
    #[must_use]
    pub fn signatures_checked(&self) -> u64 {
        self.signatures_checked.load(Ordering::Relaxed)
    }

    /// How many tokens are remembered, ended ones that were not yet noticed included.
    #[must_use]
    pub fn tokens_remembered(&self) -> usize {
        self.verified.memory().len()
    }

    /// How many answers of providers are remembered.
    #[must_use]
    pub fn answers_remembered(&self) -> usize {
        self.opaque.remembered()
    }

    fn verify(&self, token: &[u8], now: Now) -> Result<Arc<Identity>, Fault> {
        if self.issuers.is_empty() {
            return Err(Fault::NoMethod);
        }
        let jws = Jws::read(token)?;
        let claims = read_claims(&jws)?;
        let name = claims::issuer(&claims)?;
        let issuer = self
            .issuers
            .get(&name)
            .ok_or_else(|| Fault::IssuerUnknown(quoted(&name)))?;
        let Verified { identity, standing } = issuer.verify(&jws, claims, now, &self.signatures_checked)?;
        let identity = Arc::new(identity);
        let user = KnownUser {
            identity: Arc::clone(&identity),
            issuer: issuer.number(),
            standing,
        };
        self.verified.memory().remember(token, &Arc::new(user), now);
        Ok(identity)
    }
}

pub(crate) fn read_claims(token: &Jws<'_>) -> Result<Claims, Fault> {
    match json::parse(&token.payload()?, JsonLimits::CLAIMS).map_err(Fault::Claims)? {
        Value::Map(claims) => Ok(claims),
        _ => Err(Fault::ClaimsNotObject),
    }
}

fn compile_issuers(
    sources: Vec<IssuerSource>,
    errors: &mut Vec<IdentityError>,
) -> (HashMap<Arc<str>, Issuer>, Vec<IdentityWarning>) {
    let (mut issuers, mut warnings) = (HashMap::new(), Vec::new());
    if sources.len() > ISSUERS_MAX {
        errors.push(IdentityError::TooManyIssuers(sources.len()));
    }
    for (place, source) in sources.into_iter().take(ISSUERS_MAX).enumerate() {
        let name = source.issuer.clone();
        let compiled = match issuers.contains_key(name.as_str()) {
            true => Err(IssuerError::IssuerTwice(name)),
            false => Issuer::compile(source),
        };
        match compiled {
            Ok((issuer, left_out)) => {
                issuers.insert(Arc::clone(issuer.name()), issuer);
                warnings.extend(
                    left_out
                        .into_iter()
                        .map(|warning| IdentityWarning { place, warning }),
                );
            }
            Err(error) => errors.push(IdentityError::Issuer { place, error }),
        }
    }
    (issuers, warnings)
}

/// The development user holds for ever, as whoever wrote it wants it.
fn dev_user(claims: BTreeMap<Arc<str>, Value>) -> Result<Arc<Identity>, IdentityError> {
    let subject = claims::subject(&claims).map_err(|_| IdentityError::DevUserSubject)?;
    let issuer = Some("insecure_dev_user".into());
    Ok(Arc::new(Identity::new(IdentitySource {
        subject,
        issuer,
        claims,
        ..IdentitySource::default()
    })))
}

/// The `WWW-Authenticate` of an answer with this code, for every 401 (RFC 6750 §3).
#[must_use]
pub const fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::TokenMissing => Some("Bearer"),
        Code::TokenInvalid => Some(r#"Bearer error="invalid_token", error_description="token_invalid""#),
        Code::TokenRevoked => Some(r#"Bearer error="invalid_token", error_description="token_revoked""#),
        Code::TokenExpired => Some(r#"Bearer error="invalid_token", error_description="token_expired""#),
        _ => None,
    }
}

/// Installs the provider that signatures are checked with; once a process, further calls do nothing.
pub fn install_crypto() {
    // An error says that it, or another one, is installed already.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}
