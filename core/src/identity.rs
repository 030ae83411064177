//! Who asks, prepared once for the rules.
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;

use crate::credential::Credential;
use crate::time::Until;
use crate::value::Value;

/// What a credential says about who sent it, as whoever verified it hands it over.
#[derive(Clone, Debug, Default)]
pub struct IdentitySource {
    /// `sub`, which rules read as `user.id`. An empty one counts as none.
    pub subject: Option<Arc<str>>,
    /// Who vouches: a token's `iss`, or the name of another method.
    pub issuer: Option<Arc<str>>,
    /// Names that the configuration maps; `user.<name>` reads these before any claim of that name.
    pub mapped: BTreeMap<Arc<str>, Value>,
    /// The token as it came; all of it is `user.claims`, and its top level is `user.<name>` as well.
    pub claims: BTreeMap<Arc<str>, Value>,
    /// When the credential ends, skew included.
    pub valid_until: Option<Until>,
    /// What else the credential goes by; its subject and issuer are those above.
    pub credential: Credential,
}

/// A known user. Rules see it as `user`, converted here once and borrowed by every evaluation.
///
/// Nobody (an anonymous request) is `None` where an identity is optional, and `user` is then `null`.
pub struct Identity {
    number: u64,
    credential: Arc<Credential>,
    valid_until: Option<Until>,
    user: Box<dyn Val>,
}

/// The next identity's number. Numbers are never reused, so that what is remembered for one identity can
/// never be found for another.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

impl Identity {
    /// Prepares an identity for the rules. Do this once a credential, and keep it: it copies every claim.
    #[must_use]
    pub fn new(source: IdentitySource) -> Self {
        let subject = source.subject.filter(|subject| !subject.is_empty());
        let user = user(subject.as_ref(), source.mapped, source.claims);
        let credential = Credential {
            subject,
            issuer: source.issuer,
            ..source.credential
        };
        Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            credential: Arc::new(credential),
            valid_until: source.valid_until,
            user,
        }
    }

    /// A number that no other identity of this process ever has, for keys of what is remembered.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// `sub`; never empty.
    #[must_use]
    pub fn subject(&self) -> Option<&Arc<str>> {
        self.credential.subject.as_ref()
    }

    /// Who vouches for it.
    #[must_use]
    pub fn issuer(&self) -> Option<&Arc<str>> {
        self.credential.issuer.as_ref()
    }

    /// What the credential behind it goes by.
    #[must_use]
    pub fn credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// When the credential behind it ends.
    #[must_use]
    pub fn valid_until(&self) -> Option<Until> {
        self.valid_until
    }

    pub(crate) fn user(&self) -> &dyn Val {
        self.user.as_ref()
    }
}

/// Claims are personal data: they stay out of logs.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// `id` and `claims` mean the same in every token, whatever claims or mappings of these names there are.
fn user(
    subject: Option<&Arc<str>>,
    mapped: BTreeMap<Arc<str>, Value>,
    claims: BTreeMap<Arc<str>, Value>,
) -> Box<dyn Val> {
    let mut members = claims.clone();
    members.extend(mapped);
    members.remove("id");
    if let Some(subject) = subject {
        members.insert("id".into(), Value::String(Arc::clone(subject)));
    }
    members.insert("claims".into(), Value::Map(claims));
    prepare(&Value::Map(members))
}

/// Converts a value to what CEL computes with, owned and exact.
pub(crate) fn prepare(value: &Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Int(number) => Box::new(CelInt::from(*number)),
        Value::UInt(number) => Box::new(CelUInt::from(*number)),
        Value::Float(number) => Box::new(CelDouble::from(*number)),
        Value::String(text) => Box::new(CelString::from(text.to_string())),
        Value::List(elements) => Box::new(CelList::from(
            elements.iter().map(prepare).collect::<Vec<Box<dyn Val>>>(),
        )),
        Value::Map(members) => {
            let entry =
                |(name, value): (&Arc<str>, &Value)| (CelMapKey::from(name.to_string()), prepare(value));
            Box::new(CelMap::from(
                members.iter().map(entry).collect::<HashMap<_, Box<dyn Val>>>(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(identity: &Identity, name: &'static str) -> Option<String> {
        let user = identity.user().downcast_ref::<CelMap>().unwrap();
        user.inner()
            .get(&CelMapKey::from(name))
            .map(|value| format!("{value:?}"))
    }

    #[test]
    fn no_two_identities_share_a_number() {
        let numbers: std::collections::BTreeSet<u64> = (0..100)
            .map(|_| Identity::new(IdentitySource::default()).number())
            .collect();
        assert_eq!(numbers.len(), 100);
    }

    #[test]
    fn an_empty_subject_is_none_and_a_claim_called_id_does_not_replace_it() {
        let claims = BTreeMap::from([(Arc::from("id"), Value::from("forged"))]);
        let source = IdentitySource {
            subject: Some("".into()),
            claims,
            ..IdentitySource::default()
        };
        let identity = Identity::new(source);
        assert_eq!(identity.subject(), None);
        assert_eq!(shown(&identity, "id"), None);
    }

    #[test]
    fn debug_output_holds_no_claim() {
        let source = IdentitySource {
            subject: Some("alice".into()),
            ..IdentitySource::default()
        };
        assert!(!format!("{:?}", Identity::new(source)).contains("alice"));
    }
}
