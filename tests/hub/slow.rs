//! A first client that does not read, and a second one that does.

use tokio::net::TcpSocket;

use crate::kept::{ELECTRICS_START, good, scripted};
use crate::support::gateway::{Gateway, get};
use crate::support::patience::{soon, until};
use crate::support::raw::Raw;
use crate::support::scripted::{Exchange, Scripted};
use crate::support::token::member;

const START: &str = "/api/shapes/users?offset=-1";
const PIECE: usize = 64 * 1024;

/// A client that takes little unless it reads, a second one, and the one request to the upstream for both, of which
/// the header has been sent.
async fn two(gateway: &Gateway, upstream: &Scripted) -> (Raw, Raw, Exchange) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut slow = Raw::over(socket.connect(gateway.address).await.unwrap());
    slow.send(get(START, Some(&member(1)))).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    let mut fast = gateway.connect().await;
    fast.send(get(START, Some(&member(1)))).await;
    until("it joins", || gateway.state.metrics.hub.joined.get() == 1).await;
    let head = good("1-1", ELECTRICS_START, "").replace("content-length: 0", "transfer-encoding: chunked");
    exchange.send(head).await;
    assert_eq!(soon(slow.head()).await.unwrap().status, 200);
    assert_eq!(soon(fast.head()).await.unwrap().status, 200);
    (slow, fast, exchange)
}

/// Sends so many pieces and the end, while the fast one reads all of it.
async fn poured(exchange: &mut Exchange, fast: &mut Raw, pieces: usize) {
    let pouring = async {
        for _ in 0..pieces {
            exchange.send_chunk(vec![b' '; PIECE]).await;
        }
        exchange.send_chunk("").await;
    };
    let reading = async { read_all(fast).await.expect("all of it") };
    let ((), seen) = tokio::join!(pouring, reading);
    assert_eq!(seen, pieces * PIECE);
}

/// The length of a body's rest; none if it does not look whole.
async fn read_all(client: &mut Raw) -> Option<usize> {
    let mut seen = 0;
    loop {
        let chunk = soon(client.chunk()).await?;
        if chunk.is_empty() {
            return Some(seen);
        }
        seen += chunk.len();
    }
}

#[tokio::test]
async fn a_first_client_that_does_not_read_holds_nobody_and_still_gets_all() {
    let (gateway, upstream, _clock) = scripted().await;
    let (mut slow, mut fast, mut exchange) = two(&gateway, &upstream).await;
    let pieces = 8 * 1024 * 1024 / PIECE;
    poured(&mut exchange, &mut fast, pieces).await;
    until("it is kept", || gateway.state.hub.kept() == 1).await;
    assert_eq!(gateway.state.hub.underway(), 0);
    let third = soon(gateway.get(START, Some(&member(1)))).await;
    assert_eq!(third.body.len(), pieces * PIECE);
    assert_eq!(gateway.state.metrics.hub.fetches_total.get(), 1);
    assert_eq!(read_all(&mut slow).await, Some(pieces * PIECE));
    assert_eq!(gateway.state.metrics.hub.behind.get(), 0);
}

#[tokio::test]
async fn of_what_is_too_large_to_keep_a_slow_client_gets_a_part_that_does_not_look_whole() {
    let (gateway, upstream, _clock) = scripted().await;
    let (mut slow, mut fast, mut exchange) = two(&gateway, &upstream).await;
    poured(&mut exchange, &mut fast, 48 * 1024 * 1024 / PIECE).await;
    assert_eq!(read_all(&mut slow).await, None);
    assert_eq!(gateway.state.metrics.hub.behind.get(), 1);
    assert_eq!(gateway.state.hub.kept(), 0, "nor is it kept");
    until("all room is given back", || {
        gateway.state.metrics.hub.underway_bytes.get() == 0
    })
    .await;
}
