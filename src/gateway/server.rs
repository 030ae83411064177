//! The process: listeners, background work, the end.

use std::net::SocketAddr;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::HttpServerOptions;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions};
use pingora_core::protocols::TcpKeepalive;
use pingora_core::server::configuration::{Opt, ServerConf};
use pingora_core::server::{RunArgs, Server, ShutdownWatch};
use pingora_core::services::ServiceWithDependents;
use pingora_core::services::background::{BackgroundService, background_service};
use pingora_core::services::listening::Service;
use pingora_proxy::{HttpProxy, http_proxy};
use thiserror::Error;

use super::body::BodyLimits;
use super::connection::{ConnectionBook, ConnectionLimits, Guarded};
use super::drain::DrainOnSignal;
use super::ports::{self, ListenError};
use super::request_id::RequestIds;
use super::service::Gateway;
use super::state::{HeadLimits, Parts, State};
use super::tls::{self, TlsError};
use crate::admin::Metrics;
use crate::admin::listener::{Admin, Hosts};
use crate::clock::{Clock, SystemClock};
use crate::config::{AdminListen, ServerSettings, Tls};
use crate::hub::{Fetch, LoadSettings};
use crate::limits::LimitSettings;
use crate::tenant::Snapshot;

/// Requests on one downstream connection before it is closed, so that what it grew is given back.
const REQUESTS_PER_CONNECTION_MAX: u32 = 10_000;
/// Header lines in a request.
const HEADERS_MAX: usize = 128;
/// How long an HTTP/1.1 connection may idle between requests.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(75);
/// The longest that requests in flight are waited for at the end: above Electric's 20 s poll.
const GRACE_PERIOD: Duration = Duration::from_secs(30);
/// How long an HTTP/2 connection without a stream stays open.
const H2_IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Idle upstream connections kept, over all upstreams.
pub const IDLE_UPSTREAM_CONNECTIONS_MAX: usize = 4096;
/// Attempts at an upstream: the first, and one more on a pooled connection that turned out to be closed.
const ATTEMPTS_MAX: usize = 2;

/// Why the process cannot serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The certificates cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address is taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Pingora refuses to start.
    #[error("the server cannot be set up: {0}")]
    Setup(String),
}

/// The server's settings for Pingora.
pub fn server_conf(threads: usize) -> ServerConf {
    ServerConf {
        threads,
        max_retries: ATTEMPTS_MAX,
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS_MAX,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}

/// The proxy behind its connection caps: what a listener serves.
pub fn app(state: &Arc<State>, settings: &ServerSettings, conf: ServerConf) -> Guarded<HttpProxy<Gateway>> {
    let limits = ConnectionLimits {
        connections_max: settings.limits.connections_max,
        connections_per_address_max: settings.limits.connections_per_address_max,
        head_timeout: settings.limits.head_deadline,
        keepalive_timeout: KEEPALIVE_TIMEOUT,
    };
    let trusted = settings.trusted_proxies.clone();
    let is_trusted = move |ip| trusted.iter().any(|network| network.contains(ip));
    let (clock, metrics) = (Arc::clone(&state.clock), Arc::clone(&state.metrics));
    let book = ConnectionBook::new(limits, is_trusted, clock, metrics);
    let gateway = Gateway::new(Arc::clone(state), Arc::clone(&book));
    let mut proxy = http_proxy(&Arc::new(conf), gateway);
    let mut options = HttpServerOptions::default();
    options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX);
    options.h2_idle_timeout = Some(H2_IDLE_TIMEOUT);
    proxy.server_options = Some(options);
    Guarded::new(Arc::new(proxy), book)
}

/// What every request shares, for a process that serves `snapshot`.
///
/// # Errors
/// When the machine has no entropy, or a metric's name is taken.
pub fn state(
    snapshot: Snapshot,
    settings: &ServerSettings,
    clock: Arc<dyn Clock>,
) -> Result<Arc<State>, ServeError> {
    install_crypto();
    let metrics = Metrics::new().map_err(|error| ServeError::Setup(error.to_string()))?;
    let start = getrandom::u64().map_err(|error| ServeError::Setup(error.to_string()))?;
    let options = ConnectorOptions::from_server_conf(&server_conf(threads()));
    let limits = &settings.limits;
    Ok(State::new(
        snapshot,
        Parts {
            clock,
            metrics: Arc::new(metrics),
            fetch: Fetch::new(options, IDLE_UPSTREAM_CONNECTIONS_MAX),
            request_ids: RequestIds::new(start),
            body_limits: BodyLimits {
                body_bytes_max: limits.body_bytes_max,
                body_timeout: limits.body_deadline,
            },
            head_limits: HeadLimits {
                header_bytes_max: limits.header_bytes_max,
                headers_max: HEADERS_MAX,
            },
            hub_bytes_max: limits.hub_bytes_max,
            limits: limit_settings(settings),
            loads: LoadSettings {
                requests_max: limits.upstream_requests_max,
                new_shapes_max: limits.upstream_new_shapes_max,
            },
            tells_source: settings.cache_status,
        },
    ))
}

