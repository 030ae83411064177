//! What operators and probes ask: liveness, readiness, metrics. Nothing can be changed here.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora_core::apps::http_app::{HttpServer, ServeHttp};
use pingora_core::listeners::ListenerConfig;
use pingora_core::protocols::http::ServerSession;
use pingora_core::services::listening::Service;

use crate::gateway::State;

/// Answers for operators.
pub struct Admin {
    state: Arc<State>,
}

impl Admin {
    /// A listening service with one thread of its own.
    pub fn service(state: Arc<State>, listener: ListenerConfig) -> Service<HttpServer<Self>> {
        let mut service = Service::new("admin".to_owned(), HttpServer::new_app(Self { state }));
        service.threads = Some(1);
        service.add_listener(listener);
        service
    }

    /// The answer to a request of this method and path, from a page or not.
    pub fn answer(&self, method: &Method, path: &str, has_origin: bool) -> (StatusCode, String) {
        if has_origin {
            // A page in an operator's browser has no business here.
            return (
                StatusCode::FORBIDDEN,
                "requests from web pages are refused\n".to_owned(),
            );
        }
        if method != Method::GET && method != Method::HEAD {
            return (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
        }
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.state.drain.has_begun() => {
                (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned())
            }
            "/readyz" => (StatusCode::OK, "ready\n".to_owned()),
            "/metrics" => match self.state.metrics.render() {
                Ok(text) => (StatusCode::OK, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            _ => (
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz and /metrics\n".to_owned(),
            ),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let has_origin = head.headers.contains_key(header::ORIGIN);
        let (status, body) = self.answer(&head.method, head.uri.path(), has_origin);
        let mut response = Response::new(body.into_bytes());
        *response.status_mut() = status;
        let length = header::HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(
            header::CACHE_CONTROL,
            header::HeaderValue::from_static("no-store"),
        );
        response
    }
}
