//! Who is counted, as a struct compared in full.

use std::net::IpAddr;
use std::sync::Arc;

use shapegate_core::identity::Identity;

use super::settings::Scope;

/// One that is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    /// A user.
    Subject(Arc<str>, Subject),
    /// A tenant.
    Tenant(Arc<str>),
    /// An address.
    Address(IpAddr),
}

impl Counted {
    /// What it is known by at all gateways; none where it is known here alone.
    pub(super) fn shared_name(&self) -> Option<Vec<String>> {
        let owned = |parts: &[&str]| Some(parts.iter().map(|part| (*part).to_owned()).collect());
        match self {
            Self::Subject(
                tenant,
                Subject::Named {
                    issuer: None,
                    subject,
                },
            ) => owned(&["subject", tenant, subject]),
            Self::Subject(
                tenant,
                Subject::Named {
                    issuer: Some(issuer),
                    subject,
                },
            ) => owned(&["subject", tenant, subject, issuer]),
            Self::Subject(_, Subject::Credential(_)) => None,
            Self::Tenant(tenant) => owned(&["tenant", tenant]),
            Self::Address(address) => owned(&["address", &address.to_string()]),
        }
    }
}

/// A user of one tenant. `sub` is unique within its issuer alone (RFC 7519 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Named {
        issuer: Option<Arc<str>>,
        subject: Arc<str>,
    },
    /// Of a credential that names nobody: the credential itself.
    Credential(u64),
}

/// Who asks, as far as it is counted.
#[derive(Clone, Debug)]
pub struct Asker {
    tenant: Arc<str>,
    subject: Option<Subject>,
    address: Option<IpAddr>,
}

impl Asker {
    /// Somebody who is known, or nobody in particular, at a tenant.
    pub fn of(tenant: &Arc<str>, identity: Option<&Identity>, address: Option<IpAddr>) -> Self {
        let subject = identity.map(|identity| match identity.subject() {
            Some(subject) => Subject::Named {
                issuer: identity.issuer().cloned(),
                subject: Arc::clone(subject),
            },
            None => Subject::Credential(identity.number()),
        });
        Self {
            tenant: Arc::clone(tenant),
            subject,
            address,
        }
    }

    /// The holder of a token that signs a shape, at a tenant.
    pub fn with_token(
        tenant: &Arc<str>,
        issuer: &Arc<str>,
        subject: Result<&Arc<str>, u64>,
        address: Option<IpAddr>,
    ) -> Self {
        let subject = match subject {
            Ok(subject) => Subject::Named {
                issuer: Some(Arc::clone(issuer)),
                subject: Arc::clone(subject),
            },
            Err(number) => Subject::Credential(number),
        };
        Self {
            tenant: Arc::clone(tenant),
            subject: Some(subject),
            address,
        }
    }

    /// Who counts in a scope; nobody where that is not known.
    pub(super) fn counted(&self, scope: Scope) -> Option<Counted> {
        let tenant = || Arc::clone(&self.tenant);
        match scope {
            Scope::Subject => Some(Counted::Subject(tenant(), self.subject.clone()?)),
            Scope::Tenant => Some(Counted::Tenant(tenant())),
            Scope::Address => Some(Counted::Address(self.address?)),
        }
    }
}
