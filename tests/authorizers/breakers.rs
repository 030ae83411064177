//! Whoever is left alone after failures is told of in the metrics, by name, until it answers again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use shapegate::clock::ManualClock;
use shapegate_core::time::UnixMillis;

use crate::fake::{Fake, Say};
use crate::support::gateway::{Gateway, origin, request};
use crate::support::token::{IDENTITY, now, token};
use crate::world::{FIRST, allow, bob, unavailable};

struct World {
    gateway: Gateway,
    clock: ManualClock,
    fake: Fake,
    /// Whether the first authoriser fails.
    fails: Arc<AtomicBool>,
}

impl World {
    /// Two authorisers of one shape, one with a name, and a session endpoint beside the tokens.
    async fn start(tenant_label: bool) -> Self {
        let fails = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&fails);
        let fake = Fake::answering(move |asked| match asked.target.as_str() {
            "/session" => Say::Status(500, ""),
            "/first" if failing.load(Ordering::SeqCst) => Say::Status(500, ""),
            _ => allow(),
        })
        .await;
        let url = fake.url();
        let text = format!(
            "metrics: {{ tenant_label: {tenant_label} }}
{}
  - session: {{ url: '{url}/session', from: {{ header: x-session }}, subject: id }}
shapes:
  users:
    table: users
    columns: [id, name]
    authorize: {{ first: {{ http: {{ url: '{url}/first' }} }}, second: {{ http: {{ url: '{url}/second' }} }} }}
    rules: [{{ rows: all }}]
",
            IDENTITY.trim_end()
        );
        let clock = ManualClock::at(UnixMillis::from_seconds(now()));
        let gateway = Gateway::before(origin(), &text, Arc::new(clock.clone())).await;
        Self {
            gateway,
            clock,
            fake,
            fails,
        }
    }

    /// Every sample about breakers that is not zero, as `/metrics` has it.
    fn told(&self) -> Vec<String> {
        let state = &self.gateway.state;
        state.metrics.breakers.take(state);
        let text = state.metrics.render().unwrap();
        let lines = text.lines().filter(|line| line.starts_with("shapegate_breaker"));
        lines
            .filter(|line| !line.ends_with(" 0"))
            .map(|line| line.replace("shapegate_", ""))
            .collect()
    }

    #[track_caller]
    fn tells(&self, sample: &str) {
        let told = self.told();
        assert!(told.iter().any(|line| line == sample), "{sample}: {told:#?}");
    }
}

#[tokio::test]
async fn an_authoriser_that_fails_is_open_then_half_open_then_closed_and_its_openings_are_counted() {
    let world = World::start(false).await;
    assert_eq!(world.gateway.get(FIRST, Some(&bob())).await.status, 200);
    let closed = r#"breakers{name="first",service="authorizer",state="closed"} 1"#;
    let openings = r#"breaker_openings_total{name="first",service="authorizer"} 1"#;
    world.tells(closed);
    world.fails.store(true, Ordering::SeqCst);
    let other = token(json!({ "sub": "other" }));
    for _ in 0..5 {
        unavailable(&world.gateway.get(FIRST, Some(&other)).await);
    }
    world.tells(r#"breakers{name="first",service="authorizer",state="open"} 1"#);
    world.tells(r#"breakers{name="second",service="authorizer",state="closed"} 1"#);
    world.tells(openings);
    world.clock.advance(Duration::from_secs(1));
    world.tells(r#"breakers{name="first",service="authorizer",state="half_open"} 1"#);
    unavailable(&world.gateway.get(FIRST, Some(&other)).await);
    world.tells(r#"breakers{name="first",service="authorizer",state="open"} 1"#);
    world.fails.store(false, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(world.gateway.get(FIRST, Some(&other)).await.status, 200);
    world.tells(closed);
    world.tells(openings);
    assert!(
        !world.told().join("\n").contains("open\"}"),
        "nobody is left alone: {:?}",
        world.told()
    );
}

#[tokio::test]
async fn a_session_endpoint_that_fails_is_told_of_and_tenants_are_named_on_demand_alone() {
    for (tenant_label, tenant) in [(false, ""), (true, r#",tenant="default""#)] {
        let world = World::start(tenant_label).await;
        for number in 0..6 {
            let session = format!("session-{number}");
            let ask = request("GET", FIRST, None, &[("x-session", &session)], "");
            let answer = world.gateway.connect().await.ask(ask).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (503, "identity_unavailable")
            );
        }
        assert_eq!(world.fake.count(), 5, "the last one was not asked");
        world.tells(&format!(
            r#"breakers{{name="session",service="identity",state="open"{tenant}}} 1"#
        ));
        world.tells(&format!(
            r#"breaker_openings_total{{name="session",service="identity"{tenant}}} 1"#
        ));
        let told = world.told().join("\n");
        assert!(!told.contains("session-"), "{told}");
    }
}
