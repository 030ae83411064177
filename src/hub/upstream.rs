//! One Electric: how it is reached and what a request to it looks like on the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::{ALPN, HttpPeer, HttpUpstreamRequestPolicy};
use pingora_core::{ErrorType, OrErr as _};
use pingora_http::RequestHeader;
use shapegate_core::code::{Code, Refusal};
use shapegate_core::upstream::{Secret, UpstreamBase, UpstreamRequest};

use super::addresses::Addresses;
use super::fetch::unreachable_upstream;
use super::health::HealthMemory;
use super::key::Place;
use super::wire::pool::{IDLE_TIMEOUT, PoolKey};
use crate::traces::{OpenSpan, SpanContext, TRACEPARENT, TRACESTATE, Trace};

/// How long a TCP connection to an upstream may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long TCP and TLS together may take.
pub const CONNECT_TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence of an upstream: above its 20 s poll and its 21 s SSE comment.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one write to an upstream may block.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Room for the headers of nearly any request, so that adding one does not move the others.
const HEADERS_ROOM: usize = 6;
/// The same, in bytes on the wire.
const FIELDS_BYTES_ROOM: usize = 512;

/// What configuration says of an upstream.
#[derive(Debug)]
pub struct UpstreamSettings {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
    /// Certificates to trust instead of the system's, PEM.
    pub ca: Option<Arc<CaType>>,
    /// A number for everything that decides whom a connection trusts; connections are pooled within it.
    pub trust_domain: u64,
    /// Path prefix and source.
    pub base: UpstreamBase,
    /// Electric's API secret, unless it runs without one.
    pub secret: Option<Secret>,
}

/// One Electric, ready to be asked.
pub struct Upstream {
    settings: UpstreamSettings,
    addresses: Arc<Addresses>,
    place: Arc<Place>,
    host: HeaderValue,
    tls_host: Option<Arc<str>>,
    peer: HttpPeer,
    encodes: AtomicBool,
    unreachable: AtomicBool,
    troubled: AtomicBool,
    health: HealthMemory,
}

/// Headers that go along with a request to an upstream.
#[derive(Clone, Default)]
pub struct Along {
    /// A strong entity tag as the upstream wrote it.
    pub if_none_match: Option<HeaderValue>,
    /// The trace that the request is a part of.
    pub trace: Trace,
    /// The span that it is a part of where its trace is not recorded here.
    pub heard: Option<SpanContext>,
    /// What vendors add to either, already checked.
    pub tracestate: Option<HeaderValue>,
    /// Our id of the request.
    pub request_id: Option<HeaderValue>,
}

impl Upstream {
    /// An upstream from its settings, at the addresses of its host and port.
    ///
    /// # Errors
    /// When host and port do not make a header value.
    pub fn new(
        settings: UpstreamSettings,
        addresses: Arc<Addresses>,
    ) -> Result<Self, header::InvalidHeaderValue> {
        let default_port = if settings.tls { 443 } else { 80 };
        let authority = match settings.port {
            port if port == default_port => settings.host.clone(),
            port => format!("{}:{port}", settings.host),
        };
        Ok(Self {
            host: HeaderValue::from_str(&authority)?,
            tls_host: settings.tls.then(|| settings.host.as_str().into()),
            place: Arc::new(Place {
                host: settings.host.clone(),
                port: settings.port,
                tls: settings.tls,
                trust_domain: settings.trust_domain,
                base: settings.base.clone(),
            }),
            addresses,
            peer: peer_template(&settings),
            encodes: AtomicBool::new(false),
            unreachable: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            health: HealthMemory::default(),
            settings,
        })
    }

    /// Where it lives.
    pub fn addresses(&self) -> &Arc<Addresses> {
        &self.addresses
    }

    /// Path prefix and source for building requests.
    pub fn base(&self) -> &UpstreamBase {
        &self.settings.base
    }

    /// The value of `host` in requests to it.
    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Where it tells its health.
    pub fn health_path(&self) -> String {
        let path = self.settings.base.path();
        format!("{}/v1/health", path.strip_suffix("/v1/shape").unwrap_or_default())
    }

