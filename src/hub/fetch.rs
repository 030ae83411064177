//! A fetch: ask an upstream, read its answer as it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::ResponseHeader;
use shapegate_core::answer::{EncodingVerdict, encoding_verdict};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::request::Verb;
use shapegate_core::upstream::UpstreamRequest;

use super::answers::AnswerMetrics;
use super::upstream::{Along, READ_TIMEOUT, Upstream, WRITE_TIMEOUT};
use super::wire::pool::{Pool, PoolKey};
use super::wire::{Connection, WireError};
use crate::clock::Clock;
use crate::traces::OpenSpan;

/// Addresses of one name that a request tries to connect to.
const ADDRESSES_TRIED_MAX: usize = 2;

/// Fetches over one pool of connections.
pub struct Fetch {
    connector: TransportConnector,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    metrics: AnswerMetrics,
}

/// An upstream's answer: its header, and its body still to be read. In a box, as it is handed on.
///
/// Dropping it before the end closes the connection.
pub struct Fetched {
    /// The answer's header as it came, without a content coding that turned out to be a lie.
    pub head: ResponseHeader,
    connected: Connected,
    silence_max: Duration,
    peeked: Option<Bytes>,
    /// What traces are told of it.
    span: OpenSpan,
}

impl Fetch {
    /// Fetches that keep at most `idle_connections_max` connections for later.
    pub fn new(
        options: ConnectorOptions,
        idle_connections_max: usize,
        clock: Arc<dyn Clock>,
        metrics: AnswerMetrics,
    ) -> Self {
        Self {
            connector: TransportConnector::new(Some(options)),
            pool: Pool::new(Arc::clone(&clock), idle_connections_max),
            clock,
            metrics,
        }
    }

    /// Asks `upstream` and waits for the answer's header, as long as it is not silent for longer than `silence_max`.
    ///
    /// A request on a pooled connection that the upstream has closed meanwhile is sent once more.
    ///
    /// # Errors
    /// `upstream_unreachable`, `upstream_timeout` or `upstream_encoding`.
    pub async fn ask(
        &self,
        upstream: &Upstream,
        request: &UpstreamRequest,
        along: &Along,
        silence_max: Duration,
    ) -> Result<Box<Fetched>, Refusal> {
        let span = upstream.span(request, along);
        self.ask_within(span, upstream, request, along, silence_max).await
    }

    /// The same, told as `span`.
    ///
    /// # Errors
    /// As [`Fetch::ask`].
    pub async fn ask_within(
        &self,
        mut span: OpenSpan,
        upstream: &Upstream,
        request: &UpstreamRequest,
        along: &Along,
        silence_max: Duration,
    ) -> Result<Box<Fetched>, Refusal> {
        let context = span.context();
        let wire = || upstream.wire(request, along, context);
        let bodyless = request.verb() == Verb::Head;
        let silence_max = silence_max.min(READ_TIMEOUT);
        let exchange = self.exchange(upstream, &wire, bodyless, silence_max);
        let began = self.clock.now().monotonic;
        let failed = |refusal: &Refusal| self.metrics.failed(refusal.code);
        let exchanged = exchange.await.inspect_err(failed);
        let mut fetched = exchanged.inspect_err(|refusal| span.fail(refusal))?;
        if !request.waits() {
            self.metrics.took(began.until(self.clock.now().monotonic));
        }
        let status = fetched.head.status.as_u16();
        span.answered(status);
        fetched.span = span;
        if is_encoded(&fetched.head) {
            Box::pin(fetched.judge_encoding(upstream))
                .await
                .inspect_err(failed)?;
        }
        self.metrics.answered(status);
        Ok(fetched)
    }

