//! Those who know users and must be asked: what they say is remembered for a while, and for no longer.
//!
//! An answer is remembered under a digest of all that decided it, until its time is over whoever asks for it
//! meanwhile. What is remembered costs a look-up; whoever is not known is asked for once, however many
//! requests come with the same credential.

mod book;
mod endings;
mod key;
mod recollection;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
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
use crate::breaker::Watched;
use crate::clock::Clock;
use crate::questions::{QuestionLimits, Questions, Unanswered};

pub use book::ProviderBook;
pub use endings::Ended;
use endings::Endings;
pub use key::{CredentialKey, digest_of};
use recollection::{Recollection, bytes_of};

/// Questions that one provider answers at once.
pub const CONCURRENCY_MAX: usize = 32;
/// Questions to one provider in all, those that wait for their turn included.
pub const WAITING_MAX: usize = 1024;
/// How long it is remembered, at most, that a credential is nobody's: against a client that asks in a loop.
/// Short, because a session may begin to exist.
pub const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(1);

/// How often a credential is asked about that ends again and again meanwhile.
const ATTEMPTS_MAX: u32 = 3;

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
    async fn look_up(&self, credential: &Credential, clock: &Arc<dyn Clock>)
    -> Result<Option<Found>, String>;

    /// Whether credentials may end before their time, and somebody tells of it. Then nothing is remembered while
    /// that somebody is not heard.
    fn tells_endings(&self) -> bool {
        false
    }

    /// Waits until endings are heard of, or it is known that they are not. The next question is asked after it.
    async fn prepare(&self, _: &Arc<dyn Clock>) {}

    /// Whom to tell. It is called once, before the first question.
    fn tell_endings_to(&self, _: EndingsOf) {}

    /// What an ending names a credential by, if it is not the credential itself.
    fn digest(&self, _credential: &[u8]) -> Option<[u8; DIGEST_BYTES]> {
        None
    }
}

/// Bytes of a digest that names a credential.
pub const DIGEST_BYTES: usize = 32;

/// What a provider has said, for whoever learns that something of it no longer holds.
#[derive(Clone)]
pub struct EndingsOf(Weak<Known>);

impl EndingsOf {
    /// From now on every ending is told, or that they are no longer.
    pub fn heard(&self) {
        if let Some(known) = self.0.upgrade() {
            known.endings.set_heard(true);
        }
    }

    /// Endings may have been missed, and will be until further notice: nothing that was said is relied on for
    /// another request.
    pub fn unheard(&self) {
        if let Some(known) = self.0.upgrade() {
            known.endings.set_heard(false);
            known.endings.lose_track();
            known.remembered.clear();
        }
    }

    /// The credential of this name has ended. Whoever waits by it is told.
    pub fn ended(&self, name: CredentialName<'_>) {
        if let Some(known) = self.0.upgrade() {
            let key = known.key_of(name);
            known.endings.end(&key);
            known.remembered.forget(&key);
        }
    }

    /// All have ended.
    pub fn all_ended(&self) {
        if let Some(known) = self.0.upgrade() {
            known.endings.end_all();
            known.remembered.clear();
        }
    }
}

/// What names a credential.
#[derive(Clone, Copy)]
pub enum CredentialName<'a> {
    /// The credential itself.
    Itself(&'a [u8]),
    /// What [`Lookup::digest`] makes of it.
    Digest([u8; DIGEST_BYTES]),
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
pub struct Provider {
    known: Arc<Known>,
    questions: Questions<CredentialKey, Answer>,
    /// The settings that it was made of.
    made_of: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.known.name)
    }
}

/// What is shared with questions that outlive those who ask.
pub struct Known {
    name: Arc<str>,
    from: Carrier,
    lookup: Arc<dyn Lookup>,
    ttl: Duration,
    claims: Vec<ClaimMapping>,
    remembered: Recollection,
    endings: Endings,
}

/// What an answer amounts to; a refusal is about the credential, and shared by all who sent it.
type Answer = Result<Arc<Identity>, Refusal>;

