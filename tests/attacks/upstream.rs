//! E26, E27, G16: what the upstream says reaches a client by an allow-list.

use shapegate_origin::{Fault, Misbehaviour};

use crate::support::gateway::ELECTRIC_SECRET;
use crate::world::{ask, assert_refusal, start, users_with};

fn header(name: &str, value: &str) -> Misbehaviour {
    Misbehaviour::always(Fault::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

#[tokio::test]
async fn e26_a_409_carries_no_location() {
    let gateway = start().await;
    let location = format!("/v1/shape?table=users&secret={ELECTRIC_SECRET}");
    gateway.origin.misbehave(header("location", &location));
    for live in ["", "&live=true"] {
        let answer = ask(
            &gateway,
            &format!("/api/shapes/users?offset=0_0&handle=1-1{live}"),
        )
        .await;
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert_eq!(answer.text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
        assert_eq!(answer.header("location"), None);
        assert!(answer.header("electric-handle").is_some());
    }
}

#[tokio::test]
async fn e27_electrics_words_about_a_request_are_for_the_log_alone() {
    let gateway = start().await;
    for live in ["", "&live=true"] {
        let position = if live.is_empty() {
            "offset=-1"
        } else {
            "offset=0_0&handle=1-1"
        };
        let answer = ask(&gateway, &format!("/api/shapes/broken?{position}{live}")).await;
        assert_refusal(&answer, 400, "upstream_rejected", live);
        for word in ["column_nobody_has", "users", "public", ELECTRIC_SECRET] {
            assert!(!answer.text().contains(word), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn g16_headers_of_the_upstream_pass_by_an_allow_list() {
    let gateway = start().await;
    for (name, value) in [
        ("set-cookie", "session=upstream"),
        ("server", "upstream"),
        ("x-internal-host", "10.0.0.7"),
        ("access-control-allow-origin", "https://upstream.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "DELETE"),
        ("cache-control", "public, max-age=31536000"),
        ("surrogate-control", "max-age=31536000"),
        ("cdn-cache-control", "max-age=31536000"),
        ("vary", "x"),
        ("www-authenticate", "Basic realm=upstream"),
        ("x-accel-redirect", "/etc/passwd"),
        ("refresh", "0; url=https://upstream.example"),
        ("electric-server", "ElectricSQL/1.7.12"),
        ("x-request-id", "upstream"),
        ("location", "https://upstream.example"),
        ("content-location", "https://upstream.example"),
        ("link", "<https://upstream.example>"),
        ("clear-site-data", "\"*\""),
        ("strict-transport-security", "max-age=0"),
        ("via", "1.1 upstream"),
        ("age", "7"),
    ] {
        gateway.origin.behave();
        gateway.origin.misbehave(header(name, value));
        let answer = ask(&gateway, &users_with("")).await;
        assert_eq!(answer.status, 200, "{name}");
        assert_ne!(answer.header(name), Some(value), "{name}");
        let cached = answer.header("cache-control").unwrap();
        assert!(
            cached.contains("private") && !cached.contains("public"),
            "{cached}"
        );
        assert_eq!(
            answer.header("vary"),
            Some("authorization, accept-encoding"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_is_not_electrics_never_looks_like_success() {
    let gateway = start().await;
    for fault in [
        Fault::Unauthorized,
        Fault::MissingHeaders,
        Fault::HtmlPage,
        Fault::Gzip,
        Fault::Status {
            status: 500,
            retry_after: None,
        },
        Fault::Status {
            status: 302,
            retry_after: None,
        },
        Fault::Status {
            status: 403,
            retry_after: None,
        },
        Fault::Status {
            status: 404,
            retry_after: None,
        },
    ] {
        for target in [
            users_with(""),
            "/api/shapes/users?offset=0_0&handle=1-1&live=true".to_owned(),
        ] {
            gateway.origin.behave();
            gateway.origin.misbehave(Misbehaviour::always(fault.clone()));
            let answer = ask(&gateway, &target).await;
            // Electric's own 409 has neither headers nor content to be wrong.
            if answer.status == 409 {
                continue;
            }
            assert_refusal(&answer, 502, &answer.code(), &format!("{fault:?} {target}"));
        }
    }
}
