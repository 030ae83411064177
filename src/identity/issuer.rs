//! One issuer of tokens: its keys, and what its tokens must say.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shapegate_core::credential::Credential;
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::time::{Now, UnixMillis, Until};

use super::claims::{self, AudienceRule, ClaimRules, Claims};
use super::fault::{Fault, quoted};
use super::jws::{Header, Jws};
use super::keys::{Key, KeyError, KeyRing, KeySource, KeyWarning, Standing};
use super::mapping::{self, ClaimMapping};
use super::remote::{KeyLine, RemoteKeys};

/// The type of the tokens that this gateway mints for shapes. They say what may be synced, not who asks.
pub const SHAPE_TOKEN_TYPE: &str = "shape+jwt";
/// The types that are taken where none is configured: plain tokens and access tokens (RFC 9068). Logout
/// tokens, security events and the like are signed with the same keys, and are not credentials.
const USUAL_TYPES: [&str; 2] = ["JWT", "at+jwt"];

/// One issuer as the configuration gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuerSource {
    /// Exactly what its tokens have as `iss`: case, port and trailing slash count.
    pub issuer: String,
    /// Its keys, at least one.
    pub keys: Vec<KeySource>,
    /// Whom its tokens must be meant for.
    pub audience: AudienceRule,
    /// How long its tokens may last, from `iat` (or from now, without one) to `exp`.
    pub lifetime_max: Option<Duration>,
    /// The only `typ` that is taken, without regard to case and to a leading `application/`. Without one:
    /// none, `JWT` and `at+jwt`.
    pub token_type: Option<String>,
    /// The names that rules read.
    pub claims: Vec<ClaimMapping>,
}

/// Why an issuer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// `iss` is never empty.
    #[error("an issuer has a name: exactly what its tokens have as `iss`")]
    IssuerEmpty,
    /// Two of one name; a token could not say which it means.
    #[error("the issuer {0:?} is there twice; one issuer may have several keys")]
    IssuerTwice(String),
    /// No audience could match, or an empty one could.
    #[error("`audience` and `authorized_parties` name at least one, and none that is empty")]
    AudienceEmpty,
    /// Nothing would be taken.
    #[error("a lifetime of zero takes no token")]
    LifetimeZero,
    /// The type of shape tokens, or none.
    #[error("{0:?} is not a type that a user's token can have")]
    TokenType(String),
    /// Two mappings of one name.
    #[error("the claim {0:?} is mapped twice")]
    ClaimTwice(String),
    /// A key is refused.
    #[error("key {}: {error}", place + 1)]
    Key {
        /// Its place in [`IssuerSource::keys`], from 0.
        place: usize,
        /// Why.
        error: KeyError,
    },
}

/// An issuer, ready to verify its tokens.
#[derive(Debug)]
pub(crate) struct Issuer {
    terms: Terms,
    /// Under which tokens are remembered: no two issuers of a process have the same, but for those of equal
    /// terms of which one took the other's place.
    number: AtomicU64,
    keys: Keys,
}

/// All of an issuer's configuration: whatever verifying a token depends on, apart from the token, the time, and
/// the keys that the issuer has published meanwhile.
#[derive(Debug, PartialEq)]
struct Terms {
    name: Arc<str>,
    /// The keys themselves, or where they are published.
    keys: Vec<KeySource>,
    rules: ClaimRules,
    types: TokenTypes,
    mappings: Vec<ClaimMapping>,
}

/// Numbers for issuers, never used twice in a process.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Where an issuer's keys come from.
#[derive(Debug)]
enum Keys {
    /// The configuration.
    Given(KeyRing),
    /// The issuer itself.
    Published(KeyLine),
}

/// Which `typ` of a token is taken, none included.
#[derive(Debug, PartialEq)]
enum TokenTypes {
    /// That of credentials: none, `JWT` and `at+jwt`.
    Usual,
    /// Those, and that of shape tokens. Published shape tokens are plain `JWT`.
    UsualAndShape,
    /// This one.
    Only(String),
}

impl TokenTypes {
    fn take(&self, kind: Option<&str>) -> bool {
        let usual = |kind: &str| USUAL_TYPES.iter().any(|usual| kind.eq_ignore_ascii_case(usual));
        match (self, kind) {
            (Self::Only(only), Some(kind)) => kind.eq_ignore_ascii_case(without_application(only)),
            (Self::Only(_), None) => false,
            (_, None) => true,
            (Self::Usual, Some(kind)) => usual(kind),
            (Self::UsualAndShape, Some(kind)) => usual(kind) || kind.eq_ignore_ascii_case(SHAPE_TOKEN_TYPE),
        }
    }
}

/// What of a token counts once its signature holds.
pub(crate) struct VerifiedClaims {
    /// All of its claims.
    pub(crate) claims: Claims,
    /// The first moment at which it no longer holds.
    pub(crate) end: UnixMillis,
    /// What it goes by, apart from its subject.
    pub(crate) credential: Credential,
    /// That of the key that signed it, where it was published.
    pub(crate) standing: Option<Arc<Standing>>,
}

