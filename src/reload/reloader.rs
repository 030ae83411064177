//! Looks at the files when it is time to, and serves what they say.

use super::fleet::{Fleet, Looked};
use super::watch::Watch;
use crate::config::{Limits, Problems, ServerSettings, Tls};
use crate::gateway::{State, server};
use crate::hub::addresses::Addresses;
use crate::tenant::Snapshot;
use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

/// How long new names of upstreams are waited for before they are served all the same.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Names that are resolved at once before a change is served; the others are resolved while it is.
const RESOLVED_FIRST_MAX: usize = 64;

/// Keeps a SIGHUP that comes before anybody waits for one from ending the process.
///
/// # Errors
/// When the system refuses.
pub fn survive_hangups() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    // Once a signal is listened for, its default is gone for the life of the process.
    signal(SignalKind::hangup()).map(drop)
}

/// The service that keeps a process as its files say.
pub struct Reloader {
    state: Arc<State>,
    /// None while it is away, looking.
    fleet: Mutex<Option<Fleet>>,
    started_with: ServerSettings,
}

impl Reloader {
    /// Keeps `state` as the files of `fleet` say.
    pub fn new(state: Arc<State>, fleet: Fleet) -> Self {
        let started_with = fleet.server().clone();
        state.metrics.reload.serves(fleet.counts(), fleet.is_current());
        let now = state.clock.now().wall;
        state.metrics.reload.taken(now);
        state.note_standing(|standing| {
            standing.taken = Some(now);
            standing.current = fleet.is_current();
            standing.counts = fleet.counts();
            standing.insecure = fleet.insecure();
        });
        Self {
            state,
            fleet: Mutex::new(Some(fleet)),
            started_with,
        }
    }

    /// Looks once, and serves what has changed. `closely`: even where a file looks as before.
    ///
    /// Says what it found in the log.
    pub async fn look(&self, closely: bool) {
        let mut place = self.fleet.lock().await;
        let Some(mut fleet) = place.take() else { return };
        let looking = tokio::task::spawn_blocking(move || {
            let looked = fleet.look(closely);
            let snapshot = looked.is_change().then(|| fleet.snapshot());
            (fleet, looked, snapshot)
        });
        let Ok((fleet, looked, snapshot)) = looking.await else {
            log::error!("looking at the configuration failed; it is served as it is, and no longer reloaded");
            return;
        };
        tell(&looked);
        if let Some(snapshot) = snapshot {
            self.resolve_new(&snapshot).await;
            self.serve(snapshot, &fleet, &looked);
        }
        if looked.refused.refuse() {
            self.state.metrics.reload.refused();
        }
        self.note_standing(&fleet, &looked);
        self.state
            .metrics
            .reload
            .serves(fleet.counts(), fleet.is_current());
        *place = Some(fleet);
    }

    fn note_standing(&self, fleet: &Fleet, looked: &Looked) {
        let now = self.state.clock.now().wall;
        let refused = looked
            .refused
            .refuse()
            .then(|| (now, looked.refused.error_places()));
        self.state.note_standing(|standing| {
            standing.current = fleet.is_current();
            standing.counts = fleet.counts();
            if looked.is_change() {
                standing.taken = Some(now);
                standing.insecure = fleet.insecure();
            }
            if refused.is_some() {
                standing.refused = refused;
            }
        });
    }

    fn serve(&self, snapshot: Snapshot, fleet: &Fleet, looked: &Looked) {
        if looked.reopened {
            self.serve_process(fleet.server());
        }
        self.state.replace(snapshot);
        self.state.metrics.reload.taken(self.state.clock.now().wall);
    }

    /// Takes over what of the process can change while it runs.
    fn serve_process(&self, settings: &ServerSettings) {
        if let (Some(tls), Some(_)) = (&settings.tls, &self.started_with.tls)
            && let Err(error) = self.state.certificates.replace(tls)
        {
            log::error!("the certificates stay as they are: {error}");
        }
        self.state.cluster.set(settings.cluster.clone());
        server::set_limits(&self.state, settings, &self.started_with.trusted_proxies);
        let differing = differing(&self.started_with, settings);
        if !differing.is_empty() {
            log::warn!(
                "{} changed in the configuration, and stay as they are until the process is started anew",
                differing.join(", ")
            );
        }
    }

    /// Asks for the addresses of hosts that nobody asked for yet, so that the first request to them finds one.
    async fn resolve_new(&self, snapshot: &Snapshot) {
        let unknown = snapshot
            .addresses()
            .into_iter()
            .filter(|addresses| addresses.count() == 0);
        let asking = unknown
            .take(RESOLVED_FIRST_MAX)
            .map(|addresses| async move { resolve(&addresses).await });
        let end = self.state.clock.now().monotonic.plus(RESOLVE_TIMEOUT);
        tokio::select! {
            _ = futures_util::future::join_all(asking) => {}
            () = self.state.clock.sleep_until(end) => {}
        }
    }

