//! The only writer of an upstream path, query or body.
//!
//! A request to Electric is built from a [`Permit`] alone, from typed values in one fixed order: by name, the
//! values of the filter by number, then `source_id`, and `secret` last. The secret is not part of what is
//! kept, compared, shown or logged; it is appended when the request is sent.
//!
//! `HEAD` goes up as `HEAD`: Electric does a read's full work either way, but a client that asks for headers
//! alone must not make us fetch a snapshot of many megabytes to throw it away. `DELETE` carries the
//! definition, never a handle alone.

mod base;
mod encode;

pub use base::{BaseError, Secret, UpstreamBase};

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::clause::ParameterText;
use crate::code::{Code, Refusal};
use crate::definition::{Columns, Rows, ShapeDefinition};
use crate::handle::UpstreamHandle;
use crate::limits::{
    CACHE_BUSTER_BYTES_MAX, NUMBER_DIGITS_MAX, REQUEST_LINE_BYTES_ELECTRIC, REQUEST_LINE_BYTES_MAX,
    UPSTREAM_HANDLE_BYTES_MAX,
};
use crate::permit::Permit;
use crate::request::{Live, Position, Subset, Verb};

/// The longest method, so that a definition fits for all of them or for none.
const METHOD_BYTES: usize = "DELETE ".len();
const VERSION_BYTES: usize = " HTTP/1.1".len();
const SHORTEST_POSITION: &str = "&offset=-1";

/// What the longest position adds to a request line; see the assertion.
const POSITION_BYTES_MAX: usize =
    "cache-buster=&cursor=&expired_handle=&handle=&live=true&live_sse=true&offset=_&".len()
        + CACHE_BUSTER_BYTES_MAX
        + 2 * UPSTREAM_HANDLE_BYTES_MAX
        + 3 * NUMBER_DIGITS_MAX;

// A definition that fits must fit at every position: a client that got its first rows must not be turned
// away when it asks for the next.
const _: () = assert!(REQUEST_LINE_BYTES_MAX + POSITION_BYTES_MAX <= REQUEST_LINE_BYTES_ELECTRIC);

thread_local! {
    /// Where lines are written before their length is known; no longer than the longest of them.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The definition's part of an upstream query, encoded once for all the requests that ask for it.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedDefinition {
    /// `columns=…&`, or nothing.
    columns: Box<str>,
    /// `log=…&`.
    log: Box<str>,
    /// `params[1]=…&…&queryable_columns=…&replica=…&table=…&where=…`.
    rest: Box<str>,
}

impl EncodedDefinition {
    /// Encodes a definition. What it says nothing about is left out; nothing is ever sent empty but a
    /// filter's value that is an empty text, because Electric takes an empty `where` for no filter.
    #[must_use]
    pub fn new(definition: &ShapeDefinition) -> Self {
        let mut columns = String::new();
        let mut rest = String::new();
        if let Rows::Where(filter) = definition.rows() {
            for (index, value) in (1_usize..).zip(filter.parameters().iter().map(ParameterText::as_str)) {
                encode::pair(&mut rest, &format!("params[{index}]"), value);
                rest.push('&');
            }
        }
        if let Columns::Only(names) = definition.columns() {
            let names = names.to_string();
            encode::pair(&mut columns, "columns", &names);
            columns.push('&');
            encode::pair(&mut rest, "queryable_columns", &names);
            rest.push('&');
        }
        encode::pair(&mut rest, "replica", definition.replica().as_str());
        rest.push('&');
        encode::pair(&mut rest, "table", &definition.table().to_string());
        match definition.rows() {
            Rows::All => {}
            Rows::None => rest.push_str("&where=false"),
            Rows::Where(filter) => {
                rest.push('&');
                encode::pair(&mut rest, "where", filter.text());
            }
        }
        let log = format!("log={}&", definition.log().as_str());
        Self {
            columns: columns.into(),
            log: log.into(),
            rest: rest.into(),
        }
    }

    /// Bytes of it in a request line.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.columns.len() + self.log.len() + self.rest.len()
    }

    /// Refuses a definition whose request line to this upstream would be too long, at whatever position.
    ///
    /// # Errors
    ///
    /// 403 with the count and the way out.
    pub fn check(&self, base: &UpstreamBase) -> Result<(), Refusal> {
        let line =
            METHOD_BYTES + base.constant_bytes() + self.bytes() + SHORTEST_POSITION.len() + VERSION_BYTES;
        if line <= REQUEST_LINE_BYTES_MAX {
            return Ok(());
        }
        Err(Refusal::new(
            Code::DefinitionTooLarge,
            format!(
                "What you may sync takes a request line of {line} bytes, and at most {REQUEST_LINE_BYTES_MAX} \
                 fit: the rule should select by a membership subquery (IN (SELECT …)) instead of a list."
            ),
        ))
    }
}

impl fmt::Debug for EncodedDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedDefinition({} bytes)", self.bytes())
    }
}

