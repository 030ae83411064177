//! Those who know users and must be asked: what they say is remembered for a while, and for no longer.
//!
//! An answer is remembered under a digest of all that decided it, until its time is over whoever asks for it
//! meanwhile. What is remembered costs a look-up; whoever is not known is asked for once, however many
//! requests come with the same credential.

mod key;
mod recollection;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::time::{Now, UnixMillis, Until};
use shapegate_core::value::Value;

use super::carrier::Carrier;
use super::claims;
use super::fault::Fault;
use super::mapping::{self, ClaimMapping};
use crate::clock::Clock;
use crate::questions::{QuestionLimits, Questions, Unanswered};

pub use key::{CredentialKey, digest_of};
use recollection::{Recollection, bytes_of};

/// Questions that one provider answers at once.
pub const CONCURRENCY_MAX: usize = 32;
/// Questions to one provider in all, those that wait for their turn included.
pub const WAITING_MAX: usize = 1024;
/// How long it is remembered, at most, that a credential is nobody's: against a client that asks in a loop.
/// Short, because a session may begin to exist.
pub const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(1);

/// A credential as it was carried. It shows itself nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Arc<[u8]>);

impl Credential {
    /// The bytes as they came.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes as they came. They go to whoever knows sessions, and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// What a provider says of a credential that is somebody's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// All that it says. `sub`, if it is there, is the subject: text.
    pub claims: BTreeMap<Arc<str>, Value>,
    /// When the credential itself ends, if it says so.
    pub ends: Option<UnixMillis>,
}

/// Whoever knows users.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// Whose credential this is; `None` when it is nobody's.
    ///
    /// # Errors
    /// Why there is no answer, for the log. It must not hold the credential.
    async fn look_up(&self, credential: &Credential, clock: &dyn Clock) -> Result<Option<Found>, String>;
}

/// A method that asks a provider.
#[derive(Clone)]
pub struct ProviderSource {
    /// Who vouches: what rules and logs call it.
    pub name: Arc<str>,
    /// What carries its credentials.
    pub from: Carrier,
    /// Whom to ask.
    pub lookup: Arc<dyn Lookup>,
    /// How long an answer is remembered, counted from the question.
    pub ttl: Duration,
    /// How long one question may take.
    pub timeout: Duration,
    /// The names that rules read.
    pub claims: Vec<ClaimMapping>,
    /// How many answers are remembered.
    pub remembered_max: usize,
    /// Bytes of what is remembered, by estimate.
    pub remembered_bytes_max: u64,
}

impl fmt::Debug for ProviderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSource")
            .field("name", &self.name)
            .field("from", &self.from)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// One provider with what it has said.
pub(crate) struct Provider {
    known: Arc<Known>,
    questions: Questions<CredentialKey, Answer>,
}

/// What is shared with questions that outlive those who ask.
struct Known {
    name: Arc<str>,
    from: Carrier,
    lookup: Arc<dyn Lookup>,
    ttl: Duration,
    claims: Vec<ClaimMapping>,
    remembered: Recollection,
}

/// What an answer amounts to; a refusal is about the credential, and shared by all who sent it.
type Answer = Result<Arc<Identity>, Refusal>;

impl Provider {
    pub(crate) fn new(source: ProviderSource) -> Self {
        let limits = QuestionLimits {
            concurrency_max: CONCURRENCY_MAX,
            waiting_max: WAITING_MAX,
            timeout: source.timeout,
        };
        let remembered = Recollection::new(source.remembered_max, source.remembered_bytes_max);
        Self {
            questions: Questions::new(format!("identity: {}", source.name), limits),
            known: Arc::new(Known {
                name: source.name,
                from: source.from,
                lookup: source.lookup,
                ttl: source.ttl,
                claims: source.claims,
                remembered,
            }),
        }
    }

    /// What is remembered of a credential, if anything is. Allocates nothing.
    pub(crate) fn recall(&self, credential: &[u8], now: Now) -> Option<Answer> {
        self.known.remembered.recall(&self.known.key(credential), now)
    }

    /// Asks. What comes of it is remembered, whether anybody still waits for it or not.
    pub(crate) async fn ask(&self, credential: &[u8], clock: &Arc<dyn Clock>) -> Answer {
        let key = self.known.key(credential);
        let question = || {
            let (known, clock) = (Arc::clone(&self.known), Arc::clone(clock));
            let credential = Credential::new(credential);
            async move { known.find_out(key, &credential, &*clock).await }
        };
        match self.questions.ask(key, clock, question).await {
            Ok(answer) => answer,
            Err(unanswered) => Err(self.known.unavailable(&unanswered)),
        }
    }

    pub(crate) fn remembered(&self) -> usize {
        self.known.remembered.len()
    }
}

impl Known {
    /// Everything that decides whose a credential is, apart from the provider itself, which has a memory of
    /// its own.
    fn key(&self, credential: &[u8]) -> CredentialKey {
        CredentialKey::of(&self.from, credential)
    }

    async fn find_out(
        &self,
        key: CredentialKey,
        credential: &Credential,
        clock: &dyn Clock,
    ) -> Result<Answer, String> {
        // What was true when it was asked is true for its time from then on, however long the answer took.
        let asked = clock.now();
        let found = self.lookup.look_up(credential, clock).await?;
        let bytes = found.as_ref().map_or(0, |found| bytes_of(&found.claims));
        let answer = match found {
            None => Err(Fault::NobodysCredential(self.name.to_string()).refusal()),
            Some(found) => self.identity(found, asked, clock.now()),
        };
        let until = match &answer {
            Ok(identity) => identity.valid_until(),
            Err(_) => None,
        };
        let until = until.unwrap_or_else(|| Until::after(asked, self.ttl.min(NEGATIVE_TTL_MAX)));
        self.remembered.remember(key, &answer, until, bytes);
        Ok(answer)
    }

    fn identity(&self, found: Found, asked: Now, now: Now) -> Answer {
        let remembered = Until::after(asked, self.ttl);
        let ends = found.ends.map(|ends| Until::at_wall(now, ends));
        if ends.is_some_and(|ends| ends.is_over(now)) {
            return Err(Fault::Expired.refusal());
        }
        let valid_until = ends.map_or(remembered, |ends| ends.min(remembered));
        let made = || {
            let subject = claims::subject(&found.claims)?;
            let credential = claims::credential(&found.claims);
            let (mapped, claims) = mapping::apply(&self.claims, found.claims)?;
            Ok(Arc::new(Identity::new(IdentitySource {
                subject,
                issuer: Some(Arc::clone(&self.name)),
                mapped,
                claims,
                valid_until: Some(valid_until),
                credential,
            })))
        };
        made().map_err(|fault: Fault| fault.refusal())
    }

    fn unavailable(&self, unanswered: &Unanswered) -> Refusal {
        Refusal::new(
            Code::IdentityUnavailable,
            "Whoever knows the users cannot be asked now.",
        )
        .with_detail(format!("{}: {unanswered}", self.name))
        .with_retry_after(unanswered.retry_after())
    }
}
