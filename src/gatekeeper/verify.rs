//! Verifying: whose token it is, and what it signs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use shapegate_core::code::{Code, Refusal};
use shapegate_core::credential::Credential;
use shapegate_core::definition::Log;
use shapegate_core::handle::HandleTagger;
use shapegate_core::permit::Allowed;
use shapegate_core::policy::SignedTerms;
use shapegate_core::request::{Asked, AskedDefinition};
use shapegate_core::shape_claims::{SignedShape, Unsigned};
use shapegate_core::time::{Now, UnixMillis, Until};

use crate::clock::Clock;
use crate::identity::remote::KeyLine;
use crate::identity::{
    AudienceRule, AwaitedKeys, CredentialHeaders, Fault, Issuer, IssuerError, IssuerSource, Jws,
    MemoryLimits, Remembered, SHAPE_TOKEN_TYPE, Standing, TokenMemory, VerifiedClaims, issuer_claim, quoted,
    read_claims, subject,
};
use crate::limits::Asker;

use super::keys::SigningKeys;

/// What verifying depends on.
pub struct VerifySettings {
    /// The tenant's id.
    pub tenant: Arc<str>,
    /// Issuers of shape tokens besides the own one.
    pub issuers: Vec<IssuerSource>,
    /// What a token does not sign.
    pub unsigned: Unsigned,
    /// Binds handles.
    pub tagger: Option<HandleTagger>,
    /// How many tokens are remembered.
    pub memory: MemoryLimits,
}

/// Why tokens cannot be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// An issuer is refused.
    #[error("issuer {0:?}: {1}")]
    Issuer(String, IssuerError),
}

/// A token that was verified.
pub struct ShapeToken {
    shape: SignedShape,
    issuer: Arc<str>,
    /// No other token of this process has it.
    number: u64,
    until: Until,
    /// That of the key that signed it, where it was published.
    standing: Option<Arc<Standing>>,
    credential: Arc<Credential>,
    /// What was first asked with it, and allowed: a client asks in one way, for one log or the other.
    answered: [OnceLock<(AskedDefinition, Arc<Allowed>)>; 2],
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl ShapeToken {
    /// What it goes by.
    pub fn credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// Whose requests count as the same user's.
    pub fn asker(&self, tenant: &Arc<str>, address: Option<IpAddr>) -> Asker {
        let subject = self.credential.subject.as_ref().ok_or(self.number);
        Asker::with_token(tenant, &self.issuer, subject, address)
    }
}

impl Remembered for ShapeToken {
    fn valid_until(&self) -> Option<Until> {
        Some(self.until)
    }

    fn is_vouched_for(&self, now: Now) -> bool {
        self.standing.as_ref().is_none_or(|standing| standing.holds(now))
    }
}

/// What is known of a token before anybody is waited for.
#[must_use]
pub enum Verification<'v> {
    /// It verified.
    Known(Arc<ShapeToken>),
    /// Newer keys of its issuer may verify it.
    Pending(PendingToken<'v>),
}

impl Verification<'_> {
    /// The token, if it is known.
    #[must_use]
    pub fn known(self) -> Option<Arc<ShapeToken>> {
        match self {
            Self::Known(token) => Some(token),
            Self::Pending(_) => None,
        }
    }
}

/// A token that newer keys of its issuer may verify.
#[must_use]
pub struct PendingToken<'v> {
    verifier: &'v Verifier,
    token: &'v [u8],
    awaited: AwaitedKeys<'v>,
}

impl PendingToken<'_> {
    /// Waits for them.
    ///
    /// # Errors
    /// As [`Verifier::authenticate`]; `identity_unavailable` (503) when they do not come.
    pub async fn token(self, clock: &dyn Clock) -> Result<Arc<ShapeToken>, Refusal> {
        let Self {
            verifier,
            token,
            awaited,
        } = self;
        awaited
            .verified(clock, |now| verifier.verify_and_remember(token, now))
            .await
    }
}

/// An issuer, and the moments at which its keys end.
struct ShapeIssuer {
    issuer: Issuer,
    own: bool,
}

/// Verifies the shape tokens of one tenant.
///
/// As with users' tokens, new keys are a new one of these, which remembers nothing.
pub struct Verifier {
    tenant: Arc<str>,
    issuers: HashMap<Arc<str>, ShapeIssuer>,
    ends: HashMap<Box<str>, UnixMillis>,
    unsigned: Unsigned,
    tagger: Option<HandleTagger>,
    memory: TokenMemory<ShapeToken>,
    signatures_checked: AtomicU64,
}

impl Verifier {
    /// A verifier of tokens of the own issuer, if there is one, and of others.
    ///
    /// # Errors
    /// The first issuer that is refused.
    pub fn new(settings: VerifySettings, own: Option<(&str, &SigningKeys)>) -> Result<Self, VerifierError> {
        crate::identity::install_crypto();
        let mut issuers = HashMap::new();
        let ours = own.map(|(name, keys)| own_issuer(name, &settings.tenant, keys));
        let is_own = ours.as_ref().map(|source| source.issuer.clone());
        for source in ours.into_iter().chain(settings.issuers) {
            let name = source.issuer.clone();
            let refused = |error| VerifierError::Issuer(name.clone(), error);
            if issuers.contains_key(name.as_str()) {
                return Err(refused(IssuerError::IssuerTwice(name.clone())));
            }
            let own = is_own.as_deref() == Some(name.as_str());
            let (issuer, _) = Issuer::compile_for_shapes(source).map_err(refused)?;
            issuers.insert(Arc::clone(issuer.name()), ShapeIssuer { issuer, own });
        }
        let ends = own.map_or_else(HashMap::new, |(_, keys)| keys.ends());
        Ok(Self {
            tenant: settings.tenant,
            issuers,
            ends,
            unsigned: settings.unsigned,
            tagger: settings.tagger,
            memory: TokenMemory::new(settings.memory),
            signatures_checked: AtomicU64::new(0),
        })
    }

