//! What is recorded, whoever asks for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use pingora_http::RequestHeader;
use shapegate_core::time::{Monotonic, Now, UnixMillis};

use super::span::Nanoseconds;
use super::{
    Arriving, CollectorSettings, Entropy, SampleRatio, SpanContext, Trace, TraceMetrics, Traces,
    TracesSettings,
};
use crate::clock::ManualClock;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn traces(ratio: &str, believes_trusted_proxies: bool, seed: u64) -> Traces {
    let settings = TracesSettings {
        collector: CollectorSettings {
            url: "http://127.0.0.1:9".into(),
            headers: HeaderMap::new(),
            authorities: None,
            timeout: Duration::from_secs(1),
        },
        sample_ratio: SampleRatio::read(ratio).unwrap(),
        believes_trusted_proxies,
        service_name: "test".to_owned(),
        resource: Vec::new(),
    };
    let clock = Arc::new(ManualClock::at(UnixMillis(0)));
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let metrics = TraceMetrics::new().unwrap();
    Traces::start(&settings, &trusted, Entropy::seeded(seed), clock, metrics).unwrap()
}

fn begin(traces: &Traces, peer: &str, traceparent: Option<&str>) -> Trace {
    let mut head = RequestHeader::build("GET", b"/", None).unwrap();
    if let Some(traceparent) = traceparent {
        head.insert_header("traceparent", traceparent).unwrap();
    }
    traces.begin(&Arriving {
        head: &head,
        peer: Some(peer.parse::<IpAddr>().unwrap()),
        tls: false,
        host: None,
    })
}

fn is_recorded(traces: &Traces, peer: &str, traceparent: Option<&str>) -> bool {
    matches!(begin(traces, peer, traceparent), Trace::Recorded(_))
}

#[test]
fn a_ratio_is_a_plain_decimal_number_between_none_and_all() {
    for (text, printed) in [
        ("0", "0"),
        ("1", "1"),
        ("0.0", "0"),
        ("1.000", "1"),
        ("0.01", "0.01"),
        ("0.5", "0.5"),
        ("0.000000001", "0.000000001"),
        ("0.123456789", "0.123456789"),
    ] {
        assert_eq!(SampleRatio::read(text).unwrap().to_string(), printed);
    }
    for text in [
        "",
        ".",
        "1.",
        ".5",
        "1.1",
        "1.000000001",
        "2",
        "-1",
        "+1",
        "01",
        "1e-3",
        "50%",
        "NaN",
        "0.0000000001",
        "0,5",
        "0.5 ",
        "0.+5",
    ] {
        assert_eq!(SampleRatio::read(text), None, "{text}");
    }
}

#[test]
fn a_ratio_takes_that_part_of_all_numbers_to_the_very_ends() {
    let takes = |ratio: &str, drawn| SampleRatio::read(ratio).unwrap().takes(drawn);
    for drawn in [0, 1, u64::MAX / 2, u64::MAX] {
        assert!(takes("1", drawn), "{drawn}");
        assert!(!takes("0", drawn), "{drawn}");
    }
    assert!(takes("0.5", u64::MAX / 2) && !takes("0.5", u64::MAX / 2 + 1));
    assert!(takes("0.25", (1 << 62) - 1) && !takes("0.25", 1 << 62));
}

#[test]
fn what_is_recorded_follows_from_what_is_drawn() {
    let taken = |seed| {
        let (traces, entropy) = (traces("0.1", false, seed), Entropy::seeded(seed));
        // The first draws are those of the process itself.
        let skipped: Vec<u64> = (0..3).map(|_| entropy.draw()).collect();
        assert_eq!(skipped.len(), 3);
        let ratio = SampleRatio::read("0.1").unwrap();
        let recorded = (0..2_000).filter(|_| {
            let recorded = is_recorded(&traces, "192.0.2.1", None);
            assert_eq!(recorded, ratio.takes(entropy.draw()));
            if recorded {
                // Two for the trace, one for the span.
                let spent: [u64; 3] = std::array::from_fn(|_| entropy.draw());
                assert_ne!(spent[0], spent[1]);
            }
            recorded
        });
        recorded.count()
    };
    let counts = [taken(1), taken(2), taken(3)];
    assert!(
        counts.iter().all(|count| (150..250).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_client_cannot_have_itself_recorded_whichever_trace_it_says_to_be_of() {
    for peer in ["192.0.2.1", "10.0.0.1"] {
        let none = traces("0", false, 7);
        assert!((0..1_000).all(|_| !is_recorded(&none, peer, Some(SAMPLED))));
        let all = traces("1", false, 7);
        assert!(is_recorded(&all, peer, Some(UNSAMPLED)));
        // One trace id, as often as it likes: every request is drawn for anew.
        let some = traces("0.1", false, 7);
        let recorded = (0..1_000)
            .filter(|_| is_recorded(&some, peer, Some(SAMPLED)))
            .count();
        assert!((60..140).contains(&recorded), "{recorded}");
    }
}

#[test]
fn a_trusted_proxy_decides_where_that_is_configured_and_others_do_not() {
    let (none, all) = (traces("0", true, 7), traces("1", true, 7));
    assert!(is_recorded(&none, "10.0.0.1", Some(SAMPLED)));
    assert!(!is_recorded(&all, "10.0.0.1", Some(UNSAMPLED)));
    assert!(!is_recorded(&none, "192.0.2.1", Some(SAMPLED)));
    assert!(is_recorded(&all, "192.0.2.1", Some(UNSAMPLED)));
    assert!(is_recorded(&none, "::ffff:10.0.0.1", Some(SAMPLED)));
    // What is malformed says nothing.
    assert!(!is_recorded(&none, "10.0.0.1", Some(&SAMPLED.to_uppercase())));
    assert!(is_recorded(&all, "10.0.0.1", None));
}

#[test]
fn a_flag_that_is_not_ours_is_passed_on_only_where_nothing_is_decided_here() {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", SAMPLED.parse().unwrap());
    let heard = |trace: &Trace| trace.heard(&headers).and_then(SpanContext::header).unwrap();
    assert_eq!(heard(&Trace::Off), SAMPLED);
    assert_eq!(heard(&Trace::Unrecorded), UNSAMPLED);
}

#[test]
fn no_span_ends_before_it_began_however_the_wall_clock_jumps() {
    let began = Now {
        wall: UnixMillis(1_700_000_000_000),
        monotonic: Monotonic(Duration::from_secs(5)),
    };
    let at = |micros| Nanoseconds::of(began, Monotonic(Duration::from_micros(micros)));
    assert_eq!(at(5_000_000).0, 1_700_000_000_000_000_000);
    assert_eq!(at(5_000_250).0, 1_700_000_000_000_250_000);
    assert_eq!(at(0), at(5_000_000), "before the trace there is nothing");
    let before_1970 = Now {
        wall: UnixMillis(-1),
        ..began
    };
    assert_eq!(Nanoseconds::of(before_1970, began.monotonic).0, 0);
}
