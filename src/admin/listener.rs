//! The listeners of operators and probes: who may ask, for what, by which method.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, header};
use pingora_core::apps::http_app::{HttpServer, ServeHttp};
use pingora_core::listeners::ListenerConfig;
use pingora_core::protocols::http::ServerSession;
use pingora_core::services::listening::Service;
use pingora_http::RequestHeader;

use super::page::{Page, Reply};
use super::{AdminToken, pages, revocations, status};
use crate::gateway::State;

/// Whom a listener is for.
#[derive(Clone, Debug)]
pub enum Audience {
    /// Operators of this machine. They ask for `localhost`, an IP address, or no host at all: a page whose name was
    /// made to resolve to this machine (DNS rebinding) sends its own name. Changes need the token, if there is one.
    Operators(Option<AdminToken>),
    /// Probes, balancers and collectors, whatever they call this machine. They change nothing and see no names.
    Probes,
}

/// Answers for operators and probes.
pub struct Admin {
    state: Arc<State>,
    audience: Audience,
}

impl Admin {
    /// A listening service with one thread of its own.
    pub fn service(
        state: Arc<State>,
        listener: ListenerConfig,
        audience: Audience,
    ) -> Service<HttpServer<Self>> {
        let app = HttpServer::new_app(Self { state, audience });
        let mut service = Service::new("admin".to_owned(), app);
        service.threads = Some(1);
        service.add_listener(listener);
        service
    }

    async fn answer(&self, session: &mut ServerSession) -> Reply {
        let head = session.req_header();
        let elsewhere = matches!(self.audience, Audience::Operators(_)) && !is_for_this_machine(head);
        if head.headers.contains_key(header::ORIGIN) || elsewhere {
            // A page in an operator's browser has no business here.
            return Reply::text(StatusCode::FORBIDDEN, "requests from web pages are refused\n");
        }
        let probes = matches!(self.audience, Audience::Probes);
        let page = Page::of(head.uri.path()).filter(|page| !probes || page.is_for_probes());
        let Some(page) = page else {
            let pages = Page::ALL.iter().filter(|page| !probes || page.is_for_probes());
            let paths: Vec<&str> = pages.map(|page| page.path()).collect();
            return Reply::text(StatusCode::NOT_FOUND, format!("there are {}\n", paths.join(", ")));
        };
        if !page.methods().contains(&head.method) {
            return Reply::not_allowed(page.methods());
        }
        if page.needs_token()
            && let Err(reply) = self.require_token(&head.headers)
        {
            return reply;
        }
        match page {
            Page::Revocations => revocations::answer(&self.state, session).await,
            Page::Status => status::answer(&self.state, head).await,
            _ => pages::answer(&self.state, page, head),
        }
    }

    fn require_token(&self, headers: &HeaderMap) -> Result<(), Reply> {
        let token = match &self.audience {
            Audience::Operators(Some(token)) => token,
            Audience::Operators(None) | Audience::Probes => {
                let text = "there is no admin token: write `admin: { token: { env: NAME } }`\n";
                return Err(Reply::text(StatusCode::FORBIDDEN, text));
            }
        };
        if token.is_in(headers) {
            Ok(())
        } else {
            Err(Reply::unauthorized())
        }
    }
}

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
        let reply = self.answer(session).await;
        if !matches!(session.req_header().method, Method::GET | Method::HEAD) {
            // Whatever is left of a body is nobody's next request.
            session.set_keepalive(None);
        }
        reply.response(session.req_header().method == Method::HEAD)
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
