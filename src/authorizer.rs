//! Who is asked about a request before the rules decide: a database, a service, or an engine for permissions.
//!
//! What an authoriser is told are values that the configuration's expressions gave, and nothing else of the
//! request: they make up what is sent, and they are the key under which an answer is remembered. An answer is
//! remembered until a fixed moment, however often it is read. Whoever does not answer denies: 503, never more.

mod answer;
mod forward_auth;
mod gather;
mod http;
mod key;
mod memory;
mod metrics;
mod ndjson;
mod object;
mod opa;
mod openfga;
mod postgres;
mod relation;
mod service;
mod spicedb;

pub use self::forward_auth::ForwardAuth;
pub use self::forward_auth::PathPart;
pub use self::gather::{Asking, Freshness};
pub use self::http::HttpAuthorizer;
pub use self::http::Member;
pub use self::memory::MEMORY_BYTES_MAX;
pub use self::metrics::AuthorizerMetrics;
pub use self::object::{ObjectSetting, SubjectSetting};
pub use self::opa::Opa;
pub use self::openfga::{OpenFga, OpenFgaCheck, OpenFgaList};
pub use self::postgres::{PARAMETERS_MAX, PostgresAuthorizer};
pub use self::relation::{ALLOWED, IDS};
pub use self::service::{ANSWER_BYTES_MAX, ServiceSettings, ServiceUrl};
pub use self::spicedb::{Consistency, SpiceDb, SpiceDbCheck, SpiceDbLookup};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shapegate_core::clause::Filter;
use shapegate_core::code::Refusal;
use shapegate_core::identifier::ColumnSet;
use shapegate_core::interner::Interner;
use shapegate_core::policy::AuthorizerSource;
use shapegate_core::value::Value;

use self::gather::Remembered;
use self::key::Key;
use self::service::{Exchange, Json, Service};
use crate::breaker::Watched;
use crate::clock::Clock;
use crate::postgres::{Pools, Postgres, QueryError};
use crate::questions::{QuestionLimits, Questions};

/// The default of how long a yes is remembered.
pub const TTL_DEFAULT: Duration = Duration::from_secs(30);
/// The default of how long a no is remembered, where a yes is not remembered more shortly.
pub const DENY_TTL_DEFAULT: Duration = Duration::from_secs(5);
/// The shortest that an answer is remembered; who asks must be able to use it.
pub const TTL_MIN: Duration = Duration::from_secs(1);
/// The longest that an answer is remembered.
pub const TTL_MAX: Duration = Duration::from_secs(3600);
/// The default of how long an answer is waited for.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);
/// The longest that an answer may be waited for.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(30);
/// The default of how many questions one authoriser is asked at once.
pub const CONCURRENCY_DEFAULT: usize = 64;
/// The default of how many ids a decision may be made from.
pub const IDS_DEFAULT: usize = 500;
/// The most ids that a decision may be made from. A request to Electric holds far fewer of most kinds.
pub const IDS_MAX: usize = 5_000;
/// Questions that may wait for their turn, for each that may be under way.
const WAITING_PER_TURN: usize = 16;

/// What a client is told of a no: the words of a rule that does not hold, so that nobody learns who said it.
const FORBIDDEN: &str = "No rule gives you this shape.";

/// Numbers for authorisers, never used twice in a process: what one said is never taken for another's word.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// How an authoriser is asked, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a yes holds.
    pub ttl: Duration,
    /// How long a no holds; not longer than a yes.
    pub deny_ttl: Duration,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// How many questions it is asked at once.
    pub concurrency: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            ttl: TTL_DEFAULT,
            deny_ttl: DENY_TTL_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            concurrency: CONCURRENCY_DEFAULT,
        }
    }
}

/// Whom a shape's authoriser is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A service, and where it is.
    Service(ServiceKind, ServiceSettings),
    /// A database.
    Postgres(PostgresAuthorizer),
}

/// What a service speaks.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceKind {
    /// A service that speaks our JSON.
    Http(HttpAuthorizer),
    /// A service for the `auth_request` of proxies.
    ForwardAuth(ForwardAuth),
    /// `SpiceDB`.
    SpiceDb(SpiceDb),
    /// `OpenFGA`.
    OpenFga(OpenFga),
    /// Open Policy Agent.
    Opa(Opa),
}

impl Kind {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Service(service, _) => service.name(),
            Self::Postgres(_) => "postgres",
        }
    }
}

impl ServiceKind {
    fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::ForwardAuth(_) => "forward_auth",
            Self::SpiceDb(_) => "spicedb",
            Self::OpenFga(_) => "openfga",
            Self::Opa(_) => "opa",
        }
    }

    /// The question for what it is told, ready to be asked.
    ///
    /// # Errors
    /// 403 for values that it cannot be asked about.
    fn question(&self, told: &[Value], tools: &Tools<'_>) -> Result<Question, Refusal> {
        match self {
            Self::Http(http) => http.question(told, tools),
            Self::ForwardAuth(forward) => forward.question(told, tools),
            Self::SpiceDb(spicedb) => spicedb.question(told, tools),
            Self::OpenFga(openfga) => openfga.question(told, tools),
            Self::Opa(opa) => opa.question(told, tools),
        }
    }
}

/// A question that is ready to be asked.
type Question = std::pin::Pin<Box<dyn Future<Output = Result<Reply, String>> + Send>>;

/// What an authoriser says.
#[derive(Clone, Debug, PartialEq)]
enum Reply {
    /// What it found out.
    Found(Found),
    /// A no.
    Denied(Denial),
}

