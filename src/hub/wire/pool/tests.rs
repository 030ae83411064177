#![allow(clippy::unwrap_used, clippy::panic)]

use pingora_core::protocols::l4::stream::Stream as L4Stream;
use shapegate_core::time::UnixMillis;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::ManualClock;

const PATIENCE: Duration = Duration::from_secs(30);

/// An upstream's end and ours.
async fn connection() -> (TcpStream, Box<Connection>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    (theirs, Box::new(Connection::new(Box::new(L4Stream::from(ours)))))
}

fn key(trust_domain: u64) -> PoolKey {
    PoolKey {
        address: "127.0.0.1:3000".parse().unwrap(),
        tls_host: None,
        trust_domain,
    }
}

fn pool(idle_max: usize) -> (Arc<ManualClock>, Arc<Pool>) {
    let clock = Arc::new(ManualClock::at(UnixMillis(0)));
    (Arc::clone(&clock), Pool::new(clock, idle_max))
}

async fn until(mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap();
}

/// Whether nothing has happened to the connection that idles under a key.
fn is_silent(pool: &Pool, trust_domain: u64) -> bool {
    let mut idle = pool.lock();
    let at_rest = idle.by_place.get_mut(&key(trust_domain)).unwrap();
    at_rest.first_mut().unwrap().connection.is_silent()
}

#[tokio::test]
async fn a_connection_is_used_again_by_those_who_trust_the_same() {
    let (_clock, pool) = pool(4);
    let (_theirs, ours) = connection().await;
    pool.put(key(1), ours);
    assert!(pool.take(&key(2)).is_none());
    let other_host = PoolKey {
        tls_host: Some("electric.test".into()),
        ..key(1)
    };
    assert!(pool.take(&other_host).is_none());
    assert!(pool.take(&key(1)).is_some());
    assert!(pool.take(&key(1)).is_none(), "it is taken");
}

#[tokio::test]
async fn no_more_than_so_many_idle_and_none_for_too_long() {
    let (clock, pool) = pool(2);
    let mut theirs = Vec::new();
    for _ in 0..3 {
        let (their, ours) = connection().await;
        theirs.push(their);
        pool.put(key(1), ours);
    }
    assert_eq!(pool.lock().count, 2);
    clock.advance(IDLE_TIMEOUT);
    assert!(pool.take(&key(1)).is_none());
    assert_eq!(pool.lock().count, 0);
}

#[tokio::test]
async fn what_was_closed_or_spoke_unasked_is_not_used_again() {
    let (_clock, pool) = pool(4);
    let (theirs, ours) = connection().await;
    pool.put(key(1), ours);
    drop(theirs);
    until(|| !is_silent(&pool, 1)).await;
    assert!(pool.take(&key(1)).is_none());
    let (mut theirs, ours) = connection().await;
    pool.put(key(2), ours);
    theirs
        .write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        .await
        .unwrap();
    until(|| !is_silent(&pool, 2)).await;
    assert!(pool.take(&key(2)).is_none());
}

#[tokio::test]
async fn a_connection_in_the_middle_of_an_answer_is_not_kept() {
    let (_clock, pool) = pool(4);
    for fields in ["content-length: 1", "content-length: 0\r\nconnection: close"] {
        let (mut theirs, mut ours) = connection().await;
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        theirs.write_all(head.as_bytes()).await.unwrap();
        ours.head(false, PATIENCE).await.unwrap();
        pool.put(key(1), ours);
    }
    assert!(pool.take(&key(1)).is_none());
}

#[tokio::test]
async fn a_sweep_closes_what_nobody_asks_for_and_ends_with_the_last() {
    let (clock, pool) = pool(4);
    let (theirs, ours) = connection().await;
    pool.put(key(1), ours);
    let (_stays, ours) = connection().await;
    pool.put(key(2), ours);
    drop(theirs);
    until(|| !is_silent(&pool, 1)).await;
    clock.advance(SWEEP_PAUSE);
    until(|| pool.lock().count == 1).await;
    assert!(pool.lock().swept);
    clock.advance(IDLE_TIMEOUT);
    until(|| {
        clock.advance(SWEEP_PAUSE);
        Arc::strong_count(&pool) == 1
    })
    .await;
    assert!(pool.lock().by_place.is_empty() && !pool.lock().swept);
}
