//! A trace while its request lasts.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{HeaderMap, HeaderValue};
use http::{Method, Version};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::time::Now;

use super::context::{SpanContext, tracestate};
use super::ids::{SpanId, TraceId};
use super::span::{Kind, Nanoseconds, Place, Span, Value};
use super::{Arriving, Tracer};

/// The longest host that is told, in bytes: that of a name in the DNS, and a port.
const HOST_BYTES_MAX: usize = 255 + 6;
/// The methods that have a name (HTTP semantic conventions, `http.request.method`).
const METHODS: [&str; 9] = [
    "GET", "POST", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "CONNECT", "TRACE",
];
/// All others, which clients make up.
const OTHER_METHOD: &str = "_OTHER";
const CODE: &str = "shapegate.code";

/// The trace of a request. What is told of one that is not recorded costs a comparison.
#[derive(Clone, Default)]
pub enum Trace {
    /// There are no traces.
    #[default]
    Off,
    /// There are, and this is none of them.
    Unrecorded,
    /// It is recorded.
    Recorded(Arc<Recording>),
}

/// What is known of a request so far.
pub struct Recording {
    tracer: Arc<Tracer>,
    began: Now,
    place: Place,
    server: Mutex<Server>,
}

/// The span of the request itself.
#[derive(Default)]
struct Server {
    method: &'static str,
    route: Option<String>,
    host: Option<String>,
    error: Option<&'static str>,
    attributes: Vec<(&'static str, Value)>,
    links: Vec<SpanContext>,
}

/// What is known of a request when it is over.
pub struct Ended<'a> {
    /// Its id.
    pub request_id: &'a HeaderValue,
    /// Whose it is.
    pub tenant: Option<&'a Arc<str>>,
    /// The shape whose rules decide.
    pub shape: Option<&'a Arc<str>>,
    /// The status; none where the client left before.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

impl Recording {
    pub(super) fn begin(tracer: &Arc<Tracer>, arriving: &Arriving<'_>) -> Trace {
        let headers = &arriving.head.headers;
        let parent = SpanContext::of(headers);
        let state = parent.and_then(|_| tracestate(headers));
        let state = state.as_ref().and_then(|state| state.to_str().ok());
        let place = Place {
            trace: parent.map_or_else(|| TraceId::draw(&tracer.entropy), |parent| parent.trace),
            id: SpanId::draw(&tracer.entropy),
            parent: parent.map(|parent| parent.span),
            is_parent_remote: true,
            state: state.unwrap_or_default().into(),
        };
        Trace::Recorded(Arc::new(Self {
            began: tracer.clock.now(),
            tracer: Arc::clone(tracer),
            place,
            server: Mutex::new(Server::of(arriving)),
        }))
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        // A panic while it was held left nothing half done.
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Nanoseconds {
        Nanoseconds::of(self.began, self.tracer.clock.now().monotonic)
    }

    /// Where a part of the request belongs.
    fn part(&self) -> Place {
        Place {
            id: SpanId::draw(&self.tracer.entropy),
            parent: Some(self.place.id),
            is_parent_remote: false,
            ..self.place.clone()
        }
    }
}

impl Server {
    fn of(arriving: &Arriving<'_>) -> Self {
        let scheme = if arriving.tls { "https" } else { "http" };
        let version = match arriving.head.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        let host = arriving.host.filter(|host| host.len() <= HOST_BYTES_MAX);
        Self {
            method: method(&arriving.head.method),
            host: host.map(str::to_owned),
            attributes: vec![
                ("url.scheme", scheme.into()),
                ("network.protocol.version", version.into()),
            ],
            ..Self::default()
        }
    }

    fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, before)) => *before = value,
            None => self.attributes.push((key, value)),
        }
    }

    /// Host and port, as a URL has them.
    fn set_host(&mut self, host: &str) {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, port.parse::<u16>().ok()),
            _ => (host, None),
        };
        self.set("server.address", name.trim_matches(['[', ']']).to_owned());
        if let Some(port) = port {
            self.set("server.port", port);
        }
    }

    fn end(&mut self, ended: &Ended<'_>) {
        self.set("http.request.method", self.method);
        let id = ended.request_id.to_str().unwrap_or_default().to_owned();
        self.set("shapegate.request_id", id);
        if let Some(route) = &self.route {
            self.set("http.route", route.clone());
        }
        if let Some(tenant) = ended.tenant {
            self.set("shapegate.tenant", tenant);
            // Where nobody is served, the host is whatever the client made up.
            if let Some(host) = self.host.take() {
                self.set_host(&host);
            }
        }
        if let Some(shape) = ended.shape {
            self.set("shapegate.shape", shape);
        }
        match ended.status {
            Some(status) => {
                self.set("http.response.status_code", status);
                self.set("http.response.body.size", ended.bytes);
            }
            None => self.set("shapegate.client_left", true),
        }
        if let Some(error) = self.error {
            self.set("error.type", error);
        }
    }

    /// `GET /api/shapes/users`, or the method alone where there is no route.
    fn name(&self) -> Cow<'static, str> {
        let method = if self.method == OTHER_METHOD {
            "HTTP"
        } else {
            self.method
        };
        match &self.route {
            Some(route) => format!("{method} {route}").into(),
            None => method.into(),
        }
    }
}

fn method(method: &Method) -> &'static str {
    let known = METHODS.iter().find(|name| **name == method.as_str());
    known.copied().unwrap_or(OTHER_METHOD)
}

