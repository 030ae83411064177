//! A running origin.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::config::OriginConfig;
use crate::inner::Inner;
use crate::misbehave::Misbehaviour;
use crate::received::Received;
use crate::serve::{self, Connection};
use crate::store::Write;

/// Threads that serve; a stand-in must not take the machine from what is tested.
const WORKERS: usize = 2;

/// A stand-in for Electric that listens until it is dropped.
///
/// It runs on threads of its own, so it can be started from anywhere; when it is dropped every
/// connection closes at once, as if the machine had gone.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    inner: Arc<Inner>,
    runtime: Option<Runtime>,
}

impl Origin {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address cannot be bound, or the schema's rows do not fit its tables.
    pub fn start(config: OriginConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner::new(config).map_err(io::Error::other)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("origin")
            .enable_all()
            .build()?;
        let shared = Arc::clone(&inner);
        runtime.spawn(async move {
            if let Err(error) = listen(listener, shared).await {
                log::error!("the origin stopped: {error}");
            }
        });
        Ok(Self {
            address,
            inner,
            runtime: Some(runtime),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes to a table as one transaction.
    ///
    /// # Errors
    /// A sentence when a write does not fit the table; then nothing is written.
    pub fn write(&self, table: &str, writes: &[Write]) -> Result<(), String> {
        self.inner.store.write(table, writes)
    }

    /// Inserts a row, a JSON object of its columns.
    ///
    /// # Errors
    /// As for [`Origin::write`].
    pub fn insert(&self, table: &str, row: Value) -> Result<(), String> {
        self.write(table, &[Write::Insert(row)])
    }

    /// Inserts a row or replaces the one that has its key.
    ///
    /// # Errors
    /// As for [`Origin::write`].
    pub fn upsert(&self, table: &str, row: Value) -> Result<(), String> {
        self.write(table, &[Write::Upsert(row)])
    }

    /// Sets columns of the row that has this key, both JSON objects.
    ///
    /// # Errors
    /// As for [`Origin::write`].
    pub fn update(&self, table: &str, key: Value, set: Value) -> Result<(), String> {
        self.write(table, &[Write::Update(key, set)])
    }

    /// Deletes the row that has this key, a JSON object.
    ///
    /// # Errors
    /// As for [`Origin::write`].
    pub fn delete(&self, table: &str, key: Value) -> Result<(), String> {
        self.write(table, &[Write::Delete(key)])
    }

    /// Ends every shape of a table, or of all tables: clients get 409 and a new handle.
    /// Says how many shapes there were.
    ///
    /// # Errors
    /// A sentence when the table's name is none.
    pub fn rotate(&self, table: Option<&str>) -> Result<usize, String> {
        self.inner.store.rotate(table)
    }

    /// The requests so far, oldest first, those to the origin's own interface left out.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.inner.received.all()
    }

    /// Forgets the requests so far.
    pub fn forget_received(&self) {
        self.inner.received.clear();
    }

    /// Plans to misbehave; plans are followed in their order.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.inner.faults.add(misbehaviour);
    }

    /// Forgets all such plans.
    pub fn behave(&self) {
        self.inner.faults.clear();
    }

    /// How many long polls and event streams wait right now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.waiting_count()
    }

    /// Waits until the process is told to end. For programs that do nothing else.
    pub fn run(&self) {
        loop {
            std::thread::park();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(listener: TcpListener, inner: Arc<Inner>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = Router::new().fallback(serve::handle).with_state(inner);
    let service = service.into_make_service_with_connect_info::<Connection>();
    axum::serve(listener, service).await
}
