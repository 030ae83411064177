#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use proptest::prelude::*;

use super::*;

/// Takes all that comes in pieces that end at `splits`.
fn taken(mut body: Body, wire: &[u8], splits: &[usize]) -> Result<(Vec<u8>, Bytes, bool), WireError> {
    let mut ends: Vec<usize> = splits.iter().map(|split| split % (wire.len() + 1)).collect();
    ends.push(wire.len());
    ends.sort_unstable();
    let (mut got, mut come, mut start) = (Vec::new(), Bytes::new(), 0);
    for end in ends {
        come = Bytes::from([&come[..], &wire[start..end]].concat());
        start = end;
        loop {
            match body.take(&mut come)? {
                Next::Piece(piece) => got.extend_from_slice(&piece),
                Next::End => break,
                Next::More(_) => break,
            }
        }
    }
    Ok((got, come, body.is_ended()))
}

fn chunked(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        wire.extend_from_slice(format!("{:X};name=\"value\"\r\n", piece.len()).as_bytes());
        wire.extend_from_slice(piece);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n");
    wire
}

proptest! {
    #[test]
    fn chunks_give_their_bytes_however_they_come(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        trailers in prop::collection::vec("[a-z]{1,9}: [a-z]{0,9}", 0..3),
        splits in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut wire = chunked(&pieces);
        for trailer in trailers {
            wire.extend_from_slice(format!("{trailer}\r\n").as_bytes());
        }
        wire.extend_from_slice(b"\r\nHTTP/1.1 200 OK");
        let (got, left, ended) = taken(Body::chunked(), &wire, &splits).unwrap();
        prop_assert!(ended);
        prop_assert_eq!(got, pieces.concat());
        prop_assert_eq!(&left[..], b"HTTP/1.1 200 OK");
    }

    #[test]
    fn chunks_that_are_cut_off_never_end(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 1..5),
        cut in any::<usize>(),
        splits in prop::collection::vec(any::<usize>(), 0..9),
    ) {
        let mut wire = chunked(&pieces);
        wire.extend_from_slice(b"\r\n");
        wire.truncate(cut % wire.len());
        let mut body = Body::chunked();
        let mut come = Bytes::from(wire.clone());
        while matches!(body.take(&mut come).unwrap(), Next::Piece(_)) {}
        prop_assert!(!body.close());
        prop_assert!(!taken(Body::chunked(), &wire, &splits).unwrap().2);
    }

    #[test]
    fn a_length_is_kept_to_the_byte(
        wire in prop::collection::vec(any::<u8>(), 0..500),
        length in 0..600_usize,
        splits in prop::collection::vec(any::<usize>(), 0..9),
    ) {
        let (got, left, ended) = taken(Body::of_length(length as u64), &wire, &splits).unwrap();
        let due = length.min(wire.len());
        prop_assert_eq!(&got[..], &wire[..due]);
        prop_assert_eq!(&left[..], &wire[due..]);
        prop_assert_eq!(ended, length <= wire.len());
    }

    #[test]
    fn nothing_that_comes_makes_it_panic_or_run_on(wire in prop::collection::vec(any::<u8>(), 0..500)) {
        let mut come = Bytes::from(wire);
        let mut body = Body::chunked();
        while matches!(body.take(&mut come), Ok(Next::Piece(_))) {}
    }
}

#[test]
fn malformed_chunks_are_errors() {
    let long_line = format!("1;{}\r\n", "x".repeat(SIZE_LINE_BYTES_MAX));
    let cases = [
        "x\r\n",
        "-1\r\na\r\n",
        "2\r\nabc\r\n",
        "2\r\nab\n0\r\n\r\n",
        "11111111111111111\r\n",
        &long_line[..SIZE_LINE_BYTES_MAX + 1],
    ];
    for wire in cases {
        assert!(taken(Body::chunked(), wire.as_bytes(), &[]).is_err(), "{wire:?}");
    }
    let trailers = format!("0\r\nname: {}", "x".repeat(TRAILERS_BYTES_MAX));
    assert!(taken(Body::chunked(), trailers.as_bytes(), &[]).is_err());
    let many = format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS_BYTES_MAX / 4 + 1));
    assert!(taken(Body::chunked(), many.as_bytes(), &[]).is_err());
}

#[test]
fn a_body_without_a_frame_ends_with_its_connection_alone() {
    let mut body = Body::until_close();
    let mut come = Bytes::from_static(b"half");
    assert_eq!(
        body.take(&mut come).unwrap(),
        Next::Piece(Bytes::from_static(b"half"))
    );
    assert_eq!(body.take(&mut come).unwrap(), Next::More(u64::MAX));
    assert!(body.close());
    let mut body = Body::of_length(3);
    assert!(!body.close());
}
