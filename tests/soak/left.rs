//! What is left of everybody once all have gone.

use std::fmt;
use std::fs;

use crate::world::World;

/// How much more anonymous memory there may be than after warming up, in KiB, besides the answers that are kept: tables
/// have sizes that one round does not reach, and what is freed leaves gaps.
const GROWTH_MAX_KIB: f64 = 8.0 * 1024.0;

/// What counts those who are here, and reads 0 once nobody is.
const GAUGES: [&str; 5] = [
    "shapegate_held_polls ",
    "shapegate_requests_in_flight ",
    "shapegate_hub_fetches ",
    "shapegate_hub_underway_bytes ",
    "shapegate_revocations{source=\"admin\"} ",
];

/// What the process holds that may not grow.
pub struct Left {
    anonymous_kib: f64,
    hub_kib: f64,
}

impl Left {
    /// Once nobody is there any more.
    pub async fn of(world: &World) -> Self {
        for gauge in GAUGES {
            world.program.until_metric(gauge, 0.0).await;
        }
        Self {
            anonymous_kib: anonymous_kib(world.program.serving()),
            hub_kib: world.program.metric("shapegate_hub_bytes ").await / 1024.0,
        }
    }

    pub fn assert_no_more_than(&self, warm: &Self) {
        let besides = |left: &Self| left.anonymous_kib - left.hub_kib;
        assert!(
            besides(self) <= besides(warm) + GROWTH_MAX_KIB,
            "{self}, and it was {warm} when warm"
        );
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            anonymous_kib,
            hub_kib,
        } = self;
        write!(
            f,
            "{anonymous_kib} KiB of anonymous memory, {hub_kib:.0} KiB of answers kept"
        )
    }
}

/// How many files the process has open, sockets included.
pub fn files(world: &World) -> usize {
    let id = world.program.serving();
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

fn anonymous_kib(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.unwrap().trim().split(' ').next().unwrap();
    number.parse().unwrap()
}
