//! From when until when a token holds.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shapegate::identity::{Algorithm, IssuerSource};
use shapegate_core::code::Code;
use shapegate_core::time::{UnixMillis, Until};

use crate::support::{
    Bench, NOW_SECONDS, ask, ask_at, assert_invalid, claims_with, claims_without, good_claims, later,
    methods_of, now, signer,
};

#[test]
fn an_expiry_that_is_not_a_finite_date_is_refused() {
    let bench = Bench::new();
    assert_eq!(
        bench.verdict(&claims_without("exp")),
        Some(Code::TokenInvalid),
        "missing"
    );
    let not_dates = [
        "null",
        "\"1999999999\"",
        "1e400",
        "-1",
        "-0.5",
        "true",
        "[1999999999]",
        "{}",
        "1999999999000",
        "1e300",
        "18446744073709551615",
        "99999999999999999999999",
        "253402300800",
        "NaN",
        "Infinity",
        "0x77359400",
    ];
    for text in not_dates {
        assert_eq!(
            bench.verdict_of_text("exp", text),
            Some(Code::TokenInvalid),
            "{text}"
        );
    }
    for text in ["1999999999", "1999999999.5", "1.9e9", "2e9", "253402300799"] {
        assert_eq!(bench.verdict_of_text("exp", text), None, "{text}");
    }
    assert_eq!(
        bench.verdict_of_text("exp", "0"),
        Some(Code::TokenExpired),
        "a date, and past"
    );
}

#[test]
fn a_token_holds_until_its_expiry_and_the_leeway_are_past() {
    let bench = Bench::new();
    let expired = |exp: Json| bench.verdict(&claims_with("exp", exp));
    assert_eq!(expired(json!(NOW_SECONDS)), None);
    assert_eq!(
        expired(json!(NOW_SECONDS - 60)),
        None,
        "the last moment of the leeway"
    );
    assert_eq!(expired(json!(NOW_SECONDS - 61)), Some(Code::TokenExpired));
    assert_eq!(
        bench.verdict_of_text("exp", "1699999939.999"),
        Some(Code::TokenExpired),
        "a millisecond later"
    );
}

#[test]
fn the_identity_ends_when_the_token_does_on_both_clocks() {
    let bench = Bench::new();
    let identity = ask(&methods_of(&bench.signer), &bench.signer.token(&good_claims())).unwrap();
    let end = UnixMillis::from_seconds(NOW_SECONDS + 360).plus(Duration::from_millis(1));
    assert_eq!(identity.valid_until(), Some(Until::at_wall(now(), end)));
    assert!(
        !identity
            .valid_until()
            .unwrap()
            .is_over(later(Duration::from_secs(360)))
    );
    assert!(
        identity
            .valid_until()
            .unwrap()
            .is_over(later(Duration::from_millis(360_001)))
    );
}

#[test]
fn a_token_that_does_not_hold_yet_is_refused_and_so_is_a_begin_that_is_no_date() {
    let bench = Bench::new();
    assert_eq!(
        bench.verdict(&claims_with("nbf", NOW_SECONDS + 60)),
        None,
        "within the leeway"
    );
    assert_eq!(
        bench.verdict(&claims_with("nbf", NOW_SECONDS + 61)),
        Some(Code::TokenInvalid)
    );
    for begin in [
        json!((NOW_SECONDS - 100).to_string()),
        json!(null),
        json!([NOW_SECONDS]),
        json!(-1),
    ] {
        assert_eq!(
            bench.verdict(&claims_with("nbf", begin.clone())),
            Some(Code::TokenInvalid),
            "{begin}"
        );
        assert_eq!(
            bench.verdict(&claims_with("iat", begin.clone())),
            Some(Code::TokenInvalid),
            "{begin}"
        );
    }
}

#[test]
fn a_token_issued_in_the_future_is_refused() {
    let bench = Bench::new();
    assert_eq!(
        bench.verdict(&claims_with("iat", NOW_SECONDS + 60)),
        None,
        "within the leeway"
    );
    assert_eq!(
        bench.verdict(&claims_with("iat", NOW_SECONDS + 61)),
        Some(Code::TokenInvalid)
    );
}

#[test]
fn a_token_that_lasts_longer_than_the_cap_is_refused() {
    let bench = Bench::new();
    let capped = || IssuerSource {
        lifetime_max: Some(Duration::from_secs(3_600)),
        ..bench.source()
    };
    let lasting = |seconds: i64| claims_with("exp", NOW_SECONDS + seconds);
    assert_eq!(bench.verdict_by(capped(), &lasting(3_600)), None);
    assert_eq!(
        bench.verdict_by(capped(), &lasting(3_601)),
        Some(Code::TokenInvalid)
    );
    assert_eq!(bench.verdict(&lasting(10 * 365 * 86_400)), None, "no cap");

    let mut without_iat = lasting(3_661);
    without_iat.as_object_mut().unwrap().remove("iat");
    assert_eq!(
        bench.verdict_by(capped(), &without_iat),
        Some(Code::TokenInvalid),
        "counted from now, with leeway"
    );
    without_iat["exp"] = json!(NOW_SECONDS + 3_660);
    assert_eq!(bench.verdict_by(capped(), &without_iat), None);

    let mut young = lasting(3_600 + 60);
    young["iat"] = json!(NOW_SECONDS + 60);
    assert_eq!(bench.verdict_by(capped(), &young), None, "a clock that is ahead");
    young["iat"] = json!(NOW_SECONDS + 3_600);
    assert_eq!(
        bench.verdict_by(capped(), &young),
        Some(Code::TokenInvalid),
        "no date in the future helps"
    );
}

#[test]
fn the_client_learns_that_a_token_has_expired_only_when_nothing_else_is_wrong() {
    let bench = Bench::new();
    let methods = methods_of(&bench.signer);
    let mut claims = claims_with("exp", NOW_SECONDS - 1_000);
    let refusal = ask(&methods, &bench.signer.token(&claims)).unwrap_err();
    assert_eq!(
        (refusal.code, &*refusal.message),
        (Code::TokenExpired, "The token has expired.")
    );
    let forged = signer(Algorithm::HS256).token(&claims);
    assert_invalid(&methods, &forged, "expired and forged");
    claims["aud"] = json!("other");
    assert_invalid(&methods, &bench.signer.token(&claims), "expired and for others");
}

#[test]
fn a_token_is_judged_by_the_time_it_is_shown_and_not_by_the_machines_clock() {
    let bench = Bench::new();
    let token = bench.signer.token(&good_claims());
    let methods = methods_of(&bench.signer);
    let refusal = ask_at(&methods, &token, later(Duration::from_secs(361))).unwrap_err();
    assert_eq!(refusal.code, Code::TokenExpired);
    assert!(
        ask_at(&methods, &token, now()).is_ok(),
        "years ago by any other clock"
    );
}
