//! The OpenTelemetry Collector itself: what it prints of what it was told.
//!
//! `make test-long` builds it and runs this; `SHAPEGATE_COLLECTOR` is its program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use crate::program::{Program, Setup};
use crate::support::gateway::request;
use crate::support::patience::until;
use crate::support::ports::free_address;
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, admin};
use crate::tls::{authority, file_of};
use crate::world::SHAPES;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const USERS: &str = "/api/shapes/users?offset=-1";

/// A running collector, ended when dropped.
struct RealCollector {
    child: Child,
    folder: tempfile::TempDir,
}

impl RealCollector {
    /// Starts one at `address` that speaks TLS with this certificate and key, in PEM.
    async fn start(address: std::net::SocketAddr, certificate: &str, key: &str) -> Self {
        let program = std::env::var_os("SHAPEGATE_COLLECTOR")
            .map(PathBuf::from)
            .expect("SHAPEGATE_COLLECTOR names the collector's program: run `make test-long`");
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("cert.pem"), certificate).unwrap();
        fs::write(path("key.pem"), key).unwrap();
        let tls = json!({ "cert_file": path("cert.pem"), "key_file": path("key.pem") });
        let config = json!({
            "receivers": { "otlp": { "protocols": { "http": { "endpoint": address.to_string(), "tls": tls } } } },
            "exporters": { "debug": { "verbosity": "detailed" } },
            "service": {
                "telemetry": { "metrics": { "level": "none" }, "logs": { "encoding": "console" } },
                "pipelines": { "traces": { "receivers": ["otlp"], "exporters": ["debug"] } },
            },
        });
        fs::write(path("config.yaml"), config.to_string()).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let child = Command::new(&program)
            .arg("--config")
            .arg(path("config.yaml"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut started = Self { child, folder };
        until("the collector is ready", || {
            let ended = started.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", started.log());
            started.log().contains("Everything is ready")
        })
        .await;
        started
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Every span that it printed, as its lines.
    fn spans(&self) -> Vec<Vec<String>> {
        let log = self.log();
        let parts = log.split("\nSpan #").skip(1);
        parts
            .map(|part| {
                let lines = part.lines().map(|line| line.trim().to_owned());
                lines
                    .take_while(|line| !line.starts_with("ResourceSpans #"))
                    .collect()
            })
            .collect()
    }
}

impl Drop for RealCollector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a span says for a name: `Name : GET`.
fn told<'s>(span: &'s [String], name: &str) -> &'s str {
    let mut values = span.iter().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    });
    values.next().unwrap_or_else(|| panic!("no {name} in {span:#?}"))
}

fn of_kind<'s>(spans: &'s [Vec<String>], kind: &str) -> Vec<&'s Vec<String>> {
    spans.iter().filter(|span| told(span, "Kind") == kind).collect()
}

/// A certificate for this machine, of an authority that is named in a file.
fn certificate() -> (tempfile::NamedTempFile, String, String) {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    (file_of(&authority), certificate.pem(), key.serialize_pem())
}

async fn gateway(address: std::net::SocketAddr, ca: &Path) -> Program {
    let mut setup = Setup::new();
    setup.variables = vec![("OTLP_TOKEN", "Bearer canary-token-of-the-collector".to_owned())];
    setup.rest = format!(
        "traces:
  otlp: {{ url: 'https://{address}', ca: '{}', headers: {{ authorization: {{ env: OTLP_TOKEN }} }} }}
  sample_ratio: 1
  service_name: gate-of-the-test
  resource: {{ deployment.environment.name: trial }}
{IDENTITY}{SHAPES}",
        ca.display()
    );
    setup.start().await
}

fn live(answer: &Answer) -> String {
    let header = |name| answer.header(name).unwrap();
    format!(
        "/api/shapes/users?offset={}&handle={}&live=true",
        header("electric-offset"),
        header("electric-handle")
    )
}

#[tokio::test]
async fn the_collector_understands_every_span_attribute_and_link() {
    let (ca, certificate, key) = certificate();
    let address = free_address();
    let collector = RealCollector::start(address, &certificate, &key).await;
    let mut program = gateway(address, ca.path()).await;

    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", &*traceparent), ("tracestate", "vendor=1")];
    let mut client = program.connect().await;
    let first = client
        .ask(request("GET", USERS, Some(&admin()), &headers, ""))
        .await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(program.get(USERS, None).await.status, 401);
    let poll = live(&first);
    let mut waiting = Vec::new();
    for count in [1.0, 2.0] {
        let mut client = program.connect().await;
        client.send(request("GET", &poll, Some(&admin()), &[], "")).await;
        program.until_metric("shapegate_held_polls", count).await;
        waiting.push(client);
    }
    program.signal("TERM");
    for client in &mut waiting {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    drop(waiting);
    assert!(program.ended().await.success());
    until("all is printed", || collector.spans().len() >= 8).await;

    let (spans, log) = (collector.spans(), collector.log());
    assert_eq!(spans.len(), 8, "{log}");
    says_every_attribute(&log);
    knows_what_belongs_together(&spans);
}

fn says_every_attribute(log: &str) {
    for attribute in [
        "service.name: Str(gate-of-the-test)",
        "deployment.environment.name: Str(trial)",
        concat!("service.version: Str(", env!("CARGO_PKG_VERSION"), ")"),
        "http.route: Str(/api/shapes/users)",
        "http.response.status_code: Int(401)",
        "shapegate.code: Str(token_missing)",
        "shapegate.decision: Str(deny)",
        "shapegate.rule: Str(rules[0])",
        "shapegate.hub: Str(ended)",
        "shapegate.ended_by: Str(drain)",
        "shapegate.given_up: Bool(true)",
        "url.template: Str(/v1/shape)",
    ] {
        assert!(log.contains(attribute), "{attribute} of\n{log}");
    }
    assert!(!log.contains("canary"), "{log}");
}

fn knows_what_belongs_together(spans: &[Vec<String>]) {
    let servers = of_kind(spans, "Server");
    let (clients, waits) = (of_kind(spans, "Client"), of_kind(spans, "Internal"));
    assert_eq!(
        (servers.len(), clients.len(), waits.len()),
        (4, 2, 2),
        "{spans:#?}"
    );
    let continued = servers
        .iter()
        .find(|span| told(span, "Trace ID") == TRACE)
        .unwrap();
    assert_eq!(told(continued, "Parent ID"), PARENT);
    assert_eq!(told(continued, "TraceState"), "vendor=1");
    assert_eq!(told(continued, "Name"), "GET /api/shapes/users");
    assert_eq!(told(continued, "Status code"), "Unset");
    let its_fetch = clients
        .iter()
        .find(|span| told(span, "Trace ID") == TRACE)
        .unwrap();
    assert_eq!(told(its_fetch, "Parent ID"), told(continued, "ID"));
    let polled = clients
        .iter()
        .find(|span| told(span, "Trace ID") != TRACE)
        .unwrap();
    let linked: Vec<_> = servers
        .iter()
        .filter(|span| span.iter().any(|line| line.starts_with("SpanLink #")))
        .collect();
    assert_eq!(linked.len(), 1, "who joined: {spans:#?}");
    let text = linked[0].join("\n");
    let link = text.split("SpanLink #").nth(1).unwrap();
    assert!(
        link.contains(told(polled, "Trace ID")) && link.contains(told(polled, "ID")),
        "{link}"
    );
    assert_ne!(told(linked[0], "ID"), told(polled, "Parent ID"));
}
