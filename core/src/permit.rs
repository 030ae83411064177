//! The proof that a request was allowed.
//!
//! Only deciding makes an [`Allowed`] or a [`Permit`]: their fields are private, nothing public constructs them,
//! and they cannot be copied, defaulted or read from data. Whoever holds one may ask the upstream.
//!
//! ```
//! # use shapegate_core::permit::{Allowed, Permit};
//! fn may_ask(permit: &Permit) -> &Allowed {
//!     permit.allowed()
//! }
//! ```
//!
//! ```compile_fail,E0451
//! # fn steal(other: shapegate_core::permit::Permit) -> shapegate_core::permit::Permit {
//! shapegate_core::permit::Permit { until: None, ..other }
//! # }
//! ```
//!
//! ```compile_fail,E0624
//! shapegate_core::permit::Permit::new;
//! ```
//!
//! ```compile_fail,E0624
//! shapegate_core::permit::Allowed::new;
//! ```
//!
//! ```compile_fail,E0277
//! fn copies<T: Clone>() {}
//! copies::<shapegate_core::permit::Permit>();
//! ```
//!
//! ```compile_fail,E0277
//! fn copies<T: Clone>() {}
//! copies::<shapegate_core::permit::Allowed>();
//! ```
//!
//! ```compile_fail,E0277
//! fn defaults<T: Default>() {}
//! defaults::<shapegate_core::permit::Permit>();
//! ```
//!
//! ```
//! fn read<T: for<'de> serde::Deserialize<'de>>() {}
//! read::<String>();
//! ```
//!
//! ```compile_fail,E0277
//! fn read<T: for<'de> serde::Deserialize<'de>>() {}
//! read::<shapegate_core::permit::Permit>();
//! ```
use std::sync::Arc;

use crate::definition::ShapeDefinition;
use crate::handle::{HandleBinding, UpstreamHandle};
use crate::request::{Position, Subset, Verb};
use crate::time::Until;
use crate::upstream::EncodedDefinition;

/// What was decided for one identity, one route and what it asked of the definition: everything that does not
/// depend on where in the log the client stands. Kept in an [`Arc`], to be remembered.
#[derive(Debug)]
pub struct Allowed {
    definition: Arc<ShapeDefinition>,
    encoded: EncodedDefinition,
    rule: Arc<str>,
    handles: HandleBinding,
    credential_until: Option<Until>,
    until: Option<Until>,
    terms: Terms,
}

/// What a route allows besides the definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) subset: Option<SubsetLimits>,
    pub(crate) delete: bool,
}

/// What subsets a route allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubsetLimits {
    /// The most rows that one subset may ask for; when it is there, every subset must state a limit.
    pub limit_max: Option<u32>,
}

/// The parts of an [`Allowed`].
pub(crate) struct Grant {
    pub(crate) definition: ShapeDefinition,
    pub(crate) rule: Arc<str>,
    pub(crate) handles: HandleBinding,
    /// When the credential ends.
    pub(crate) credential_until: Option<Until>,
    /// When what authorisers found out ends.
    pub(crate) facts_until: Option<Until>,
    pub(crate) terms: Terms,
}

impl Allowed {
    pub(crate) fn new(grant: Grant) -> Self {
        let Grant {
            definition,
            rule,
            handles,
            credential_until,
            facts_until,
            terms,
        } = grant;
        let ends = [credential_until, facts_until].into_iter().flatten();
        Self {
            encoded: EncodedDefinition::new(&definition),
            definition: Arc::new(definition),
            rule,
            handles,
            credential_until,
            until: ends.reduce(Until::min),
            terms,
        }
    }

    pub(crate) fn terms(&self) -> Terms {
        self.terms
    }

    /// The definition that may be asked for.
    #[must_use]
    pub fn definition(&self) -> &Arc<ShapeDefinition> {
        &self.definition
    }

    /// The definition's part of an upstream request, encoded once for all of them.
    #[must_use]
    pub fn encoded(&self) -> &EncodedDefinition {
        &self.encoded
    }

    /// The rule that allowed it, as logs name it: `rules[0]`.
    #[must_use]
    pub fn rule(&self) -> &Arc<str> {
        &self.rule
    }

    /// How the shape's handles look to this client.
    #[must_use]
    pub fn handles(&self) -> &HandleBinding {
        &self.handles
    }

    /// The moment until which it holds: that of the credential, or of what authorisers found out if that is
    /// earlier. `None` where nobody had to be known and nobody was asked.
    #[must_use]
    pub fn until(&self) -> Option<Until> {
        self.until
    }

    /// The moment until which the credential holds; `None` where nobody had to be known.
    #[must_use]
    pub fn credential_until(&self) -> Option<Until> {
        self.credential_until
    }
}

/// The permission for one request: what [`Allowed`] says, where in the log the client stands, and the subset
/// that it asks for.
#[derive(Debug)]
pub struct Permit {
    allowed: Arc<Allowed>,
    verb: Verb,
    position: Position<UpstreamHandle>,
    subset: Option<Subset>,
    until: Option<Until>,
}

impl Permit {
    pub(crate) fn new(
        allowed: Arc<Allowed>,
        verb: Verb,
        position: Position<UpstreamHandle>,
        subset: Option<Subset>,
    ) -> Self {
        let until = allowed.until;
        Self {
            allowed,
            verb,
            position,
            subset,
            until,
        }
    }

    /// What was decided.
    #[must_use]
    pub fn allowed(&self) -> &Arc<Allowed> {
        &self.allowed
    }

    /// The definition that may be asked for.
    #[must_use]
    pub fn definition(&self) -> &Arc<ShapeDefinition> {
        &self.allowed.definition
    }

    /// The definition's part of an upstream request, encoded once for all of them.
    #[must_use]
    pub fn encoded(&self) -> &EncodedDefinition {
        &self.allowed.encoded
    }

    /// The rule that allowed it, as logs name it: `rules[0]`.
    #[must_use]
    pub fn rule(&self) -> &Arc<str> {
        &self.allowed.rule
    }

    /// How the shape's handles look to this client.
    #[must_use]
    pub fn handles(&self) -> &HandleBinding {
        &self.allowed.handles
    }

    /// What may be done.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// Where in the log the client stands, with the upstream's handles.
    #[must_use]
    pub fn position(&self) -> &Position<UpstreamHandle> {
        &self.position
    }

    /// The subset, if it is one that may be read.
    #[must_use]
    pub fn subset(&self) -> Option<&Subset> {
        self.subset.as_ref()
    }

    /// The moment until which it holds, on both clocks; nothing that it started may outlive it.
    #[must_use]
    pub fn until(&self) -> Option<Until> {
        self.until
    }
}