/// Why an authoriser says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// Whoever asks may not.
    Forbidden,
    /// Another credential could.
    Unauthenticated,
    /// It calls the question malformed: an id is none to it.
    Malformed,
    /// What they may have is more than fits into a shape's definition.
    TooLarge,
    /// It answers what is no answer, for this question: its operator's fault.
    Unusable,
}

/// What an authoriser found out.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    facts: BTreeMap<Arc<str>, Value>,
    filter: Option<Filter>,
    columns: Option<ColumnSet>,
    /// How long it says that this holds.
    ttl: Option<Duration>,
    /// Whether it amounts to a no, though rules decide.
    refuses: bool,
}

/// What questions are asked with.
struct Tools<'a> {
    service: &'a Service,
    clock: &'a Arc<dyn Clock>,
}

impl Tools<'_> {
    /// A POST of JSON to a path of the service.
    fn post(&self, path: &str, body: &Json) -> Exchange {
        self.service.post(path, body, self.clock)
    }

    /// A GET of the service with these headers.
    fn get(&self, headers: ::http::HeaderMap) -> Exchange {
        self.service.get(headers, self.clock)
    }
}

/// Those whom one shape asks, in the order of its policy.
#[derive(Debug, Default)]
pub struct Authorizers(Vec<Arc<Authorizer>>);

/// Those whom all shapes of a process ask. One that is asked the same in the same way stays who it is when its
/// shape is compiled again, with all that it has said and with its connections.
#[derive(Default)]
pub struct AuthorizerBook(Interner<Authorizer>);

/// Somebody who is asked.
struct Authorizer {
    number: u64,
    /// As the log names it: the shape's name, and its own.
    place: String,
    source: AuthorizerSource,
    settings: AuthorizerSettings,
    backend: Backend,
    questions: Questions<Key, Arc<Remembered>>,
}

/// Whom an authoriser's questions go to.
enum Backend {
    Service(ServiceKind, Service),
    Postgres(PostgresAuthorizer, Arc<Postgres>),
}

impl Backend {
    /// Nobody is connected to yet.
    fn new(settings: &AuthorizerSettings, pools: &Pools) -> Result<Self, QueryError> {
        Ok(match settings.kind.clone() {
            Kind::Service(kind, service) => Self::Service(kind, Service::new(service, &settings.terms)),
            Kind::Postgres(postgres) => {
                let pool = pools.pool(&postgres.database)?;
                Self::Postgres(postgres, pool)
            }
        })
    }

    /// The question for what it is told, ready to be asked.
    ///
    /// # Errors
    /// 403 for values that it cannot be asked about.
    fn question(&self, told: &[Value], clock: &Arc<dyn Clock>) -> Result<Question, Refusal> {
        match self {
            Self::Service(kind, service) => kind.question(told, &Tools { service, clock }),
            Self::Postgres(postgres, pool) => postgres.question(told, pool, clock),
        }
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authorizer({})", self.place)
    }
}

/// Somebody to ask, as the configuration has it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizerSettings {
    /// As rules name its facts; none for the only one of a shape.
    pub name: Option<Arc<str>>,
    /// Who it is.
    pub kind: Kind,
    /// How it is asked.
    pub terms: Terms,
}

impl AuthorizerBook {
    /// Those of one shape, with what rules see of each. Nobody is connected to yet.
    ///
    /// # Errors
    /// For certificates that are none.
    pub fn authorizers<'s>(
        &self,
        shape: &str,
        asked: impl IntoIterator<Item = (&'s AuthorizerSource, &'s AuthorizerSettings)>,
        pools: &Pools,
    ) -> Result<Authorizers, QueryError> {
        let one = |(source, settings): (&AuthorizerSource, &AuthorizerSettings)| {
            let same = |known: &Authorizer| known.source == *source && known.settings == *settings;
            self.0
                .find_or_make(shape, same, || Authorizer::new(shape, source, settings, pools))
        };
        let each = asked.into_iter().map(one);
        Ok(Authorizers(each.collect::<Result<_, _>>()?))
    }
}

impl Authorizers {
    /// Those who are asked, in order: as rules name their facts, and as the log names them.
    pub fn names(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &str)> {
        self.0
            .iter()
            .map(|one| (one.settings.name.as_ref(), one.place.as_str()))
    }

    /// What keeps each of them from being asked while it fails again and again.
    pub fn breakers(&self) -> impl Iterator<Item = Watched> {
        self.0.iter().map(|one| Watched {
            service: "authorizer",
            name: one.label().into(),
            breaker: Arc::clone(one.questions.breaker()),
        })
    }

    /// Whether nobody is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Authorizer {
    fn new(
        shape: &str,
        source: &AuthorizerSource,
        settings: &AuthorizerSettings,
        pools: &Pools,
    ) -> Result<Self, QueryError> {
        let AuthorizerSettings { name, kind, terms } = settings;
        let place = format!(
            "{shape}: authorize{}{}: {}",
            if name.is_some() { "." } else { "" },
            name.as_deref().unwrap_or_default(),
            kind.name()
        );
        let limits = QuestionLimits {
            concurrency_max: terms.concurrency,
            waiting_max: terms.concurrency.saturating_mul(WAITING_PER_TURN),
            timeout: terms.timeout,
        };
        Ok(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            questions: Questions::new(place.clone(), limits),
            place,
            source: source.clone(),
            backend: Backend::new(settings, pools)?,
            settings: settings.clone(),
        })
    }

    /// As metrics name it.
    fn label(&self) -> &str {
        let AuthorizerSettings { name, kind, .. } = &self.settings;
        name.as_deref().unwrap_or_else(|| kind.name())
    }
}
