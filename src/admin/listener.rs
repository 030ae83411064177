//! What operators and probes ask: liveness, readiness, metrics. Nothing can be changed here.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, header};
use pingora_core::apps::http_app::{HttpServer, ServeHttp};
use pingora_core::listeners::ListenerConfig;
use pingora_core::protocols::http::ServerSession;
use pingora_core::services::listening::Service;
use pingora_http::RequestHeader;

use super::readiness::readiness;
use crate::gateway::State;

/// Under which names a listener is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// `localhost`, an IP address, or none. A page whose name was made to resolve to this machine (DNS rebinding)
    /// sends its own name.
    Local,
    /// Any: what balancers and probes call this machine is theirs to say.
    Any,
}

/// Answers for operators.
pub struct Admin {
    state: Arc<State>,
    hosts: Hosts,
}

impl Admin {
    /// A listening service with one thread of its own.
    pub fn service(state: Arc<State>, listener: ListenerConfig, hosts: Hosts) -> Service<HttpServer<Self>> {
        let app = HttpServer::new_app(Self { state, hosts });
        let mut service = Service::new("admin".to_owned(), app);
        service.threads = Some(1);
        service.add_listener(listener);
        service
    }

    /// The answer to a request.
    fn answer(&self, head: &RequestHeader) -> (StatusCode, String) {
        let elsewhere = self.hosts == Hosts::Local && !is_for_this_machine(head);
        if head.headers.contains_key(header::ORIGIN) || elsewhere {
            // A page in an operator's browser has no business here.
            return (
                StatusCode::FORBIDDEN,
                "requests from web pages are refused\n".to_owned(),
            );
        }
        if head.method != Method::GET && head.method != Method::HEAD {
            return (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
        }
        self.page(head.uri.path())
    }

    fn metrics(&self) -> (StatusCode, String) {
        self.state.metrics.key_ages.take(&self.state);
        match self.state.metrics.render() {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn page(&self, path: &str) -> (StatusCode, String) {
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => readiness(&self.state, None),
            "/metrics" => self.metrics(),
            other if other.starts_with(READY_TENANT) => {
                readiness(&self.state, other.strip_prefix(READY_TENANT))
            }
            _ => (
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz and /metrics\n".to_owned(),
            ),
        }
    }
}

/// Below it, a tenant's id.
const READY_TENANT: &str = "/readyz/";

/// Whether a request names this machine, in its target too if that has a host.
fn is_for_this_machine(head: &RequestHeader) -> bool {
    head.uri.host().is_none_or(is_local) && host_is_local(&head.headers)
}

/// Whether there is no `host`, or one and it is local.
fn host_is_local(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else { return true };
    let host = host.to_str().ok().filter(|_| hosts.next().is_none());
    host.is_some_and(|host| is_local(without_port(host)))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a name without a port is an IP address or `localhost`, which browsers resolve themselves.
fn is_local(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let (status, body) = self.answer(head);
        let length = header::HeaderValue::from(body.len());
        let bodyless = head.method == Method::HEAD;
        let body = if bodyless { Vec::new() } else { body.into_bytes() };
        let mut response = Response::new(body);
        *response.status_mut() = status;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_this_machine_and_every_other_name_is_not() {
        for host in [
            "localhost",
            "LocalHost:9090",
            "127.0.0.1",
            "127.0.0.1:9090",
            "10.1.2.3:80",
            "[::1]",
            "[::1]:9090",
            "[2001:db8::1]:1",
        ] {
            assert!(is_local(without_port(host)), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9090",
            "localhost:9090.evil.example",
            "127.0.0.1@evil.example",
            "::1",
            "[::1",
            "[evil]",
            "2130706433",
        ] {
            assert!(!is_local(without_port(host)), "{host}");
        }
    }
}