impl Provider {
    /// One that has said nothing yet.
    #[must_use]
    pub fn new(source: ProviderSource) -> Self {
        let limits = QuestionLimits {
            concurrency_max: CONCURRENCY_MAX,
            waiting_max: WAITING_MAX,
            timeout: source.timeout,
        };
        let remembered = Recollection::new(source.remembered_max, source.remembered_bytes_max);
        let questions = Questions::new(format!("identity: {}", source.name), limits);
        let known = Arc::new(Known {
            name: source.name,
            from: source.from,
            lookup: source.lookup,
            ttl: source.ttl,
            claims: source.claims,
            remembered,
            endings: Endings::default(),
        });
        known.lookup.tell_endings_to(EndingsOf(Arc::downgrade(&known)));
        Self {
            known,
            questions,
            made_of: Box::new(()),
        }
    }

    /// What carries its credentials.
    pub(crate) fn carrier(&self) -> &Carrier {
        &self.known.from
    }

    /// What rules, logs and metrics call it.
    pub(crate) fn name(&self) -> &str {
        &self.known.name
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
            async move { known.find_out(key, &credential, &clock).await }
        };
        match self.questions.ask(key, clock, question).await {
            Ok(answer) => answer,
            Err(unanswered) => Err(self.known.unavailable(&unanswered)),
        }
    }

    /// Tells when the credential behind an identity of this provider ends, while that is known.
    pub(crate) fn watch(&self, identity: &Identity) -> Option<Ended> {
        self.known.endings.watch(identity)
    }

    /// Whether an identity may be this provider's, and its credential be told of when it ends.
    pub(crate) fn may_tell_of(&self, identity: &Identity) -> bool {
        identity.issuer() == Some(&self.known.name) && self.known.lookup.tells_endings()
    }

    /// What keeps it from being asked while it fails again and again.
    pub(crate) fn breaker(&self) -> Watched {
        Watched {
            service: "identity",
            name: Arc::clone(&self.known.name),
            breaker: Arc::clone(self.questions.breaker()),
        }
    }

    pub(crate) fn remembered(&self) -> usize {
        self.known.remembered.len()
    }

    /// The names that rules read of its answers.
    pub(super) fn mappings(&self) -> &[ClaimMapping] {
        &self.known.claims
    }
}

impl Known {
    /// Everything that decides whose a credential is, apart from the provider itself, which has a memory of
    /// its own.
    fn key(&self, credential: &[u8]) -> CredentialKey {
        let digest = self.lookup.digest(credential);
        self.key_of(digest.map_or(CredentialName::Itself(credential), CredentialName::Digest))
    }

    fn key_of(&self, name: CredentialName<'_>) -> CredentialKey {
        match name {
            CredentialName::Itself(credential) => CredentialKey::of(&self.from, credential),
            CredentialName::Digest(digest) => CredentialKey::of(&self.from, &digest),
        }
    }

    /// Asks, and asks again where the credential has ended in between: the answer may be older than the end.
    async fn find_out(
        &self,
        key: CredentialKey,
        credential: &Credential,
        clock: &Arc<dyn Clock>,
    ) -> Result<Answer, String> {
        if !self.lookup.tells_endings() {
            let (answer, until, bytes) = self.ask_once(credential, clock).await?;
            self.remembered.remember(key, &answer, until, bytes);
            return Ok(answer);
        }
        for _ in 0..ATTEMPTS_MAX {
            self.lookup.prepare(clock).await;
            let asking = self.endings.ask(key);
            let heard = self.endings.are_heard();
            let (answer, until, bytes) = self.ask_once(credential, clock).await?;
            // An ending from here on finds what is remembered here, or leaves its mark.
            if heard {
                self.remembered.remember(key, &answer, until, bytes);
            }
            if asking.answered(answer.as_ref().ok()) || !heard {
                return Ok(answer);
            }
            self.remembered.forget(&key);
        }
        Err("credentials end faster than they can be asked about".to_owned())
    }

    async fn ask_once(
        &self,
        credential: &Credential,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Answer, Until, u64), String> {
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
        Ok((answer, until, bytes))
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
