//! What a token says of the tenant that it is for, before anybody has verified it.

use std::sync::Arc;

use shapegate_core::code::{Code, Refusal};
use shapegate_core::value::Value;

use super::carrier::CredentialHeaders;
use super::fault::Fault;
use super::jws::Jws;
use super::mapping::ClaimPath;
use super::read_claims;

/// The text under a claim of the token that came. It is to be believed only as far as choosing who verifies the
/// token: as with `iss`, a false one leads to keys that did not sign it.
///
/// # Errors
/// 400 and 401, as a token that is verified gets them.
pub fn claimed(headers: &CredentialHeaders<'_>, from: &ClaimPath) -> Result<Arc<str>, Refusal> {
    match headers.bearer() {
        Ok(Some(token)) => read(token, from).map_err(|fault| fault.refusal()),
        Ok(None) => Err(Refusal::new(
            Code::TokenMissing,
            "A credential is needed: send Authorization: Bearer …",
        )),
        Err(fault) => Err(fault.refusal()),
    }
}

fn read(token: &[u8], from: &ClaimPath) -> Result<Arc<str>, Fault> {
    let claims = read_claims(&Jws::read(token)?)?;
    match from.find(&claims) {
        Some(Value::String(text)) => Ok(Arc::clone(text)),
        Some(Value::Int(number)) => Ok(number.to_string().into()),
        Some(_) => Err(Fault::ClaimMalformed("of the tenant")),
        None => Err(Fault::ClaimMissing("of the tenant")),
    }
}
