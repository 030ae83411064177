//! What a token says: for whom, by whom, from when until when.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shapegate::identity::{
    AUDIENCES_MAX, Algorithm, AudienceRule, ClaimKind, ClaimMapping, ClaimPath, IdentityError,
    IdentityMethods, IdentitySources, IssuerError, IssuerSource, SUBJECT_BYTES_MAX,
};
use shapegate_core::code::Code;

use crate::support::{
    Bench, ISSUER, NOW_SECONDS, ask, claims_with, claims_without, good_claims, issuer, methods, methods_of,
    signer, verdict,
};

#[test]
fn only_the_exact_issuer_is_known() {
    let bench = Bench::new();
    assert_eq!(bench.verdict(&claims_without("iss")), Some(Code::TokenInvalid));
    let others = [
        "https://other.example/",
        "https://acme.example",
        "https://acme.example//",
        "https://ACME.example/",
        "HTTPS://acme.example/",
        "https://аcme.example/",
        "https://acme.example/\u{0}",
        " https://acme.example/",
        "https://acme\u{301}.example/",
        "",
    ];
    for other in others {
        assert_eq!(
            bench.verdict(&claims_with("iss", other)),
            Some(Code::TokenInvalid),
            "{other:?}"
        );
    }
    for other in [json!(null), json!([ISSUER]), json!(1), json!({ "iss": ISSUER })] {
        assert_eq!(
            bench.verdict(&claims_with("iss", other.clone())),
            Some(Code::TokenInvalid),
            "{other}"
        );
    }
}

#[test]
fn precomposed_and_decomposed_names_are_two_issuers() {
    let bench = Bench::new();
    let source = IssuerSource {
        issuer: "https://caf\u{e9}.example/".to_owned(),
        ..bench.source()
    };
    assert_eq!(
        bench.verdict_by(source.clone(), &claims_with("iss", "https://caf\u{e9}.example/")),
        None
    );
    let decomposed = claims_with("iss", "https://cafe\u{301}.example/");
    assert_eq!(bench.verdict_by(source, &decomposed), Some(Code::TokenInvalid));
}

#[test]
fn a_token_is_checked_with_the_keys_and_rules_of_its_own_issuer_alone() {
    let (first, second) = (signer(Algorithm::HS256), signer(Algorithm::HS256));
    let other = IssuerSource {
        issuer: "https://second.example/".to_owned(),
        audience: AudienceRule::Audience(vec!["second".to_owned()]),
        ..issuer(vec![second.source()])
    };
    let methods = methods(vec![issuer(vec![first.source()]), other]);
    assert_eq!(verdict(&methods, &first.token(&good_claims())), None);
    let mut of_second = claims_with("iss", "https://second.example/");
    assert_eq!(
        verdict(&methods, &second.token(&of_second)),
        Some(Code::TokenInvalid),
        "the first's audience"
    );
    of_second["aud"] = json!("second");
    assert_eq!(verdict(&methods, &second.token(&of_second)), None);
    assert_eq!(
        verdict(&methods, &first.token(&of_second)),
        Some(Code::TokenInvalid),
        "the first's key"
    );
    assert_eq!(
        verdict(&methods, &second.token(&good_claims())),
        Some(Code::TokenInvalid),
        "the second's key"
    );
}

#[test]
fn the_audience_must_match_exactly() {
    let bench = Bench::new();
    assert_eq!(bench.verdict(&claims_without("aud")), Some(Code::TokenInvalid));
    let refused = [
        json!(""),
        json!([]),
        json!(null),
        json!(["other"]),
        json!("sync.evil"),
        json!("syn"),
        json!("SYNC"),
        json!("sync "),
        json!({ "sync": true }),
        json!(1),
        json!(["sync", 1]),
        json!([["sync"]]),
        json!([null]),
    ];
    for audience in refused {
        assert_eq!(
            bench.verdict(&claims_with("aud", audience.clone())),
            Some(Code::TokenInvalid),
            "{audience}"
        );
    }
    for audience in [
        json!("sync"),
        json!(["sync"]),
        json!(["other", "sync"]),
        json!(["sync", "sync"]),
    ] {
        assert_eq!(
            bench.verdict(&claims_with("aud", audience.clone())),
            None,
            "{audience}"
        );
    }
}

