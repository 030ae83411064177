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
use shapegate_core::value::Value;

use self::gather::Remembered;
use self::key::Key;
use self::service::{Exchange, Json, Service};
use crate::clock::Clock;
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
#[derive(Clone, Debug)]
pub enum Kind {
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
pub struct Authorizers(Vec<Authorizer>);

/// Somebody who is asked.
struct Authorizer {
    number: u64,
    /// As rules name its facts.
    name: Option<Arc<str>>,
    /// As the log names it: the shape's name, and its own.
    place: String,
    kind: Kind,
    terms: Terms,
    service: Service,
    questions: Questions<Key, Arc<Remembered>>,
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authorizer({})", self.place)
    }
}

/// Somebody to ask, as the configuration has it.
#[derive(Clone, Debug)]
pub struct AuthorizerSettings {
    /// As rules name its facts; none for the only one of a shape.
    pub name: Option<Arc<str>>,
    /// Who it is.
    pub kind: Kind,
    /// How it is asked.
    pub terms: Terms,
    /// Where it is.
    pub service: ServiceSettings,
}

impl Authorizers {
    /// Those of one shape. Nobody is connected to yet.
    #[must_use]
    pub fn new(shape: &str, settings: impl IntoIterator<Item = AuthorizerSettings>) -> Self {
        Self(
            settings
                .into_iter()
                .map(|one| Authorizer::new(shape, one))
                .collect(),
        )
    }

    /// Those who are asked, in order: as rules name their facts, and as the log names them.
    pub fn names(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &str)> {
        self.0.iter().map(|one| (one.name.as_ref(), one.place.as_str()))
    }

    /// Whether nobody is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Authorizer {
    fn new(shape: &str, settings: AuthorizerSettings) -> Self {
        let AuthorizerSettings {
            name,
            kind,
            terms,
            service,
        } = settings;
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
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            questions: Questions::new(place.clone(), limits),
            name,
            place,
            service: Service::new(service, &terms),
            kind,
            terms,
        }
    }

    /// As metrics name it.
    fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.kind.name())
    }
}
