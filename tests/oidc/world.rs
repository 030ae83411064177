//! A gateway that takes the tokens of issuers who publish their keys, with a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use shapegate::clock::{Clock as _, ManualClock};
use shapegate_core::time::UnixMillis;

use crate::provider::Provider;
use crate::support::gateway::{Gateway, origin};
use crate::support::patience::{soon, until};
use crate::support::raw::Answer;
use crate::support::token::{IDENTITY, now};

pub const TARGET: &str = "/api/shapes/users?offset=-1";

/// Members see their organisation.
pub const SHAPES: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules:
      - when: has(user.org_id)
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;

/// The method of an issuer on this machine.
pub fn method(issuer: &str, more: &str) -> String {
    format!(
        "  - jwt: {{ issuer: \"{issuer}\", audience: sync, insecure_allow_http: true, \
         insecure_allow_private_addresses: true{more} }}\n"
    )
}

pub struct World {
    pub gateway: Gateway,
    pub clock: ManualClock,
}

impl World {
    /// A gateway before its issuers' keys are fetched.
    pub async fn waiting(methods: &str) -> Self {
        // The issuer of the other tests, whose key is given, is there as well.
        let config = format!("{IDENTITY}{methods}{SHAPES}");
        Self::of(&config).await
    }

    pub async fn of(config: &str) -> Self {
        let clock = ManualClock::at(UnixMillis::from_seconds(now()));
        let gateway = Gateway::before(origin(), config, Arc::new(clock.clone())).await;
        gateway.run_beside();
        Self { gateway, clock }
    }

    /// A gateway that has the keys of this provider.
    pub async fn with(provider: &Provider) -> Self {
        let world = Self::waiting(&method(&provider.issuer(), "")).await;
        world.has_keys().await;
        world
    }

    /// Waits until the keys are as old as can be, which is not at all.
    pub async fn has_keys(&self) {
        until("the keys are fetched", || self.age() == Some(Duration::ZERO)).await;
    }

    /// How old the keys of the only issuer are that publishes any.
    pub fn age(&self) -> Option<Duration> {
        let loaded = self.gateway.state.loaded();
        let now = self.clock.now();
        loaded
            .snapshot
            .tenant("default")
            .unwrap()
            .key_ages(now)
            .next()
            .unwrap()
            .1
    }

    /// Moves the clock by steps until something has happened. Gives how far it was moved.
    pub async fn move_until(&self, what: &str, step: Duration, mut holds: impl FnMut() -> bool) -> Duration {
        let mut moved = Duration::ZERO;
        until(what, || {
            let over = holds();
            if !over {
                self.clock.advance(step);
                moved += step;
            }
            over
        })
        .await;
        moved
    }

    pub async fn ask(&self, token: &str) -> Answer {
        soon(self.gateway.get(TARGET, Some(token))).await
    }

    /// The same while the clock moves on.
    pub async fn ask_while_time_passes(&self, token: &str) -> Answer {
        self.ask_at_while_time_passes(TARGET, token).await
    }

    pub async fn ask_at_while_time_passes(&self, target: &str, token: &str) -> Answer {
        let moving = async {
            loop {
                self.clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = soon(self.gateway.get(target, Some(token))) => answer,
            () = moving => unreachable!("it never ends"),
        }
    }

    /// Asserts that a token is taken, and that the upstream is asked for its organisation alone.
    #[track_caller]
    pub fn assert_served(&self, answer: &Answer, what: &str) {
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        for received in self.gateway.origin.received() {
            assert!(
                received.target.contains("params%5B1%5D=1&"),
                "{what}: {}",
                received.target
            );
        }
    }

    #[track_caller]
    pub fn assert_refused(&self, answer: &Answer, status: u16, code: &str, what: &str) {
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(
            answer.text().contains(&format!("\"code\":\"{code}\"")),
            "{what}: {}",
            answer.text()
        );
        if status == 503 {
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{what}: {seconds}");
        }
        self.gateway.received_nothing();
    }
}