/// How much each may ask for.
pub fn limit_settings(settings: &ServerSettings) -> LimitSettings {
    LimitSettings {
        per_subject: settings.limits.per_subject,
        per_tenant: settings.limits.per_tenant,
        per_address: settings.limits.per_address,
        trusted_proxies: settings.trusted_proxies.clone(),
    }
}

/// Installs the providers of signatures and of TLS, once a process.
fn install_crypto() {
    crate::identity::install_crypto();
    // Another one that is installed already serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Serves until a signal ends the process.
///
/// # Errors
/// When it cannot start.
pub fn run(snapshot: Snapshot, settings: &ServerSettings) -> Result<(), ServeError> {
    run_with(snapshot, settings, Vec::new())
}

/// As [`run`], with `services` beside the gateway.
///
/// # Errors
/// When it cannot start.
pub fn run_with(
    snapshot: Snapshot,
    settings: &ServerSettings,
    services: Vec<Box<dyn ServiceWithDependents>>,
) -> Result<(), ServeError> {
    let state = &state(snapshot, settings, Arc::new(SystemClock))?;
    ports::check(settings)?;
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, server_conf(threads()));
    server.bootstrap();
    let mut service = Service::new("gateway".to_owned(), app(state, settings, server_conf(threads())));
    for address in &settings.listen {
        service.add_listener(listener(*address, settings.tls.as_ref())?);
    }
    server.add_service(service);
    for (listener, hosts) in operators_listeners(settings) {
        server.add_service(Admin::service(Arc::clone(state), listener, hosts));
    }
    server.add_service(background_service("background", Background(Arc::clone(state))));
    server.add_services(services);
    server.run(RunArgs {
        shutdown_signal: Box::new(DrainOnSignal {
            drain: state.drain.clone(),
            metrics: Arc::clone(&state.metrics),
            clock: Arc::clone(&state.clock),
            grace_period: GRACE_PERIOD,
        }),
    });
    Ok(())
}

/// A worker a core.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Where operators and probes are served, and under which names.
fn operators_listeners(settings: &ServerSettings) -> Vec<(ListenerConfig, Hosts)> {
    let admin = match &settings.admin {
        AdminListen::Off => None,
        AdminListen::Tcp(address) => Some(ListenerConfig::tcp(address.to_string())),
        AdminListen::Unix(path) => {
            let owner_only = std::fs::Permissions::from_mode(0o600);
            Some(ListenerConfig::uds(path.display().to_string()).permissions(owner_only))
        }
    };
    let health = settings
        .health
        .map(|address| ListenerConfig::tcp(address.to_string()));
    let admin = admin.map(|listener| (listener, Hosts::Local));
    let health = health.map(|listener| (listener, Hosts::Any));
    admin.into_iter().chain(health).collect()
}

/// One listening socket. Its read buffer is off: Pingora's default is 64 KiB a connection.
fn listener(address: SocketAddr, tls: Option<&Tls>) -> Result<ListenerConfig, ServeError> {
    let mut options = TcpSocketOptions::default();
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(15),
        count: 4,
        user_timeout: Duration::from_secs(120),
    });
    let listener = ListenerConfig::tcp(address.to_string())
        .tcp_socket_options(options)
        .l4_buffer(L4BufferSettings::default().read(0));
    Ok(match tls {
        None => listener,
        Some(tls) => listener.tls(tls::settings(tls)?),
    })
}

/// What runs beside the requests.
struct Background(Arc<State>);

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let state = &self.0;
        let loaded = state.loaded();
        let addresses = loaded
            .upstreams()
            .map(|upstream| upstream.addresses().keep_fresh(&*state.clock));
        tokio::select! {
            _ = futures_util::future::join_all(addresses) => {}
            _ = shutdown.changed() => {}
        }
    }
}
