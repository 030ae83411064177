//! From what was allowed to the permit for one request: only its position and its subset are looked at.
use std::sync::Arc;

use crate::clause::Filter;
use crate::code::{Code, Refusal};
use crate::definition::Columns;
use crate::handle::ClientHandle;
use crate::identifier::Identifier;
use crate::permit::{Allowed, Permit, SubsetLimits};
use crate::request::{Asked, Subset, Verb};
use crate::time::{Now, Until};

use super::facts;

/// Why an allowed shape is not served at this position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// The handle is not one that this client got for this shape. It is told to start again, in Electric's own
    /// form, as it would be for a handle that Electric forgot.
    #[error("the handle does not belong to this shape")]
    MustRefetch,
    /// What else is asked for is not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Allowed {
    /// Permits one request: the one that was judged, or one that differs from it by position and subset alone.
    ///
    /// # Errors
    ///
    /// [`Withheld::MustRefetch`] for a handle that is not this shape's; 401 when the permission is over, 503
    /// when it is the facts that are over, 405 for a deletion that is not allowed, 400 for a subset that is not.
    pub fn permit(self: &Arc<Self>, asked: Asked, now: Now) -> Result<Permit, Withheld> {
        let over = |until: Option<Until>| until.is_some_and(|until| until.is_over(now));
        if over(self.credential_until()) {
            return Err(Refusal::new(Code::TokenExpired, "The credential has expired.").into());
        }
        if over(self.until()) {
            return Err(facts::over().into());
        }
        self.check_verb(&asked)?;
        if let Some(subset) = &asked.subset {
            self.check_subset(subset)?;
        }
        let untag = |handle: &ClientHandle| self.handles().untag(handle);
        let handle = asked.position.handle.as_ref().map(untag).transpose();
        let handle = handle.map_err(|_| Withheld::MustRefetch)?;
        // Only a way past caches: a foreign one is dropped, or its 409 would be answered with the next.
        let expired_handle = asked
            .position
            .expired_handle
            .as_ref()
            .and_then(|handle| untag(handle).ok());
        let position = asked.position.with_handles(handle, expired_handle);
        Ok(Permit::new(Arc::clone(self), asked.verb, position, asked.subset))
    }

    fn check_verb(&self, asked: &Asked) -> Result<(), Refusal> {
        match (asked.verb, &asked.subset) {
            (Verb::Delete, _) if !self.terms().delete => Err(Refusal::new(
                Code::MethodNotAllowed,
                "This shape cannot be deleted here.",
            )),
            (Verb::Delete, Some(_)) => Err(Refusal::new(
                Code::ParameterNotAllowed,
                "A deletion has no subset.",
            )),
            (Verb::Post, None) => Err(Refusal::new(Code::BodyMalformed, "A POST describes a subset.")),
            _ => Ok(()),
        }
    }

    fn check_subset(&self, subset: &Subset) -> Result<(), Refusal> {
        let Some(limits) = self.terms().subset else {
            return Err(not_allowed(
                "Subsets are not allowed here. `client: { subset: {} }` would allow them.",
            ));
        };
        check_limit(subset, limits)?;
        let Columns::Only(ours) = self.definition().columns() else {
            return Ok(());
        };
        match columns_read(subset).find(|column| !ours.contains(column)) {
            None => Ok(()),
            Some(column) => Err(not_allowed(format!(
                "The subset reads the column {column}, which is not among those of this shape."
            ))),
        }
    }
}

fn check_limit(subset: &Subset, limits: SubsetLimits) -> Result<(), Refusal> {
    match (limits.limit_max, subset.limit()) {
        (Some(rows_max), limit) if limit.is_none_or(|limit| limit > rows_max) => Err(not_allowed(format!(
            "A subset here has a limit of at most {rows_max} rows (`client.subset.limit_max`)."
        ))),
        _ => Ok(()),
    }
}

fn columns_read(subset: &Subset) -> impl Iterator<Item = &Identifier> {
    let filtered = subset
        .filter()
        .map(Filter::clause)
        .into_iter()
        .flat_map(crate::clause::Clause::columns);
    filtered.chain(subset.order_by().iter().map(|term| &term.column))
}

fn not_allowed(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::ParameterNotAllowed, message)
}