/// The key that a signature holds with.
struct Signature {
    kid: Option<Arc<str>>,
    standing: Option<Arc<Standing>>,
}

/// A user whose token verified, and the standing of the key that vouches for it.
pub(crate) struct Verified {
    pub(crate) identity: Identity,
    pub(crate) standing: Option<Arc<Standing>>,
}

impl Issuer {
    /// An issuer of users' tokens.
    pub(crate) fn compile(source: IssuerSource) -> Result<(Self, Vec<KeyWarning>), IssuerError> {
        check_token_type(source.token_type.as_deref())?;
        let types = source
            .token_type
            .clone()
            .map_or(TokenTypes::Usual, TokenTypes::Only);
        Self::assemble(source, types)
    }

    /// An issuer of tokens that sign shapes.
    pub(crate) fn compile_for_shapes(source: IssuerSource) -> Result<(Self, Vec<KeyWarning>), IssuerError> {
        let types = source
            .token_type
            .clone()
            .map_or(TokenTypes::UsualAndShape, TokenTypes::Only);
        Self::assemble(source, types)
    }

    fn assemble(source: IssuerSource, types: TokenTypes) -> Result<(Self, Vec<KeyWarning>), IssuerError> {
        check(&source)?;
        if let [KeySource::Remote(remote)] = source.keys.as_slice() {
            let remote = RemoteKeys::new(source.issuer.as_str().into(), remote.clone()).map_err(|error| {
                let error = KeyError::Client(error.to_string());
                IssuerError::Key { place: 0, error }
            })?;
            return Ok((
                Self::of(source, types, Keys::Published(KeyLine::new(remote))),
                Vec::new(),
            ));
        }
        let (keys, warnings) =
            KeyRing::read(&source.keys).map_err(|(place, error)| IssuerError::Key { place, error })?;
        Ok((Self::of(source, types, Keys::Given(keys)), warnings))
    }

    fn of(source: IssuerSource, types: TokenTypes, keys: Keys) -> Self {
        let IssuerSource {
            issuer,
            keys: given,
            audience,
            lifetime_max,
            token_type: _,
            claims: mappings,
        } = source;
        let rules = ClaimRules {
            audience,
            lifetime_max,
        };
        let terms = Terms {
            name: issuer.into(),
            keys: given,
            rules,
            types,
            mappings,
        };
        Self {
            terms,
            number: AtomicU64::new(NUMBERS.fetch_add(1, Ordering::Relaxed)),
            keys,
        }
    }

    /// Takes the place of an earlier one: its keys, where they are published in the same place; with its terms, also
    /// what that one has verified, which rests on the standing of those keys.
    pub(crate) fn inherit(&self, earlier: &Self) {
        if let (Some(line), Some(known)) = (self.key_line(), earlier.published_keys()) {
            line.go_on_with(known);
        }
        if self.terms == earlier.terms {
            self.number.store(earlier.number(), Ordering::Relaxed);
        }
    }

    /// Under which its tokens are remembered.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// The keys that it publishes, if that is where its keys come from.
    pub(crate) fn published_keys(&self) -> Option<&Arc<RemoteKeys>> {
        self.key_line().map(KeyLine::keys)
    }

