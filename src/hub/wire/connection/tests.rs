#![allow(clippy::unwrap_used, clippy::panic)]

use pingora_core::protocols::l4::stream::Stream as L4Stream;
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// How long the upstream may be silent here.
const SILENCE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";

/// An upstream's end, which was asked and has said this much, and ours.
async fn having_said(said: &[u8]) -> (TcpStream, Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut theirs, _) = listener.accept().await.unwrap();
    theirs.write_all(said).await.unwrap();
    let mut connection = Connection::new(Box::new(L4Stream::from(ours)));
    let request = b"GET / HTTP/1.1\r\n\r\n";
    connection.send(request, PATIENCE).await.unwrap();
    (theirs, connection)
}

fn assert_timed_out<T>(answered: &Result<T, WireError>) {
    let Err(error) = answered else {
        panic!("an answer, out of nothing")
    };
    assert!(matches!(error, WireError::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn an_upstream_that_says_nothing_or_stops_in_its_header_is_given_up() {
    for said in [&b""[..], b"HTTP/1.1", &HEAD[..HEAD.len() - 1]] {
        let (_theirs, mut connection) = having_said(said).await;
        let head = tokio::time::timeout(PATIENCE, connection.head(false, SILENCE)).await;
        assert_timed_out(&head.unwrap());
        assert!(!connection.is_at_rest(), "nobody is given what comes of it later");
    }
}

#[tokio::test]
async fn an_upstream_that_stops_in_its_body_is_given_up_after_what_it_said() {
    let (_theirs, mut connection) = having_said(&[HEAD, b"abc"].concat()).await;
    connection.head(false, PATIENCE).await.unwrap();
    let mut come = Vec::new();
    while come.len() < 3 {
        come.extend(connection.next(PATIENCE).await.unwrap().unwrap());
    }
    assert_eq!(come, b"abc");
    let next = tokio::time::timeout(PATIENCE, connection.next(SILENCE)).await;
    assert_timed_out(&next.unwrap());
    assert!(!connection.is_at_rest());
}
