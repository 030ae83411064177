//! By host, and by what the path begins with.

use crate::place::{USERS, ask, of, outcome, tenants, two};
use crate::support::gateway::Gateway;

#[tokio::test]
async fn a_request_is_for_the_tenant_of_its_host_whatever_its_port_and_capitals() {
    let gateway = Gateway::start(&two()).await;
    for (host, tenant) in [
        ("acme.test", "acme"),
        ("ACME.test:8443", "acme"),
        ("beta.test", "beta"),
    ] {
        assert_eq!(
            outcome(&gateway, host, USERS, Some(&of(tenant))).await.0,
            200,
            "{host}"
        );
    }
    assert_eq!(gateway.origin.received().len(), 2, "one for each tenant");
}

#[tokio::test]
async fn an_unknown_host_is_404_before_anything_else_of_the_request_is_judged() {
    let gateway = Gateway::start(&two()).await;
    for host in [
        "other.test",
        "acme.test.",
        "xacme.test",
        "acme.test.other.test",
        "test",
        "127.0.0.1",
    ] {
        for target in [USERS, "/", "/api/shapes/users?offset=%zz", "/nowhere"] {
            let (status, code) = outcome(&gateway, host, target, Some("no.real.token")).await;
            assert_eq!((status, code.as_str()), (404, "not_found"), "{host} {target}");
        }
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn a_request_whose_framing_is_in_doubt_ends_its_connection_even_for_an_unknown_host() {
    let gateway = Gateway::start(&two()).await;
    let mut client = gateway.connect().await;
    let smuggled = format!(
        "GET {USERS} HTTP/1.1\r\nhost: other.test\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let answer = client.ask(smuggled).await;
    assert!(matches!(answer.status, 400 | 404), "{}", answer.status);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_request_with_two_hosts_or_none_is_for_nobody() {
    let gateway = Gateway::start(&two()).await;
    for hosts in [
        "host: acme.test\r\nhost: beta.test\r\n",
        "host: acme.test, beta.test\r\n",
        "",
    ] {
        let request = format!(
            "GET {USERS} HTTP/1.1\r\n{hosts}authorization: Bearer {}\r\n\r\n",
            of("acme")
        );
        let answer = gateway.connect().await.ask(request).await;
        assert!(matches!(answer.status, 400 | 404), "{hosts:?} {}", answer.status);
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn a_wildcard_takes_one_label_and_no_more() {
    let text = tenants("  acme: { extends: base, hosts: ['*.acme.test', acme.test] }\n");
    let gateway = Gateway::start(&text).await;
    let token = of("acme");
    for (host, status) in [
        ("a.acme.test", 200),
        ("b-1.acme.test", 200),
        ("acme.test", 200),
        ("a.b.acme.test", 404),
        (".acme.test", 404),
        ("acme.test.test", 404),
        ("xacme.test", 404),
    ] {
        assert_eq!(
            outcome(&gateway, host, USERS, Some(&token)).await.0,
            status,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_prefix_is_whole_segments_and_is_not_part_of_the_route() {
    let text = tenants(
        "  acme: { extends: base, path_prefix: /t/acme }\n  beta: { extends: base, path_prefix: /t/beta }\n",
    );
    let gateway = Gateway::start(&text).await;
    for tenant in ["acme", "beta"] {
        let target = format!("/t/{tenant}{USERS}");
        assert_eq!(
            outcome(&gateway, "any.test", &target, Some(&of(tenant))).await.0,
            200
        );
        assert!(gateway.received_one().target.contains("table="));
    }
    for target in [
        "/api/shapes/users?offset=-1",
        "/t/api/shapes/users?offset=-1",
        "/t/acme/t/acme/api/shapes/users?offset=-1",
        "/t/acmeapi/shapes/users?offset=-1",
        "/t//acme/api/shapes/users?offset=-1",
        "/T/acme/api/shapes/users?offset=-1",
        "/t/acme",
        "/t/acme/",
        "/t/%61cme/api/shapes/users?offset=-1",
        "/t/beta/../acme/api/shapes/users?offset=-1",
    ] {
        let (status, code) = outcome(&gateway, "any.test", target, Some(&of("acme"))).await;
        assert_eq!((status, code.as_str()), (404, "not_found"), "{target}");
    }
    gateway.received_nothing();
}

#[tokio::test]
async fn prefixes_divide_one_host_and_another_host_has_none() {
    let text = tenants(concat!(
        "  acme: { extends: base, hosts: shared.test, path_prefix: /acme }\n",
        "  beta: { extends: base, hosts: shared.test, path_prefix: /beta/eu }\n",
        "  gamma: { extends: base, hosts: gamma.test }\n",
    ));
    let gateway = Gateway::start(&text).await;
    for (host, prefix, tenant, status) in [
        ("shared.test", "/acme", "acme", 200),
        ("shared.test", "/beta/eu", "beta", 200),
        ("shared.test", "/beta", "beta", 404),
        ("shared.test", "", "acme", 404),
        ("gamma.test", "", "gamma", 200),
        ("gamma.test", "/acme", "acme", 404),
    ] {
        let target = format!("{prefix}{USERS}");
        let answer = outcome(&gateway, host, &target, Some(&of(tenant))).await;
        assert_eq!(answer.0, status, "{host}{prefix}");
    }
}

#[tokio::test]
async fn each_tenant_grants_its_own_origins_and_an_unknown_host_none() {
    let text = tenants(concat!(
        "  acme: { extends: base, hosts: acme.test, cors: { origins: ['https://acme.app'] } }\n",
        "  beta: { extends: base, hosts: beta.test, cors: { origins: ['https://beta.app'] } }\n",
    ));
    let gateway = Gateway::start(&text).await;
    for (host, granted) in [("acme.test", true), ("beta.test", false), ("other.test", false)] {
        let request = format!("GET {USERS} HTTP/1.1\r\nhost: {host}\r\norigin: https://acme.app\r\n\r\n");
        let answer = gateway.connect().await.ask(request).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, granted.then_some("https://acme.app"), "{host}");
    }
    let unknown = ask(&gateway, "other.test", USERS, None).await;
    assert_eq!(unknown.status, 404);
}
