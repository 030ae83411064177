#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::hub::wire::body::Next;

fn take(wire: &str) -> Result<Option<(AnswerHead, Bytes)>, WireError> {
    let mut come = Bytes::copy_from_slice(wire.as_bytes());
    let answer = AnswerHead::take(&mut come, false)?;
    Ok(answer.map(|answer| (answer, come)))
}

fn whole(wire: &str) -> AnswerHead {
    take(wire).unwrap().unwrap().0
}

#[test]
fn a_header_is_status_fields_and_a_frame_and_leaves_what_follows() {
    let wire =
        "HTTP/1.1 200 OK\r\nElectric-Handle: 1-2\r\nvary: a\r\nvary: b\r\ncontent-length: 3\r\n\r\n[1]rest";
    let (mut answer, mut come) = take(wire).unwrap().unwrap();
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.headers["electric-handle"], "1-2");
    assert_eq!(answer.head.headers.get_all("vary").iter().count(), 2);
    assert!(answer.keeps);
    assert_eq!(
        answer.body.take(&mut come).unwrap(),
        Next::Piece(Bytes::from_static(b"[1]"))
    );
    assert_eq!(answer.body.take(&mut come).unwrap(), Next::End);
    assert_eq!(&come[..], b"rest");
}

#[test]
fn interim_answers_are_skipped_and_a_change_of_protocol_is_refused() {
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    assert!(take(early).unwrap().is_none());
    assert_eq!(
        whole(&format!("{early}HTTP/1.1 204 No Content\r\n\r\n"))
            .head
            .status,
        204
    );
    assert!(take("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err());
}

#[test]
fn frames_that_two_could_read_differently_are_refused() {
    for fields in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "content-length: 3\r\ncontent-length: 4",
        "content-length: 3, 3",
        "content-length: +3",
        "content-length: ",
        "content-length: 99999999999999999999",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: identity",
    ] {
        let wire = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        assert!(take(&wire).is_err(), "{fields}");
    }
    assert!(whole("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\n").keeps);
}

#[test]
fn answers_that_have_no_body_have_none_whatever_they_say() {
    for wire in [
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 204 No\r\n\r\n",
    ] {
        let answer = whole(wire);
        assert!(answer.body.is_ended() && answer.keeps, "{wire}");
    }
    let mut come = Bytes::from_static(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert!(
        AnswerHead::take(&mut come, true)
            .unwrap()
            .unwrap()
            .body
            .is_ended()
    );
}

#[test]
fn a_connection_is_kept_only_when_both_mean_to() {
    let keeps = |start: &str| whole(&format!("{start}\r\ncontent-length: 0\r\n\r\n")).keeps;
    assert!(keeps("HTTP/1.1 200 OK"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nconnection: Close"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nconnection: keep-alive, close"));
    assert!(!keeps("HTTP/1.0 200 OK"));
    assert!(keeps("HTTP/1.0 200 OK\r\nconnection: keep-alive"));
    assert!(!whole("HTTP/1.1 200 OK\r\n\r\n").keeps, "its body ends with it");
}

#[test]
fn what_is_no_header_is_an_error_and_a_long_one_too() {
    for wire in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
    ] {
        assert!(take(wire).is_err(), "{wire:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(HEAD_BYTES_MAX));
    assert!(take(&long).is_err());
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
    assert!(take(&many).is_err());
}

proptest! {
    #[test]
    fn a_header_is_the_same_however_it_comes(split in 0..90_usize) {
        let wire = b"HTTP/1.1 200 OK\r\nelectric-offset: 0_0\r\netag: \"1-2:3\"\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        let mut come = Bytes::copy_from_slice(&wire[..split.min(wire.len())]);
        if let Some(answer) = AnswerHead::take(&mut come, false).unwrap() {
            prop_assert!(!answer.body.is_ended());
            prop_assert!(split >= wire.len() - 5);
        } else {
            prop_assert_eq!(come.len(), split, "nothing is taken of a part");
        }
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(wire in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut come = Bytes::from([b"HTTP/1.1 200 OK\r\n", &wire[..]].concat());
        let _ = AnswerHead::take(&mut come, false);
    }
}
