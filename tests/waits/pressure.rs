//! Readers slower than the upstream: what they do not take, the gateway does not take either.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpSocket;

use crate::place::users;
use crate::support::gateway::{Gateway, get, origin};
use crate::support::patience::{settled, soon};
use crate::support::raw::Raw;
use crate::support::scripted::{Exchange, GOOD_HEAD, SSE_HEAD, Scripted};
use crate::support::token::member;

/// What the upstream would send, in bytes.
const OFFERED: usize = 64 * 1024 * 1024;
/// What may be on its way at most, in bytes: the kernel's buffers of four sockets, and a little of ours.
const ON_ITS_WAY_MAX: usize = 24 * 1024 * 1024;
/// One chunk.
const PIECE: usize = 16 * 1024;

/// Sends everything, counting what was accepted.
async fn pour(mut exchange: Exchange, piece: Vec<u8>, accepted: Arc<AtomicUsize>) {
    for _ in 0..OFFERED / PIECE {
        exchange.send_chunk(&piece).await;
        accepted.fetch_add(PIECE, Ordering::SeqCst);
    }
    exchange.send_chunk("").await;
}

/// A client that takes little unless it reads.
async fn slow_client(gateway: &Gateway) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    Raw::over(socket.connect(gateway.address).await.unwrap())
}

async fn a_slow_reader_slows_the_upstream(target: &str, head: &str, piece: Vec<u8>) {
    let upstream = Scripted::start();
    let clock = Arc::new(shapegate::clock::SystemClock);
    let gateway = Gateway::before_url(origin(), upstream.url(), &users(), clock).await;
    let mut client = slow_client(&gateway).await;
    client.send(get(target, Some(&member(1)))).await;
    let (mut exchange, _) = soon(upstream.asked()).await;
    exchange.send(head).await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let pouring = tokio::spawn(pour(exchange, piece, Arc::clone(&accepted)));

    let taken = settled(|| accepted.load(Ordering::SeqCst)).await;
    assert!(
        taken < ON_ITS_WAY_MAX,
        "{taken} bytes were taken for a client that reads nothing"
    );
    assert!(taken > 0);

    let answer = soon(client.answer()).await.unwrap();
    assert!(answer.complete);
    assert_eq!(answer.body.len(), OFFERED, "and yet nothing is lost");
    soon(pouring).await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_of_a_snapshot_slows_the_upstream() {
    let target = "/api/shapes/users?offset=-1";
    a_slow_reader_slows_the_upstream(target, GOOD_HEAD, vec![b' '; PIECE]).await;
}

#[tokio::test]
async fn a_slow_reader_of_a_live_answer_slows_the_upstream() {
    let target = "/api/shapes/users?offset=0_0&handle=1-1&live=true";
    a_slow_reader_slows_the_upstream(target, GOOD_HEAD, vec![b' '; PIECE]).await;
}

#[tokio::test]
async fn a_slow_reader_of_events_slows_the_upstream() {
    let target = "/api/shapes/users?offset=0_0&handle=1-1&live=true&live_sse=true";
    let mut piece = vec![b'x'; PIECE];
    piece[PIECE - 2..].copy_from_slice(b"\n\n");
    a_slow_reader_slows_the_upstream(target, SSE_HEAD, piece).await;
}
