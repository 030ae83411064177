//! Where connections go.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use shapegate::clock::SystemClock;
use shapegate::outbound::{Looking, Lookup, Outbound, OutboundError, OutboundSettings};

use crate::answers::loopback;
use crate::support::patience::soon;
use crate::support::scripted::Scripted;

/// A resolver that gives one answer after the other, and the last one for ever.
#[derive(Clone)]
struct Script(Arc<Mutex<Vec<Vec<&'static str>>>>, Arc<Mutex<Vec<String>>>);

impl Script {
    fn of(answers: &[&[&'static str]]) -> Self {
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        Self(Arc::new(Mutex::new(answers)), Arc::default())
    }

    fn asked(&self) -> Vec<String> {
        self.1.lock().unwrap().clone()
    }
}

impl Lookup for Script {
    fn lookup(&self, host: &str) -> Looking {
        self.1.lock().unwrap().push(host.to_owned());
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop()
        } else {
            answers.last().cloned()
        };
        let addresses = answer
            .unwrap_or_default()
            .into_iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
        let addresses: io::Result<Vec<SocketAddr>> = Ok(addresses.collect());
        Box::pin(async { addresses })
    }
}

fn strict() -> OutboundSettings {
    OutboundSettings {
        allow_private_addresses: false,
        ..loopback()
    }
}

#[tokio::test]
async fn b11_a_name_that_leads_inside_is_not_connected_to() {
    let service = Scripted::start();
    for inside in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fd00::1",
    ] {
        let script = Script::of(&[&[inside]]);
        let client = Outbound::with_lookup(&strict(), Arc::new(script.clone())).unwrap();
        let url = format!("http://idp.test:{}/", service.address.port());
        let answer = soon(client.get(&url, &SystemClock)).await;
        assert_eq!(
            answer.err(),
            Some(OutboundError::AddressRefused(inside.parse().unwrap())),
            "{inside}"
        );
        assert_eq!(script.asked(), ["idp.test"]);
    }
    assert!(service.is_left_alone().await);
}

#[tokio::test]
async fn an_address_that_is_written_out_is_checked_as_well() {
    let service = Scripted::start();
    let client = Outbound::new(&strict()).unwrap();
    let port = service.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
    ] {
        let answer = soon(client.get(&format!("http://{host}:{port}/"), &SystemClock)).await;
        assert!(
            matches!(answer, Err(OutboundError::AddressRefused(_))),
            "{host}: {answer:?}"
        );
    }
    assert!(service.is_left_alone().await);
}

#[tokio::test]
async fn b11_a_name_is_looked_up_and_checked_once_for_every_connection() {
    let service = Scripted::start();
    let script = Script::of(&[&["::"], &["127.0.0.1"]]);
    let client = Outbound::with_lookup(&strict(), Arc::new(script.clone())).unwrap();
    let url = format!("http://rebinding.test:{}/", service.address.port());
    let answer = soon(client.get(&url, &SystemClock)).await;
    assert!(
        matches!(answer, Err(OutboundError::AddressRefused(_))),
        "{answer:?}"
    );
    assert_eq!(script.asked().len(), 1);
    let answer = soon(client.get(&url, &SystemClock)).await;
    assert_eq!(
        answer.err(),
        Some(OutboundError::AddressRefused("127.0.0.1".parse().unwrap()))
    );
    assert_eq!(script.asked().len(), 2);
    assert!(service.is_left_alone().await);
}

#[tokio::test]
async fn b11_the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let service = Scripted::start();
    let script = Script::of(&[&["127.0.0.1"], &["192.0.2.1"]]);
    let client = Outbound::with_lookup(&loopback(), Arc::new(script.clone())).unwrap();
    let url = format!("http://idp.test:{}/", service.address.port());
    let asking = client.get(&url, &SystemClock);
    let answering = async {
        let mut exchange = service.accept().await;
        let head = exchange.request().await.unwrap();
        assert!(
            head.contains(&format!("host: idp.test:{}\r\n", service.address.port())),
            "{head}"
        );
        exchange.send("HTTP/1.1 204 No\r\n\r\n").await;
    };
    let (answer, ()) = soon(async { tokio::join!(asking, answering) }).await;
    assert_eq!(
        (answer.unwrap().status().as_u16(), script.asked().len()),
        (204, 1)
    );
}

#[tokio::test]
async fn only_https_is_spoken_unless_the_operator_said_otherwise() {
    let client = Outbound::new(&OutboundSettings {
        allow_http: false,
        ..loopback()
    })
    .unwrap();
    for url in [
        "http://127.0.0.1:1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "data:,x",
        "/relative",
        "",
        "https://u:p@127.0.0.1/",
    ] {
        let answer = soon(client.get(url, &SystemClock)).await;
        assert!(matches!(answer, Err(OutboundError::Url(_))), "{url}: {answer:?}");
    }
}

#[tokio::test]
async fn an_error_does_not_hold_what_was_asked() {
    let client = Outbound::new(&loopback()).unwrap();
    let answer = soon(client.get("http://127.0.0.1:1/path-canary?secret=canary", &SystemClock)).await;
    let text = format!("{:?} {}", answer, answer.as_ref().unwrap_err());
    assert!(matches!(answer, Err(OutboundError::Unreachable(_))), "{text}");
    assert!(!text.contains("canary"), "{text}");
}