impl Trace {
    fn tell(&self, tell: impl FnOnce(&mut Server)) {
        if let Self::Recorded(recording) = self {
            tell(&mut recording.server());
        }
    }

    /// It is at this route: the path as it is configured, never as it came.
    pub fn routed(&self, route: impl FnOnce() -> Option<String>) {
        self.tell(|server| server.route = route());
    }

    /// This was decided: `allow` by a rule, else why not.
    pub fn decided(&self, (decision, reason): (&'static str, &str)) {
        self.tell(|server| {
            server.set("shapegate.decision", decision);
            let key = if decision == "allow" {
                "shapegate.rule"
            } else {
                "shapegate.reason"
            };
            server.set(key, reason.to_owned());
        });
    }

    /// It is refused. The first refusal is why.
    pub fn refused(&self, code: Code) {
        self.tell(|server| {
            if code.status() >= 500 {
                server.error.get_or_insert(code.as_str());
            }
            if !server.attributes.iter().any(|(key, _)| *key == CODE) {
                server.set(CODE, code.as_str());
            }
        });
    }

    /// Its answer was broken off, and not by the client.
    pub fn broken_off(&self) {
        self.tell(|server| {
            server.error.get_or_insert("broken_off");
        });
    }

    /// What the hub made of it.
    pub fn hub(&self, outcome: &'static str) {
        self.tell(|server| server.set("shapegate.hub", outcome));
    }

    /// It got the answer of a fetch of another's, if that is recorded.
    pub fn joined(&self, fetch: Option<SpanContext>) {
        self.tell(|server| server.links.extend(fetch));
    }

    /// It is over.
    pub fn end(&self, ended: &Ended<'_>) {
        let Self::Recorded(recording) = self else { return };
        let mut server = std::mem::take(&mut *recording.server());
        server.end(ended);
        recording.tracer.exporter.add(Span {
            place: recording.place.clone(),
            kind: Kind::Server,
            name: server.name(),
            start: Nanoseconds::of(recording.began, recording.began.monotonic),
            end: recording.now(),
            failed: server.error.is_some(),
            attributes: server.attributes,
            links: server.links,
        });
    }

    /// A part of it that begins now.
    pub fn part(&self, name: &'static str) -> OpenSpan {
        self.open(Kind::Internal, name)
    }

    /// A request that goes upstream for it now, and the context that goes along with it.
    pub fn upstream(&self, method: &'static str) -> OpenSpan {
        self.open(Kind::Client, method)
    }

    fn open(&self, kind: Kind, name: &'static str) -> OpenSpan {
        let Self::Recorded(recording) = self else {
            return OpenSpan(None);
        };
        let start = recording.now();
        OpenSpan(Some(Box::new(Open {
            recording: Arc::clone(recording),
            is_whole: false,
            span: Span {
                place: recording.part(),
                kind,
                name: name.into(),
                start,
                end: start,
                attributes: Vec::new(),
                links: Vec::new(),
                failed: false,
            },
        })))
    }

    /// What goes along upstream where it is not recorded itself: what came, if that was well formed. A flag that
    /// says that somebody records is not passed on as our word, once we decide that.
    pub fn heard(&self, headers: &HeaderMap) -> Option<SpanContext> {
        let heard = SpanContext::of(headers)?;
        let sampled = heard.sampled && !matches!(self, Self::Unrecorded);
        Some(SpanContext { sampled, ..heard })
    }
}

/// A part of a request that has not ended, if that is recorded. It ends when it is dropped.
#[derive(Default)]
pub struct OpenSpan(Option<Box<Open>>);

struct Open {
    recording: Arc<Recording>,
    span: Span,
    /// Whether it came to its end, and was not given up.
    is_whole: bool,
}

impl OpenSpan {
    /// Says more of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.span.attributes.push((key, value.into()));
        }
    }

    /// The same, of what is only made if somebody is told.
    pub fn set_with<V: Into<Value>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if self.0.is_some() {
            self.set(key, value());
        }
    }

    /// It fails for this.
    pub fn fail(&mut self, refusal: &Refusal) {
        if let Some(open) = &mut self.0 {
            open.span.failed = true;
        }
        self.set("error.type", refusal.code.as_str());
    }

    /// Whoever was asked answered with this.
    pub fn answered(&mut self, status: u16) {
        self.set("http.response.status_code", status);
        if let Some(open) = self.0.as_mut().filter(|_| status >= 400) {
            open.span.failed = true;
            open.span
                .attributes
                .push(("error.type", status.to_string().into()));
        }
    }

    /// What others refer to it by.
    pub fn context(&self) -> Option<SpanContext> {
        let place = &self.0.as_ref()?.span.place;
        Some(SpanContext {
            trace: place.trace,
            span: place.id,
            sampled: true,
        })
    }

    /// It has come to its end, or fails for this.
    pub fn end_with(mut self, refusal: Option<&Refusal>) {
        if let Some(refusal) = refusal {
            self.fail(refusal);
        }
        self.end();
    }

    /// It has come to its end.
    pub fn end(mut self) {
        if let Some(open) = &mut self.0 {
            open.is_whole = true;
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        let Open {
            recording,
            mut span,
            is_whole,
        } = *open;
        span.end = recording.now();
        if !is_whole && !span.failed {
            span.attributes.push(("shapegate.given_up", true.into()));
        }
        recording.tracer.exporter.add(span);
    }
}
