//! From a definition that a token signs to what may be asked of the upstream.
use std::sync::Arc;

use crate::code::{Code, Refusal};
use crate::handle::{HandleBinding, HandleTagger};
use crate::permit::{Allowed, Grant, Terms};
use crate::request::Asked;
use crate::shape_claims::{SignedShape, Unsigned};
use crate::time::{Now, Until};

/// Under what a token's definition is allowed.
#[derive(Clone, Copy, Debug)]
pub struct SignedTerms<'a> {
    /// What is not signed, and may be chosen.
    pub unsigned: &'a Unsigned,
    /// The tenant's id, which binds handles.
    pub tenant: &'a str,
    /// Binds handles: a token's holder had a say in the definition.
    pub tagger: Option<&'a HandleTagger>,
    /// The moment until which the token holds.
    pub until: Until,
    /// Who signed it, as logs name it.
    pub rule: &'a Arc<str>,
}

impl SignedShape {
    /// Decides for the holder of a token that was verified: what is asked must be exactly what was signed, and
    /// what is allowed is made from what was signed.
    ///
    /// # Errors
    ///
    /// 400 when no shape is asked for, 401 when the token is over, 403 when another one is asked for.
    pub fn allow(&self, asked: &Asked, terms: &SignedTerms<'_>, now: Now) -> Result<Arc<Allowed>, Refusal> {
        require_shape(asked)?;
        if terms.until.is_over(now) {
            return Err(Refusal::new(Code::TokenExpired, "The token has expired."));
        }
        let definition = self.matched(asked, terms.unsigned).map_err(|mismatch| {
            let message = format!("{mismatch}.");
            Refusal::new(Code::Forbidden, message)
        })?;
        let handles = terms.tagger.map_or_else(HandleBinding::untagged, |tagger| {
            tagger.bind(terms.tenant, &definition)
        });
        Ok(Arc::new(Allowed::new(Grant {
            definition,
            rule: Arc::clone(terms.rule),
            handles,
            credential_until: Some(terms.until),
            facts_until: None,
            terms: Terms {
                subset: terms.unsigned.subset,
                delete: false,
            },
        })))
    }
}

/// Refuses a request that names no shape; where tokens sign shapes that comes before any look at a token.
///
/// # Errors
///
/// 400 `shape_missing`.
pub fn require_shape(asked: &Asked) -> Result<(), Refusal> {
    if asked.definition.table.is_some() {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ShapeMissing,
        "No shape is asked for: table is missing.",
    ))
}
