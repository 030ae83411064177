//! A gateway in this process: the real pipeline on a listener of its own, before a stand-in for Electric.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora_core::apps::ServerApp;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::protocols::{GetSocketDigest, SocketDigest, Stream};
use shapegate::clock::{Clock, SystemClock};
use shapegate::config::{self, FileContent, ServerSettings, Surroundings};
use shapegate::gateway::{State, background, server};
use shapegate::reload::{Fleet, Reloader};
use shapegate::tenant;
use shapegate_origin::{Origin, OriginConfig, Schema};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::raw::{Answer, Raw};

/// The secret that the stand-in wants and the gateway sends.
pub const ELECTRIC_SECRET: &str = "electric-secret-of-the-tests-canary";
/// The secret that tokens of the tests are signed with.
pub const JWT_SECRET: &str = "a-jwt-secret-of-32-bytes-or-more-canary";

/// Variables for the configurations of tests.
pub struct Variables(HashMap<String, String>);

impl Surroundings for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<FileContent> {
        config::Machine.file(path, bytes_max)
    }
}

/// A running gateway; ended when dropped.
pub struct Gateway {
    pub address: SocketAddr,
    pub origin: Origin,
    pub state: Arc<State>,
    shutdown: watch::Sender<bool>,
    variables: Variables,
}

/// A stand-in with the tables of the recordings.
pub fn origin() -> Origin {
    Origin::start(OriginConfig {
        secret: Some(ELECTRIC_SECRET.to_owned()),
        schema: Schema::recordings(),
        ..OriginConfig::default()
    })
    .expect("a free port")
}

impl Gateway {
    /// A gateway before a fresh stand-in; `shapes` is the part of the configuration after `electric` and `identity`.
    pub async fn start(rest: &str) -> Self {
        Self::before(origin(), rest, Arc::new(SystemClock)).await
    }

    pub async fn before(origin: Origin, rest: &str, clock: Arc<dyn Clock>) -> Self {
        let url = origin.url();
        Self::before_url(origin, url, rest, clock).await
    }

    /// A gateway whose upstream is at `url`; the stand-in is there, but nothing asks it unless that is its URL.
    pub async fn before_url(origin: Origin, url: String, rest: &str, clock: Arc<dyn Clock>) -> Self {
        Self::speaking(|tcp| Box::new(l4(tcp)), origin, url, rest, clock).await
    }

    /// A gateway that takes what `wrap` makes of a connection.
    pub async fn speaking(
        wrap: fn(TcpStream) -> Stream,
        origin: Origin,
        url: String,
        rest: &str,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let variables = variables(url);
        let loaded = load(rest, &variables);
        let settings = loaded.config.server.clone();
        let snapshot = tenant::compile(&loaded.config).expect("a configuration that compiles");
        let state = server::state(snapshot, &settings, clock).expect("entropy");
        Self::serving(wrap, origin, state, &settings, variables).await
    }

    /// A gateway that serves what a fleet of files says, and its reloader, which looks when it is told to.
    pub async fn of_files(origin: Origin, paths: Vec<PathBuf>, clock: Arc<dyn Clock>) -> (Self, Reloader) {
        let surroundings = Arc::new(variables(origin.url()));
        let (fleet, _) = Fleet::load(paths, surroundings).unwrap_or_else(|error| panic!("{error}"));
        let settings = fleet.server().clone();
        let state = server::state(fleet.snapshot(), &settings, clock).expect("entropy");
        let reloader = Reloader::new(Arc::clone(&state), fleet);
        let variables = variables(origin.url());
        let wrap: fn(TcpStream) -> Stream = |tcp| Box::new(l4(tcp));
        (
            Self::serving(wrap, origin, state, &settings, variables).await,
            reloader,
        )
    }