    /// Asks for a path of no shape's, without a secret, and gives the answer's header and the start of its body.
    pub async fn probe(
        &self,
        upstream: &Upstream,
        path: &str,
        silence_max: Duration,
    ) -> Option<(ResponseHeader, String)> {
        let wire = || upstream.wire_probe(path);
        let mut fetched = self.exchange(upstream, &wire, false, silence_max).await.ok()?;
        let body = fetched.next().await.ok()?.unwrap_or_default();
        Some((fetched.head, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Sends what `wire` gives, which is kept no longer than that takes, and waits for the answer's header.
    async fn exchange(
        &self,
        upstream: &Upstream,
        wire: &(impl Fn() -> Result<Vec<u8>, Refusal> + Sync),
        bodyless: bool,
        silence_max: Duration,
    ) -> Result<Box<Fetched>, Refusal> {
        let mut pooled = self.pooled(upstream)?;
        loop {
            let reused = pooled.is_some();
            let mut connected = match pooled.take() {
                Some(connected) => connected,
                None => self.connect(upstream).await?,
            };
            let request = wire()?;
            match connected.exchange(request, bodyless, silence_max).await {
                // Closed while it idled: nobody has seen the request.
                Err(WireError::Unanswered(_)) if reused => {}
                answered => return fetched(connected, answered, silence_max),
            }
        }
    }

    /// Gives a connection whose answer was read to its end back to the pool.
    pub fn release(&self, fetched: Box<Fetched>) {
        fetched.span.end();
        let Connected { connection, key } = fetched.connected;
        self.pool.put(key, connection);
    }

    fn pooled(&self, upstream: &Upstream) -> Result<Option<Connected>, Refusal> {
        let key = upstream.pool_key()?;
        let connection = self.pool.take(&key);
        Ok(connection.map(|connection| Connected { connection, key }))
    }

    /// A new connection. A name's other addresses are tried in turn.
    async fn connect(&self, upstream: &Upstream) -> Result<Connected, Refusal> {
        let mut more = upstream.addresses().count().min(ADDRESSES_TRIED_MAX);
        loop {
            let key = upstream.pool_key()?;
            let peer = upstream.peer(READ_TIMEOUT)?;
            // In a box of its own: connecting takes kilobytes that a wait must not carry along.
            let connecting = Box::pin(self.connector.new_stream(&*peer));
            match connecting.await {
                Ok(stream) => {
                    upstream.note_reached();
                    let connection = Box::new(Connection::new(stream));
                    return Ok(Connected { connection, key });
                }
                Err(error) => {
                    upstream.note_unreachable(&peer);
                    more = more.saturating_sub(1);
                    if more == 0 {
                        return Err(refusal(&error));
                    }
                }
            }
        }
    }
}

fn fetched(
    connected: Connected,
    answered: Result<ResponseHeader, WireError>,
    silence_max: Duration,
) -> Result<Box<Fetched>, Refusal> {
    Ok(Box::new(Fetched {
        head: answered.map_err(|error| told(&error))?,
        connected,
        silence_max,
        peeked: None,
        span: OpenSpan::default(),
    }))
}

impl Fetched {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the upstream breaks off: what came so far is not the whole answer.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if let Some(peeked) = self.peeked.take() {
            return Ok(Some(peeked));
        }
        let next = self.connected.connection.next(self.silence_max);
        next.await.map_err(|error| told(&error))
    }

    /// Looks at the first bytes of a body that claims a content coding, though identity was asked for.
    async fn judge_encoding(&mut self, upstream: &Upstream) -> Result<(), Refusal> {
        upstream.note_encoding();
        let (mut first, mut ended) = (BytesMut::new(), false);
        loop {
            match encoding_verdict(&first, ended) {
                EncodingVerdict::NeedsMore => match self.next().await? {
                    Some(piece) => first.extend_from_slice(&piece),
                    None => ended = true,
                },
                EncodingVerdict::Plain => break,
                EncodingVerdict::Encoded | EncodingVerdict::Unclear => return Err(encoded()),
            }
        }
        self.head.remove_header(&header::CONTENT_ENCODING);
        self.head.remove_header(&header::CONTENT_LENGTH);
        self.peeked = (!first.is_empty()).then(|| first.freeze());
        Ok(())
    }
}

fn encoded() -> Refusal {
    let text = "The upstream sent a content coding that it was not asked for.";
    Refusal::new(Code::UpstreamEncoding, text)
}

/// Whether a header claims a content coding of a body that a client would get. Of other answers only the status
/// counts, whatever their bodies are.
pub fn is_encoded(head: &ResponseHeader) -> bool {
    let codings = head.headers.get_all(header::CONTENT_ENCODING);
    matches!(head.status, StatusCode::OK | StatusCode::CONFLICT)
        && codings
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// A connection, and under what it is kept.
struct Connected {
    // In a box, as it is moved about and waited with.
    connection: Box<Connection>,
    key: PoolKey,
}

impl Connected {
    async fn exchange(
        &mut self,
        request: Vec<u8>,
        bodyless: bool,
        silence_max: Duration,
    ) -> Result<ResponseHeader, WireError> {
        self.connection.send(&request, WRITE_TIMEOUT).await?;
        drop(request);
        self.connection.head(bodyless, silence_max).await
    }
}

/// What a client is told when there is no answer; `detail` is for the log.
pub(super) fn unreachable_upstream(detail: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::UpstreamUnreachable,
        "The upstream cannot be reached at the moment.",
    )
    .with_detail(detail.into())
}

/// What a client is told of an exchange that failed.
fn told(error: &WireError) -> Refusal {
    match error {
        WireError::TimedOut(_) => too_late(error.to_string()),
        _ => unreachable_upstream(error.to_string()),
    }
}

fn too_late(detail: String) -> Refusal {
    Refusal::new(Code::UpstreamTimeout, "The upstream did not answer in time.").with_detail(detail)
}

/// What a client is told of a fault between us and the upstream.
pub fn refusal(error: &Error) -> Refusal {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout | ErrorType::ConnectTimedout => {
            too_late(error.to_string())
        }
        _ if error.esource() == &ErrorSource::Internal => {
            Refusal::new(Code::Internal, "The gateway failed.").with_detail(error.to_string())
        }
        _ => unreachable_upstream(error.to_string()),
    }
}

/// Shared by every request of a process.
pub type SharedFetch = Arc<Fetch>;