    /// Its health, remembered for a moment.
    pub fn health(&self) -> &HealthMemory {
        &self.health
    }

    /// Which Electric it is.
    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Whether the same requests to both would reach the same shapes.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let (one, other) = (&*self.place, &*other.place);
        (&one.host, one.port, one.tls, &one.base) == (&other.host, other.port, other.tls, &other.base)
    }

    /// Whether even finite answers are better fetched than proxied: it has sent a content coding that it was
    /// not asked for, and first bytes must be looked at; or it could not be reached, and Pingora's proxying
    /// closes the client's connection with every error.
    pub fn wants_fetch(&self) -> bool {
        self.encodes.load(Ordering::Relaxed) || self.unreachable.load(Ordering::Relaxed)
    }

    /// Notes that it sends content codings.
    pub fn note_encoding(&self) {
        self.encodes.store(true, Ordering::Relaxed);
    }

    /// Notes that it took a connection.
    pub fn note_reached(&self) {
        if self.unreachable.load(Ordering::Relaxed) {
            self.unreachable.store(false, Ordering::Relaxed);
        }
    }

    /// Notes that it did not, at the address of `peer`; the next try is at another one, if there is.
    pub fn note_unreachable(&self, peer: &HttpPeer) {
        self.unreachable.store(true, Ordering::Relaxed);
        if let Some(address) = peer._address.as_inet() {
            self.addresses.failed(*address);
        }
    }

    /// Whether it has refused somebody since it was last seen well: it is asked how it is, then, before it is
    /// asked for more than it has.
    pub fn is_in_trouble(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    /// Notes that it asked for patience.
    pub fn note_trouble(&self) {
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// Notes that it is well.
    pub fn note_recovered(&self) {
        self.troubled.store(false, Ordering::Relaxed);
    }

    /// A peer to connect to, waiting at most `read_timeout` between bytes.
    ///
    /// # Errors
    /// `upstream_unreachable` while its name is not resolved.
    pub fn peer(&self, read_timeout: Duration) -> Result<Box<HttpPeer>, Refusal> {
        let address = self.address()?;
        let mut peer = Box::new(self.peer.clone());
        peer._address = pingora_core::protocols::l4::socket::SocketAddr::Inet(address);
        peer.options.read_timeout = Some(read_timeout.min(READ_TIMEOUT));
        Ok(peer)
    }

    fn address(&self) -> Result<SocketAddr, Refusal> {
        self.addresses
            .current()
            .ok_or_else(|| unreachable_upstream(format!("{} is not resolved", self.settings.host)))
    }

    /// The span of a request that goes upstream now.
    pub fn span(&self, request: &UpstreamRequest, along: &Along) -> OpenSpan {
        let mut span = along.trace.upstream(request.verb().as_str());
        span.set("http.request.method", request.verb().as_str());
        span.set_with("server.address", || self.settings.host.clone());
        span.set("server.port", self.settings.port);
        span.set_with("url.template", || self.settings.base.path().to_owned());
        span
    }

    /// The header of a request, built from nothing but `request` and `along`; `span` is its own, if it has one.
    ///
    /// # Errors
    /// When the built target is not a request target: a fault of ours, never of a client.
    pub fn head(
        &self,
        request: &UpstreamRequest,
        along: &Along,
        span: Option<SpanContext>,
    ) -> pingora_core::Result<RequestHeader> {
        let target = request.target_with(self.settings.secret.as_ref());
        let built = http::Request::builder()
            .method(request.verb().as_str())
            .uri(target)
            .body(());
        let request_line = built.explain_err(ErrorType::InternalError, |_| "not a request target")?;
        let (mut parts, ()) = request_line.into_parts();
        parts.headers = HeaderMap::with_capacity(HEADERS_ROOM);
        self.each_field(request, along, span, |name, value| {
            parts.headers.insert(name, value);
        });
        Ok(RequestHeader::from(parts))
    }

    /// The bytes of a request, built from nothing but `request` and `along`; `span` is its own, if it has one.
    ///
    /// # Errors
    /// When the built target is not a request target: a fault of ours, never of a client.
    pub fn wire(
        &self,
        request: &UpstreamRequest,
        along: &Along,
        span: Option<SpanContext>,
    ) -> Result<Vec<u8>, Refusal> {
        let target = request.target_with(self.settings.secret.as_ref());
        let body: &[u8] = request.body().map_or(&[], |body| body);
        let mut wire = request_line(request.verb().as_str(), &target, body.len())?;
        self.each_field(request, along, span, |name, value| {
            write_field(&mut wire, name, &value);
        });
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(body);
        Ok(wire)
    }

    /// The bytes of a request of our own for `path`.
    ///
    /// # Errors
    /// When `path` is none.
    pub fn wire_probe(&self, path: &str) -> Result<Vec<u8>, Refusal> {
        let mut wire = request_line("GET", path, 0)?;
        write_field(&mut wire, &header::HOST, &self.host);
        wire.extend_from_slice(b"\r\n");
        Ok(wire)
    }

    /// Under what connections to its present address are kept.
    ///
    /// # Errors
    /// `upstream_unreachable` while its name is not resolved.
    pub fn pool_key(&self) -> Result<PoolKey, Refusal> {
        Ok(PoolKey {
            address: self.address()?,
            tls_host: self.tls_host.clone(),
            trust_domain: self.settings.trust_domain,
        })
    }

    /// Every field of a request's header, and nothing else goes up.
    fn each_field(
        &self,
        request: &UpstreamRequest,
        along: &Along,
        span: Option<SpanContext>,
        mut put: impl FnMut(&HeaderName, HeaderValue),
    ) {
        put(&header::HOST, self.host.clone());
        put(&header::ACCEPT, HeaderValue::from_static(request.accept()));
        put(&header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let traceparent = span.or(along.heard).and_then(SpanContext::header);
        let optional = [
            (&header::IF_NONE_MATCH, &along.if_none_match),
            (&TRACEPARENT, &traceparent),
            (&TRACESTATE, &along.tracestate),
            (&X_REQUEST_ID, &along.request_id),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                put(name, value.clone());
            }
        }
        if let Some(body) = request.body() {
            put(
                &header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            put(&header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
    }
}

/// The start of a request, with room for the rest of it.
fn request_line(method: &str, target: &str, body_bytes: usize) -> Result<Vec<u8>, Refusal> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        let refusal = Refusal::new(Code::Internal, "The gateway failed.");
        return Err(refusal.with_detail("not a request target"));
    }
    let mut wire = Vec::with_capacity(target.len() + FIELDS_BYTES_ROOM + body_bytes);
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        wire.extend_from_slice(part.as_bytes());
    }
    Ok(wire)
}

fn write_field(wire: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        wire.extend_from_slice(part);
    }
}

/// Everything of a peer but its address, which is filled in a request at a time.
fn peer_template(settings: &UpstreamSettings) -> HttpPeer {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], settings.port));
    let mut peer = HttpPeer::new(nowhere, settings.tls, settings.host.clone());
    peer.group_key = settings.trust_domain;
    peer.options.ca = settings.ca.clone();
    // HTTP/1.1: one poll a connection, no head-of-line blocking, and Electric's cap of 50 requests a connection
    // then costs a reconnect instead of refused streams.
    peer.options.alpn = ALPN::H1;
    peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
    peer.options.total_connection_timeout = Some(CONNECT_TOTAL_TIMEOUT);
    peer.options.write_timeout = Some(WRITE_TIMEOUT);
    peer.options.idle_timeout = Some(IDLE_TIMEOUT);
    peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    // Every header that goes up is ours. Looking for those that a client nominates would only end its connection
    // without an answer when it nominates `host`.
    peer.options
        .http_upstream_request_policy
        .strip_connection_nominated = false;
    peer
}
