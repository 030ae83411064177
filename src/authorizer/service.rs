//! Services that are asked by HTTP: where they are, how we prove who we are, and one exchange with them.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use shapegate_core::value::Value;

use super::Terms;
use crate::clock::Clock;
use crate::outbound::{Outbound, OutboundSettings};

/// The longest answer that is taken unless a lookup needs more, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where a service is and how we prove who we are.
#[derive(Clone, PartialEq)]
pub struct ServiceSettings {
    /// Where it is.
    pub url: ServiceUrl,
    /// Sent as `Authorization`, never shown.
    pub authorization: Option<HeaderValue>,
    /// Whom to trust instead of the machine's authorities, in DER.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// The longest answer that is taken, in bytes.
    pub answer_bytes_max: usize,
}

impl fmt::Debug for ServiceSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ServiceSettings({})", self.url)
    }
}

/// The URL of a service, without a slash at its end; paths are added to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl(Arc<str>);

impl ServiceUrl {
    /// A URL that was checked: `http(s)://host[:port][/path]`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim_end_matches('/').into())
    }

    /// The URL of a path below it, which begins with a slash.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A service, connected to when it is first asked.
pub(super) struct Service {
    settings: ServiceSettings,
    timeout: Duration,
    concurrency: usize,
    client: OnceLock<Result<Arc<Outbound>, String>>,
}

impl Service {
    pub(super) fn new(settings: ServiceSettings, terms: &Terms) -> Self {
        Self {
            settings,
            timeout: terms.timeout,
            concurrency: terms.concurrency,
            client: OnceLock::new(),
        }
    }

    /// A POST of JSON to a path below its URL.
    pub(super) fn post(&self, path: &str, body: &Json, clock: &Arc<dyn Clock>) -> Exchange {
        let mut request = Request::new(body.bytes());
        *request.method_mut() = http::Method::POST;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        self.exchange(path, request, clock)
    }

    /// A GET of its URL with these headers.
    pub(super) fn get(&self, headers: HeaderMap, clock: &Arc<dyn Clock>) -> Exchange {
        let mut request = Request::new(Bytes::new());
        *request.headers_mut() = headers;
        self.exchange("", request, clock)
    }

    fn exchange(&self, path: &str, mut request: Request<Bytes>, clock: &Arc<dyn Clock>) -> Exchange {
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.settings.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let uri = self.settings.url.join(path).parse();
        let placed = uri.map(|uri| {
            *request.uri_mut() = uri;
            request
        });
        Exchange {
            client: self.client(),
            request: placed.map_err(|_: http::uri::InvalidUri| "its URL is none".to_owned()),
            clock: Arc::clone(clock),
        }
    }

    fn client(&self) -> Result<Arc<Outbound>, String> {
        let build = || {
            let settings = OutboundSettings {
                timeout: self.timeout,
                answer_bytes_max: self.settings.answer_bytes_max,
                concurrency_max: self.concurrency,
                // Its address is the operator's word, and most authorisers are beside the gateway.
                allow_private_addresses: true,
                allow_http: true,
                authorities: self.settings.authorities.clone(),
            };
            Outbound::new(&settings)
                .map(Arc::new)
                .map_err(|error| error.to_string())
        };
        self.client.get_or_init(build).clone()
    }
}

/// A request that is ready to be sent.
pub(super) struct Exchange {
    client: Result<Arc<Outbound>, String>,
    request: Result<Request<Bytes>, String>,
    clock: Arc<dyn Clock>,
}

impl Exchange {
    /// Sends it, and takes the whole answer.
    pub(super) async fn send(self) -> Result<Response<Bytes>, String> {
        let answer = self.client?.send(self.request?, &*self.clock).await;
        answer.map_err(|error| error.to_string())
    }

    /// Sends it, and takes the body of a 200 whose content type is JSON; nothing of a 400, by which engines for
    /// permissions refuse ids that are none to them.
    pub(super) async fn json_unless_malformed(self) -> Result<Option<Bytes>, String> {
        let answer = self.send().await?;
        match answer.status() {
            StatusCode::BAD_REQUEST => Ok(None),
            _ => body(answer).map(Some),
        }
    }

    /// Sends it, and takes the body of a 200 whose content type is JSON.
    pub(super) async fn json(self) -> Result<Bytes, String> {
        body(self.send().await?)
    }
}

fn body(answer: Response<Bytes>) -> Result<Bytes, String> {
    if answer.status() != StatusCode::OK {
        return Err(format!("it answers {}", answer.status().as_u16()));
    }
    let kind = answer.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err("its answer is not application/json".to_owned());
    }
    Ok(answer.into_body())
}

/// JSON that is sent. Values enter whole, and nothing is put into a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Json(serde_json::Value);

impl Json {
    pub(super) fn object<const N: usize>(members: [(&str, Json); N]) -> Self {
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.0));
        Self(serde_json::Value::Object(members.collect()))
    }

    pub(super) fn text(text: &str) -> Self {
        Self(serde_json::Value::String(text.to_owned()))
    }

    pub(super) fn number(number: usize) -> Self {
        Self(serde_json::Value::from(number))
    }

    pub(super) fn truth(truth: bool) -> Self {
        Self(serde_json::Value::Bool(truth))
    }

    /// The same with another member.
    pub(super) fn with(mut self, name: &str, value: Json) -> Self {
        if let serde_json::Value::Object(members) = &mut self.0 {
            members.insert(name.to_owned(), value.0);
        }
        self
    }

    fn bytes(&self) -> Bytes {
        Bytes::from(self.0.to_string())
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        Self(match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(truth) => (*truth).into(),
            Value::Int(number) => (*number).into(),
            Value::UInt(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::String(text) => (&**text).into(),
            Value::List(items) => items.iter().map(|item| Json::from(item).0).collect(),
            Value::Map(members) => serde_json::Value::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.to_string(), Json::from(value).0))
                    .collect(),
            ),
        })
    }
}
