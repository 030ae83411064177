//! A connection, which may be held by the session that speaks HTTP on it and by one who waits without a session.
//!
//! What a session writes is gathered until it flushes, so that an answer's header and body go out together. At rest
//! nothing is kept for it.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// How much is gathered before it is sent without a flush, in bytes.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// How much room is made at first, in bytes: a header, and the body of a small answer.
const UNSENT_BYTES_TYPICAL: usize = 2048;
/// How much of a request is read at once, in bytes: most heads are smaller.
const START_BYTES: usize = 4096;

/// A connection. Its clones are the same connection, which is closed with the last of them.
#[derive(Clone)]
pub struct Line(Arc<Shared>);

struct Shared {
    /// What each session asks for, and never changes.
    ssl: Option<Arc<SslDigest>>,
    socket: Option<Arc<SocketDigest>>,
    inner: Mutex<Inner>,
}

struct Inner {
    stream: Stream,
    unsent: Vec<u8>,
    /// Bytes that sessions have read since the current request began.
    taken: usize,
}

impl Line {
    /// The connection that `stream` is.
    pub fn new(stream: Stream) -> Self {
        Self(Arc::new(Shared {
            ssl: stream.get_ssl_digest(),
            socket: stream.get_socket_digest(),
            inner: Mutex::new(Inner {
                stream,
                unsent: Vec::new(),
                taken: 0,
            }),
        }))
    }

    /// The connection of a session, if it is one of these.
    pub fn of(stream: &Stream) -> Option<Self> {
        stream.as_any().downcast_ref::<Self>().cloned()
    }

    /// Resolves when the client leaves; or sends something, where it has nothing to send.
    pub async fn left(&self) {
        std::future::poll_fn(|cx| {
            let mut byte = [0];
            let read = self.lock().reading().poll_read(cx, &mut ReadBuf::new(&mut byte));
            read.map(drop)
        })
        .await;
    }

    /// The first bytes of what comes; none at its end. No room is kept for them while nothing comes.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn start(&self) -> io::Result<BytesMut> {
        let mut line = self.clone();
        std::future::poll_fn(|cx| {
            let mut bytes = BytesMut::with_capacity(START_BYTES);
            ready!(pin!(line.read_buf(&mut bytes)).poll(cx))?;
            Poll::Ready(Ok(bytes))
        })
        .await
    }

    /// A request begins with what is read from now on.
    pub fn begin_request(&self) {
        self.lock().taken = 0;
    }

    /// How many bytes were read since the current request began.
    pub fn taken(&self) -> usize {
        self.lock().taken
    }

    /// Sends what a session has written and not flushed.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| Pin::new(&mut self.clone()).poll_flush(cx)).await
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn reading(&mut self) -> Pin<&mut Stream> {
        Pin::new(&mut self.stream)
    }

    /// Sends what was gathered, and keeps no room for more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            self.note_sent(sent)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was gathered and what comes after it, together; says how much of the latter went.
    fn poll_send_with(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let gathered = self.unsent.len();
            let both = [IoSlice::new(&self.unsent), IoSlice::new(more)];
            let both = both.get(usize::from(gathered == 0)..).unwrap_or_default();
            let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, both))?;
            self.note_sent(sent.min(gathered))?;
            if let Some(went) = sent.checked_sub(gathered).filter(|went| *went > 0) {
                return Poll::Ready(Ok(went));
            }
            if sent == 0 {
                return Poll::Ready(Ok(0));
            }
        }
    }

    fn note_sent(&mut self, sent: usize) -> io::Result<()> {
        if sent == 0 && !self.unsent.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if sent >= self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        let before = buf.filled().len();
        ready!(inner.reading().poll_read(cx, buf))?;
        inner.taken += buf.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        if inner.unsent.len() + buf.len() > UNSENT_BYTES_MAX {
            return inner.poll_send_with(cx, buf);
        }
        if inner.unsent.is_empty() {
            inner.unsent.reserve(buf.len().max(UNSENT_BYTES_TYPICAL));
        }
        inner.unsent.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Line {
    async fn shutdown(&mut self) {
        // Whoever is gone has no use for a goodbye.
        drop(std::future::poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await);
    }
}

impl UniqueID for Line {
    fn id(&self) -> UniqueIDType {
        self.lock().stream.id()
    }
}

impl Ssl for Line {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.0.ssl.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.lock().stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Line {
    /// None: nobody asks here when a connection was made, and each session would take a list of it.
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.lock().stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.lock().stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Line {
    /// None: those are of connections made, not of those accepted.
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Line {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.0.socket.clone()
    }
}

impl Peek for Line {}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").finish()
    }
}
