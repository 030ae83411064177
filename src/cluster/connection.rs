//! Connections to Redis: made within a time, bounded, ended with whoever holds them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::bounded::Bounded;
use super::fault::Fault;
use crate::clock::Clock;
use crate::config::{ClusterSettings, RedisPlace};
use crate::outbound::client_config;

/// How long it may take to connect, to agree on TLS and to be let in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection. Questions on clones of what it holds share it; it is closed when this is dropped.
pub struct Connection {
    inner: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects, and is let in.
    pub async fn open(settings: &ClusterSettings, clock: &dyn Clock) -> Result<Self, Fault> {
        within(CONNECT_TIMEOUT, clock, Box::pin(open(settings))).await
    }

    /// To be asked with.
    pub fn asked(&self) -> MultiplexedConnection {
        self.inner.clone()
    }
}

/// What comes of some work within a time.
pub async fn within<T>(
    limit: Duration,
    clock: &dyn Clock,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::select! {
        biased;
        done = work => done,
        () = clock.sleep_until(clock.now().monotonic.plus(limit)) => Err(Fault::TimedOut(limit)),
    }
}

async fn open(settings: &ClusterSettings) -> Result<Connection, Fault> {
    let stream = stream(settings).await?;
    let url = &settings.url;
    let mut info = RedisConnectionInfo::default()
        .set_db(i64::from(url.database))
        .set_skip_set_lib_name();
    if let Some(user) = &url.user {
        info = info.set_username(user);
    }
    if let Some(password) = &url.password {
        info = info.set_password(password);
    }
    // Time limits are ours, on our clock.
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None);
    let (inner, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    Ok(Connection {
        inner,
        driver: tokio::spawn(driver),
    })
}

async fn stream(settings: &ClusterSettings) -> Result<Bounded, Fault> {
    let (host, port, tls) = match &settings.url.place {
        RedisPlace::Unix(path) => return Ok(Bounded::new(UnixStream::connect(path).await?)),
        RedisPlace::Tcp { host, port, tls } => (host, *port, *tls),
    };
    let tcp = TcpStream::connect((host.as_str(), port)).await?;
    tcp.set_nodelay(true)?;
    if !tls {
        return Ok(Bounded::new(tcp));
    }
    let failed = |error: String| Fault::Connection(error);
    let authorities = settings.ca.as_ref().map(|ca| ca.certificates.as_slice());
    let config = client_config(authorities).map_err(|error| failed(error.to_string()))?;
    let name = ServerName::try_from(host.clone()).map_err(|error| failed(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(Bounded::new(connector.connect(name, tcp).await?))
}
