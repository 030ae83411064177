//! The process: listeners, background work, the end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::HttpServerOptions;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions};
use pingora_core::protocols::TcpKeepalive;
use pingora_core::server::configuration::{Opt, ServerConf};
use pingora_core::server::{RunArgs, Server, ShutdownWatch};
use pingora_core::services::background::{BackgroundService, background_service};
use pingora_core::services::listening::Service;
use pingora_proxy::{HttpProxy, http_proxy};
use thiserror::Error;

use super::connection::{ConnectionBook, ConnectionLimits, Guarded};
use super::drain::DrainOnSignal;
use super::service::Gateway;
use super::state::State;
use super::tls::{self, ServedCertificate, TlsError};
use crate::admin::listener::Admin;

/// Requests on one downstream connection before it is closed, so that what it grew is given back.
const REQUESTS_PER_CONNECTION_MAX: u32 = 10_000;
/// How long an HTTP/2 connection without a stream stays open.
const H2_IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Idle upstream connections kept, over all upstreams.
pub const IDLE_UPSTREAM_CONNECTIONS_MAX: usize = 4096;
/// Attempts at an upstream: the first, and one more on a pooled connection that turned out to be closed.
const ATTEMPTS_MAX: usize = 2;

/// How the process listens and ends.
pub struct ServerSettings {
    /// Where clients are served.
    pub listen: Vec<SocketAddr>,
    /// Certificates for TLS; none for plain HTTP.
    pub certificates: Vec<ServedCertificate>,
    /// Where operators are served: metrics, readiness.
    pub admin: Option<SocketAddr>,
    /// The same, read-only, for probes from other hosts.
    pub health: Option<SocketAddr>,
    /// Worker threads.
    pub threads: usize,
    /// Caps and deadlines of connections.
    pub connections: ConnectionLimits,
    /// Addresses to which the cap per address does not apply.
    pub is_trusted_proxy: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The longest that requests in flight are waited for at the end.
    pub grace_period: Duration,
}

/// Why the process cannot serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The certificates cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Pingora refuses to start.
    #[error("the server cannot be set up: {0}")]
    Setup(String),
}

/// The server's settings for Pingora.
pub fn server_conf(threads: usize) -> Arc<ServerConf> {
    Arc::new(ServerConf {
        threads,
        max_retries: ATTEMPTS_MAX,
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS_MAX,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    })
}

/// The proxy behind its connection caps: what a listener serves.
pub fn app(
    state: &Arc<State>,
    settings: &ServerSettings,
    conf: &Arc<ServerConf>,
) -> Guarded<HttpProxy<Gateway>> {
    let trusted = Arc::clone(&settings.is_trusted_proxy);
    let book = ConnectionBook::new(
        settings.connections.clone(),
        move |ip| trusted(ip),
        Arc::clone(&state.clock),
        Arc::clone(&state.metrics),
    );
    let gateway = Gateway::new(Arc::clone(state), Arc::clone(&book));
    let mut proxy = http_proxy(conf, gateway);
    let mut options = HttpServerOptions::default();
    options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX);
    options.h2_idle_timeout = Some(H2_IDLE_TIMEOUT);
    proxy.server_options = Some(options);
    Guarded::new(Arc::new(proxy), book)
}

/// Serves until a signal ends the process.
///
/// # Errors
/// When it cannot start.
pub fn run(state: &Arc<State>, mut settings: ServerSettings) -> Result<(), ServeError> {
    let conf = server_conf(settings.threads);
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, (*conf).clone());
    server.bootstrap();

    let mut service = Service::new("gateway".to_owned(), app(state, &settings, &conf));
    for (index, address) in settings.listen.iter().enumerate() {
        let certificates = if index == 0 { std::mem::take(&mut settings.certificates) } else { Vec::new() };
        service.add_listener(listener(*address, certificates)?);
    }
    server.add_service(service);
    for address in [settings.admin, settings.health].into_iter().flatten() {
        server.add_service(Admin::service(Arc::clone(state), address));
    }
    server.add_service(background_service("background", Background(Arc::clone(state))));
    server.run(RunArgs {
        shutdown_signal: Box::new(DrainOnSignal {
            drain: state.drain.clone(),
            metrics: Arc::clone(&state.metrics),
            clock: Arc::clone(&state.clock),
            grace_period: settings.grace_period,
        }),
    });
    Ok(())
}

/// One listening socket. Its read buffer is off: Pingora's default is 64 KiB a connection.
fn listener(address: SocketAddr, certificates: Vec<ServedCertificate>) -> Result<ListenerConfig, ServeError> {
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
    if certificates.is_empty() {
        return Ok(listener);
    }
    Ok(listener.tls(tls::settings(certificates)?))
}

/// What runs beside the requests.
struct Background(Arc<State>);

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let state = &self.0;
        let loaded = state.loaded();
        let addresses = loaded.upstreams().map(|upstream| upstream.addresses().keep_fresh(&*state.clock));
        tokio::select! {
            _ = futures_util::future::join_all(addresses) => {}
            _ = shutdown.changed() => {}
        }
    }
}
