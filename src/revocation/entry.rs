//! One revocation.

use std::fmt;
use std::sync::Arc;

use shapegate_core::credential::Credential;
use shapegate_core::time::UnixMillis;

use crate::identity::SUBJECT_BYTES_MAX;

/// Longest value that is revoked, in bytes: that of a subject.
pub const VALUE_BYTES_MAX: usize = SUBJECT_BYTES_MAX;
/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 256;

/// What a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One token: `jti`, or `origin_jti` of those made from it.
    TokenId,
    /// All credentials of a subject: `sub`.
    Subject,
    /// All tokens signed with a key.
    KeyId,
    /// Everything at a tenant.
    Tenant,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::TokenId, Self::Subject, Self::KeyId, Self::Tenant];

    /// Its key in files and requests, and its label in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenId => "jti",
            Self::Subject => "subject",
            Self::KeyId => "kid",
            Self::Tenant => "tenant",
        }
    }
}

/// What a revocation is known by: two of one name are the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// What is named.
    pub kind: Kind,
    /// Its id, exactly.
    pub value: Arc<str>,
    /// At which tenant alone; none: at all of them. Tenants themselves have none.
    pub tenant: Option<Arc<str>>,
    /// Of which issuer alone; none: of all of them.
    pub issuer: Option<Arc<str>>,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is revoked.
    pub name: Name,
    /// When it is forgotten; none: when it is taken back.
    pub expires: Option<UnixMillis>,
    /// Only credentials issued before that, and those that do not say when they were.
    pub issued_before: Option<UnixMillis>,
    /// For the log.
    pub reason: Option<Arc<str>>,
}

impl Entry {
    /// Whether it denies nothing any more.
    #[must_use]
    pub fn is_over(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether a new credential of the same subject would be good.
    #[must_use]
    pub fn is_of_one_credential(&self) -> bool {
        self.issued_before.is_some() || matches!(self.name.kind, Kind::TokenId | Kind::KeyId)
    }

    /// Whether it holds for who has this credential, at a tenant, given that its value is one of theirs.
    #[must_use]
    pub fn applies(&self, tenant: &str, credential: Option<&Credential>, now: UnixMillis) -> bool {
        let Name {
            tenant: at, issuer, ..
        } = &self.name;
        let issued = credential.and_then(|credential| credential.issued_at);
        let of_issuer =
            |issuer: &Arc<str>| credential.and_then(|credential| credential.issuer.as_ref()) == Some(issuer);
        !self.is_over(now)
            && at.as_ref().is_none_or(|at| **at == *tenant)
            && issuer.as_ref().is_none_or(of_issuer)
            && self
                .issued_before
                .is_none_or(|before| credential.is_some() && issued.is_none_or(|issued| issued < before))
    }
}

/// For logs: what, where, why. Values may hold anything.
impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Name {
            kind,
            value,
            tenant,
            issuer,
        } = &self.name;
        write!(formatter, "{} {value:?} is revoked", kind.as_str())?;
        if let Some(tenant) = tenant {
            write!(formatter, " at the tenant {tenant:?}")?;
        }
        if let Some(issuer) = issuer {
            write!(formatter, " for the issuer {issuer:?}")?;
        }
        match &self.reason {
            Some(reason) => write!(formatter, ": {reason:?}"),
            None => Ok(()),
        }
    }
}
