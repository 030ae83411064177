//! What Pingora lacks for connections: a cap on their number, a cap per address, a deadline for a request's head.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::server::ShutdownWatch;
use shapegate_core::time::Monotonic;

use super::drain::Drain;
use crate::admin::Metrics;
use crate::clock::Clock;
use crate::limits::address;
use crate::process::Pulse;

/// How many connections, and how long a head may take.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Connections open at once; above, new ones are closed at once.
    pub connections_max: usize,
    /// Connections open at once from one address that is not a trusted proxy.
    pub connections_per_address_max: usize,
    /// From a connection's start to the end of its first request's head.
    pub head_timeout: Duration,
    /// How long a connection may idle between requests.
    pub keepalive_timeout: Duration,
}

tokio::task_local! {
    /// The HTTP/1.1 connection that the current task serves.
    static CONNECTION: Arc<Deadline>;
}

/// The moment at which a connection is closed unless a request's head has arrived by then.
#[derive(Debug)]
pub struct Deadline {
    /// Milliseconds on the monotonic clock; `u64::MAX` while a request is being served.
    at_ms: AtomicU64,
}

impl Deadline {
    fn new(at: Monotonic) -> Arc<Self> {
        Arc::new(Self {
            at_ms: AtomicU64::new(millis(at)),
        })
    }

    fn lift(&self) {
        self.at_ms.store(u64::MAX, Ordering::Relaxed);
    }

    fn set(&self, at: Monotonic) {
        self.at_ms.store(millis(at), Ordering::Relaxed);
    }

    fn is_over(&self, now: Monotonic) -> bool {
        millis(now) >= self.at_ms.load(Ordering::Relaxed)
    }
}

fn millis(at: Monotonic) -> u64 {
    u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX)
}

/// A server app behind the caps.
pub struct Guarded<A> {
    inner: Arc<A>,
    book: Arc<ConnectionBook>,
    drain: Drain,
    pulse: Pulse,
}

/// The connections that are open, shared with the request hooks.
pub struct ConnectionBook {
    limits: ConnectionLimits,
    exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    h2_waiting: RwLock<HashMap<SocketAddr, Arc<Deadline>>>,
}

impl ConnectionBook {
    /// A book with nothing open. `exempt` tells trusted proxies, to whom the cap per address does not apply.
    pub fn new(
        limits: ConnectionLimits,
        exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits,
            exempt: Box::new(exempt),
            clock,
            metrics,
            open: AtomicUsize::new(0),
            by_address: Mutex::default(),
            h2_waiting: RwLock::default(),
        })
    }

    /// A request's head has arrived: its connection may take as long as the request does.
    pub fn head_arrived(&self, h2_peer: Option<SocketAddr>) {
        match h2_peer {
            // Outside a connection, as in tests of single hooks, there is no deadline.
            None => CONNECTION
                .try_with(|deadline| deadline.lift())
                .unwrap_or_default(),
            Some(peer) => self.first_stream(peer),
        }
    }

    /// A request has been answered: the connection may idle, and then send the next head in time.
    pub fn request_done(&self) {
        let mut at = self.clock.now().monotonic;
        at.0 += self.limits.keepalive_timeout + self.limits.head_timeout;
        CONNECTION
            .try_with(|deadline| deadline.set(at))
            .unwrap_or_default();
    }

    /// How long a connection may idle between requests.
    pub fn keepalive_timeout(&self) -> Duration {
        self.limits.keepalive_timeout
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Streams of an HTTP/2 connection run in tasks of their own, so its deadline is found by its peer.
    fn first_stream(&self, peer: SocketAddr) {
        let waiting = self.h2_waiting.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(deadline) = waiting.get(&peer) {
            deadline.lift();
        }
    }

    fn admit(self: &Arc<Self>, peer: Option<SocketAddr>) -> Option<Seat> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limits.connections_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.metrics.connection_refused("connections_max");
            return None;
        }
        let seat = Seat {
            book: Arc::clone(self),
            counted: None,
        };
        let Some(ip) = peer.map(|peer| peer.ip()).filter(|ip| !(self.exempt)(*ip)) else {
            return Some(seat);
        };
        let ip = address::counted(ip);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(ip).or_insert(0);
        if *count >= self.limits.connections_per_address_max {
            self.metrics.connection_refused("connections_per_address_max");
            drop(by_address);
            return None;
        }
        *count += 1;
        drop(by_address);
        Some(seat.counted(ip))
    }
}

