//! A request for a token: the rules of the shape decide, as for a request for the shape itself.

use pingora_http::RequestHeader;
use shapegate_core::policy::{Access, RequestFacts};
use shapegate_core::request::{Asked, MintBody};

use super::{Deciding, Followed, Telling};
use crate::gateway::admit::{RequestHeaders, not_found, unknown};
use crate::gateway::explain::Verdict;
use crate::tenant::Tenant;

impl Telling<'_> {
    /// What would be signed. No key is used for it.
    pub(super) async fn mint(
        &mut self,
        tenant: &Tenant,
        head: &RequestHeader,
        query: &str,
        segment: &str,
    ) -> Followed<Verdict> {
        let minter = tenant.gatekeeper().minter.as_ref().ok_or_else(not_found)?;
        let identity = self.known(tenant, head).await?;
        if identity.is_none() && minter.requires_identity() {
            return Err(unknown().into());
        }
        let (table, shape) = minter.shape(segment)?;
        self.tell("route", format!("a token for shape {}", shape.policy().name()));
        if identity.is_none() && shape.policy().access() == Access::Required {
            return Err(unknown().into());
        }
        let content = match self.question.body.as_slice() {
            [] => MintBody::Empty,
            body => MintBody::Json(body),
        };
        let mut asked = Asked::to_sign(table, query, content, shape.declared())?;
        let captures = shape.captured(&mut asked)?;
        let deciding = Deciding {
            policy: shape.policy(),
            authorizers: shape.authorizers(),
            identity: identity.as_deref(),
            request: &RequestFacts {
                method: head.method.as_str(),
                path: &captures,
                query: &asked.query,
                headers: &RequestHeaders(&head.headers),
            },
        };
        let allowed = self.decide(&deciding, &asked).await?;
        allowed.encoded().check(tenant.upstream().base())?;
        self.definition(allowed.definition());
        self.tell("token", "would sign this; none was made");
        Ok(Verdict::Allowed(allowed))
    }
}
