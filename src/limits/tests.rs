use shapegate_core::identity::{Identity, IdentitySource};
use shapegate_core::time::UnixMillis;

use super::*;
use crate::clock::ManualClock;

fn limits(settings: impl FnOnce(&mut LimitSettings)) -> (Limits, ManualClock) {
    let clock = ManualClock::at(UnixMillis(0));
    let mut all = LimitSettings {
        per_subject: Quota::default(),
        per_tenant: Quota::default(),
        per_address: Quota::default(),
        trusted_proxies: Vec::new(),
    };
    settings(&mut all);
    let metrics = LimitMetrics::new().unwrap();
    (Limits::new(all, Arc::new(clock.clone()), metrics), clock)
}

fn asker(tenant: &str, issuer: &str, subject: Option<&str>) -> Asker {
    let identity = Identity::new(IdentitySource {
        subject: subject.map(Arc::from),
        issuer: Some(Arc::from(issuer)),
        ..IdentitySource::default()
    });
    Asker::of(&Arc::from(tenant), Some(&identity), None)
}

#[tokio::test]
async fn subjects_are_told_apart_by_tenant_issuer_and_name() {
    let (limits, _) = limits(|all| all.per_subject.mints_per_minute = Some(1));
    let askers = [
        asker("a", "i", Some("u")),
        asker("b", "i", Some("u")),
        asker("a", "j", Some("u")),
        asker("a", "i", Some("v")),
        asker("a", "i", None),
        asker("a", "i", None),
    ];
    for one in &askers {
        assert_eq!(limits.take(Rate::Mints, one).await, Ok(()));
        let refused = limits.take(Rate::Mints, one).await.unwrap_err();
        assert_eq!(refused.code, Code::RateLimited);
        assert_eq!(refused.retry_after, Some(Duration::from_secs(60)));
        assert_eq!(limits.take(Rate::Subsets, one).await, Ok(()), "another rate");
    }
    let again = asker("a", "i", Some("u"));
    assert!(
        limits.take(Rate::Mints, &again).await.is_err(),
        "another token of his"
    );
    assert_eq!(limits.metrics.count(Scope::Subject, "mints_per_minute"), 7);
}

#[tokio::test]
async fn who_has_used_up_his_share_takes_nothing_from_his_tenants() {
    let (limits, _) = limits(|all| {
        all.per_subject.new_shapes_per_minute = Some(2);
        all.per_tenant.new_shapes_per_minute = Some(4);
    });
    let [one, other] = ["u", "v"].map(|name| asker("a", "i", Some(name)));
    for _ in 0..100 {
        _ = limits.take(Rate::NewShapes, &one).await;
    }
    assert_eq!(limits.take(Rate::NewShapes, &other).await, Ok(()));
    assert_eq!(limits.take(Rate::NewShapes, &other).await, Ok(()));
    let third = asker("a", "i", Some("w"));
    assert!(
        limits.take(Rate::NewShapes, &third).await.is_err(),
        "the tenant's share"
    );
    let elsewhere = asker("b", "i", Some("u"));
    assert_eq!(limits.take(Rate::NewShapes, &elsewhere).await, Ok(()));
}

#[tokio::test]
async fn waits_are_given_back_by_dropping_them_and_nothing_is_left_of_them() {
    let (limits, _) = limits(|all| {
        all.per_subject.held_polls = Some(2);
        all.per_tenant.held_polls = Some(3);
    });
    let [one, other] = ["u", "v"].map(|name| asker("a", "i", Some(name)));
    let first = limits.hold(&one).unwrap();
    let second = limits.hold(&one).unwrap();
    assert!(limits.hold(&one).is_err());
    let third = limits.hold(&other).unwrap();
    assert!(limits.hold(&other).is_err(), "the tenant has three");
    assert_eq!(limits.holders(), 3);
    drop(first);
    let fourth = limits.hold(&other).unwrap();
    drop((second, third, fourth));
    assert_eq!(limits.holders(), 0, "who was refused left nothing behind, either");
    assert!(limits.hold(&one).unwrap().is_some());
}

#[tokio::test]
async fn other_numbers_forget_nobody() {
    let (limits, clock) = limits(|all| {
        all.per_subject.mints_per_minute = Some(10);
        all.per_subject.held_polls = Some(2);
    });
    let one = asker("a", "i", Some("u"));
    for _ in 0..10 {
        assert_eq!(limits.take(Rate::Mints, &one).await, Ok(()));
    }
    let held = limits.hold(&one).unwrap();
    let mut tighter = (**limits.settings.load()).clone();
    tighter.per_subject.held_polls = Some(1);
    tighter.per_subject.mints_per_minute = Some(5);
    limits.set(tighter);
    assert!(limits.hold(&one).is_err());
    assert!(limits.take(Rate::Mints, &one).await.is_err());
    drop(held);
    assert!(limits.hold(&one).is_ok());
    clock.advance(Duration::from_secs(61));
    assert_eq!(limits.take(Rate::Mints, &one).await, Ok(()));
}
