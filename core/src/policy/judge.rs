//! From who asks, for what, to what may be asked of the upstream.
use std::sync::Arc;

use super::ShapePolicy;
use super::compose::{Composed, Offer};
use super::facts::{Facts, RequestFacts};
use super::scope::{AskedFacts, Scope};
use super::source::{Access, TableSpec};
use crate::code::{Code, Refusal};
use crate::handle::{HandleBinding, HandleTagger};
use crate::identifier::TableName;
use crate::identity::Identity;
use crate::permit::{Allowed, Grant};
use crate::request::Asked;
use crate::time::Now;

impl ShapePolicy {
    /// Decides everything that does not depend on where in the log the client stands. What it gives may be
    /// remembered under [`ShapePolicy::memory_key`], and becomes a permit by [`Allowed::permit`].
    ///
    /// # Errors
    ///
    /// 401 when somebody must be known and nobody is, or no longer; 403 when no rule holds or one cannot be
    /// decided; 400 when the client asks for another definition than it may; 503 when what authorisers found
    /// out is over.
    pub fn judge(
        &self,
        identity: Option<&Identity>,
        request: &RequestFacts<'_>,
        asked: &Asked,
        facts: &Facts,
        now: Now,
    ) -> Result<Arc<Allowed>, Refusal> {
        let scope = self.scope(identity, request, asked, self.complete(facts, now), now)?;
        let verdict = self.rules.decide(&scope)?;
        let (identity, table) = (scope.identity, scope.asked.table);
        let columns = facts.columns(&self.columns).ok_or_else(|| {
            Refusal::new(Code::Forbidden, "None of this shape's columns are for you.")
                .with_detail("what authorisers returned as `columns` leaves none")
        })?;
        let rows = facts.narrow(verdict.rows).map_err(|error| {
            Refusal::new(
                Code::DecisionFailed,
                "What may be given to you is no filter, and that denies.",
            )
            .with_detail(format!("an authoriser's `where`: {error}"))
        })?;
        let offer = Offer {
            table,
            rows,
            columns: &columns,
            client: &self.client,
        };
        let composed = offer.compose(&asked.definition, asked.log.unwrap_or_default())?;
        let handles = self.handles(&composed, verdict.chosen_by_client);
        Ok(Arc::new(Allowed::new(Grant {
            definition: composed.definition,
            rule: Arc::clone(verdict.rule),
            handles,
            credential_until: identity.and_then(Identity::valid_until),
            facts_until: facts.until(),
            terms: self.terms,
        })))
    }

    /// What the rules see of a request that everything before them lets pass.
    pub(super) fn scope<'a>(
        &'a self,
        identity: Option<&'a Identity>,
        request: &'a RequestFacts<'a>,
        asked: &'a Asked,
        facts: Result<&'a Facts, Refusal>,
        now: Now,
    ) -> Result<Scope<'a>, Refusal> {
        let identity = self.admitted(identity, now)?;
        let facts = facts?;
        let table = self.table_for(asked)?;
        let scope = Scope {
            identity,
            request,
            asked: AskedFacts { table, asked },
            facts,
            tenant: &self.tenant,
        };
        self.admit_member(&scope)?;
        Ok(scope)
    }

    /// The facts, if they are all there and hold.
    pub(super) fn complete<'f>(&self, facts: &'f Facts, now: Now) -> Result<&'f Facts, Refusal> {
        facts.check(self.consults.len(), now).map(|()| facts)
    }

    /// Who asks, as far as that matters here; again, though the gateway has asked before.
    fn admitted<'i>(
        &self,
        identity: Option<&'i Identity>,
        now: Now,
    ) -> Result<Option<&'i Identity>, Refusal> {
        let over = |who: &Identity| who.valid_until().is_some_and(|until| until.is_over(now));
        match (self.access, identity) {
            (Access::Public, _) | (Access::Optional, None) => Ok(None),
            (Access::Required, None) => Err(Refusal::new(Code::TokenMissing, "A credential is required.")),
            (_, Some(who)) if over(who) => {
                Err(Refusal::new(Code::TokenExpired, "The credential has expired."))
            }
            (_, known) => Ok(known),
        }
    }

    /// Who is nobody is no member either.
    fn admit_member(&self, scope: &Scope<'_>) -> Result<(), Refusal> {
        let Some(membership) = self.membership.as_ref().filter(|_| !self.is_public()) else {
            return Ok(());
        };
        if scope.identity.is_none() {
            return Err(Refusal::new(Code::TokenMissing, "A credential is required."));
        }
        membership.check(scope)
    }

    fn table_for(&self, asked: &Asked) -> Result<TableName, Refusal> {
        let patterns = match &self.table {
            TableSpec::Fixed(table) => return Ok(table.clone()),
            TableSpec::AnyOf(patterns) => patterns,
        };
        match &asked.definition.table {
            None => Err(Refusal::new(Code::ParameterMissing, "table is required here.")),
            Some(table) if patterns.iter().any(|pattern| pattern.matches(table)) => Ok(table.clone()),
            Some(_) => Err(Refusal::new(
                Code::ParameterNotAllowed,
                "table asks for one that the server does not give here. `table: { any_of: […] }` would allow it.",
            )),
        }
    }

    /// Where the client has a say in the definition, it could search for one that a foreign handle fits.
    fn handles(&self, composed: &Composed, chosen_by_client: bool) -> HandleBinding {
        let open = matches!(self.table, TableSpec::AnyOf(_));
        let influenced = composed.influenced || chosen_by_client || open;
        let tagger: Option<&HandleTagger> = self.tagger.as_ref().filter(|_| influenced);
        tagger.map_or_else(HandleBinding::untagged, |tagger| {
            tagger.bind(&self.tenant, &composed.definition)
        })
    }
}
