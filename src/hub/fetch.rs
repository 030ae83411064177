//! A fetch over Pingora's connector: ask an upstream, read its answer as it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::upstreams::peer::{HttpPeer, Peer as _};
use pingora_core::{Error, ErrorSource, ErrorType, OrErr as _};
use pingora_http::{RequestHeader, ResponseHeader};
use shapegate_core::answer::{EncodingVerdict, encoding_verdict};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::upstream::UpstreamRequest;

use super::upstream::{Along, POOL_IDLE_TIMEOUT, READ_TIMEOUT, Upstream};
use crate::line::Line;

/// Addresses of one name that a request tries to connect to.
const ADDRESSES_TRIED_MAX: usize = 2;

/// Fetches over one pool of connections.
pub struct Fetch {
    connector: TransportConnector,
}

/// An upstream's answer: its header, and its body still to be read.
///
/// Dropping it before the end closes the connection.
pub struct Fetched {
    /// The answer's header as it came, without a content coding that turned out to be a lie.
    pub head: ResponseHeader,
    session: HttpSession,
    peer: Box<HttpPeer>,
    peeked: Option<Bytes>,
}

impl Fetch {
    /// Fetches that keep at most `idle_connections_max` connections for later.
    pub fn new(mut options: ConnectorOptions, idle_connections_max: usize) -> Self {
        options.keepalive_pool_size = idle_connections_max;
        Self {
            connector: TransportConnector::new(Some(options)),
        }
    }

    /// Asks `upstream` and waits for the answer's header, however long the upstream holds it.
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
        read_timeout: Duration,
    ) -> Result<Fetched, Refusal> {
        let mut connected = self.connect(upstream, read_timeout).await?;
        match connected.exchange(upstream, request, along).await {
            Ok(()) => {}
            Err(error) if connected.reused && is_stale(&error) => {
                connected = self.connect(upstream, read_timeout).await?;
                let again = connected.exchange(upstream, request, along);
                again.await.map_err(|error| refusal(&error))?;
            }
            Err(error) => return Err(refusal(&error)),
        }
        let Connected { session, peer, .. } = connected;
        let head = session.resp_header().cloned();
        let mut fetched = Fetched {
            head: head.ok_or_else(|| unreachable_upstream("no header"))?,
            session,
            peer,
            peeked: None,
        };
        fetched.judge_encoding(upstream).await?;
        Ok(fetched)
    }

    /// Sends a request of our own, without a secret, and gives the answer's header and the start of its body.
    pub async fn probe(
        &self,
        upstream: &Upstream,
        head: pingora_core::Result<RequestHeader>,
        read_timeout: Duration,
    ) -> Option<(ResponseHeader, String)> {
        let Connected { mut session, .. } = self.connect(upstream, read_timeout).await.ok()?;
        session.write_request_header(Box::new(head.ok()?)).await.ok()?;
        session.read_response().await.ok()?;
        let head = session.resp_header()?.clone();
        let body = session.read_body_bytes().await.ok()?.unwrap_or_default();
        Some((head, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Gives a connection whose answer was read to its end back to the pool.
    pub async fn release(&self, fetched: Fetched) {
        let Fetched {
            mut session, peer, ..
        } = fetched;
        session.respect_keepalive();
        let reused = session.reuse().await;
        let line = reused.and_then(|stream| stream.into_any().downcast::<Line>().ok());
        if let Some(stream) = line.and_then(|line| line.into_stream()) {
            self.connector
                .release_stream(stream, peer.reuse_hash(), Some(POOL_IDLE_TIMEOUT));
        }
    }

    /// A connection. A name's other addresses are tried in turn.
    async fn connect(&self, upstream: &Upstream, read_timeout: Duration) -> Result<Connected, Refusal> {
        let mut more = upstream.addresses().count().min(ADDRESSES_TRIED_MAX);
        loop {
            let peer = upstream.peer(read_timeout)?;
            // In a box of its own: connecting takes kilobytes that a wait must not carry along.
            let connecting = Box::pin(self.connector.get_stream(&*peer));
            match connecting.await {
                Ok((stream, reused)) => {
                    upstream.note_reached();
                    return Ok(Connected::new(stream, reused, peer));
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

impl Fetched {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the upstream breaks off: what came so far is not the whole answer.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if let Some(peeked) = self.peeked.take() {
            return Ok(Some(peeked));
        }
        self.session
            .read_body_bytes()
            .await
            .map_err(|error| refusal(&error))
    }

    /// Looks at the first bytes of a body that claims a content coding, though identity was asked for.
    async fn judge_encoding(&mut self, upstream: &Upstream) -> Result<(), Refusal> {
        if !is_encoded(&self.head) {
            return Ok(());
        }
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

/// A connection on which nothing was asked yet.
struct Connected {
    session: HttpSession,
    line: Line,
    reused: bool,
    peer: Box<HttpPeer>,
}

impl Connected {
    fn new(stream: Stream, reused: bool, peer: Box<HttpPeer>) -> Self {
        let line = Line::new(stream);
        let mut session = HttpSession::new_with_options(Box::new(line.clone()), &*peer);
        session.read_timeout = peer.options.read_timeout;
        session.write_timeout = peer.options.write_timeout;
        Self {
            session,
            line,
            reused,
            peer,
        }
    }

    async fn exchange(
        &mut self,
        upstream: &Upstream,
        request: &UpstreamRequest,
        along: &Along,
    ) -> pingora_core::Result<()> {
        let head = Box::new(upstream.head(request, along)?);
        self.session.write_request_header(head).await?;
        if let Some(body) = request.body() {
            self.session.write_body(body).await?;
            self.session.finish_body().await?;
        }
        if request.waits() {
            self.wait().await?;
        }
        self.session.read_response().await.map(drop)
    }

    /// Waits for the first of the answer. A session would hold a buffer meanwhile.
    async fn wait(&self) -> pingora_core::Result<()> {
        let timeout = self.peer.options.read_timeout.unwrap_or(READ_TIMEOUT);
        tokio::time::timeout(timeout, self.line.arrived())
            .await
            .or_err(ErrorType::ReadTimedout, "while waiting for an answer")
    }
}

/// Whether a pooled connection had been closed before the request reached anybody.
fn is_stale(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectionClosed | ErrorType::WriteError | ErrorType::ReadError
    )
}

/// What a client is told when there is no answer; `detail` is for the log.
pub(super) fn unreachable_upstream(detail: impl Into<String>) -> Refusal {
    Refusal::new(
        Code::UpstreamUnreachable,
        "The upstream cannot be reached at the moment.",
    )
    .with_detail(detail.into())
}

/// What a client is told of a fault between us and the upstream.
pub fn refusal(error: &Error) -> Refusal {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout | ErrorType::ConnectTimedout => {
            Refusal::new(Code::UpstreamTimeout, "The upstream did not answer in time.")
                .with_detail(error.to_string())
        }
        _ if error.esource() == &ErrorSource::Internal => {
            Refusal::new(Code::Internal, "The gateway failed.").with_detail(error.to_string())
        }
        _ => unreachable_upstream(error.to_string()),
    }
}

/// Shared by every request of a process.
pub type SharedFetch = Arc<Fetch>;
