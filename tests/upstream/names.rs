//! An upstream that is known by name.

use std::sync::Arc;

use shapegate::clock::SystemClock;

use crate::support::gateway::{Gateway, origin};
use crate::support::patience::soon;
use crate::support::token::member;
use crate::ways::{WAYS, Way, assert_eve, assert_refused, bytes, shapes};

#[tokio::test]
async fn a_name_that_is_not_resolved_yet_is_502_until_it_is() {
    let origin = origin();
    let url = format!("http://localhost:{}", origin.address().port());
    let gateway = Gateway::before_url(origin, url, &shapes(), Arc::new(SystemClock)).await;
    let token = member(1);
    for way in WAYS {
        let answer = soon(gateway.connect().await.ask(bytes(way, "1-1", &token))).await;
        assert_refused(&answer, 502, "upstream_unreachable", way);
        assert!(!answer.text().contains("localhost"), "{}", answer.text());
    }
    gateway.received_nothing();

    let loaded = gateway.state.loaded();
    for upstream in loaded.upstreams() {
        upstream.addresses().resolve().await.unwrap();
    }
    let mut client = gateway.connect().await;
    let answer = soon(client.ask(bytes(Way::Finite, "1-1", &token))).await;
    assert_eve(&answer, Way::Finite);
    let received = gateway.received_one();
    let host = format!("localhost:{}", gateway.origin.address().port());
    assert_eq!(received.header("host"), Some(host.as_str()));
}
