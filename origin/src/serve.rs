//! From request to answer: routes, authentication, CORS, and what every response carries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::serve::IncomingStream;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::answer::Answer;
use crate::body::into_body;
use crate::inner::Inner;
use crate::misbehave::Fault;
use crate::received::Received;
use crate::{misbehave, query, write_api};

mod cors;
mod delete;
mod log;
mod shape;
mod sse;
mod subset;

/// What Electric says it is.
pub(crate) const SERVER: &str = "ElectricSQL/1.7.12";

/// Limits of the server that Electric stands on, in bytes and headers.
const REQUEST_LINE_BYTES_MAX: usize = 10_000;
const HEADER_BYTES_MAX: usize = 10_000;
const HEADERS_MAX: usize = 50;
const BODY_BYTES_MAX: usize = 8_000_000;

/// `GET ` and ` HTTP/1.1` around the target of a request line.
const AROUND_TARGET: usize = " ".len() + " HTTP/1.1".len();

/// How many requests a connection has had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(Arc<AtomicU32>);

impl Connected<IncomingStream<'_, TcpListener>> for Connection {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self::default()
    }
}

/// A request, read.
pub(crate) struct Asking {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The query, empty when there is none.
    pub(crate) query: String,
    /// Whether there was a question mark.
    pub(crate) has_query: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asking {
    /// Electric's `HEAD` is a `GET` whose body is left out at the end.
    fn routed_method(&self) -> &Method {
        if self.method == Method::HEAD {
            &Method::GET
        } else {
            &self.method
        }
    }

    /// Whether the method is one whose answers carry cache headers.
    pub(crate) fn is_cached(&self) -> bool {
        *self.routed_method() == Method::GET
    }

    /// Path segments as Plug sees them: decoded, empty ones dropped.
    fn segments(&self) -> Vec<String> {
        let segments = self.path.split('/').filter(|segment| !segment.is_empty());
        segments
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect()
    }
}

/// Answers any request.
pub(crate) async fn handle(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let number = connection.0.fetch_add(1, Ordering::Relaxed) + 1;
    let last = inner.config.requests_per_connection;
    let close = last != 0 && number >= last;
    let (head, body) = request.into_parts();
    let request_id = request_id(&head.headers);
    let is_head = head.method == Method::HEAD;
    let (answer, fault) = match refused(&head) {
        Some(status) => (
            Answer::text(status, "").with_static(header::CONNECTION, "close"),
            None,
        ),
        None => answered(&inner, head, body).await,
    };
    finish(answer, fault, &request_id, is_head, close)
}

/// What the HTTP server itself refuses before Electric sees it.
fn refused(head: &Parts) -> Option<StatusCode> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let line = head.method.as_str().len() + target.len() + AROUND_TARGET;
    let too_long =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() > HEADER_BYTES_MAX;
    if line > REQUEST_LINE_BYTES_MAX {
        Some(StatusCode::URI_TOO_LONG)
    } else if head.headers.len() > HEADERS_MAX || head.headers.iter().any(too_long) {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        None
    }
}

async fn answered(inner: &Arc<Inner>, head: Parts, body: Body) -> (Answer, Option<Fault>) {
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        let body = json!({"error": "Request body too large"});
        return (Answer::json(StatusCode::PAYLOAD_TOO_LARGE, &body), None);
    };
    let asking = Asking {
        path: head.uri.path().to_owned(),
        has_query: head.uri.query().is_some(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        method: head.method,
        headers: head.headers,
        body,
    };
    if asking.path.starts_with(write_api::PREFIX) {
        return (write_api::answer(inner, &asking), None);
    }
    inner.received.record(|| Received::of(&asking));
    let fault = inner.faults.take(&asking.path, &asking.query);
    let instead = match &fault {
        Some(fault) => misbehave::instead(fault).await,
        None => None,
    };
    let answer = match instead {
        Some(answer) => answer,
        None => route(inner, &asking).await,
    };
    (answer, fault)
}

async fn route(inner: &Arc<Inner>, asking: &Asking) -> Answer {
    let segments = asking.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (asking.routed_method().as_str(), segments.as_slice()) {
        ("OPTIONS", ["v1", "shape"]) => cors::preflight(asking),
        ("GET" | "POST" | "DELETE", ["v1", "shape"]) => shape_route(inner, asking).await,
        ("GET", ["v1", "health"]) => cors::put(health(), asking, cors::OTHER_METHODS),
        ("GET", []) => cors::put(Answer::text(StatusCode::OK, ""), asking, cors::OTHER_METHODS),
        _ => {
            let answer = Answer::text(StatusCode::NOT_FOUND, "Not found");
            cors::put(answer, asking, cors::OTHER_METHODS)
        }
    }
}

fn health() -> Answer {
    Answer::json(StatusCode::OK, &json!({"status": "active"}))
        .with_static(header::CACHE_CONTROL, "no-cache, no-store, must-revalidate")
}

async fn shape_route(inner: &Arc<Inner>, asking: &Asking) -> Answer {
    let Some(query) = query::decode(&asking.query) else {
        return Answer::text(StatusCode::BAD_REQUEST, "");
    };
    if !authenticated(inner.config.secret.as_deref(), &query) {
        let body = json!({"message": "Unauthorized - Invalid API secret"});
        return Answer::unmarked_json(StatusCode::UNAUTHORIZED, &body);
    }
    let answer = match asking.routed_method().as_str() {
        "DELETE" => delete::answer(inner, asking, &query),
        _ => shape::answer(inner, asking, query).await,
    };
    cors::put(answer, asking, cors::SHAPE_METHODS)
}

/// Only the query counts; a `secret`, even a wrong one, hides `api_secret`.
fn authenticated(secret: Option<&str>, query: &Map<String, Value>) -> bool {
    let Some(secret) = secret else {
        return true;
    };
    let given = query.get("secret").or_else(|| query.get("api_secret"));
    given.and_then(Value::as_str) == Some(secret)
}

/// Adds what every response carries and turns the answer into one.
fn finish(
    answer: Answer,
    fault: Option<Fault>,
    request_id: &HeaderValue,
    is_head: bool,
    close: bool,
) -> Response {
    let (mut answer, cut) = match fault {
        Some(fault) => misbehave::afterwards(answer, fault),
        None => (answer, None),
    };
    let headers = &mut answer.headers;
    if answer.status != StatusCode::NO_CONTENT {
        headers
            .entry(header::VARY)
            .or_insert(HeaderValue::from_static("accept-encoding"));
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("max-age=0, private, must-revalidate"));
    }
    headers.insert("x-request-id", request_id.clone());
    headers.insert("electric-server", HeaderValue::from_static(SERVER));
    if close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let body = match is_head {
        true => into_body(answer.content.without_body(headers), None),
        false => into_body(answer.content, cut),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// The request's own id, if it is one, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let given = headers.get("x-request-id");
    given
        .filter(|id| (20..=200).contains(&id.len()))
        .cloned()
        .unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let id = format!("GOqQ{number:016x}");
            HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("GOqQ0000000000000000"))
        })
}
