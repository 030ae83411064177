//! A `content-encoding` that nobody asked for, against what the body begins with.

use shapegate_core::answer::{EncodingVerdict, encoding_verdict};

#[test]
fn an_encoding_header_over_plain_text_is_found_out() {
    for plain in [
        &br#"[{"key":"a"}]"#[..],
        br#"[{"headers":{"control":"must-refetch"}}]"#,
        br#"{"metadata":{}}"#,
        b"[\n{\"key\":1}]",
        b"data: {\"a\":1}\n\n",
        b": keep-alive\n\n",
    ] {
        assert_eq!(encoding_verdict(plain, false), EncodingVerdict::Plain);
        for cut in 0..8 {
            assert_eq!(
                encoding_verdict(&plain[..cut], false),
                EncodingVerdict::NeedsMore,
                "{cut}"
            );
        }
    }
    assert_eq!(encoding_verdict(b"[]", true), EncodingVerdict::Plain);
    assert_eq!(encoding_verdict(b"", true), EncodingVerdict::Plain);
}

#[test]
fn a_body_that_is_encoded_or_cannot_be_told_is_not_taken_for_plain() {
    assert_eq!(encoding_verdict(&[0x1f, 0x8b], false), EncodingVerdict::Encoded);
    assert_eq!(
        encoding_verdict(&[0x28, 0xb5, 0x2f, 0xfd], false),
        EncodingVerdict::Encoded
    );
    for unclear in [
        // What brotli and deflate may begin with: the first byte is that of `[` or of `{`.
        &[0x5b, 0x07, 0x00, 0xf8, 0xc5, 0x01, 0x02, 0x03][..],
        &[0x7b, 0x22, 0x00, 0xf8, 0xc5, 0x01, 0x02, 0x03],
        &[0x78, 0x9c, 0xab, 0x56, 0x4a, 0xce, 0x4f, 0x49],
        b"[{\"key\"\0",
        b"<!doctype html>",
        b"[[1,2,3,4,5]]",
        b"{key: 12345}",
        b"null    ",
        b"\xef\xbb\xbf[{\"key",
    ] {
        assert_eq!(
            encoding_verdict(unclear, false),
            EncodingVerdict::Unclear,
            "{unclear:?}"
        );
        assert_eq!(
            encoding_verdict(unclear, true),
            EncodingVerdict::Unclear,
            "{unclear:?}"
        );
    }
    assert_eq!(encoding_verdict(b"[", true), EncodingVerdict::Unclear);
}