    async fn serving(
        wrap: fn(TcpStream) -> Stream,
        origin: Origin,
        state: Arc<State>,
        settings: &ServerSettings,
        variables: Variables,
    ) -> Self {
        let app = Arc::new(server::app(&state, settings, server::server_conf(1)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (shutdown, watch) = watch::channel(false);
        tokio::spawn(accept(listener, app, wrap, watch));
        Self {
            address,
            origin,
            state,
            shutdown,
            variables,
        }
    }

    /// Serves another configuration from now on.
    pub fn reload(&self, rest: &str) {
        let loaded = load(rest, &self.variables);
        self.state
            .replace(tenant::compile(&loaded.config).expect("a configuration that compiles"));
    }

    /// Runs what runs beside the requests, until the gateway ends.
    pub fn run_beside(&self) {
        tokio::spawn(beside(Arc::clone(&self.state), self.shutdown.subscribe()));
    }

    pub async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, target: &str, token: Option<&str>) -> Answer {
        self.connect().await.ask(get(target, token)).await
    }

    /// The one request that the stand-in received, forgotten by this.
    pub fn received_one(&self) -> shapegate_origin::Received {
        let mut received = self.origin.received();
        self.origin.forget_received();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }

    /// How many signatures were checked by the one tenant there is, as it is configured now.
    pub fn signatures_checked(&self) -> u64 {
        let loaded = self.state.loaded();
        let tenant = loaded.snapshot.tenant("default").expect("the one tenant");
        tenant.identity().signatures_checked()
    }

    /// Asserts that nothing reached the stand-in.
    pub fn received_nothing(&self) {
        assert_eq!(self.origin.received(), [], "nothing may reach the upstream");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.send_replace(true);
    }
}

/// A connection as a listener hands it over: with its peer's address.
pub fn l4(tcp: TcpStream) -> L4Stream {
    let digest = SocketDigest::from_raw_fd(tcp.as_raw_fd());
    let mut stream = L4Stream::from(tcp);
    stream.set_socket_digest(digest);
    stream
}

pub fn variables(url: String) -> Variables {
    Variables(HashMap::from([
        ("ELECTRIC_URL".to_owned(), url),
        ("ELECTRIC_SECRET".to_owned(), ELECTRIC_SECRET.to_owned()),
        ("JWT_SECRET".to_owned(), JWT_SECRET.to_owned()),
    ]))
}

fn load(rest: &str, variables: &Variables) -> config::Loaded {
    try_load(rest, variables).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is wrong with a configuration, if anything is.
pub fn problems(rest: &str) -> Option<String> {
    try_load(rest, &variables("http://127.0.0.1:1".to_owned())).err()
}

/// A configuration as `check --print` shows it.
pub fn printed(rest: &str) -> String {
    load(rest, &variables("http://127.0.0.1:1".to_owned())).print()
}

fn try_load(rest: &str, variables: &Variables) -> Result<config::Loaded, String> {
    // Tenants have an Electric each.
    let electric = match rest.contains("\ntenants:") {
        true => "",
        false => "electric: { url: { env: ELECTRIC_URL }, secret: { env: ELECTRIC_SECRET } }\n",
    };
    let text = format!("{electric}admin: off\n{rest}");
    let path = PathBuf::from("test.yaml");
    config::load_texts(&[(&path, &text)], variables).map_err(|problems| problems.render())
}

async fn beside(state: Arc<State>, mut shutdown: watch::Receiver<bool>) {
    tokio::select! {
        () = background::run(&state) => {}
        _ = shutdown.wait_for(|over| *over) => {}
    }
}

async fn accept<A: ServerApp + Send + Sync + 'static>(
    listener: TcpListener,
    app: Arc<A>,
    wrap: fn(TcpStream) -> Stream,
    shutdown: watch::Receiver<bool>,
) {
    let mut ended = shutdown.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.wait_for(|over| *over) => return,
        };
        let Ok((tcp, _)) = accepted else { return };
        // As Pingora's own listeners do: without it, a body waits 40 ms for its header's acknowledgement.
        tcp.set_nodelay(true).expect("a connected socket");
        let (app, shutdown) = (Arc::clone(&app), shutdown.clone());
        tokio::spawn(async move { app.process_new(wrap(tcp), &shutdown).await });
    }
}

/// The bytes of a GET.
pub fn get(target: &str, token: Option<&str>) -> String {
    request("GET", target, token, &[], "")
}

/// The bytes of a request.
pub fn request(
    method: &str,
    target: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: gateway.test\r\n");
    if let Some(token) = token {
        text += &format!("authorization: Bearer {token}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}