    async fn follow(&self, watch: &mut Watch) {
        if let Some(fleet) = &*self.fleet.lock().await {
            watch.follow(&fleet.folders());
        }
    }

    /// Reads the files of the process again whenever it is time to.
    async fn run(&self) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            log::error!("SIGHUP cannot be received");
            return;
        };
        let mut watch = Watch::new();
        self.follow(&mut watch).await;
        // What changed since it was read at start was not watched.
        self.look(false).await;
        loop {
            self.follow(&mut watch).await;
            let closely = tokio::select! {
                _ = hangup.recv() => true,
                () = watch.due(&*self.state.clock) => false,
            };
            if closely {
                log::info!("SIGHUP: looking at every file");
            }
            self.look(closely).await;
        }
    }
}

async fn resolve(addresses: &Addresses) {
    if let Err(error) = addresses.resolve().await {
        log::warn!("a new upstream is not resolved yet: {error}");
    }
}

/// Keys that differ from what the process started with and cannot change while it runs.
fn differing(before: &ServerSettings, now: &ServerSettings) -> Vec<&'static str> {
    let whether_tls = |tls: &Option<Tls>| match tls {
        None => "none".to_owned(),
        Some(Tls::Certificates(_)) => "certificates".to_owned(),
        Some(Tls::InsecureSelfSigned { name }) => name.clone(),
    };
    let token = |settings: &ServerSettings| settings.admin_token.as_ref().map(|token| token.text.clone());
    let pairs = [
        ("server.listen", before.listen != now.listen),
        ("server.tls", whether_tls(&before.tls) != whether_tls(&now.tls)),
        (
            "server.trusted_proxies",
            before.trusted_proxies != now.trusted_proxies,
        ),
        ("server.cache_status", before.cache_status != now.cache_status),
        ("server.encode", before.encode != now.encode),
        (
            "server.shutdown_delay, grace_period or upgrade_socket",
            before.leaving != now.leaving,
        ),
        ("admin", before.admin != now.admin),
        ("admin.token", token(before) != token(now)),
        (
            "revocations",
            format!("{:?}", before.revocations) != format!("{:?}", now.revocations),
        ),
        ("logs", before.logs != now.logs),
        ("metrics", before.metrics != now.metrics),
        ("traces", before.traces != now.traces),
        ("health", before.health != now.health),
        (
            "limits of sizes, connections and deadlines",
            lasting(before.limits) != lasting(now.limits),
        ),
    ];
    pairs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| key)
        .collect()
}

/// What of the limits stays as it was at the start: all that others than rates and counts go by.
fn lasting(limits: Limits) -> Limits {
    let Limits {
        upstream_requests_max,
        upstream_new_shapes_max,
        per_subject,
        per_tenant,
        per_address,
        ..
    } = Limits::default();
    Limits {
        upstream_requests_max,
        upstream_new_shapes_max,
        per_subject,
        per_tenant,
        per_address,
        ..limits
    }
}

fn tell(looked: &Looked) {
    if !looked.refused.list.is_empty() {
        log::error!(
            "the configuration is refused in part, and served there as it was before:\n{}",
            looked.refused.render()
        );
    }
    if looked.is_change() {
        let Looked {
            added,
            changed,
            removed,
            ..
        } = looked;
        let own = if looked.reopened {
            ", read anew as a whole"
        } else {
            ""
        };
        log::info!(
            "the configuration changed{own}: {} tenants new, {} changed, {} gone{}",
            added.len(),
            changed.len(),
            removed.len(),
            few(&[added, changed, removed])
        );
        tell_warnings(&looked.warnings);
    }
}

fn tell_warnings(warnings: &Problems) {
    if !warnings.list.is_empty() {
        log::warn!("the configuration has warnings:\n{}", warnings.render());
    }
}

/// The tenants by their names, where they are few.
fn few(lists: &[&Vec<Arc<str>>]) -> String {
    let names: Vec<&str> = lists
        .iter()
        .flat_map(|list| list.iter())
        .map(AsRef::as_ref)
        .collect();
    match names.len() {
        1..=8 => format!(" ({})", names.join(", ")),
        _ => String::new(),
    }
}

#[async_trait]
impl BackgroundService for Reloader {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = self.run() => {}
            _ = shutdown.changed() => {}
        }
    }
}
