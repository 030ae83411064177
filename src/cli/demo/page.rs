//! The demo's page, its logins and its writes.

use super::tokens::{Tokens, User};
use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora_core::apps::http_app::{HttpServer, ServeHttp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::services::listening::Service;
use serde::Deserialize;
use serde_json::{Value, json};
use shapegate_origin::Origin;
use std::net::SocketAddr;
use std::sync::Arc;

const PAGE: &str = include_str!("../../../web/demo.html");
/// The largest body of a write, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// The longest name of a user, in characters.
const NAME_MAX: usize = 40;

/// Serves the page.
pub(super) struct Page {
    origin: Arc<Origin>,
    tokens: Tokens,
    gateway: SocketAddr,
}

/// A user as the page writes one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    id: Option<String>,
    name: String,
    org_id: i32,
}

type Answer = (StatusCode, &'static str, String);

impl Page {
    pub(super) fn new(origin: Arc<Origin>, tokens: Tokens, gateway: SocketAddr) -> Self {
        Self {
            origin,
            tokens,
            gateway,
        }
    }

    /// A listening service with one thread of its own.
    pub(super) fn service(self, listen: SocketAddr) -> Service<HttpServer<Self>> {
        let mut service = Service::new("demo page".to_owned(), HttpServer::new_app(self));
        service.threads = Some(1);
        service.add_tcp(&listen.to_string());
        service
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Answer {
        match (method.as_str(), path) {
            ("GET", "/") => (StatusCode::OK, "text/html; charset=utf-8", PAGE.to_owned()),
            ("GET", "/demo/tokens") => self.all_tokens(),
            ("POST", "/demo/users") => self.save(body),
            ("GET", _) => path
                .strip_prefix("/demo/tokens/")
                .map_or_else(not_found, |name| self.token(name)),
            ("DELETE", _) => path
                .strip_prefix("/demo/users/")
                .map_or_else(not_found, |id| self.delete(id)),
            _ => not_found(),
        }
    }

    fn all_tokens(&self) -> Answer {
        let url = format!("http://{}/api/shapes/users", self.gateway);
        let mut all = json!({ "url": url });
        for (name, user) in User::ALL {
            match (self.tokens.sign(user), all.as_object_mut()) {
                (Ok(token), Some(all)) => drop(all.insert(name.to_owned(), Value::String(token))),
                _ => return failed("a token could not be signed"),
            }
        }
        (StatusCode::OK, "application/json", all.to_string())
    }

    fn token(&self, name: &str) -> Answer {
        let user = User::ALL.into_iter().find(|(known, _)| *known == name);
        match user.map(|(_, user)| self.tokens.sign(user)) {
            None => not_found(),
            Some(Ok(token)) => (StatusCode::OK, "text/plain", token),
            Some(Err(_)) => failed("the token could not be signed"),
        }
    }

    fn save(&self, body: &[u8]) -> Answer {
        let Ok(Written { id, name, org_id }) = serde_json::from_slice(body) else {
            return refused("write {\"name\": …, \"org_id\": …}, with an \"id\" to change a user");
        };
        if name.is_empty() || name.chars().count() > NAME_MAX {
            return refused("a name has 1 to 40 characters");
        }
        let id = id.unwrap_or_else(|| name.to_lowercase());
        written(
            self.origin
                .upsert("users", json!({ "id": id, "name": name, "org_id": org_id })),
        )
    }

    fn delete(&self, id: &str) -> Answer {
        let id = percent_decoded(id);
        written(self.origin.delete("users", json!({ "id": id })))
    }
}

fn written(result: Result<(), String>) -> Answer {
    match result {
        Ok(()) => (StatusCode::OK, "application/json", "{}".to_owned()),
        Err(message) => refused(&message),
    }
}

fn refused(message: &str) -> Answer {
    error(StatusCode::BAD_REQUEST, "refused", message)
}

fn failed(message: &str) -> Answer {
    error(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

fn not_found() -> Answer {
    error(StatusCode::NOT_FOUND, "not_found", "there is a page at /")
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    (
        status,
        "application/json",
        json!({ "code": code, "message": message }).to_string(),
    )
}

/// A path's segment as text; bytes that are no text are replaced.
fn percent_decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment)
        .decode_utf8_lossy()
        .into_owned()
}

async fn body_of(session: &mut ServerSession) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        body.extend_from_slice(&piece);
        if body.len() > BODY_BYTES_MAX {
            return None;
        }
    }
    Some(body)
}

#[async_trait]
impl ServeHttp for Page {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let body = body_of(session).await;
        let head = session.req_header();
        let (status, content_type, text) = match body {
            Some(body) => self.answer(&head.method, head.uri.path(), &body),
            None => error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "the body is too large",
            ),
        };
        let mut response = Response::new(text.into_bytes());
        *response.status_mut() = status;
        let length = header::HeaderValue::from(response.body().len());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static(content_type),
        );
        headers.insert(
            header::CACHE_CONTROL,
            header::HeaderValue::from_static("no-store"),
        );
        response
    }
}