    /// Whether subsets of signed shapes may be read.
    pub fn allows_subsets(&self) -> bool {
        self.unsigned.subset.is_some()
    }

    /// How many signatures were checked since this was made.
    pub fn signatures_checked(&self) -> u64 {
        self.signatures_checked.load(Ordering::Relaxed)
    }

    /// The keys that issuers publish, an entry for each of those issuers.
    pub(crate) fn key_lines(&self) -> impl Iterator<Item = &KeyLine> {
        let issuers = self.issuers.values();
        issuers.filter_map(|known| known.issuer.key_line())
    }

    /// Takes the place of an earlier one of the same tenant: its issuers' keys, where they are published in the same
    /// places.
    pub(crate) fn inherit(&self, earlier: &Self) {
        for (name, known) in &earlier.issuers {
            if let Some(own) = self.issuers.get(name) {
                own.issuer.inherit(&known.issuer);
            }
        }
    }

    /// Whether no token can be verified yet, because every issuer's first keys are still to come.
    #[must_use]
    pub fn awaits_first_keys(&self, now: Now) -> bool {
        let published = || self.key_lines().map(KeyLine::keys);
        published().next().is_some()
            && published().count() == self.issuers.len()
            && published().all(|keys| keys.age(now).is_none())
    }

    /// The token that these headers carry, at once if nobody has to be waited for.
    ///
    /// # Errors
    /// 401 for none, and for one that is not valid here; 403 for a valid one that signs no shape; 400 for several.
    pub fn authenticate<'v>(
        &'v self,
        headers: &CredentialHeaders<'v>,
        now: Now,
    ) -> Result<Verification<'v>, Refusal> {
        let token = headers
            .bearer()
            .map_err(|fault| fault.refusal())?
            .ok_or_else(|| {
                Refusal::new(
                    Code::TokenMissing,
                    "A token is needed: send Authorization: Bearer …",
                )
            })?;
        if let Some(known) = self.memory.recall(token, now) {
            return Ok(Verification::Known(known));
        }
        match self.verify_and_remember(token, now) {
            Ok(verified) => Ok(Verification::Known(verified)),
            Err(fault) => {
                let published = |issuer: &str| {
                    let known = self.issuers.get(issuer)?;
                    known.issuer.published_keys().map(Arc::as_ref)
                };
                Ok(Verification::Pending(PendingToken {
                    verifier: self,
                    token,
                    awaited: AwaitedKeys::of(published, token, fault, now)?,
                }))
            }
        }
    }

    fn verify_and_remember(&self, token: &[u8], now: Now) -> Result<Arc<ShapeToken>, Fault> {
        let verified = Arc::new(self.verify(token, now)?);
        self.memory.remember(token, &verified, now);
        Ok(verified)
    }

    fn verify(&self, token: &[u8], now: Now) -> Result<ShapeToken, Fault> {
        let jws = Jws::read(token)?;
        let claims = read_claims(&jws)?;
        let name = issuer_claim(&claims)?;
        let ShapeIssuer { issuer, own } = self
            .issuers
            .get(&name)
            .ok_or_else(|| Fault::IssuerUnknown(quoted(&name)))?;
        let VerifiedClaims {
            claims,
            end,
            mut credential,
            standing,
        } = issuer.verify_claims(&jws, claims, now, &self.signatures_checked)?;
        credential.subject = subject(&claims)?;
        let key_end = jws
            .header
            .kid
            .as_deref()
            .filter(|_| *own)
            .and_then(|kid| self.ends.get(kid));
        let end = key_end.map_or(end, |key_end| end.min(*key_end));
        if end <= now.wall {
            return Err(Fault::KeyRetired);
        }
        Ok(ShapeToken {
            shape: SignedShape::read(claims.get("shape")).map_err(Fault::Shape)?,
            issuer: Arc::clone(issuer.name()),
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            until: Until::at_wall(now, end),
            standing,
            credential: Arc::new(credential),
            answered: [const { OnceLock::new() }; 2],
        })
    }

    /// Decides whether what is asked is what the token signs.
    ///
    /// # Errors
    /// 400 when no shape is asked for, 401 when the token is over, 403 when another one is.
    pub fn decide(&self, token: &ShapeToken, asked: &Asked, now: Now) -> Result<Arc<Allowed>, Refusal> {
        let [full, changes] = &token.answered;
        let slot = match asked.log.unwrap_or_default() {
            Log::Full => full,
            Log::ChangesOnly => changes,
        };
        if let Some((definition, allowed)) = slot.get()
            && *definition == asked.definition
        {
            return Ok(Arc::clone(allowed));
        }
        let terms = SignedTerms {
            unsigned: &self.unsigned,
            tenant: &self.tenant,
            tagger: self.tagger.as_ref(),
            until: token.until,
            rule: &token.issuer,
        };
        let allowed = token.shape.allow(asked, &terms, now)?;
        // Another request may have been first; its spelling is as good.
        _ = slot.set((asked.definition.clone(), Arc::clone(&allowed)));
        Ok(allowed)
    }
}

/// What we sign ourselves: for this tenant alone, and of a type of its own.
fn own_issuer(name: &str, tenant: &str, keys: &SigningKeys) -> IssuerSource {
    IssuerSource {
        issuer: name.to_owned(),
        keys: keys.verifying().to_vec(),
        audience: AudienceRule::Audience(vec![tenant.to_owned()]),
        lifetime_max: None,
        token_type: Some(SHAPE_TOKEN_TYPE.to_owned()),
        claims: Vec::new(),
    }
}
