//! A fetch over Pingora's connector: ask an upstream, read its answer as it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use shapegate_core::answer::{EncodingVerdict, encoding_verdict};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::upstream::UpstreamRequest;

use super::upstream::{Along, POOL_IDLE_TIMEOUT, Upstream};

/// Addresses of one name that a request tries to connect to.
const ADDRESSES_TRIED_MAX: usize = 2;

/// Fetches over one pool of connections.
pub struct Fetch {
    connector: Connector<()>,
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
            connector: Connector::new(Some(options)),
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
        let (mut session, reused, mut peer) = self.connect(upstream, read_timeout).await?;
        match exchange(&mut session, upstream, request, along, &peer).await {
            Ok(()) => {}
            Err(error) if reused && is_stale(&error) => {
                (session, _, peer) = self.connect(upstream, read_timeout).await?;
                exchange(&mut session, upstream, request, along, &peer)
                    .await
                    .map_err(|e| refusal(&e))?;
            }
            Err(error) => return Err(refusal(&error)),
        }
        let head = session
            .response_header()
            .cloned()
            .ok_or_else(|| unreachable_upstream("no header"))?;
        let mut fetched = Fetched {
            head,
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
        let (mut session, _, _) = self.connect(upstream, read_timeout).await.ok()?;
        session.set_read_timeout(Some(read_timeout));
        session.write_request_header(Box::new(head.ok()?)).await.ok()?;
        session.finish_request_body().await.ok()?;
        session.read_response_header().await.ok()?;
        let head = session.response_header()?.clone();
        let body = session.read_response_body().await.ok()?.unwrap_or_default();
        Some((head, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Gives a connection whose answer was read to its end back to the pool.
    pub async fn release(&self, fetched: Fetched) {
        let Fetched { session, peer, .. } = fetched;
        self.connector
            .release_http_session(session, &*peer, Some(POOL_IDLE_TIMEOUT))
            .await;
    }

    /// A connection, whether it comes from the pool, and its peer. A name's other addresses are tried in turn.
    async fn connect(
        &self,
        upstream: &Upstream,
        read_timeout: Duration,
    ) -> Result<(HttpSession, bool, Box<HttpPeer>), Refusal> {
        let mut more = upstream.addresses().count().min(ADDRESSES_TRIED_MAX);
        loop {
            let peer = upstream.peer(read_timeout)?;
            // In a box of its own: connecting takes kilobytes that a wait must not carry along.
            let connecting = Box::pin(self.connector.get_http_session(&*peer));
            match connecting.await {
                Ok((session, reused)) => {
                    upstream.note_reached();
                    return Ok((session, reused, peer));
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
            .read_response_body()
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

async fn exchange(
    session: &mut HttpSession,
    upstream: &Upstream,
    request: &UpstreamRequest,
    along: &Along,
    peer: &HttpPeer,
) -> pingora_core::Result<()> {
    session.set_read_timeout(peer.options.read_timeout);
    session.set_write_timeout(peer.options.write_timeout);
    session
        .write_request_header(Box::new(upstream.head(request, along)?))
        .await?;
    if let Some(body) = request.body() {
        session.write_request_body(body.clone(), true).await?;
    }
    session.finish_request_body().await?;
    session.read_response_header().await
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
