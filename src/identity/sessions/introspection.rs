//! Tokens that an authorisation server is asked about (RFC 7662).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;

use crate::clock::Clock;
use crate::identity::AudienceRule;
use crate::identity::claims::{self, SKEW};
use crate::identity::provider::{Credential, Found, Lookup};
use crate::outbound::Outbound;

/// How the gateway proves to the server who it is (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `Authorization: Basic`.
    Basic,
    /// In the body.
    Post,
}

/// What is asked, and what of an answer is taken.
#[derive(Clone)]
pub struct IntrospectionSettings {
    /// Where.
    pub url: String,
    /// As whom.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// How that is said.
    pub authentication: ClientAuthentication,
    /// Whom tokens must be meant for.
    pub audience: AudienceRule,
    /// The `iss` that an answer may have.
    pub issuer: Option<String>,
}

/// The secret stays out.
impl fmt::Debug for IntrospectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionSettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// An authorisation server that knows tokens.
pub struct Introspection {
    outbound: Outbound,
    settings: IntrospectionSettings,
}

/// All but the unreserved characters, as `application/x-www-form-urlencoded` has it.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

fn form(bytes: &[u8]) -> String {
    percent_encode(bytes, FORM).to_string()
}

impl Introspection {
    /// A server that is asked with `outbound`.
    #[must_use]
    pub fn new(outbound: Outbound, settings: IntrospectionSettings) -> Self {
        Self { outbound, settings }
    }

    fn request(&self, token: &[u8]) -> Result<Request<Bytes>, String> {
        let settings = &self.settings;
        let (id, secret) = (
            form(settings.client_id.as_bytes()),
            form(settings.client_secret.as_bytes()),
        );
        let mut body = format!("token={}&token_type_hint=access_token", form(token));
        let mut request = Request::post(&settings.url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match settings.authentication {
            ClientAuthentication::Basic => {
                let text = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
                let value =
                    HeaderValue::try_from(text).map_err(|_| "the client makes no header".to_owned())?;
                request = request.header(AUTHORIZATION, value);
            }
            ClientAuthentication::Post => body += &format!("&client_id={id}&client_secret={secret}"),
        }
        request
            .body(body.into())
            .map_err(|_| "the URL is none".to_owned())
    }

    fn found(&self, body: &[u8], clock: &dyn Clock) -> Result<Option<Found>, String> {
        let answer = json::parse(body, JsonLimits::CLAIMS);
        let answer = answer.map_err(|error| format!("the introspection answer is not taken: {error}"))?;
        let Value::Map(claims) = answer else {
            return Err("the introspection answer is no object".to_owned());
        };
        match claims.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(None),
            _ => return Err("the introspection answer does not say whether the token is active".to_owned()),
        }
        // An active token that is for somebody else is nobody's here.
        if !self.is_ours(&claims) {
            return Ok(None);
        }
        let date = |name| claims::date(&claims, name).map_err(|fault| fault.to_string());
        let now = clock.now().wall;
        if date("nbf")?.is_some_and(|begin| begin > now.plus(SKEW)) {
            return Ok(None);
        }
        let ends = date("exp")?;
        Ok(Some(Found { claims, ends }))
    }

    fn is_ours(&self, claims: &claims::Claims) -> bool {
        let issuer = match (&self.settings.issuer, claims.get("iss")) {
            (Some(ours), Some(theirs)) => theirs.as_str() == Some(ours),
            _ => true,
        };
        issuer && self.settings.audience.check(claims).is_ok()
    }
}

#[async_trait]
impl Lookup for Introspection {
    async fn look_up(
        &self,
        credential: &Credential,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Found>, String> {
        let request = self.request(credential.reveal())?;
        let answer = self.outbound.send(request, &**clock).await;
        let answer = answer.map_err(|error| format!("introspection: {error}"))?;
        match answer.status() {
            StatusCode::OK => self.found(answer.body(), &**clock),
            // 401 is about the gateway's own credentials, never about the token (RFC 7662 §2.3).
            status => Err(format!("introspection answers {}", status.as_u16())),
        }
    }
}
