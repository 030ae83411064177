//! What a client asks: parsed strictly, bounded, classed.
//!
//! Nothing here decides anything. A request that can be read at all becomes an [`Asked`]: its position
//! in the log, what it says about the shape's definition (to be compared, never forwarded), the values
//! of the names that the route declares, and the subset if it asks for one. Whatever Electric's own
//! parser and this one could read differently is refused.

mod declared;
mod definition;
mod minting;
mod order;
mod parse;
mod position;
mod query;
mod subset;

pub use declared::{Declared, DeclaredError, DeclaredType, Scalar};
pub use definition::{AskedDefinition, ParameterName};
pub use minting::MintBody;
pub use order::{Direction, Nulls, OrderTerm};
pub use position::{CacheBuster, Live, Offset, Op, Position};
pub use subset::Subset;

pub(crate) use definition::parameter_number;

use std::sync::Arc;

use crate::code::{Code, Refusal};
use crate::definition::Log;

/// What a request wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read the log, or a subset.
    Get,
    /// The headers of a read. Electric does a read's full work for it.
    Head,
    /// Read a subset described by the body.
    Post,
    /// Delete the shape, so that it is built anew.
    Delete,
}

impl Verb {
    /// The verb of an HTTP method; `None` for methods that no shape route takes. Case matters.
    #[must_use]
    pub fn of_method(method: &str) -> Option<Self> {
        Some(match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }

    /// The HTTP method.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What a client asks for, as far as its request can say.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// What the request wants done.
    pub verb: Verb,
    /// Where in the log the client stands.
    pub position: Position,
    /// Which log it wants; clients send it on every request.
    pub log: Option<Log>,
    /// What it says about the shape's definition.
    pub definition: AskedDefinition,
    /// The values of the names that the route declares, in the order in which they came.
    pub query: Vec<(Arc<str>, Scalar)>,
    /// The subset, if it asks for one.
    pub subset: Option<Subset>,
    /// How many parameters with unknown names were dropped.
    pub dropped: u32,
}

impl Asked {
    /// Reads a raw query string (what follows `?`, undecoded).
    ///
    /// # Errors
    ///
    /// 400 with a sentence that names the parameter, or 414 when the whole is too long.
    pub fn parse(verb: Verb, raw_query: &str, declared: &Declared) -> Result<Self, Refusal> {
        parse::parse(verb, raw_query, declared)
    }

    /// Adds what the body of a `POST` says.
    ///
    /// # Errors
    ///
    /// 400 when the body is no subset, or when body and query both describe one, or neither does.
    pub fn take_body(&mut self, body: &[u8]) -> Result<(), Refusal> {
        match (&self.subset, body.is_empty()) {
            (Some(_), true) => return Ok(()),
            (Some(_), false) => {
                return Err(Refusal::new(
                    Code::BodyMalformed,
                    "A subset is described either by subset__* parameters or by the body, not by both.",
                ));
            }
            (None, _) => {}
        }
        let subset = Subset::parse_body(body)?;
        position::check_subset(self.verb, &self.position)?;
        self.subset = Some(subset);
        Ok(())
    }

    /// Whether the request says nothing about the definition, and nothing that a rule could read.
    ///
    /// What a plain request may see depends on its route and on who asks alone.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.definition.is_empty() && self.query.is_empty() && self.log.unwrap_or_default() == Log::Full
    }
}
