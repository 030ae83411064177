//! How a cluster stands, and who knows of what.

use std::sync::atomic::Ordering;

use shapegate_core::time::UnixMillis;

use super::Cluster;

/// Who knows of a change of what is revoked, besides this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether all gateways do; none where there is no cluster.
    pub shared: Option<bool>,
    /// Whether the state file does; none where it has nothing to do with it, as where all gateways know.
    pub kept: Option<bool>,
}

impl Told {
    /// All gateways.
    pub const ALL: Self = Self::shared(true);
    /// This process alone, until Redis can be written to.
    pub const THIS_FOR_NOW: Self = Self::shared(false);

    pub(super) const fn shared(so: bool) -> Self {
        Self {
            shared: Some(so),
            kept: None,
        }
    }
}

/// Whether anything is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no cluster.
    Alone,
    /// All is shared.
    Together,
    /// There is a cluster, and it cannot be used.
    Apart,
}

/// How a cluster stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Where it is, without a password.
    pub place: String,
    /// Whether Redis is in use.
    pub is_up: bool,
    /// Since when that is so.
    pub since: UnixMillis,
    /// Revocations that are known of it.
    pub revocations: usize,
    /// Changes of them that Redis does not know yet.
    pub unwritten: usize,
    /// Whether rates are counted together.
    pub shares_rates: bool,
}

impl Cluster {
    /// Whether anything is shared now.
    pub fn standing(&self) -> Standing {
        match (self.is_up.load(Ordering::Acquire), self.shared().is_on) {
            (_, false) => Standing::Alone,
            (true, true) => Standing::Together,
            (false, true) => Standing::Apart,
        }
    }

    /// How it stands, for whoever looks; none where there is no cluster.
    pub fn overview(&self) -> Option<Overview> {
        let place = self
            .settings
            .borrow()
            .as_ref()
            .map(|settings| settings.url.to_string())?;
        let shared = self.shared();
        Some(Overview {
            place,
            is_up: self.is_up.load(Ordering::Acquire),
            since: UnixMillis(self.since.load(Ordering::Acquire)),
            revocations: shared.ledger.entries().count(),
            unwritten: shared.ledger.unwritten_count(),
            shares_rates: self.rates.are_shared(),
        })
    }

    /// Redis is in use from now on, or no longer.
    pub(super) fn turn(&self, up: bool) {
        self.since.store(self.clock.now().wall.0, Ordering::Release);
        self.is_up.store(up, Ordering::Release);
    }
}