#[test]
fn a_list_of_audiences_is_bounded_even_with_a_match_in_it() {
    let bench = Bench::new();
    let listed = |others: usize| {
        let mut audience = vec!["x"; others];
        audience.insert(0, "sync");
        bench.verdict(&claims_with("aud", audience))
    };
    assert_eq!(listed(AUDIENCES_MAX - 1), None);
    assert_eq!(listed(AUDIENCES_MAX), Some(Code::TokenInvalid));
    assert_eq!(listed(10_000), Some(Code::TokenInvalid));
}

#[test]
fn where_parties_are_authorised_the_audience_is_not_looked_at_and_azp_is() {
    let bench = Bench::new();
    let parties = AudienceRule::AuthorizedParties(vec!["https://app.example".to_owned()]);
    let source = || IssuerSource {
        audience: parties.clone(),
        ..bench.source()
    };
    assert_eq!(
        bench.verdict_by(source(), &good_claims()),
        Some(Code::TokenInvalid),
        "an audience does not do"
    );
    let mut claims = claims_without("aud");
    claims["azp"] = json!("https://app.example");
    assert_eq!(bench.verdict_by(source(), &claims), None);
    for party in [
        json!("https://app.example/"),
        json!(["https://app.example"]),
        json!(""),
        json!(null),
    ] {
        claims["azp"] = party.clone();
        assert_eq!(
            bench.verdict_by(source(), &claims),
            Some(Code::TokenInvalid),
            "{party}"
        );
    }
}

#[test]
fn any_audience_is_taken_only_under_its_insecure_name() {
    let bench = Bench::new();
    let source = IssuerSource {
        audience: AudienceRule::InsecureAny,
        ..bench.source()
    };
    assert_eq!(bench.verdict_by(source, &claims_without("aud")), None);
}

#[test]
fn rules_that_could_take_anything_or_nothing_do_not_load() {
    let bench = Bench::new();
    let refuse = |source: IssuerSource, error: IssuerError| {
        let sources = IdentitySources {
            issuers: vec![source],
            ..IdentitySources::default()
        };
        let errors = IdentityMethods::compile(sources).map(|_| ()).unwrap_err();
        assert_eq!(errors, [IdentityError::Issuer { place: 0, error }]);
    };
    for names in [
        vec![],
        vec![String::new()],
        vec!["sync".to_owned(), String::new()],
    ] {
        let audience = AudienceRule::Audience(names.clone());
        refuse(
            IssuerSource {
                audience,
                ..bench.source()
            },
            IssuerError::AudienceEmpty,
        );
        let audience = AudienceRule::AuthorizedParties(names);
        refuse(
            IssuerSource {
                audience,
                ..bench.source()
            },
            IssuerError::AudienceEmpty,
        );
    }
    refuse(
        IssuerSource {
            issuer: String::new(),
            ..bench.source()
        },
        IssuerError::IssuerEmpty,
    );
    refuse(
        IssuerSource {
            lifetime_max: Some(Duration::ZERO),
            ..bench.source()
        },
        IssuerError::LifetimeZero,
    );
    let twice = vec![mapping("org", "o.id", ClaimKind::Any); 2];
    refuse(
        IssuerSource {
            claims: twice,
            ..bench.source()
        },
        IssuerError::ClaimTwice("org".to_owned()),
    );
}

#[test]
fn every_issuer_that_is_wrong_is_named_and_two_of_one_name_are() {
    let bench = Bench::new();
    let keyless = IssuerSource {
        issuer: "b".to_owned(),
        keys: Vec::new(),
        ..bench.source()
    };
    let issuers = vec![bench.source(), keyless, bench.source()];
    let sources = IdentitySources {
        issuers,
        ..IdentitySources::default()
    };
    let errors = IdentityMethods::compile(sources).map(|_| ()).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts[0], "issuer 2: key 1: there is no key that could be used");
    assert!(
        texts[1].starts_with("issuer 3: the issuer \"https://acme.example/\" is there twice"),
        "{texts:?}"
    );
    assert_eq!(texts.len(), 2);
}

#[test]
fn a_subject_is_text_of_some_length_or_not_there() {
    let bench = Bench::new();
    let identity = ask(
        &methods_of(&bench.signer),
        &bench.signer.token(&claims_without("sub")),
    )
    .unwrap();
    assert_eq!(identity.subject(), None, "never \"null\"");
    let longest = "x".repeat(SUBJECT_BYTES_MAX);
    assert_eq!(bench.verdict(&claims_with("sub", longest.clone())), None);
    let refused = [
        json!(""),
        json!(7),
        json!(null),
        json!(["alice"]),
        json!(format!("{longest}x")),
        json!("x".repeat(10_240)),
    ];
    for subject in refused {
        assert_eq!(
            bench.verdict(&claims_with("sub", subject.clone())),
            Some(Code::TokenInvalid),
            "{subject}"
        );
    }
}

