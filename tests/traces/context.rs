//! Whose trace a request is a part of, and what goes along upstream.

use crate::support::gateway::Gateway;
use crate::support::token::{IDENTITY, member};
use crate::world::{SHAPES, USERS, World, only};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// What Electric is sent for a request with these headers: `traceparent` and `tracestate`.
async fn passed(world: &World, headers: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let token = member(1);
    let answer = world.get_with(USERS, Some(&token), headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    sent(&world.gateway)
}

fn sent(gateway: &Gateway) -> (Option<String>, Option<String>) {
    let received = gateway.received_one();
    let header = |name| received.header(name).map(str::to_owned);
    (header("traceparent"), header("tracestate"))
}

#[tokio::test]
async fn a_trace_that_a_client_brings_goes_on() {
    for flags in ["00", "01"] {
        let world = World::start().await;
        let headers = [
            ("traceparent", &*traceparent(flags)),
            ("tracestate", "vendor=1,other=2"),
        ];
        let (parent, state) = passed(&world, &headers).await;
        let spans = world.spans().await;
        let (server, client) = (only(&spans, "server"), only(&spans, "client"));
        assert_eq!((&*server.trace, &*server.parent), (TRACE, PARENT));
        assert_eq!((&*client.trace, &client.parent), (TRACE, &server.id));
        assert_eq!(parent, Some(format!("00-{TRACE}-{}-01", client.id)));
        assert_eq!(state.as_deref(), Some("vendor=1,other=2"));
        assert!(
            spans.iter().all(|span| span.state == "vendor=1,other=2"),
            "{spans:#?}"
        );
        // Sampled; and it is known whether the parent is remote, which that of the request itself is.
        assert_eq!((server.flags, client.flags), (0x301, 0x101));
    }
}

#[tokio::test]
async fn what_is_no_context_begins_a_new_trace_and_nothing_of_it_is_passed_on() {
    let upper = traceparent("01").to_uppercase();
    let good = traceparent("01");
    for headers in [
        vec![],
        vec![("tracestate", "vendor=1")],
        vec![("traceparent", "")],
        vec![("traceparent", &*upper)],
        vec![(
            "traceparent",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )],
        vec![(
            "traceparent",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        )],
        vec![(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        )],
        vec![(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        )],
        vec![(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
        )],
        vec![("traceparent", &*good), ("traceparent", &*good)],
        vec![
            ("traceparent", &*good),
            ("traceparent", "x"),
            ("tracestate", "vendor=1"),
        ],
    ] {
        let world = World::start().await;
        let (parent, state) = passed(&world, &headers).await;
        let spans = world.spans().await;
        let server = only(&spans, "server");
        assert_eq!(server.parent, "", "{headers:?}");
        assert_ne!(server.trace, TRACE, "{headers:?}");
        assert_ne!(server.trace, "0".repeat(32));
        assert!(parent.unwrap().starts_with(&format!("00-{}-", server.trace)));
        assert_eq!((state, &*server.state), (None, ""), "{headers:?}");
    }
}

#[tokio::test]
async fn a_state_that_is_malformed_is_left_out_and_the_trace_goes_on() {
    for (state, passed_on) in [
        ("vendor", None),
        ("a=1,a=2", None),
        ("a=1 , b=2", Some("a=1 , b=2")),
    ] {
        let world = World::start().await;
        let headers = [("traceparent", &*traceparent("01")), ("tracestate", state)];
        let (_, sent) = passed(&world, &headers).await;
        let spans = world.spans().await;
        let server = only(&spans, "server");
        assert_eq!((&*server.trace, &*server.parent), (TRACE, PARENT));
        assert_eq!(
            (sent.as_deref(), &*server.state),
            (passed_on, passed_on.unwrap_or_default())
        );
    }
}

#[tokio::test]
async fn of_a_trace_that_is_not_recorded_the_clients_span_is_passed_on_and_never_its_flag() {
    let world = World::with("sample_ratio: 0", "").await;
    for flags in ["00", "01", "03", "ff"] {
        let headers = [("traceparent", &*traceparent(flags)), ("tracestate", "vendor=1")];
        let token = member(if flags == "00" { 1 } else { 2 });
        let target = format!("{USERS}&cache-buster={flags}");
        assert_eq!(world.get_with(&target, Some(&token), &headers).await.status, 200);
        let expected = (Some(traceparent("00")), Some("vendor=1".to_owned()));
        assert_eq!(sent(&world.gateway), expected, "{flags}");
    }
    let target = format!("{USERS}&cache-buster=none");
    assert_eq!(world.get(&target, Some(&member(1))).await.status, 200);
    assert_eq!(sent(&world.gateway), (None, None));
    assert_eq!(world.spans().await.len(), 0);
    assert_eq!((world.collector.count(), world.counted("exported")), (0, 0));
}

const TRUSTING: &str = "server: { trusted_proxies: [127.0.0.1] }\n";

#[tokio::test]
async fn the_flag_of_a_trusted_proxy_decides_where_that_is_configured() {
    for (ratio, flag, flags, recorded) in [
        ("0", "trusted_proxies", "01", true),
        ("1", "trusted_proxies", "00", false),
        ("1", "trusted_proxies", "01", true),
        ("0", "ignored", "01", false),
        ("1", "ignored", "00", true),
    ] {
        let case = format!("ratio {ratio}, {flag}, {flags}");
        let traces = format!("sample_ratio: {ratio}, sampled_flag: {flag}");
        let world = World::with(&traces, TRUSTING).await;
        let (parent, _) = passed(&world, &[("traceparent", &*traceparent(flags))]).await;
        let spans = world.spans().await;
        assert_eq!(!spans.is_empty(), recorded, "{case}");
        let parent = parent.unwrap();
        assert_eq!(parent == traceparent("00"), !recorded, "{case}: {parent}");
        assert!(
            parent.ends_with(if recorded { "-01" } else { "-00" }),
            "{case}: {parent}"
        );
    }
}

#[tokio::test]
async fn where_there_are_no_traces_a_context_is_passed_on_as_it_came() {
    let gateway = Gateway::start(&format!("{IDENTITY}{SHAPES}")).await;
    for flags in ["00", "01"] {
        let parent = traceparent(flags);
        let headers = [("traceparent", &*parent), ("tracestate", "vendor=1")];
        let target = format!("{USERS}&cache-buster={flags}");
        let bytes = crate::support::gateway::request("GET", &target, Some(&member(1)), &headers, "");
        assert_eq!(gateway.connect().await.ask(bytes).await.status, 200);
        assert_eq!(
            sent(&gateway),
            (Some(parent.clone()), Some("vendor=1".to_owned()))
        );
    }
}
