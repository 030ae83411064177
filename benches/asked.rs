//! What it costs when somebody else knows: who asks by a session that is remembered, and what an authoriser said
//! that is remembered. A look-up each; nobody is asked.
//!
//! `cargo bench --bench asked`; allocations are counted beside the times.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use futures_util::FutureExt;
use shapegate::authorizer::{
    Asking, AuthorizerBook, AuthorizerMetrics, AuthorizerSettings, Freshness, HttpAuthorizer, Kind, Member,
    ServiceKind, ServiceSettings, ServiceUrl, Terms,
};
use shapegate::clock::{Clock, ManualClock};
use shapegate::identity::provider::{Credential, Found, Lookup, Provider, ProviderSource};
use shapegate::identity::{Authentication, Carrier, CredentialHeaders, IdentityMethods, IdentitySources};
use shapegate::postgres::Pools;
use shapegate::traces::Trace;
use shapegate_core::policy::{AuthorizerSource, InputSource};
use shapegate_core::time::UnixMillis;
use shapegate_core::value::Value;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(UnixMillis::from_seconds(1_795_000_000)))
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

/// Knows everybody, and counts who asks.
struct Everybody(Arc<AtomicUsize>);

#[async_trait]
impl Lookup for Everybody {
    async fn look_up(&self, _: &Credential, _: &Arc<dyn Clock>) -> Result<Option<Found>, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let claims = [("sub", Value::from("alice")), ("org_id", Value::Int(1))];
        let claims = claims.into_iter().map(|(name, value)| (Arc::from(name), value));
        Ok(Some(Found {
            claims: claims.collect(),
            ends: None,
        }))
    }
}

#[divan::bench]
fn remembered_session(bencher: Bencher<'_, '_>) {
    let (clock, asked) = (clock(), Arc::new(AtomicUsize::new(0)));
    let provider = Provider::new(ProviderSource {
        name: "session".into(),
        from: Carrier::bearer(),
        lookup: Arc::new(Everybody(Arc::clone(&asked))),
        ttl: Duration::from_secs(3_600),
        timeout: Duration::from_secs(1),
        claims: Vec::new(),
        remembered_max: 65_536,
        remembered_bytes_max: 128 * 1024 * 1024,
    });
    let sources = IdentitySources {
        providers: vec![Arc::new(provider)],
        ..IdentitySources::default()
    };
    let methods = IdentityMethods::compile(sources).unwrap().0;
    let headers = CredentialHeaders::new([&b"Bearer 0f5c5d2e6d0e4b579b0a7f6c9b9c1d11.eyJzZXNzaW9u"[..]]);
    match methods.authenticate(&headers, clock.now()).unwrap() {
        Authentication::Pending(pending) => drop(finish(pending.identity(&clock)).unwrap()),
        Authentication::Known(_) => panic!("nobody is known yet"),
    }
    bencher.counter(ItemsCount::new(1_usize)).bench(|| {
        let known = methods.authenticate(black_box(&headers), clock.now()).unwrap();
        black_box(known.known().expect("who is remembered"));
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// Says yes to whoever asks, once for each connection.
fn says_yes() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            answer(&connection);
        }
    });
    (address, asked)
}

fn answer(mut connection: &TcpStream) {
    let head = BufReader::new(connection).lines().map_while(Result::ok);
    head.take_while(|line| !line.is_empty()).for_each(drop);
    let yes = r#"{"allow":true,"facts":{"role":"member"}}"#;
    let length = yes.len();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    _ = connection.write_all(format!("{head}{yes}").as_bytes());
}

#[divan::bench]
fn remembered_answer_of_an_authorizer(bencher: Bencher<'_, '_>) {
    let (address, asked) = says_yes();
    let told = vec![vec![
        Value::from("alice"),
        Value::from("6f1c1b9e-9a0b-4d8e-9c49-0d6f4f3a3f52"),
    ]];
    let source = AuthorizerSource {
        inputs: vec![InputSource::Path; 2],
        ..AuthorizerSource::default()
    };
    let http = HttpAuthorizer {
        members: vec![Member::Top("subject"), Member::Top("project")],
        defaults: BTreeMap::new(),
    };
    let service = ServiceSettings {
        url: ServiceUrl::new(&format!("http://{address}")),
        authorization: None,
        authorities: None,
        answer_bytes_max: 4_096,
    };
    let settings = AuthorizerSettings {
        name: None,
        kind: Kind::Service(ServiceKind::Http(http), service),
        terms: Terms::default(),
    };
    let book = AuthorizerBook::default();
    let authorizers = book.authorizers("bench", [(&source, &settings)], &Pools::default());
    let authorizers = authorizers.unwrap();
    let asking = Asking::new(clock(), AuthorizerMetrics::new().unwrap());
    finish(authorizers.gather(&asking, &told, Freshness::Remembered, &Trace::Off)).unwrap();
    bencher.counter(ItemsCount::new(1_usize)).bench(|| {
        let facts = authorizers.gather(&asking, black_box(&told), Freshness::Remembered, &Trace::Off);
        black_box(facts.now_or_never().expect("nobody is asked").unwrap());
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