fn mapping(name: &str, path: &str, kind: ClaimKind) -> ClaimMapping {
    ClaimMapping::new(name, ClaimPath::dotted(path).unwrap(), kind, None).unwrap()
}

#[test]
fn a_mapped_claim_of_another_type_than_declared_is_a_403_because_a_new_token_would_not_help() {
    let bench = Bench::new();
    let org = |kind: ClaimKind, value: Json| {
        let source = IssuerSource {
            claims: vec![mapping("org", "org", kind)],
            ..bench.source()
        };
        bench.verdict_by(source, &claims_with("org", value))
    };
    for value in [
        json!({ "a": 1 }),
        json!(true),
        json!(1.0),
        json!(9_223_372_036_854_775_808_u64),
        json!(["a"]),
    ] {
        assert_eq!(
            org(ClaimKind::String, value.clone()),
            Some(Code::Forbidden),
            "{value}"
        );
    }
    assert_eq!(
        org(ClaimKind::Int, json!(1.0)),
        Some(Code::Forbidden),
        "a float is no integer, whatever its value"
    );
    assert_eq!(org(ClaimKind::Int, json!("1")), Some(Code::Forbidden));
    assert_eq!(org(ClaimKind::Bool, json!("true")), Some(Code::Forbidden));
    assert_eq!(
        org(ClaimKind::List, json!("admin")),
        Some(Code::Forbidden),
        "text is not a list of one"
    );
    assert_eq!(
        org(ClaimKind::List, json!(["a", { "b": 1 }])),
        Some(Code::Forbidden)
    );
    for value in [json!("a\u{0}b"), json!("a\u{2028}b"), json!("")] {
        assert_eq!(
            org(ClaimKind::String, value.clone()),
            None,
            "{value}: text is text; rules and parameters judge it"
        );
    }
    assert_eq!(
        org(ClaimKind::Int, json!(9_223_372_036_854_775_808_u64)),
        None,
        "exact up to 64 bits"
    );
    assert_eq!(
        org(ClaimKind::String, json!("x".repeat(1 << 20))),
        Some(Code::TokenInvalid),
        "1 MiB"
    );
}

#[test]
fn every_other_refusal_reads_the_same_and_tells_its_reason_to_the_log_alone() {
    let bench = Bench::new();
    let methods = methods_of(&bench.signer);
    let tokens = [
        signer(Algorithm::HS256).token(&good_claims()),
        bench.signer.token(&claims_with("aud", "other")),
        bench.signer.token(&claims_with("iss", "https://other.example/")),
        bench.signer.token(&claims_with("nbf", NOW_SECONDS + 1_000)),
        signer(Algorithm::ES256).token(&good_claims()),
        "garbage".to_owned(),
    ];
    let refusals: Vec<_> = tokens
        .iter()
        .map(|token| ask(&methods, token).unwrap_err())
        .collect();
    for refusal in &refusals {
        assert_eq!(
            refusal.to_string(),
            "token_invalid: The credential is not valid here."
        );
    }
    let details: std::collections::BTreeSet<_> = refusals
        .iter()
        .map(|refusal| refusal.detail.clone().unwrap())
        .collect();
    assert_eq!(details.len(), tokens.len(), "{details:?}");
}

#[test]
fn what_a_client_sent_reaches_the_log_short_and_escaped() {
    let bench = Bench::new();
    let hostile = format!("x\r\nAudit: all good\u{0}{}", "y".repeat(10_000));
    let detail = |token: &str| {
        ask(&methods_of(&bench.signer), token)
            .unwrap_err()
            .detail
            .unwrap()
    };
    let details = [
        detail(&bench.signer.token(&claims_with("iss", hostile.clone()))),
        detail(
            &bench
                .signer
                .token_of(&json!({ "alg": hostile }).to_string(), "{}"),
        ),
        detail(&bench.signer.token_of(
            &json!({ "alg": "HS384", "kid": "{{7*7}}' OR 1=1--" }).to_string(),
            &good_claims().to_string(),
        )),
    ];
    for text in details {
        assert!(
            text.len() < 300 && !text.chars().any(char::is_control),
            "{text:?}"
        );
    }
}
