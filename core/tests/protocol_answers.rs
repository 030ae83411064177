//! What becomes of an upstream's answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::Duration;

use shapegate_core::answer::{
    Audience, Expected, HeaderRule, Passed, Varies, cache_control, etag_for_client, header_rule,
    if_none_match_for_upstream, judge, next_cursor, nothing_new, rejected,
};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::handle::{ClientHandle, HandleBinding, UpstreamHandle};
use shapegate_core::request::{Live, Offset, Verb};
use shapegate_core::time::UnixMillis;

const HANDLE: &str = "3921433-1795406660845691";

const fn read(live: Live) -> Expected {
    Expected {
        verb: Verb::Get,
        live,
        conditional: false,
    }
}

/// Judges an answer with the headers of a healthy one, changed as told: `None` takes one away.
fn judged(
    expected: Expected,
    status: u16,
    changes: &[(&str, Option<&'static str>)],
) -> Result<Passed, Refusal> {
    let content_type = if expected.live == Live::Sse {
        "text/event-stream"
    } else {
        "application/json; charset=utf-8"
    };
    let described = if expected.live == Live::No {
        "electric-schema"
    } else {
        "electric-cursor"
    };
    let healthy = [
        ("content-type", content_type),
        ("electric-handle", HANDLE),
        ("electric-offset", "0_0"),
        (described, "1"),
    ];
    judge(expected, status, |name| {
        if let Some((_, value)) = changes.iter().find(|(changed, _)| *changed == name) {
            return *value;
        }
        healthy
            .iter()
            .find(|(healthy, _)| *healthy == name)
            .map(|(_, value)| *value)
    })
}

fn code(expected: Expected, status: u16, changes: &[(&str, Option<&'static str>)]) -> (Code, u16) {
    let refusal = judged(expected, status, changes).expect_err("should be refused");
    (refusal.code, refusal.status())
}

#[test]
fn a_200_passes_only_with_what_clients_need() {
    for live in [Live::No, Live::Poll, Live::Sse] {
        let passed = judged(read(live), 200, &[]).unwrap();
        let Passed::Content { handle, offset } = passed else {
            panic!("{passed:?}")
        };
        assert_eq!((handle.as_str(), offset.to_string().as_str()), (HANDLE, "0_0"));
        for broken in [
            ("electric-handle", None),
            ("electric-handle", Some("")),
            ("electric-handle", Some("a b")),
            ("electric-offset", None),
            ("electric-offset", Some("x")),
            (
                if live == Live::No {
                    "electric-schema"
                } else {
                    "electric-cursor"
                },
                None,
            ),
            ("content-type", None),
            ("content-type", Some("text/html")),
            (
                "content-type",
                Some(if live == Live::Sse {
                    "application/json"
                } else {
                    "text/event-stream"
                }),
            ),
        ] {
            assert_eq!(
                code(read(live), 200, &[broken]),
                (Code::UpstreamInvalid, 502),
                "{live:?} {broken:?}"
            );
        }
    }
}

#[test]
fn a_subset_needs_no_schema() {
    let subset = Expected {
        verb: Verb::Post,
        live: Live::No,
        conditional: false,
    };
    assert!(judged(subset, 200, &[("electric-schema", None)]).is_ok());
    assert_eq!(
        code(subset, 200, &[("electric-handle", None)]),
        (Code::UpstreamInvalid, 502)
    );
}

#[test]
fn every_other_status_means_something_to_a_client() {
    let read = read(Live::No);
    for (status, expected) in [
        (201, (Code::UpstreamInvalid, 502)),
        (202, (Code::UpstreamInvalid, 502)),
        (204, (Code::UpstreamInvalid, 502)),
        (206, (Code::UpstreamInvalid, 502)),
        (301, (Code::UpstreamInvalid, 502)),
        (304, (Code::UpstreamInvalid, 502)),
        (400, (Code::UpstreamRejected, 400)),
        (401, (Code::UpstreamMisconfigured, 502)),
        (403, (Code::UpstreamMisconfigured, 502)),
        (404, (Code::UpstreamMisconfigured, 502)),
        (405, (Code::UpstreamMisconfigured, 502)),
        (414, (Code::UpstreamInvalid, 502)),
        (429, (Code::RateLimited, 429)),
        (500, (Code::UpstreamFailed, 502)),
        (502, (Code::UpstreamFailed, 502)),
        (503, (Code::UpstreamUnavailable, 503)),
        (504, (Code::UpstreamTimeout, 504)),
        (599, (Code::UpstreamFailed, 502)),
    ] {
        assert_eq!(code(read, status, &[]), expected, "{status}");
    }
}

#[test]
fn a_304_passes_only_when_it_was_asked_for() {
    let conditional = Expected {
        conditional: true,
        ..read(Live::No)
    };
    assert_eq!(judged(conditional, 304, &[]).unwrap(), Passed::NotModified);
}

#[test]
fn a_409_passes_with_the_new_handle_or_without() {
    let passed = judged(read(Live::Poll), 409, &[]).unwrap();
    assert_eq!(
        passed,
        Passed::MustRefetch {
            handle: UpstreamHandle::parse(HANDLE)
        }
    );
    let none = judged(read(Live::Poll), 409, &[("electric-handle", None)]).unwrap();
    assert_eq!(none, Passed::MustRefetch { handle: None });
    assert_eq!(
        code(read(Live::Poll), 409, &[("electric-handle", Some("a b"))]),
        (Code::UpstreamInvalid, 502)
    );
}

#[test]
fn a_retry_after_is_kept_within_bounds() {
    for (sent, kept) in [
        (Some("7"), 7),
        (Some(" 10 "), 10),
        (None, 5),
        (Some("Mon, 23 Nov 2026 04:04:20 GMT"), 5),
        (Some("-1"), 5),
        (Some("0"), 1),
        (Some("99999999999"), 3600),
    ] {
        for status in [429, 503] {
            let refusal = judged(read(Live::No), status, &[("retry-after", sent)]).unwrap_err();
            assert_eq!(refusal.retry_after, Some(Duration::from_secs(kept)), "{sent:?}");
        }
    }
}

#[test]
fn a_deletion_is_answered_by_its_own_statuses() {
    let delete = Expected {
        verb: Verb::Delete,
        live: Live::No,
        conditional: false,
    };
    assert_eq!(
        judged(delete, 202, &[("electric-handle", None)]).unwrap(),
        Passed::Deleted
    );
    assert_eq!(code(delete, 404, &[]), (Code::NotFound, 404));
    assert_eq!(code(delete, 405, &[]), (Code::MethodNotAllowed, 405));
    assert_eq!(code(delete, 401, &[]), (Code::UpstreamMisconfigured, 502));
    assert_eq!(code(delete, 409, &[]), (Code::UpstreamInvalid, 502));
}

#[test]
fn a_400_tells_the_client_the_parameter_and_the_log_the_rest() {
    let body = br#"{"message":"Invalid request","errors":{"where":["unknown reference ssn"],"<b>":[1],"subset":{}}}"#;
    let refusal = rejected(body);
    assert_eq!((refusal.code, refusal.status()), (Code::UpstreamRejected, 400));
    assert_eq!(
        refusal.message,
        "Electric refused the request as invalid: where, subset."
    );
    assert!(refusal.detail.unwrap().contains("unknown reference ssn"));
    for garbage in [
        &b"<html>"[..],
        b"{\"errors\":[]}",
        b"\xff\xfe",
        b"{\"errors\":{\"a\":1,\"a\":2}}",
        &[b'['; 100_000],
    ] {
        let refusal = rejected(garbage);
        assert_eq!(refusal.message, "Electric refused the request as invalid.");
        assert!(refusal.detail.unwrap().len() <= 3 * 4096);
    }
}

#[test]
fn headers_pass_by_an_allow_list() {
    for name in [
        "electric-offset",
        "electric-schema",
        "electric-cursor",
        "electric-up-to-date",
        "electric-has-data",
        "electric-snapshot",
        "electric-internal-known-error",
        "retry-after",
        "content-type",
    ] {
        assert_eq!(header_rule(name), HeaderRule::Pass, "{name}");
    }
    for name in ["electric-handle", "etag"] {
        assert_eq!(header_rule(name), HeaderRule::Rebind, "{name}");
    }
    for name in [
        "electric-server",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "set-cookie",
        "surrogate-control",
        "server",
        "via",
        "location",
        "cache-control",
        "vary",
        "content-encoding",
        "x-request-id",
        "electric-something-new",
        "www-authenticate",
        "Electric-Offset",
        "alt-svc",
    ] {
        assert_eq!(header_rule(name), HeaderRule::Drop, "{name}");
    }
}

#[test]
fn only_a_public_read_gets_electrics_cache_control() {
    let electric = "public, max-age=60, stale-while-revalidate=300";
    let control = |audience, verb, status, live| cache_control(audience, verb, status, live, Some(electric));
    assert_eq!(
        control(Audience::Private, Verb::Get, 200, Live::No),
        "private, no-cache"
    );
    assert_eq!(
        control(Audience::Private, Verb::Get, 304, Live::No),
        "private, no-cache"
    );
    assert_eq!(
        control(Audience::Private, Verb::Get, 200, Live::Sse),
        "private, no-cache, no-transform"
    );
    assert_eq!(
        control(Audience::Private, Verb::Get, 409, Live::No),
        "private, no-store"
    );
    assert_eq!(
        control(Audience::Private, Verb::Post, 200, Live::No),
        "private, no-cache"
    );
    assert_eq!(control(Audience::Public, Verb::Get, 200, Live::No), electric);
    assert_eq!(control(Audience::Public, Verb::Head, 409, Live::No), electric);
    assert_eq!(control(Audience::Public, Verb::Post, 200, Live::No), "no-cache");
    for status in [400, 401, 403, 404, 408, 410, 429, 500, 502, 503] {
        assert_eq!(
            control(Audience::Public, Verb::Get, status, Live::No),
            "no-store",
            "{status}"
        );
        assert_eq!(
            control(Audience::Private, Verb::Get, status, Live::No),
            "no-store",
            "{status}"
        );
    }
    for odd in ["", "public\r\nset-cookie: a=b", "ü"] {
        assert_eq!(
            cache_control(Audience::Public, Verb::Get, 200, Live::No, Some(odd)),
            "no-cache"
        );
    }
}

#[test]
fn vary_names_what_decides() {
    assert_eq!(Varies::default().header(), None);
    let some = Varies {
        authorization: true,
        origin: true,
        ..Varies::default()
    };
    assert_eq!(some.header().unwrap(), "authorization, origin");
}

#[test]
fn cursors_are_those_that_electric_computes() {
    // As recorded: no cursor came, at 2026-11-23T04:04:21Z.
    assert_eq!(
        next_cursor(UnixMillis::from_seconds(1_795_406_661), None, 7),
        66_974_680
    );
    let on_the_edge = UnixMillis(1_728_432_040_999);
    assert_eq!(next_cursor(on_the_edge, None, 7), 40);
    assert_eq!(next_cursor(on_the_edge, Some(39), 7), 40);
    assert_eq!(next_cursor(on_the_edge, Some(40), 0), 41);
    assert_eq!(next_cursor(on_the_edge, Some(40), 3599), 3640);
    assert_eq!(next_cursor(on_the_edge, Some(40), 3600), 41);
    assert_eq!(next_cursor(UnixMillis(0), Some(u64::MAX), 9), u64::MAX);
    assert_eq!(next_cursor(UnixMillis(i64::MIN), None, 0), 0);
}

#[test]
fn a_wait_that_ends_early_gets_what_a_timeout_of_electric_gets() {
    let handle = ClientHandle::parse(HANDLE).unwrap();
    let offset = Offset::parse("29092960_0").unwrap();
    let answer = nothing_new(Live::Poll, &handle, offset, 66_977_589);
    assert_eq!(
        answer.body,
        r#"[{"headers":{"control":"up-to-date","global_last_seen_lsn":"29092960"}}]"#
    );
    let expected = [
        ("cache-control", "private, no-store"),
        ("content-type", "application/json; charset=utf-8"),
        ("electric-cursor", "66977589"),
        ("electric-handle", HANDLE),
        ("electric-has-data", "false"),
        ("electric-offset", "29092960_0"),
        ("electric-up-to-date", ""),
    ];
    assert!(
        answer
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .eq(expected)
    );

    let stream = nothing_new(Live::Sse, &handle, offset, 1);
    assert_eq!(stream.body, ": keep-alive\n\n");
    assert!(
        stream
            .headers
            .contains(&("content-type", "text/event-stream".to_owned()))
    );
}

#[test]
fn what_is_made_here_passes_our_own_rules() {
    let handle = ClientHandle::parse(HANDLE).unwrap();
    for live in [Live::Poll, Live::Sse] {
        let answer = nothing_new(live, &handle, Offset::parse("0_inf").unwrap(), 20);
        let header = |name: &str| {
            answer
                .headers
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value.as_str())
        };
        assert!(matches!(
            judge(read(live), 200, header),
            Ok(Passed::Content { .. })
        ));
    }
}

#[test]
fn entity_tags_go_both_ways_and_nothing_else_goes_up() {
    let binding = HandleBinding::untagged();
    let etag = format!("\"{HANDLE}:0_0:0_inf\"");
    assert_eq!(etag_for_client(&etag, &binding).as_ref(), Some(&etag));
    assert_eq!(if_none_match_for_upstream(&etag, &binding).as_ref(), Some(&etag));
    let weak = format!("W/{etag} , \"a:-1:0_0:-576460722140590926\",*,\"x\", \"b c:1:2\"");
    let strong = format!("{etag}, \"a:-1:0_0:-576460722140590926\"");
    assert_eq!(if_none_match_for_upstream(&weak, &binding), Some(strong));
    for other in [
        "*",
        "",
        "\"\"",
        "\":1:2\"",
        "a:1:2",
        "\"a:1:2\r\nx: y\"",
        "\"a:1\"2\"",
        "\"a:😀\"",
    ] {
        assert_eq!(if_none_match_for_upstream(other, &binding), None, "{other}");
        assert_eq!(etag_for_client(other, &binding), None, "{other}");
    }
    let many = vec![etag.as_str(); 100].join(",");
    assert_eq!(
        if_none_match_for_upstream(&many, &binding)
            .unwrap()
            .matches(HANDLE)
            .count(),
        8
    );
}