    /// The same, and what they may go on with.
    pub(crate) fn key_line(&self) -> Option<&KeyLine> {
        match &self.keys {
            Keys::Given(_) => None,
            Keys::Published(line) => Some(line),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.terms.name
    }

    /// The names that rules read of its tokens.
    pub(super) fn mappings(&self) -> &[ClaimMapping] {
        &self.terms.mappings
    }

    /// Verifies a token that says it is of this issuer. Each signature that is checked is counted.
    pub(crate) fn verify(
        &self,
        token: &Jws<'_>,
        claims: Claims,
        now: Now,
        checked: &AtomicU64,
    ) -> Result<Verified, Fault> {
        let VerifiedClaims {
            claims,
            end,
            credential,
            standing,
        } = self.verify_claims(token, claims, now, checked)?;
        let subject = claims::subject(&claims)?;
        let (mapped, claims) = mapping::apply(&self.terms.mappings, claims)?;
        let identity = Identity::new(IdentitySource {
            subject,
            issuer: Some(Arc::clone(&self.terms.name)),
            mapped,
            claims,
            valid_until: Some(Until::at_wall(now, end)),
            credential,
        });
        Ok(Verified { identity, standing })
    }

    /// The same, without making a user of it.
    pub(crate) fn verify_claims(
        &self,
        token: &Jws<'_>,
        claims: Claims,
        now: Now,
        checked: &AtomicU64,
    ) -> Result<VerifiedClaims, Fault> {
        let Signature { kid, standing } = self.check_signature(token, now, checked)?;
        let checked = self.check_type(&token.header);
        let end = checked.and_then(|()| self.terms.rules.check(&claims, now));
        let end = end.map_err(|fault| self.of_somebody(&claims, fault))?;
        let mut credential = claims::credential(&claims);
        credential.issuer = Some(Arc::clone(&self.terms.name));
        // Whoever holds a key may leave its name out of a token, or write another one where the key has none.
        let named = token.header.kid.iter().cloned();
        credential.key_ids = named.chain(kid).collect();
        credential.key_ids.dedup();
        Ok(VerifiedClaims {
            claims,
            end,
            credential,
            standing,
        })
    }

    /// The fault of a token whose signature holds.
    fn of_somebody(&self, claims: &Claims, fault: Fault) -> Fault {
        let credential = Box::new(Credential {
            subject: claims::subject(claims).ok().flatten(),
            issuer: Some(Arc::clone(&self.terms.name)),
            ..claims::credential(claims)
        });
        let fault = Box::new(fault);
        Fault::Of { credential, fault }
    }

    fn check_signature(&self, token: &Jws<'_>, now: Now, checked: &AtomicU64) -> Result<Signature, Fault> {
        let signature = |key: &Key, standing| Signature {
            kid: key.kid.as_deref().map(Arc::from),
            standing,
        };
        let keys = match &self.keys {
            Keys::Given(keys) => return Ok(signature(self.signed_by(keys, token, checked)?, None)),
            Keys::Published(line) => line.keys(),
        };
        let missing = || Fault::KeysMissing(self.terms.name.to_string());
        let published = keys.current(now).ok_or_else(missing)?;
        let key = self.signed_by(&published.ring, token, checked)?;
        let standing = published.standing(key).ok_or_else(missing)?;
        Ok(signature(key, Some(Arc::clone(standing))))
    }

    /// The key that the signature holds with.
    fn signed_by<'k>(
        &self,
        keys: &'k KeyRing,
        token: &Jws<'_>,
        checked: &AtomicU64,
    ) -> Result<&'k Key, Fault> {
        let Header { algorithm, kid, .. } = &token.header;
        let candidates = keys
            .candidates(*algorithm, kid.as_deref())
            .map_err(|_| Fault::TooManyKeys(self.terms.name.to_string()))?;
        let mut tried = 0;
        for key in candidates {
            tried += 1;
            checked.fetch_add(1, Ordering::Relaxed);
            if key.verifies(token.signed, token.signature) {
                return Ok(key);
            }
        }
        Err(self.no_signature(tried, &token.header))
    }

    fn no_signature(&self, tried: u32, header: &Header) -> Fault {
        let issuer = self.terms.name.to_string();
        match tried {
            0 => Fault::NoKey {
                issuer,
                algorithm: header.algorithm.as_str(),
                kid: header.kid.as_deref().map(quoted),
            },
            _ => Fault::SignatureWrong(issuer),
        }
    }

    fn check_type(&self, header: &Header) -> Result<(), Fault> {
        let kind = header.kind.as_deref().map(without_application);
        if self.terms.types.take(kind) {
            Ok(())
        } else {
            Err(Fault::TypeRefused(kind.map(quoted).unwrap_or_default()))
        }
    }
}

/// `application/` may be left out of a type (RFC 7515 §4.1.9).
fn without_application(kind: &str) -> &str {
    const PREFIX: &str = "application/";
    match kind.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => kind,
    }
}

fn check(source: &IssuerSource) -> Result<(), IssuerError> {
    if source.issuer.is_empty() {
        return Err(IssuerError::IssuerEmpty);
    }
    if source.lifetime_max.is_some_and(|longest| longest.is_zero()) {
        return Err(IssuerError::LifetimeZero);
    }
    check_audience(&source.audience)?;
    let mut names = HashSet::new();
    match source.claims.iter().find(|mapping| !names.insert(mapping.name())) {
        Some(twice) => Err(IssuerError::ClaimTwice(twice.name().to_owned())),
        None => Ok(()),
    }
}

fn check_audience(rule: &AudienceRule) -> Result<(), IssuerError> {
    match rule {
        AudienceRule::InsecureAny => Ok(()),
        AudienceRule::Audience(names) | AudienceRule::AuthorizedParties(names) => {
            let usable = !names.is_empty() && names.iter().all(|name| !name.is_empty());
            if usable {
                Ok(())
            } else {
                Err(IssuerError::AudienceEmpty)
            }
        }
    }
}

fn check_token_type(kind: Option<&str>) -> Result<(), IssuerError> {
    match kind {
        Some(kind) if kind.is_empty() || without_application(kind).eq_ignore_ascii_case(SHAPE_TOKEN_TYPE) => {
            Err(IssuerError::TokenType(kind.to_owned()))
        }
        _ => Ok(()),
    }
}
