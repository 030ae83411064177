//! Sessions that an endpoint of the application knows.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;

use crate::clock::Clock;
use crate::identity::provider::{Credential, Found, Lookup};
use crate::identity::{Carrier, ClaimPath};
use crate::outbound::Outbound;

/// An endpoint that answers with the session of whoever's cookie or header it gets.
pub struct SessionEndpoint {
    /// How it is asked.
    pub outbound: Outbound,
    /// Where it is.
    pub url: String,
    /// What carries the credential, to the gateway and to the endpoint alike.
    pub from: Carrier,
    /// Where in its answer the subject is. An answer without one is nobody's session.
    pub subject: ClaimPath,
}

impl SessionEndpoint {
    /// The one header that goes along: the client's other cookies and headers are none of the endpoint's business.
    fn header(&self, credential: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
        let (name, before) = match &self.from {
            Carrier::Cookie(name) => (COOKIE, format!("{name}=")),
            Carrier::Authorization { scheme, .. } => (AUTHORIZATION, format!("{} ", canonical(scheme))),
            Carrier::Header(name) => (name.clone(), String::new()),
        };
        let value = HeaderValue::from_bytes(&[before.as_bytes(), credential].concat());
        let mut value = value.map_err(|_| "the credential makes no header".to_owned())?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    fn request(&self, credential: &[u8]) -> Result<Request<Bytes>, String> {
        let (name, value) = self.header(credential)?;
        Request::get(&self.url)
            .header(ACCEPT, "application/json")
            .header(CACHE_CONTROL, "no-cache")
            .header(name, value)
            .body(Bytes::new())
            .map_err(|_| "the URL is none".to_owned())
    }

    fn found(&self, body: &[u8]) -> Result<Option<Found>, String> {
        let answer = json::parse(body, JsonLimits::CLAIMS);
        let answer =
            answer.map_err(|error| format!("the session endpoint's answer is not taken: {error}"))?;
        let mut claims = match answer {
            Value::Null => return Ok(None),
            Value::Map(claims) => claims,
            other => {
                return Err(format!(
                    "the session endpoint answers with {}, not an object",
                    other.kind()
                ));
            }
        };
        let subject = match self.subject.find(&claims) {
            None => return Ok(None),
            Some(Value::String(text)) => Arc::clone(text),
            Some(Value::Int(number)) => number.to_string().into(),
            Some(other) => return Err(format!("the subject in the session is {}", other.kind())),
        };
        claims.insert("sub".into(), Value::String(subject));
        Ok(Some(Found { claims, ends: None }))
    }
}

/// `Bearer` as everybody writes it, others as they are configured.
fn canonical(scheme: &str) -> &str {
    if scheme.eq_ignore_ascii_case("bearer") {
        "Bearer"
    } else {
        scheme
    }
}

#[async_trait]
impl Lookup for SessionEndpoint {
    async fn look_up(
        &self,
        credential: &Credential,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Found>, String> {
        let request = self.request(credential.reveal())?;
        let answer = self.outbound.send(request, &**clock).await;
        let answer = answer.map_err(|error| format!("the session endpoint: {error}"))?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            status if status.is_success() => self.found(answer.body()),
            status => Err(format!("the session endpoint answers {}", status.as_u16())),
        }
    }
}
