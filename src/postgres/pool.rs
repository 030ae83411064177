//! A bounded pool of read-only connections, and the one way to ask with them.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use futures_util::TryStreamExt;
use rustls::pki_types::CertificateDer;
use shapegate_core::value::Value;
use tokio_postgres::Config;

use super::error::{QueryError, is_worth_a_second_try};
use super::parameter::Parameter;
use super::tls::Tls;
use super::url::PostgresUrl;
use super::{POOL_SIZE_MAX, answer};
use crate::clock::Clock;
use crate::outbound::client_config;

/// A row: its columns by name.
pub type Row = BTreeMap<Arc<str>, Value>;

/// Bytes of one answer, over all its rows, as the server sends them.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How much longer than the server's own limit an answer is waited for: what that limit does not see.
const ANSWER_GRACE: Duration = Duration::from_millis(500);
/// How long a connection may be silent before it is asked whether it lives, and between two such questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long sent bytes may be unacknowledged.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);

/// A database and how much may be asked of it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Where it is.
    pub url: PostgresUrl,
    /// Whom to trust instead of the machine's authorities, in DER.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// Connections at once, 1 to [`POOL_SIZE_MAX`].
    pub pool_size: usize,
    /// How long a connection may take to be made, and to become free.
    pub connect_timeout: Duration,
    /// How long a statement may take. The server keeps to it.
    pub statement_timeout: Duration,
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("url", &self.url)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

/// A pool of connections. It connects when it is first asked.
pub struct Postgres {
    pool: Pool,
    pub(super) config: Config,
    pub(super) tls: Tls,
    settings: PostgresSettings,
}

/// The database's hosts.
impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.url.fmt(f)
    }
}

impl Postgres {
    /// A pool that has not connected yet.
    ///
    /// # Errors
    /// For certificates that are none.
    pub fn new(settings: &PostgresSettings) -> Result<Self, QueryError> {
        let setup = |error: String| QueryError::Unavailable(error);
        let tls = client_config(settings.authorities.as_deref()).map_err(|error| setup(error.to_string()))?;
        let tls = Tls(Arc::new(tls));
        let config = session(settings);
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(config.clone(), tls.clone(), recycling);
        let wait = Some(settings.connect_timeout);
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size.clamp(1, POOL_SIZE_MAX))
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait,
                create: wait,
                recycle: wait,
            })
            .build()
            .map_err(|error| setup(error.to_string()))?;
        Ok(Self {
            pool,
            config,
            tls,
            settings: settings.clone(),
        })
    }

    pub(super) fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    /// The rows of an answer, each column a value.
    ///
    /// # Errors
    /// Why there is no answer; more rows than `rows_max` are none.
    pub async fn rows(
        &self,
        query: &str,
        parameters: &[Value],
        rows_max: usize,
        clock: &dyn Clock,
    ) -> Result<Vec<Row>, QueryError> {
        let parameters: Vec<Parameter> = parameters.iter().map(Parameter::of).collect::<Result<_, _>>()?;
        let PostgresSettings {
            connect_timeout,
            statement_timeout,
            ..
        } = self.settings;
        let limit = connect_timeout
            .saturating_mul(2)
            .saturating_add(statement_timeout);
        // Boxed, because the futures of the driver are large.
        let asking = Box::pin(self.ask_twice(query, &parameters, rows_max));
        within(limit.saturating_add(ANSWER_GRACE), clock, asking).await?
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.pool.status().size
    }

    /// A connection that was closed while it lay idle is only noticed by asking; then another one is asked.
    async fn ask_twice(
        &self,
        query: &str,
        parameters: &[Parameter],
        rows_max: usize,
    ) -> Result<Vec<Row>, QueryError> {
        match self.ask(query, parameters, rows_max).await {
            Err(Failure::Server(error)) if is_worth_a_second_try(&error) => {
                self.pool.retain(|_, _| false);
                self.ask(query, parameters, rows_max)
                    .await
                    .map_err(QueryError::from)
            }
            other => other.map_err(QueryError::from),
        }
    }

    async fn ask(&self, query: &str, parameters: &[Parameter], rows_max: usize) -> Result<Vec<Row>, Failure> {
        let lease = Lease::of(self.pool.get().await?)?;
        let answered = Self::ask_with(&lease, query, parameters, rows_max).await;
        match &answered {
            // The statement alone has failed, and the connection stands.
            Ok(_) => lease.give_back(),
            Err(Failure::Server(error)) if error.code().is_some() && !is_worth_a_second_try(error) => {
                lease.give_back();
            }
            Err(_) => {}
        }
        answered
    }

    async fn ask_with(
        lease: &Lease,
        query: &str,
        parameters: &[Parameter],
        rows_max: usize,
    ) -> Result<Vec<Row>, Failure> {
        let client = lease.client()?;
        let statement = client.prepare_cached(query).await?;
        if statement.params().len() != parameters.len() {
            let text = format!(
                "it has {} parameters, not {}",
                statement.params().len(),
                parameters.len()
            );
            return Err(Failure::Other(QueryError::Query(text)));
        }
        let stream = client.query_raw(&statement, parameters).await?;
        let mut stream = std::pin::pin!(stream);
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        while let Some(row) = stream.try_next().await? {
            bytes = bytes.saturating_add(row.raw_size_bytes());
            if rows.len() >= rows_max {
                return Err(refused(format!("more than {rows_max} rows")));
            }
            if bytes > ANSWER_BYTES_MAX {
                return Err(refused(format!("more than {ANSWER_BYTES_MAX} bytes")));
            }
            rows.push(members(&row)?);
        }
        Ok(rows)
    }
}

