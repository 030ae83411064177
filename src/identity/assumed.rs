//! Users as whoever writes a policy describes them: claims that nobody vouches for. Nothing that serves comes here.

use std::sync::Arc;

use shapegate_core::code::{Code, Refusal};
use shapegate_core::identity::{Identity, IdentitySource};

use super::claims::{self, Claims};
use super::mapping::{self, ClaimMapping};
use super::{Fault, IdentityMethods, Issuer};

impl IdentityMethods {
    /// The user that a credential with these claims would be, as long as it holds: by the issuer that `iss` names, else
    /// by the only issuer, else by the only provider. Signature, audience and times are not looked at.
    ///
    /// # Errors
    /// 401 where it could be anybody's or nobody's, and otherwise as for claims that verified.
    pub fn assume(&self, mut claims: Claims) -> Result<Arc<Identity>, Refusal> {
        let (issuer, mappings) = self.assumed_method(&claims)?;
        if let Some(name) = &issuer {
            claims
                .entry("iss".into())
                .or_insert_with(|| name.to_string().as_str().into());
        }
        let made = || {
            let subject = claims::subject(&claims)?;
            let credential = claims::credential(&claims);
            let (mapped, claims) = mapping::apply(mappings, claims)?;
            Ok(Arc::new(Identity::new(IdentitySource {
                subject,
                issuer,
                mapped,
                claims,
                valid_until: None,
                credential,
            })))
        };
        made().map_err(|fault: Fault| fault.refusal())
    }

    fn assumed_method(&self, claims: &Claims) -> Result<(Option<Arc<str>>, &[ClaimMapping]), Refusal> {
        let of = |issuer: &'_ Issuer| Some(Arc::clone(issuer.name()));
        if claims.contains_key("iss") {
            let issuer = claims::issuer(claims)
                .ok()
                .and_then(|name| self.issuers.get(&name));
            let issuer = issuer.ok_or_else(|| nobodys("`iss` names no issuer of the configuration"))?;
            return Ok((of(issuer), issuer.mappings()));
        }
        let mut issuers = self.issuers.values();
        let mut providers = self.opaque.providers();
        match (issuers.next(), issuers.next(), providers.next(), providers.next()) {
            (Some(issuer), None, ..) => Ok((of(issuer), issuer.mappings())),
            (Some(_), Some(_), ..) => Err(nobodys(
                "there are several issuers, and no `iss` says which is meant",
            )),
            (None, _, Some(provider), None) => Ok((None, provider.mappings())),
            (None, _, Some(_), Some(_)) => Err(nobodys(
                "there are several providers, and claims do not say which",
            )),
            (None, _, None, _) => Ok((None, &[])),
        }
    }
}

fn nobodys(detail: &str) -> Refusal {
    Refusal::new(Code::TokenInvalid, "The credential is not valid here.").with_detail(detail)
}
