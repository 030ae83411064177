//! Requests of the gateway's own to services beside it: identity providers, session endpoints, authorisers.
//!
//! Electric is not asked with this; `hub` does that.
//!
//! Whoever answers is trusted with what it says and with nothing else: every exchange is bounded in time, the
//! answer in bytes, and the exchanges of one client in number. Redirects are not followed, compressed answers
//! are refused, no proxy is taken from the environment. Addresses are checked where the connection is made, so
//! that a name cannot pass a check and then lead elsewhere: only addresses of the public Internet are connected
//! to, unless the operator said otherwise.

mod address;
mod connect;
mod error;
mod trust;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use http::{Request, Response};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;

use crate::clock::Clock;

pub use address::is_public;
pub use connect::{Looking, Lookup, SystemLookup};
pub use error::OutboundError;
pub(crate) use trust::client_config;

/// The longest that a connection may take to be made, if the exchange's own limit is not shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many exchanges may wait for one under way to end, for each that may be under way.
const WAITING_PER_EXCHANGE: usize = 16;
const USER_AGENT: &str = concat!("shapegate/", env!("CARGO_PKG_VERSION"));

/// What one use of the network is allowed.
#[derive(Clone)]
pub struct OutboundSettings {
    /// The longest that an exchange may take, from waiting for its turn to the last byte of the answer.
    pub timeout: Duration,
    /// The longest answer, in bytes of its body.
    pub answer_bytes_max: usize,
    /// Exchanges at once, and idle connections kept for each host.
    pub concurrency_max: usize,
    /// Whether loopback, private and other addresses that are not the public Internet's are connected to.
    pub allow_private_addresses: bool,
    /// Whether `http` is spoken at all.
    pub allow_http: bool,
    /// Whom to trust instead of the machine's authorities, in DER.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            answer_bytes_max: 256 * 1024,
            concurrency_max: 64,
            allow_private_addresses: false,
            allow_http: false,
            authorities: None,
        }
    }
}

/// A client for one use: its connections are shared with no other.
pub struct Outbound {
    client: reqwest::Client,
    timeout: Duration,
    answer_bytes_max: usize,
    allow_private_addresses: bool,
    allow_http: bool,
    exchanges: Semaphore,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outbound").finish_non_exhaustive()
    }
}

impl Outbound {
    /// A client that asks the machine's resolver. It connects to nobody yet.
    ///
    /// # Errors
    /// [`OutboundError::Setup`] for certificates that are none.
    pub fn new(settings: &OutboundSettings) -> Result<Self, OutboundError> {
        Self::with_lookup(settings, Arc::new(SystemLookup))
    }

    /// The same with a resolver of its own.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn with_lookup(settings: &OutboundSettings, lookup: Arc<dyn Lookup>) -> Result<Self, OutboundError> {
        let tls = trust::client_config(settings.authorities.as_deref())?;
        let resolver = connect::CheckedResolver::new(lookup, settings.allow_private_addresses);
        let client = reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .dns_resolver(Arc::new(resolver))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .http1_only()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(settings.concurrency_max)
            .build()
            .map_err(|error| OutboundError::Setup(error::chain(&error)))?;
        Ok(Self {
            client,
            timeout: settings.timeout,
            answer_bytes_max: settings.answer_bytes_max,
            allow_private_addresses: settings.allow_private_addresses,
            allow_http: settings.allow_http,
            exchanges: Semaphore::new(settings.concurrency_max),
            waiting: AtomicUsize::new(0),
            waiting_max: settings.concurrency_max.saturating_mul(WAITING_PER_EXCHANGE),
        })
    }

    /// Sends a request and takes the whole answer, whatever its status: a redirect is an answer as any other.
    ///
    /// The request's URI is absolute. Dropping the future ends the exchange and closes its connection.
    ///
    /// # Errors
    /// Why there is no answer. No error holds the URL, a header or a body.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        clock: &dyn Clock,
    ) -> Result<Response<Bytes>, OutboundError> {
        let deadline = clock.now().monotonic.plus(self.timeout);
        // Boxed, because the library's futures are large and callers' are held by every request.
        tokio::select! {
            answer = Box::pin(self.exchange(request)) => answer,
            () = clock.sleep_until(deadline) => Err(OutboundError::TimedOut(self.timeout)),
        }
    }

    /// A GET without a body, of JSON.
    ///
    /// # Errors
    /// As [`Outbound::send`]; [`OutboundError::Url`] for what is no URL.
    pub async fn get(&self, url: &str, clock: &dyn Clock) -> Result<Response<Bytes>, OutboundError> {
        let request = Request::get(url)
            .header(http::header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| OutboundError::Url("it is none"))?;
        self.send(request, clock).await
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let mut request =
            reqwest::Request::try_from(request).map_err(|_| OutboundError::Url("it is none"))?;
        self.check_url(request.url())?;
        let identity = HeaderValue::from_static("identity");
        request.headers_mut().insert(ACCEPT_ENCODING, identity);
        let _turn = self.turn().await?;
        let answer = self.client.execute(request).await.map_err(OutboundError::from)?;
        self.take(answer).await
    }

    /// A turn, waited for only while not too many others wait.
    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, OutboundError> {
        if let Ok(turn) = self.exchanges.try_acquire() {
            return Ok(turn);
        }
        let _waiting = Waiting::join(&self.waiting, self.waiting_max).ok_or(OutboundError::Busy)?;
        // Nobody closes the semaphore.
        self.exchanges.acquire().await.map_err(|_| OutboundError::Busy)
    }

    /// What the resolver never sees: the scheme, and addresses that are written out.
    fn check_url(&self, url: &reqwest::Url) -> Result<(), OutboundError> {
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err(OutboundError::Url("it is http, not https")),
            _ => return Err(OutboundError::Url("it is neither https nor http")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::Url("it has a user or a password in it"));
        }
        let host = url.host_str().ok_or(OutboundError::Url("it has no host"))?;
        match host.trim_matches(['[', ']']).parse() {
            Ok(ip) if !self.allow_private_addresses && !is_public(ip) => {
                Err(OutboundError::AddressRefused(ip))
            }
            _ => Ok(()),
        }
    }

    async fn take(&self, mut answer: reqwest::Response) -> Result<Response<Bytes>, OutboundError> {
        let is_identity = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
        if !answer.headers().get_all(CONTENT_ENCODING).iter().all(is_identity) {
            return Err(OutboundError::Encoded);
        }
        let too_large = || OutboundError::TooLarge(self.answer_bytes_max);
        let declared = answer.content_length().unwrap_or(0);
        if usize::try_from(declared).map_or(true, |length| length > self.answer_bytes_max) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(OutboundError::from)? {
            if piece.len() > self.answer_bytes_max.saturating_sub(body.len()) {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        let mut whole = Response::new(body.freeze());
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }
}

/// One who waits for a turn, counted while it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
