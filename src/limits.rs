//! How much each subject, tenant and address may ask for.
//!
//! What is counted belongs to the process: a reload changes the numbers ([`Limits::set`]) and forgets nobody.
//! A limit that is not set costs a comparison; one that is set, a look into a sharded map.

pub mod address;
mod held;
mod key;
mod metrics;
mod rates;
mod settings;
mod shares;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderMap;
use shapegate_core::code::{Code, Refusal};

use self::held::HeldTable;
use self::key::Counted;
use self::rates::Rates;
use crate::clock::Clock;
use crate::cluster::SharedRates;

pub use held::HeldSlot;
pub use key::Asker;
pub use metrics::LimitMetrics;
pub use settings::{LimitSettings, Quota, Rate, Scope};

/// What a client is told that waits too often at once: one of its waits ends within Electric's 20 s.
const HELD_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The limits of a process, and what counts against them.
pub struct Limits {
    settings: ArcSwap<LimitSettings>,
    rates: Rates,
    held: Arc<HeldTable>,
    clock: Arc<dyn Clock>,
    metrics: LimitMetrics,
}

impl Limits {
    /// Nobody has asked for anything yet.
    pub fn new(settings: LimitSettings, clock: Arc<dyn Clock>, metrics: LimitMetrics) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            rates: Rates::local(),
            held: Arc::default(),
            clock,
            metrics,
        }
    }

    /// The same, with rates that other gateways count against as well.
    #[must_use]
    pub fn shared_by(mut self, rates: Arc<SharedRates>) -> Self {
        self.rates.share(rates);
        self
    }

    /// Other numbers from now on; what was counted still counts.
    pub fn set(&self, settings: LimitSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// The address that counts for a request, where addresses count: the peer's, or what trusted proxies say.
    pub fn address(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let settings = self.settings.load();
        let peer = peer.filter(|_| !settings.per_address.is_unlimited())?;
        Some(address::counted(address::of_client(
            peer,
            headers,
            &settings.trusted_proxies,
        )))
    }

    /// The address of a client, whether or not addresses count: the peer's, or what trusted proxies say.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        address::of_client(peer, headers, &self.settings.load().trusted_proxies)
    }

    /// A request from an address, before anything of it is judged.
    ///
    /// # Errors
    /// `rate_limited`.
    pub async fn arrive(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let quota = self.settings.load().per_address;
        match address {
            Some(address) => {
                self.take_one(Rate::Requests, Scope::Address, quota, Counted::Address(address))
                    .await
            }
            None => Ok(()),
        }
    }

    /// Counts one of `rate` against the asker's subject, address and tenant. The tenant comes last: who has used
    /// up his own share takes nothing from the others.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which it is worth asking again.
    pub async fn take(&self, rate: Rate, asker: &Asker) -> Result<(), Refusal> {
        let settings = self.settings.load_full();
        // Addresses were counted when the request arrived.
        let scopes = Scope::ALL
            .into_iter()
            .filter(|scope| rate != Rate::Requests || *scope != Scope::Address);
        for scope in scopes {
            let quota = settings.quota(scope);
            if quota.rate(rate).is_none() {
                continue;
            }
            if let Some(counted) = asker.counted(scope) {
                self.take_one(rate, scope, quota, counted).await?;
            }
        }
        Ok(())
    }

    async fn take_one(
        &self,
        rate: Rate,
        scope: Scope,
        quota: Quota,
        counted: Counted,
    ) -> Result<(), Refusal> {
        let Some(per_minute) = quota.rate(rate) else {
            return Ok(());
        };
        let now = self.clock.now().monotonic;
        let taken = self.rates.take((rate, counted), per_minute, now).await;
        taken.map_err(|pause| {
            self.metrics.limited(scope, rate.as_str());
            let text = format!("Too many {} of one {}.", rate.plural(), scope.as_str());
            Refusal::new(Code::RateLimited, text)
                .with_retry_after(whole_seconds(pause))
                .with_detail(format!("limits.per_{}.{}", scope.as_str(), rate.as_str()))
        })
    }

    /// Room for one more wait, given back when it is dropped; none where waits do not count.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn hold(&self, asker: &Asker) -> Result<Option<HeldSlot>, Refusal> {
        let settings = self.settings.load();
        let mut slot = None;
        for scope in Scope::ALL {
            let Some(max) = settings.quota(scope).held_polls else {
                continue;
            };
            let Some(counted) = asker.counted(scope) else {
                continue;
            };
            if !HeldSlot::add(&mut slot, &self.held, counted, max) {
                self.metrics.limited(scope, "held_polls");
                let text = format!("Too many waits of one {} at once.", scope.as_str());
                return Err(Refusal::new(Code::RateLimited, text)
                    .with_retry_after(HELD_RETRY_AFTER)
                    .with_detail(format!("limits.per_{}.held_polls", scope.as_str())));
            }
        }
        Ok(slot)
    }

    /// Subjects, tenants and addresses with waits that count now.
    pub fn holders(&self) -> usize {
        self.held.len()
    }
}

/// `Retry-After` knows whole seconds alone.
fn whole_seconds(pause: Duration) -> Duration {
    Duration::from_secs(pause.as_secs() + u64::from(pause.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests;
