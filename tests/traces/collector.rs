//! A collector that reads real protobuf, and answers as a test wants it to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What came in one request.
#[derive(Clone, Debug)]
pub struct Export {
    pub target: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Export {
    pub fn message(&self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(&*self.body).expect("protobuf")
    }

    /// What is said of the process.
    pub fn resource(&self) -> HashMap<String, String> {
        let message = self.message();
        assert_eq!(message.resource_spans.len(), 1);
        let resource = message.resource_spans[0].resource.as_ref().unwrap();
        resource.attributes.iter().map(told).collect()
    }

    pub fn spans(&self) -> Vec<Told> {
        let message = self.message();
        let scopes = message.resource_spans.iter().flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| &scope.spans).map(Told::of).collect()
    }
}

/// A span, easy to compare.
#[derive(Clone, Debug)]
pub struct Told {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: &'static str,
    pub failed: bool,
    pub attributes: HashMap<String, String>,
    /// Trace and span of each.
    pub links: Vec<(String, String)>,
    pub state: String,
    pub start: u64,
    pub end: u64,
    pub flags: u32,
}

impl Told {
    fn of(span: &Span) -> Self {
        let kind = match span.kind() {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Internal => "internal",
            other => panic!("{other:?}"),
        };
        let status = span.status.as_ref().unwrap();
        assert_eq!(status.message, "", "a message could say anything");
        let attributes: HashMap<_, _> = span.attributes.iter().map(told).collect();
        assert_eq!(
            attributes.len(),
            span.attributes.len(),
            "each is there once: {span:?}"
        );
        let links = span.links.iter();
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name.clone(),
            kind,
            failed: status.code() == StatusCode::Error,
            attributes,
            links: links
                .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
                .collect(),
            state: span.trace_state.clone(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            flags: span.flags,
        }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }
}

fn told(pair: &KeyValue) -> (String, String) {
    let value = pair.value.as_ref().unwrap().value.as_ref().unwrap();
    let text = match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        Any::BoolValue(truth) => truth.to_string(),
        other => panic!("{other:?}"),
    };
    (pair.key.clone(), text)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the collector does.
#[derive(Clone)]
pub enum Say {
    /// 200 with these bytes.
    Body(Vec<u8>),
    /// A status with these header lines.
    Status(u16, &'static str),
    /// Nothing, ever.
    Nothing,
    /// It closes without a word.
    Close,
}

struct Inner {
    says: Mutex<Vec<Say>>,
    exports: Mutex<Vec<Export>>,
}

/// The collector; it ends with the test.
pub struct Collector {
    pub address: SocketAddr,
    scheme: &'static str,
    inner: Arc<Inner>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// One that speaks TLS alone.
    pub async fn over_tls(config: rustls::ServerConfig) -> Self {
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            says: Mutex::new(vec![Say::Body(Vec::new())]),
            exports: Mutex::default(),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        tokio::spawn(serve(listener, tls, Arc::clone(&inner)));
        Self {
            address,
            scheme,
            inner,
        }
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Says this in turn, and the last of it for ever.
    pub fn says(&self, says: Vec<Say>) {
        *lock(&self.inner.says) = says;
    }

    /// Everything that it was sent, taken or not.
    pub fn exports(&self) -> Vec<Export> {
        lock(&self.inner.exports).clone()
    }

    pub fn count(&self) -> usize {
        lock(&self.inner.exports).len()
    }

    pub fn spans(&self) -> Vec<Told> {
        self.exports().iter().flat_map(Export::spans).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, inner) = (tls.clone(), Arc::clone(&inner));
        tokio::spawn(async move {
            match tls {
                None => converse(stream, inner).await,
                // Who does not trust it says so and leaves.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, inner).await;
                    }
                }
            }
        });
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, inner: Arc<Inner>) {
    let mut buffer = Vec::new();
    while let Some(export) = read(&mut stream, &mut buffer).await {
        let say = {
            let mut says = lock(&inner.says);
            if says.len() > 1 {
                says.remove(0)
            } else {
                says[0].clone()
            }
        };
        lock(&inner.exports).push(export);
        let answer = match say {
            Say::Body(body) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                [head.into_bytes(), body].concat()
            }
            Say::Status(status, headers) => {
                format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n").into_bytes()
            }
            Say::Nothing => {
                // Whoever gives up closes.
                _ = stream.read(&mut [0; 1]).await;
                return;
            }
            Say::Close => return,
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Export> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).expect("text");
    let mut lines = head.split("\r\n");
    let target = lines.next()?.to_owned();
    let headers: HashMap<String, String> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    let length: usize = headers["content-length"].parse().expect("a length");
    while buffer.len() < end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let rest = buffer.split_off(end + 4 + length);
    let body = std::mem::replace(buffer, rest).split_off(end + 4);
    Some(Export {
        target,
        headers,
        body,
    })
}
