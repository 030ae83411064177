//! `traces`: who is told, of which requests, and under which name.

use std::time::Duration;

use super::support::{Given, accepted, accepted_in, and, refused, refused_in};

fn given() -> Given {
    Given::new().variable("OTLP_TOKEN", "Bearer canary-of-the-collector")
}

#[test]
fn nothing_is_recorded_unless_that_is_written_and_then_little() {
    assert_eq!(accepted(&and("")).config.server.traces, None);
    let loaded = accepted(&and("traces: { otlp: { url: 'http://collector:4318' } }\n"));
    let traces = loaded.config.server.traces.as_ref().unwrap();
    assert_eq!(&*traces.collector.url, "http://collector:4318");
    assert_eq!(traces.collector.timeout, Duration::from_secs(10));
    assert!(traces.collector.headers.is_empty() && traces.resource.is_empty());
    assert_eq!(
        (traces.sample_ratio.to_string(), &*traces.service_name),
        ("0.01".into(), "shapegate")
    );
    assert!(!traces.believes_trusted_proxies);
    assert_eq!(loaded.warnings.render(), "");
}

#[test]
fn everything_may_be_written_and_is_printed_but_for_secrets() {
    let text = "server: { trusted_proxies: [10.0.0.0/8] }\n\
        traces: { otlp: { url: 'https://collector.example.com/otlp/', headers: { Authorization: { env: OTLP_TOKEN } }, timeout: 3s }, \
        sample_ratio: 0.25, sampled_flag: trusted_proxies, service_name: edge, \
        resource: { deployment.environment.name: { env: ENVIRONMENT, default: production } } }\n";
    let loaded = accepted_in(&and(text), &given());
    let traces = loaded.config.server.traces.as_ref().unwrap();
    assert_eq!(&*traces.collector.url, "https://collector.example.com/otlp");
    assert_eq!(
        traces.collector.headers["authorization"],
        "Bearer canary-of-the-collector"
    );
    assert!(traces.collector.headers["authorization"].is_sensitive());
    assert_eq!(traces.sample_ratio.to_string(), "0.25");
    assert!(traces.believes_trusted_proxies);
    assert_eq!(traces.service_name, "edge");
    assert_eq!(
        traces.resource,
        [("deployment.environment.name".to_owned(), "production".to_owned())]
    );
    let printed = loaded.print();
    assert!(!printed.contains("canary"), "{printed}");
    assert!(!format!("{traces:?}").contains("canary"));
    let again = accepted_in(&printed, &given());
    assert_eq!(again.print(), printed);
    assert_eq!(again.config.server.traces, loaded.config.server.traces);
}

/// Asserts that `traces` is refused with its place, and with a way out.
fn assert_refused(cases: &[(&str, &str)]) {
    for (traces, part) in cases {
        let told = refused(&and(&format!("traces: {traces}\n")));
        assert!(told.contains(part), "{traces}: {told}");
        assert!(
            told.contains("shapegate.yaml:") && told.contains("help:"),
            "{told}"
        );
    }
}

#[test]
fn a_collector_that_cannot_be_meant_is_refused() {
    assert_refused(&[
        ("{}", "`traces` lacks the key `otlp`"),
        ("{ otlp: {} }", "`otlp` lacks the key `url`"),
        ("{ otlp: http://c:4318 }", "`otlp` must be a map"),
        ("{ otlp: { url: 'c:4318' } }", "the URL is no http or https URL"),
        (
            "{ otlp: { url: 'grpc://c:4317' } }",
            "the URL is no http or https URL",
        ),
        (
            "{ otlp: { url: 'http://u:p@c' } }",
            "the URL has a user or password",
        ),
        (
            "{ otlp: { url: 'http://c/v1/traces' } }",
            "`/v1/traces`, which is added",
        ),
        (
            "{ otlp: { url: 'http://c/v1/traces/' } }",
            "`/v1/traces`, which is added",
        ),
        ("{ otlp: { url: 'http://c', ca: ca.pem } }", "ca.pem"),
        (
            "{ otlp: { url: 'http://c', timeout: 10 } }",
            "`timeout` must be a duration",
        ),
        (
            "{ otlp: { url: 'http://c', timeout: 5m } }",
            "`timeout` must be between 100ms and 1m",
        ),
    ]);
    let told = refused(&and("traces:\n"));
    assert!(told.contains("`traces` has no value"), "{told}");
}

#[test]
fn headers_of_exports_are_secrets_and_none_of_its_own() {
    let headers = |headers: &str| format!("{{ otlp: {{ url: 'http://c', headers: {headers} }} }}");
    for (text, part) in [
        ("[a]", "`headers` must be a map"),
        ("{ a: b }", "does not stay secret"),
        ("{ 'a b': { env: JWT_SECRET } }", "no name of a header"),
        ("{ Host: { env: JWT_SECRET } }", "have a `Host` of their own"),
        (
            "{ content-type: { env: JWT_SECRET } }",
            "have a `content-type` of their own",
        ),
    ] {
        assert_refused(&[(&headers(text), part)]);
    }
    let many: Vec<String> = (0..17).map(|n| format!("h{n}: {{ env: JWT_SECRET }}")).collect();
    let many = headers(&format!("{{ {} }}", many.join(", ")));
    assert_refused(&[(&many, "`headers` has more than 16 entries")]);
}

#[test]
fn what_is_recorded_and_said_of_the_process_is_read_strictly() {
    let long = format!("resource: {{ a: {} }}", "x".repeat(257));
    for (more, part) in [
        ("sample_ration: 1", "did you mean `sample_ratio`?"),
        (
            "sample_ratio: 1.5",
            "`sample_ratio` must be between 0 and 1, not `1.5`",
        ),
        (
            "sample_ratio: 5%",
            "`sample_ratio` must be between 0 and 1, not `5%`",
        ),
        ("sample_ratio: 1e-3", "such as `0.01`"),
        ("sample_ratio: '1'", "`sample_ratio` must be between 0 and 1"),
        ("sampled_flag: always", "choose one of: ignored, trusted_proxies"),
        ("sampled_flag: trusted_proxies", "believes nobody"),
        ("service_name: ''", "`service_name` is blank"),
        (
            "resource: { service.name: a }",
            "write `service_name` below `traces`",
        ),
        ("resource: { 'A B': a }", "no name of an attribute"),
        (&long, "longer than 256 bytes"),
    ] {
        assert_refused(&[(&format!("{{ otlp: {{ url: 'http://c:4318' }}, {more} }}"), part)]);
    }
}

#[test]
fn a_header_that_lets_us_in_does_not_travel_far_in_clear_text_without_a_word() {
    let warned = |host: &str, headers: &str| {
        let text = format!("traces: {{ otlp: {{ url: 'http://{host}:4318'{headers} }} }}\n");
        accepted_in(&and(&text), &given()).warnings.render()
    };
    let headers = ", headers: { authorization: { env: OTLP_TOKEN } }";
    assert!(warned("collector.example.com", headers).contains("in clear text"));
    for host in [
        "collector",
        "127.0.0.1",
        "[::1]",
        "collector.internal",
        "10.1.2.3",
    ] {
        assert_eq!(warned(host, headers), "", "{host}");
    }
    assert_eq!(warned("collector.example.com", ""), "");
    let blank = refused_in(
        &and("traces: { otlp: { url: 'http://c', headers: { a: { env: NOT_SET } } } }\n"),
        &given(),
    );
    assert!(blank.contains("NOT_SET is not set"), "{blank}");
}
