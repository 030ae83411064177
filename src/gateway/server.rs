//! The process: listeners, background work, the end.

use std::fs::Permissions;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::HttpServerOptions;
use pingora_core::apps::http_app::HttpServer;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions};
use pingora_core::protocols::TcpKeepalive;
use pingora_core::server::configuration::{Opt, ServerConf};
use pingora_core::server::{RunArgs, Server, ShutdownWatch};
use pingora_core::services::ServiceWithDependents;
use pingora_core::services::background::{BackgroundService, background_service};
use pingora_core::services::listening::Service;
use pingora_proxy::http_proxy;
use thiserror::Error;
use tokio::sync::watch;

use super::accepting::Accepting;
use super::background;
use super::body::BodyLimits;
use super::connection::{ConnectionBook, ConnectionLimits, Guarded};
use super::departure::Departure;
use super::herald::Herald;
use super::request_id::RequestIds;
use super::requests::Connections;
use super::service::Gateway;
use super::state::{HeadLimits, Parts, State};
use super::tls::{self, Certificates, TlsError};
use crate::admin::listener::{Admin, Audience};
use crate::admin::{AdminToken, Metrics};
use crate::clock::{Clock, SystemClock};
use crate::config::{Network, RevocationFile, ServerSettings};
use crate::hub::{Fetch, LoadSettings};
use crate::journal::Journal;
use crate::limits::LimitSettings;
use crate::process::sockets::UNIX_MODE;
use crate::process::successor::Program;
use crate::process::{Arrival, ListenError, Socket, Sockets, open_files};
use crate::reload::{Fleet, Reloader, survive_hangups};
use crate::revocation::{self, Operators, Revocations, Source, StateError, StateFile};
use crate::tenant::Snapshot;
use crate::traces::{CollectorError, Entropy, Traces};