/// A connection's place in the book, given back when dropped.
struct Seat {
    book: Arc<ConnectionBook>,
    counted: Option<IpAddr>,
}

impl Seat {
    fn counted(mut self, ip: IpAddr) -> Self {
        self.counted = Some(ip);
        self
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.book.open.fetch_sub(1, Ordering::Relaxed);
        let Some(ip) = self.counted else { return };
        let mut by_address = self
            .book
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&ip);
            }
        }
    }
}

impl<A> Guarded<A> {
    /// `inner` behind the caps of `book`, whose idle connections end with `drain`; `pulse` learns where they are served.
    pub fn new(inner: Arc<A>, book: Arc<ConnectionBook>, drain: Drain, pulse: Pulse) -> Self {
        Self {
            inner,
            book,
            drain,
            pulse,
        }
    }

    /// The connections that are open.
    pub fn book(&self) -> &Arc<ConnectionBook> {
        &self.book
    }
}

impl<A: ServerApp + Send + Sync + 'static> Guarded<A> {
    /// Serves `stream` until it ends or its head is overdue.
    async fn serve(&self, stream: Stream, peer: Option<SocketAddr>, shutdown: &ShutdownWatch) {
        let mut at = self.book.clock.now().monotonic;
        at.0 += self.book.limits.head_timeout;
        let deadline = Deadline::new(at);
        let _waiting = H2Waiting::note(&self.book, &stream, peer, &deadline);
        let served = CONNECTION.scope(Arc::clone(&deadline), self.inner.process_new(stream, shutdown));
        tokio::select! {
            biased;
            _ = served => {}
            () = self.overdue(&deadline) => self.book.metrics.connection_refused("head_timeout"),
        }
    }

    /// Resolves once the deadline is over: a look every `head_timeout`, so that a request costs no timer.
    async fn overdue(&self, deadline: &Deadline) {
        loop {
            let now = self.book.clock.now().monotonic;
            if deadline.is_over(now) {
                return;
            }
            self.book
                .clock
                .sleep_until(Monotonic(now.0 + self.book.limits.head_timeout))
                .await;
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Guarded<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let digest = stream.get_socket_digest();
        let peer = digest
            .as_ref()
            .and_then(|digest| digest.peer_addr()?.as_inet().copied());
        let seat = self.book.admit(peer)?;
        self.pulse.is_here();
        let (guarded, shutdown) = (Arc::clone(self), shutdown.clone());
        // In a task of its own: Pingora's would carry the handshake's state along.
        tokio::spawn(async move {
            let _seat = seat;
            guarded.serve(stream, peer, &shutdown).await;
        });
        None
    }

    /// Called once nothing is accepted any more. Pingora then closes every connection on which no request has
    /// come yet, those accepted a moment ago included: that waits.
    async fn cleanup(&self) {
        self.drain.accepts_no_more();
        self.drain.idle_over().await;
        self.inner.cleanup().await;
    }
}

/// An HTTP/2 connection whose first stream has not come yet, forgotten when dropped.
struct H2Waiting {
    book: Arc<ConnectionBook>,
    peer: SocketAddr,
}

impl H2Waiting {
    fn note(
        book: &Arc<ConnectionBook>,
        stream: &Stream,
        peer: Option<SocketAddr>,
        deadline: &Arc<Deadline>,
    ) -> Option<Self> {
        let peer = peer.filter(|_| matches!(stream.selected_alpn_proto(), Some(ALPN::H2)))?;
        let mut waiting = book.h2_waiting.write().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(peer, Arc::clone(deadline));
        Some(Self {
            book: Arc::clone(book),
            peer,
        })
    }
}

impl Drop for H2Waiting {
    fn drop(&mut self) {
        let mut waiting = self
            .book
            .h2_waiting
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&self.peer);
    }
}