/// One column a name.
fn members(row: &tokio_postgres::Row) -> Result<Row, Failure> {
    let mut members = Row::new();
    for (name, value) in answer::row(row).map_err(refused)? {
        if members.contains_key(&name) {
            return Err(refused(format!("two columns `{name}`")));
        }
        members.insert(name, value);
    }
    Ok(members)
}

fn refused(why: String) -> Failure {
    Failure::Other(QueryError::Answer(why))
}

/// A future's output, unless it takes longer.
pub(super) async fn within<T>(
    limit: Duration,
    clock: &dyn Clock,
    future: impl Future<Output = T>,
) -> Result<T, QueryError> {
    let overdue = clock.sleep_until(clock.now().monotonic.plus(limit));
    tokio::select! {
        came = future => Ok(came),
        () = overdue => Err(QueryError::Unavailable(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// The session of every connection: read-only, limited by the server itself.
fn session(settings: &PostgresSettings) -> Config {
    let mut config = settings.url.config.clone();
    let limit = settings.statement_timeout.as_millis().max(1);
    let ours = format!(
        "-c default_transaction_read_only=on -c statement_timeout={limit} -c lock_timeout={limit} \
         -c idle_in_transaction_session_timeout={limit}"
    );
    // What comes last counts.
    let options = match config.get_options() {
        Some(theirs) => format!("{theirs} {ours}"),
        None => ours,
    };
    config.options(options);
    if config.get_application_name().is_none() {
        config.application_name("shapegate");
    }
    config
        .connect_timeout(settings.connect_timeout)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE)
        .keepalives_retries(2);
    config
}

/// Why one attempt failed.
enum Failure {
    Pool(PoolError),
    Server(tokio_postgres::Error),
    Other(QueryError),
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<Failure> for QueryError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Pool(error) => error.into(),
            Failure::Server(error) => Self::from_server(&error),
            Failure::Other(error) => error,
        }
    }
}

/// A connection that goes back to the pool only when it is known to be idle. Dropped, it is closed: somebody
/// gave up, and the rest of an answer may still be on its way.
struct Lease(Option<Object>);

impl Lease {
    fn of(object: Object) -> Result<Self, Failure> {
        Ok(Self(Some(object)))
    }

    fn client(&self) -> Result<&Object, Failure> {
        let gone = || Failure::Other(QueryError::Unavailable("the connection is gone".to_owned()));
        self.0.as_ref().ok_or_else(gone)
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
