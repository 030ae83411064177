//! HTTP/2: many requests wait on one connection.

use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use serde_json::json;
use tokio::net::TcpStream;

use crate::place::{held, users};
use crate::support::gateway::{Gateway, origin};
use crate::support::http2::negotiated;
use crate::support::patience::{soon, until};
use crate::support::token::member;

const STREAMS: usize = 100;

async fn gateway() -> Gateway {
    let (origin, clock) = (origin(), Arc::new(shapegate::clock::SystemClock));
    let url = origin.url();
    Gateway::speaking(negotiated, origin, url, &users(), clock).await
}

async fn connected(gateway: &Gateway) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(gateway.address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

fn ask(client: &mut SendRequest<Bytes>, target: &str) -> h2::client::ResponseFuture {
    let request = http::Request::builder()
        .uri(format!("http://gateway.test{target}"))
        .header("authorization", format!("Bearer {}", member(1)));
    client.send_request(request.body(()).unwrap(), true).unwrap().0
}

async fn body(response: h2::client::ResponseFuture) -> (u16, Vec<u8>) {
    let (head, mut stream) = soon(response).await.unwrap().into_parts();
    let mut body = Vec::new();
    while let Some(piece) = soon(stream.data()).await {
        let piece = piece.unwrap();
        stream.flow_control().release_capacity(piece.len()).unwrap();
        body.extend_from_slice(&piece);
    }
    (head.status.as_u16(), body)
}

#[tokio::test]
async fn a_hundred_polls_wait_on_one_connection_and_each_ends_by_itself() {
    let gateway = gateway().await;
    let place = {
        let mut client = connected(&gateway).await;
        let (head, _) = soon(ask(&mut client, "/api/shapes/users?offset=-1"))
            .await
            .unwrap()
            .into_parts();
        let header = |name: &str| head.headers[name].to_str().unwrap().to_owned();
        let log = format!(
            "/api/shapes/users?offset={}&handle={}",
            header("electric-offset"),
            header("electric-handle")
        );
        let (head, _) = soon(ask(&mut client, &log)).await.unwrap().into_parts();
        let offset = head.headers["electric-offset"].to_str().unwrap();
        format!(
            "/api/shapes/users?offset={offset}&handle={}&live=true",
            header("electric-handle")
        )
    };
    gateway.origin.forget_received();
    let mut client = connected(&gateway).await.ready().await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..STREAMS {
        client = soon(client.ready()).await.unwrap();
        waiting.push(ask(&mut client, &place));
    }
    held(&gateway, i64::try_from(STREAMS).unwrap()).await;
    until("one waits upstream", || gateway.origin.waiting() == 1).await;
    // Half of them are given up, and only those.
    waiting.truncate(STREAMS / 2);
    held(&gateway, i64::try_from(STREAMS / 2).unwrap()).await;
    // The connection is not held up by those who wait on it.
    let (status, _) = body(ask(&mut client, "/api/shapes/users?offset=-1")).await;
    assert_eq!(status, 200);

    gateway
        .origin
        .insert("users", json!({ "id": 9, "name": "Eve", "org_id": 1 }))
        .unwrap();
    for response in waiting {
        let (status, body) = body(response).await;
        assert_eq!(status, 200);
        assert!(String::from_utf8(body).unwrap().contains("Eve"));
    }
    held(&gateway, 0).await;
    let lives = gateway.origin.received();
    assert_eq!(
        lives
            .iter()
            .filter(|asked| asked.target.contains("live=true"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_connection_that_closes_ends_all_of_its_waits() {
    let gateway = gateway().await;
    let tcp = TcpStream::connect(gateway.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
    let driven = tokio::spawn(async move { drop(connection.await) });
    let (head, _) = soon(ask(&mut client, "/api/shapes/users?offset=now"))
        .await
        .unwrap()
        .into_parts();
    let header = |name: &str| head.headers[name].to_str().unwrap().to_owned();
    let poll = format!(
        "/api/shapes/users?offset={}&handle={}&live=true",
        header("electric-offset"),
        header("electric-handle")
    );
    let waiting: Vec<_> = (0..STREAMS).map(|_| ask(&mut client, &poll)).collect();
    held(&gateway, i64::try_from(STREAMS).unwrap()).await;
    driven.abort();
    drop((waiting, client));
    held(&gateway, 0).await;
    until("the fetch is cancelled", || gateway.origin.waiting() == 0).await;
    until("nothing is under way", || gateway.state.hub.underway() == 0).await;
}