/// Requests on one downstream connection before it is closed, so that what it grew is given back.
const REQUESTS_PER_CONNECTION_MAX: u32 = 10_000;
/// Header lines in a request.
const HEADERS_MAX: usize = 128;
/// How long an HTTP/1.1 connection may idle between requests.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(75);
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
    /// What operators revoked is not known.
    #[error("{0}. Nobody is served before it is known what is revoked: `revocations.state`")]
    State(#[from] StateError),
    /// Traces cannot be told to anybody.
    #[error(transparent)]
    Traces(#[from] CollectorError),
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
pub fn app(state: &Arc<State>, settings: &ServerSettings, conf: ServerConf) -> Guarded<Connections> {
    let limits = ConnectionLimits {
        connections_max: open_files::connections_max(
            settings.limits.connections_max,
            open_files::raise_limit(),
        ),
        connections_per_address_max: settings.limits.connections_per_address_max,
        head_timeout: settings.limits.head_deadline,
        keepalive_timeout: KEEPALIVE_TIMEOUT,
    };
    let trusted = settings.trusted_proxies.clone();
    let is_trusted = move |ip| trusted.iter().any(|network| network.contains(ip));
    let (clock, metrics) = (Arc::clone(&state.clock), Arc::clone(&state.metrics));
    let book = ConnectionBook::new(limits, is_trusted, clock, metrics);
    let gateway = Gateway::new(Arc::clone(state), Arc::clone(&book));
    let mut proxy = http_proxy(&Arc::new(conf), gateway.clone());
    let mut options = HttpServerOptions::default();
    options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX);
    options.h2_idle_timeout = Some(H2_IDLE_TIMEOUT);
    proxy.server_options = Some(options);
    let connections = Arc::new(Connections::new(proxy, gateway));
    Guarded::new(connections, book, state.drain.clone(), state.pulse.clone())
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
    let seed = || getrandom::u64().map_err(|error| ServeError::Setup(error.to_string()));
    state_with(snapshot, settings, clock, seed)
}

/// The same, with seeds for all that is random.
///
/// # Errors
/// As [`state`].
pub fn state_with(
    snapshot: Snapshot,
    settings: &ServerSettings,
    clock: Arc<dyn Clock>,
    seed: impl Fn() -> Result<u64, ServeError>,
) -> Result<Arc<State>, ServeError> {
    install_crypto();
    let metrics = Metrics::new(settings.metrics).map_err(|error| ServeError::Setup(error.to_string()))?;
    let revocations = Revocations::new(metrics.revocations.clone());
    if let Some(file) = &settings.revocations {
        let entries = file.entries.iter().cloned();
        let replaced = revocations.replace(Source::File, entries, clock.now().wall);
        replaced.map_err(|error| ServeError::Setup(error.to_string()))?;
    }
    let revocations = Arc::new(revocations);
    let kept = settings.revocation_state.clone().map(StateFile::new);
    let operators = Operators::open(Arc::clone(&revocations), kept, Arc::clone(&clock))?;
    let journal = Journal::open(&settings.logs, metrics.journal.clone())
        .map_err(|error| ServeError::Setup(format!("a log cannot be opened: {error}")))?;
    let traces = match &settings.traces {
        None => Traces::default(),
        Some(traces) => {
            let (clock, counted) = (Arc::clone(&clock), metrics.traces.clone());
            let entropy = Entropy::seeded(seed()?);
            Traces::start(traces, &settings.trusted_proxies, entropy, clock, counted)?
        }
    };
    let start = seed()?;
    let options = ConnectorOptions::from_server_conf(&server_conf(threads()));
    let limits = &settings.limits;
    Ok(State::new(
        snapshot,
        Parts {
            fetch: Fetch::new(
                options,
                IDLE_UPSTREAM_CONNECTIONS_MAX,
                Arc::clone(&clock),
                metrics.hub.answers.clone(),
            ),
            clock,
            metrics: Arc::new(metrics),
            request_ids: RequestIds::new(start),
            body_limits: BodyLimits {
                body_bytes_max: limits.body_bytes_max,
                body_timeout: limits.body_deadline,
            },
            head_limits: HeadLimits {
                header_bytes_max: limits.header_bytes_max,
                headers_max: HEADERS_MAX,
            },
            revocations,
            operators: Arc::new(operators),
            journal,
            traces,
            cluster: settings.cluster.clone(),
            hub_bytes_max: limits.hub_bytes_max,
            limits: limit_settings(settings),
            loads: load_settings(settings),
            tells_source: settings.cache_status,
            codings: settings.encode.clone(),
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

/// How much upstreams are asked for.
fn load_settings(settings: &ServerSettings) -> LoadSettings {
    LoadSettings {
        requests_max: settings.limits.upstream_requests_max,
        new_shapes_max: settings.limits.upstream_new_shapes_max,
    }
}

/// Takes over the limits of another configuration. What was counted still counts, and by the same addresses: the
/// proxies that are trusted are those of the start, for connections as well.
pub fn set_limits(state: &State, settings: &ServerSettings, trusted_proxies: &[Network]) {
    let mut limits = limit_settings(settings);
    limits.trusted_proxies = trusted_proxies.to_vec();
    state.limits.set(limits);
    state.hub.loads().set(load_settings(settings));
}

/// Installs the providers of signatures and of TLS, once a process.
fn install_crypto() {
    crate::identity::install_crypto();
    // Another one that is installed already serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Serves until a signal, or a process that takes its place, ends this one.
///
/// # Errors
/// When it cannot start.
pub fn run(snapshot: Snapshot, settings: &ServerSettings, arrival: Arrival) -> Result<(), ServeError> {
    run_with(snapshot, settings, arrival, Vec::new())
}

/// As [`run`], and as the files of `fleet` say from then on.
///
/// # Errors
/// When it cannot start.
pub fn run_fleet(fleet: Fleet, arrival: Arrival) -> Result<(), ServeError> {
    survive_hangups().map_err(|error| ServeError::Setup(error.to_string()))?;
    let settings = fleet.server().clone();
    serve(fleet.snapshot(), &settings, arrival, |state| {
        let reloader = Reloader::new(Arc::clone(state), fleet);
        vec![Box::new(background_service("reload", reloader))]
    })
}

/// As [`run`], with `services` beside the gateway.
///
/// # Errors
/// When it cannot start.
pub fn run_with(
    snapshot: Snapshot,
    settings: &ServerSettings,
    arrival: Arrival,
    services: Vec<Box<dyn ServiceWithDependents>>,
) -> Result<(), ServeError> {
    serve(snapshot, settings, arrival, |_| services)
}

fn serve(
    snapshot: Snapshot,
    settings: &ServerSettings,
    arrival: Arrival,
    services: impl FnOnce(&Arc<State>) -> Vec<Box<dyn ServiceWithDependents>>,
) -> Result<(), ServeError> {
    let program = Program::this().map_err(|error| ServeError::Setup(error.to_string()))?;
    let state = &state(snapshot, settings, Arc::new(SystemClock))?;
    catch_up(state)?;
    let Arrival {
        inherited,
        predecessor,
    } = arrival;
    let sockets = Sockets::open(settings, inherited)?;
    let spares = sockets.try_clone()?;
    let (stop, stop_operators) = (watch::Sender::new(false), watch::Sender::new(false));
    let mut server = Server::new_with_opt_and_conf(None::<Opt>, server_conf(threads()));
    server.bootstrap();
    let app = app(state, settings, server_conf(threads()));
    let book = Arc::clone(app.book());
    let certificates = certificates(state, settings)?;
    let gateway = gateway_service(app, certificates.as_ref(), sockets.gateway, &stop)?;
    let mut listening = vec![server.add_service(gateway)];
    let token = settings.admin_token.as_ref();
    let operators = Audience::Operators(token.map(|token| AdminToken::new(&token.text)));
    for (socket, audience) in [(sockets.admin, operators), (sockets.health, Audience::Probes)] {
        if let Some(socket) = socket {
            let service = operators_service(state, socket, audience, &stop_operators)?;
            listening.push(server.add_service(service));
        }
    }
    let ready = watch::Sender::new(false);
    let herald = Herald {
        ready: ready.subscribe(),
        clock: Arc::clone(&state.clock),
        pulse: state.pulse.clone(),
        predecessor,
    };
    server
        .add_service(background_service("herald", herald))
        .add_dependencies(&listening);
    server.add_service(background_service("background", Background(Arc::clone(state))));
    if let Some(file) = &settings.revocations {
        let follower = RevocationFollower(Arc::clone(state), file.clone());
        server.add_service(background_service("revocations", follower));
    }
    server.add_services(services(state));
    server.run(RunArgs {
        shutdown_signal: Box::new(Departure {
            state: Arc::clone(state),
            book,
            leaving: settings.leaving.clone(),
            stop,
            stop_operators,
            spares: Mutex::new(spares),
            upgrade: Mutex::new(sockets.upgrade),
            ready,
            program,
        }),
    });
    state.traces.finish();
    state.journal.finish();
    Ok(())
}

/// Learns what the other gateways of a cluster deny, before anybody is served.
fn catch_up(state: &State) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ServeError::Setup(error.to_string()))?;
    runtime.block_on(state.cluster.catch_up());
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    Ok(())
}

/// What TLS is served with, if it is.
fn certificates(
    state: &Arc<State>,
    settings: &ServerSettings,
) -> Result<Option<Arc<Certificates>>, TlsError> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    state.certificates.replace(tls)?;
    Ok(Some(Arc::clone(&state.certificates)))
}

/// The gateway on its sockets.
fn gateway_service(
    app: Guarded<Connections>,
    certificates: Option<&Arc<Certificates>>,
    sockets: Vec<Socket>,
    stop: &watch::Sender<bool>,
) -> Result<Accepting<Service<Guarded<Connections>>>, ServeError> {
    let mut service = Service::new("gateway".to_owned(), app);
    let mut named = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let name = name_of(&socket)?;
        service.add_listener(listener(&name, certificates)?);
        named.push((name, socket));
    }
    Ok(Accepting::new(service, named, stop.subscribe()))
}

/// What operators and probes ask, on its socket.
fn operators_service(
    state: &Arc<State>,
    socket: Socket,
    audience: Audience,
    stop: &watch::Sender<bool>,
) -> Result<Accepting<Service<HttpServer<Admin>>>, ServeError> {
    let name = name_of(&socket)?;
    let listener = match &socket {
        Socket::Tcp(_) => ListenerConfig::tcp(name.clone()),
        Socket::Unix(_) => ListenerConfig::uds(name.clone()).permissions(Permissions::from_mode(UNIX_MODE)),
    };
    let service = Admin::service(Arc::clone(state), listener, audience);
    Ok(Accepting::new(service, vec![(name, socket)], stop.subscribe()))
}

fn name_of(socket: &Socket) -> Result<String, ServeError> {
    socket
        .name()
        .map_err(|error| ServeError::Setup(error.to_string()))
}

/// A worker a core.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// One listening socket. Its buffers are off: Pingora's default is 64 KiB a connection for reading, and what is
/// written is gathered by the connection itself.
fn listener(name: &str, certificates: Option<&Arc<Certificates>>) -> Result<ListenerConfig, ServeError> {
    let mut options = TcpSocketOptions::default();
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(15),
        count: 4,
        user_timeout: Duration::from_secs(120),
    });
    let listener = ListenerConfig::tcp(name)
        .tcp_socket_options(options)
        .l4_buffer(L4BufferSettings::unbuffered());
    Ok(match certificates {
        None => listener,
        Some(certificates) => listener.tls(tls::settings(certificates)?),
    })
}

/// What runs beside the requests.
struct Background(Arc<State>);

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        tokio::select! {
            () = background::run(&self.0) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// Follows the file of revocations.
struct RevocationFollower(Arc<State>, RevocationFile);

#[async_trait]
impl BackgroundService for RevocationFollower {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Self(state, file) = self;
        tokio::select! {
            () = revocation::file::follow(&state.revocations, file, &*state.clock) => {}
            _ = shutdown.changed() => {}
        }
    }
}
