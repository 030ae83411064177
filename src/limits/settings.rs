//! The numbers.

use crate::config::Network;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One user of one issuer at one tenant.
    Subject,
    /// One client's address; of IPv6, its /64.
    Address,
    /// One tenant, all its users together.
    Tenant,
}

impl Scope {
    /// All of them, the one that others share last.
    pub const ALL: [Self; 3] = [Self::Subject, Self::Address, Self::Tenant];

    /// Its name in the configuration, after `per_`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Address => "address",
            Self::Tenant => "tenant",
        }
    }
}

/// What is counted by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Requests of any kind.
    Requests,
    /// Reads that make Electric read a table: starts of a log, and what goes past all caches.
    NewShapes,
    /// Subset queries.
    Subsets,
    /// Tokens that are minted.
    Mints,
}

impl Rate {
    /// Its name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests_per_minute",
            Self::NewShapes => "new_shapes_per_minute",
            Self::Subsets => "subsets_per_minute",
            Self::Mints => "mints_per_minute",
        }
    }

    /// What there were too many of.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::NewShapes => "new shapes",
            Self::Subsets => "subset queries",
            Self::Mints => "tokens",
        }
    }
}

/// How much one of a scope may ask for; what is none is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Long polls and event streams that wait at once.
    pub held_polls: Option<u32>,
    /// [`Rate::Requests`].
    pub requests_per_minute: Option<u32>,
    /// [`Rate::NewShapes`].
    pub new_shapes_per_minute: Option<u32>,
    /// [`Rate::Subsets`].
    pub subsets_per_minute: Option<u32>,
    /// [`Rate::Mints`].
    pub mints_per_minute: Option<u32>,
}

impl Quota {
    /// What a subject may unless configured otherwise: some hundred shapes in several tabs.
    pub const SUBJECT: Self = Self {
        held_polls: Some(256),
        requests_per_minute: None,
        new_shapes_per_minute: Some(120),
        subsets_per_minute: Some(600),
        mints_per_minute: Some(600),
    };

    /// The rate, in occurrences a minute.
    pub const fn rate(self, rate: Rate) -> Option<u32> {
        match rate {
            Rate::Requests => self.requests_per_minute,
            Rate::NewShapes => self.new_shapes_per_minute,
            Rate::Subsets => self.subsets_per_minute,
            Rate::Mints => self.mints_per_minute,
        }
    }

    /// Whether nothing is limited.
    pub fn is_unlimited(self) -> bool {
        self == Self::default()
    }
}

/// All limits of a process.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// For one subject.
    pub per_subject: Quota,
    /// For one tenant.
    pub per_tenant: Quota,
    /// For one address.
    pub per_address: Quota,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
}

impl LimitSettings {
    /// What one of a scope may.
    pub const fn quota(&self, scope: Scope) -> Quota {
        match scope {
            Scope::Subject => self.per_subject,
            Scope::Address => self.per_address,
            Scope::Tenant => self.per_tenant,
        }
    }
}