/// A request to Electric, complete but for the secret. Its debug form shows no values.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamRequest {
    /// Method, a space, and the target without the secret: one text, however many keep it.
    line: Arc<str>,
    verb: Verb,
    live: Live,
    body: Option<Bytes>,
}

/// What a request is built from; a permit has it all.
struct Parts<'a> {
    verb: Verb,
    definition: &'a EncodedDefinition,
    position: &'a Position<UpstreamHandle>,
    subset: Option<&'a Subset>,
}

impl UpstreamRequest {
    /// Builds the request that a permit stands for.
    ///
    /// # Errors
    ///
    /// 403 when the definition does not fit into a request line.
    pub fn build(permit: &Permit, base: &UpstreamBase) -> Result<Self, Refusal> {
        Self::assemble(
            &Parts {
                verb: permit.verb(),
                definition: permit.encoded(),
                position: permit.position(),
                subset: permit.subset(),
            },
            base,
        )
    }

    fn assemble(parts: &Parts<'_>, base: &UpstreamBase) -> Result<Self, Refusal> {
        parts.definition.check(base)?;
        let verb = if parts.subset.is_some() {
            Verb::Post
        } else {
            parts.verb
        };
        // Nothing that writes a line builds another request meanwhile.
        let line = SCRATCH.with_borrow_mut(|line| {
            line.clear();
            write_line(line, verb, parts, base);
            Arc::from(line.as_str())
        });
        let body = parts.subset.map(|subset| Bytes::from(subset.to_body()));
        Ok(Self {
            line,
            verb,
            live: parts.position.live,
            body,
        })
    }

    /// What requests with the same answer have in common: method and target, without the secret. `None`
    /// for what is never shared: subsets and deletions.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<str>> {
        matches!(self.verb, Verb::Get | Verb::Head).then_some(&self.line)
    }

    /// Path and query with the secret, for the wire alone.
    #[must_use]
    pub fn target_with(&self, secret: Option<&Secret>) -> String {
        let target = self.line.split_once(' ').map_or("", |(_, target)| target);
        let suffix = secret.map_or("", Secret::suffix);
        let mut complete = String::with_capacity(target.len() + suffix.len());
        complete.push_str(target);
        complete.push_str(suffix);
        complete
    }

    /// The method. A subset goes up as `POST`, whichever way it came.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// The body, for a subset: JSON, to be sent with its length.
    #[must_use]
    pub const fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// Whether, and how, the answer is waited for.
    #[must_use]
    pub const fn live(&self) -> Live {
        self.live
    }

    /// Whether the upstream may take its time.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.live.waits()
    }

    /// Whether the answer is a stream of events.
    #[must_use]
    pub const fn is_sse(&self) -> bool {
        matches!(self.live, Live::Sse)
    }

    /// What the `accept` header says.
    #[must_use]
    pub const fn accept(&self) -> &'static str {
        if self.is_sse() {
            "text/event-stream"
        } else {
            "application/json"
        }
    }
}

impl fmt::Debug for UpstreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.line.split_once('?').map_or("", |(path, _)| path);
        write!(f, "UpstreamRequest({path}?…, {:?})", self.live)
    }
}

/// Method, a space, and the target without the secret.
fn write_line(line: &mut String, verb: Verb, parts: &Parts<'_>, base: &UpstreamBase) {
    line.push_str(verb.as_str());
    line.push(' ');
    line.push_str(base.path());
    line.push('?');
    if verb == Verb::Delete {
        write_deletion(line, parts);
    } else {
        write_read(line, parts);
    }
    line.push_str(&parts.definition.rest);
    line.push_str(base.source());
}

/// The position of a read, woven by name into the definition's first parts; ends in `&`.
fn write_read(line: &mut String, parts: &Parts<'_>) {
    let Position {
        offset,
        handle,
        live,
        cursor,
        expired_handle,
        cache_buster,
    } = parts.position;
    if let Some(word) = cache_buster {
        encode::word(line, "cache-buster", word.as_str());
    }
    line.push_str(&parts.definition.columns);
    if let Some(cursor) = cursor {
        encode::number(line, "cursor", cursor);
    }
    if let Some(handle) = expired_handle {
        encode::word(line, "expired_handle", handle.as_str());
    }
    if let Some(handle) = handle {
        encode::word(line, "handle", handle.as_str());
    }
    line.push_str(match live {
        Live::No => "",
        Live::Poll => "live=true&",
        Live::Sse => "live=true&live_sse=true&",
    });
    line.push_str(&parts.definition.log);
    encode::number(line, "offset", offset);
}

/// A deletion has no position: the definition says which shape, a handle which incarnation; ends in `&`.
fn write_deletion(line: &mut String, parts: &Parts<'_>) {
    line.push_str(&parts.definition.columns);
    if let Some(handle) = &parts.position.handle {
        encode::word(line, "handle", handle.as_str());
    }
    line.push_str(&parts.definition.log);
}
