//! Which tenant a request is for, before anything else is looked at.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use pingora_http::RequestHeader;
use shapegate_core::code::{Code, Refusal};

use super::admit::{not_found, target};
use super::cors::{self, CorsGrant};
use crate::config::Cors;
use crate::identity::{CredentialHeaders, claimed};
use crate::tenant::{Entry, Group, Place, Snapshot, Tenant};

/// The tenant that a request is for. `granted` is told what the answer grants to pages of other origins, as soon
/// as that is known; a refusal may follow.
///
/// # Errors
/// 404 when there is none: before anything of the request is judged, and with no word about who is served here.
/// 503 when it cannot be served at the moment. 401 when only a token would tell and there is none that does.
pub fn tenant<'s>(
    snapshot: &'s Snapshot,
    head: &RequestHeader,
    granted: &mut CorsGrant,
) -> Result<&'s Arc<Tenant>, Refusal> {
    let raw = std::str::from_utf8(head.raw_path()).unwrap_or_default();
    let path = raw.split('?').next().unwrap_or_default();
    let mut grant = |cors: &Cors| *granted = CorsGrant::of(cors, &head.headers);
    match snapshot
        .directory()
        .find(host(head), path)
        .ok_or_else(not_found)?
    {
        Place::One(Entry::Served(tenant)) => {
            grant(tenant.cors());
            Ok(tenant)
        }
        Place::One(Entry::Unserved(id)) => Err(unserved(id)),
        Place::Group(group) => {
            if let Some(cors) = group.cors() {
                grant(cors);
            }
            of_group(group, head)
        }
    }
}

/// The host that a request names: `:authority`, or the one `Host`. Pingora refuses requests in which both are there
/// and differ.
pub(super) fn host(head: &RequestHeader) -> Option<&str> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host.to_str().ok()
}

fn of_group<'s>(group: &'s Group, head: &RequestHeader) -> Result<&'s Arc<Tenant>, Refusal> {
    if cors::is_preflight(&head.method, &head.headers) {
        let (path, _) = target(head)?;
        return group.any_with(path).ok_or_else(not_found);
    }
    let authorization = head.headers.get_all(header::AUTHORIZATION);
    let credentials = CredentialHeaders::new(authorization.iter().map(HeaderValue::as_bytes));
    let value = claimed(&credentials, group.from())?;
    match group.get(&value) {
        Some(Entry::Served(tenant)) => Ok(tenant),
        Some(Entry::Unserved(id)) => Err(unserved(id)),
        // As for a token whose signature is wrong: nobody learns which tenants there are.
        None => Err(
            Refusal::new(Code::TokenInvalid, "The credential is not valid here.")
                .with_detail("the token names no tenant of those here"),
        ),
    }
}

fn unserved(id: &str) -> Refusal {
    Refusal::new(Code::TenantUnavailable, "This cannot be served at the moment.")
        .with_detail(format!("the configuration of the tenant {id} is refused"))
}
