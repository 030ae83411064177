//! Answers that are none of Electric's, or not good ones.

use shapegate_origin::{Fault, Misbehaviour};

use crate::support::gateway::{Gateway, get};
use crate::support::patience::soon;
use crate::support::token::IDENTITY;
use crate::ways::{Scene, WAYS, Way, assert_refused, bytes};

/// What each way answers while the upstream has `fault`; afterwards all is well, on the same connection too.
async fn each_way_refuses(fault: Fault, status: u16, code: &str) {
    for way in WAYS {
        let scene = Scene::new().await;
        scene.gateway.origin.misbehave(Misbehaviour::once(fault.clone()));
        let mut client = scene.gateway.connect().await;
        let answer = scene.ask_on(&mut client, way).await;
        assert_refused(&answer, status, code, way);
        assert_eq!(scene.gateway.origin.received().len(), 1, "{way:?}: no second try");
        let next = scene.ask_on(&mut client, way).await;
        crate::ways::assert_eve(&next, way);
    }
}

#[tokio::test]
async fn a_200_without_electrics_headers_is_no_answer() {
    each_way_refuses(Fault::MissingHeaders, 502, "upstream_invalid").await;
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    each_way_refuses(Fault::HtmlPage, 502, "upstream_invalid").await;
}

#[tokio::test]
async fn a_web_page_with_electrics_headers_is_no_answer() {
    let header = |name: &str, value: &str| Fault::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    each_way_refuses(header("content-type", "text/html"), 502, "upstream_invalid").await;
}

#[tokio::test]
async fn a_malformed_handle_or_offset_is_no_answer() {
    for (name, value) in [
        ("electric-handle", "a b"),
        ("electric-handle", ""),
        ("electric-offset", "one_two"),
    ] {
        let fault = Fault::Header {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        each_way_refuses(fault, 502, "upstream_invalid").await;
    }
}

#[tokio::test]
async fn electrics_own_401_is_the_operators_mistake_and_not_the_clients() {
    each_way_refuses(Fault::Unauthorized, 502, "upstream_misconfigured").await;
    for way in WAYS {
        let scene = Scene::new().await;
        scene
            .gateway
            .origin
            .misbehave(Misbehaviour::once(Fault::Unauthorized));
        let answer = scene.ask(way).await;
        assert_eq!(answer.header("www-authenticate"), None, "{way:?}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
}

#[tokio::test]
async fn statuses_that_speak_of_the_upstream_are_502_and_say_nothing_of_it() {
    for (status, code) in [
        (403, "upstream_misconfigured"),
        (404, "upstream_misconfigured"),
        (405, "upstream_misconfigured"),
        (500, "upstream_failed"),
        (502, "upstream_failed"),
        (418, "upstream_invalid"),
        (302, "upstream_invalid"),
        (206, "upstream_invalid"),
    ] {
        let fault = Fault::Status {
            status,
            retry_after: None,
        };
        each_way_refuses(fault, 502, code).await;
    }
}

#[tokio::test]
async fn a_busy_upstream_is_busy_for_the_client_and_keeps_its_retry_after() {
    for (status, code) in [(503, "upstream_unavailable"), (429, "rate_limited")] {
        for (given, told) in [(Some(7), "7"), (None, "5"), (Some(0), "1")] {
            for way in WAYS {
                let scene = Scene::new().await;
                scene.gateway.origin.misbehave(Misbehaviour::once(Fault::Status {
                    status,
                    retry_after: given,
                }));
                let answer = scene.ask(way).await;
                assert_refused(&answer, status, code, way);
                assert_eq!(answer.header("retry-after"), Some(told), "{way:?}");
                scene.assert_well(way).await;
            }
        }
    }
}

#[tokio::test]
async fn a_timeout_further_up_is_a_timeout() {
    let fault = Fault::Status {
        status: 504,
        retry_after: None,
    };
    each_way_refuses(fault, 504, "upstream_timeout").await;
}

#[tokio::test]
async fn a_409_passes_with_its_new_handle_and_its_body() {
    let scene = Scene::new().await;
    let before = scene
        .gateway
        .get("/api/shapes/users?offset=-1", Some(&scene.token))
        .await;
    let old = before.header("electric-handle").unwrap().to_owned();
    scene.gateway.origin.rotate(None).unwrap();
    for live in ["", "&live=true"] {
        let target = format!("/api/shapes/users?offset=0_0&handle={old}{live}");
        let answer = soon(scene.gateway.get(&target, Some(&scene.token))).await;
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert!(answer.complete);
        let new = answer.header("electric-handle").unwrap();
        assert_ne!(new, old);
        assert_eq!(answer.json()[0]["headers"]["control"], "must-refetch");
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

/// A rule that names a column that the table has not.
const MISTAKEN: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    client: { subset: { limit_max: 100 } }
    rules: [ { rows: { where: '"salary_canary" = $1', params: [user.org_id] } } ]
"#;

#[tokio::test]
async fn a_400_names_the_parameter_and_repeats_nothing_of_electrics_text() {
    for way in WAYS {
        let gateway = Gateway::start(&format!("{IDENTITY}{MISTAKEN}")).await;
        let token = crate::support::token::member(1);
        let mut client = gateway.connect().await;
        let answer = soon(client.ask(bytes(way, "1-1", &token))).await;
        assert_refused(&answer, 400, "upstream_rejected", way);
        assert!(answer.text().contains("invalid: where"), "{}", answer.text());
        for hidden in ["salary_canary", "org_id", "$1"] {
            assert!(!answer.text().contains(hidden), "{way:?}: {}", answer.text());
        }
        let received = gateway.origin.received();
        let shapes = received.iter().filter(|one| one.target.starts_with("/v1/shape"));
        assert_eq!(shapes.count(), 1, "{way:?}: no second try");
    }
}

#[tokio::test]
async fn errors_of_the_upstream_leave_a_connection_for_many_more_requests() {
    let scene = Scene::new().await;
    let mut client = scene.gateway.connect().await;
    for round in 0..12 {
        let fault = [Fault::HtmlPage, Fault::Unauthorized, Fault::MissingHeaders][round % 3].clone();
        scene.gateway.origin.misbehave(Misbehaviour::once(fault));
        let way = WAYS[round % WAYS.len()];
        assert_eq!(scene.ask_on(&mut client, way).await.status, 502);
    }
    let answer = soon(client.ask(get("/api/shapes/users?offset=-1", Some(&scene.token)))).await;
    crate::ways::assert_eve(&answer, Way::Finite);
}
