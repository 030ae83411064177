//! `limits.per_subject` and its kin: numbers or `none`, over defaults that protect.

use shapegate::limits::Quota;

use super::support::{accepted, and, refused};

fn one(text: &str, part: &str) {
    let rendered = refused(text);
    assert_eq!(rendered.matches("error: ").count(), 1, "{text}\n{rendered}");
    assert!(rendered.contains(part), "{text}\n{rendered}");
}

#[test]
fn subjects_are_limited_unless_told_otherwise_and_others_are_not() {
    let limits = accepted(&and("")).config.server.limits;
    assert_eq!(limits.per_subject, Quota::SUBJECT);
    assert_eq!(limits.per_subject.held_polls, Some(256));
    assert_eq!(limits.per_subject.new_shapes_per_minute, Some(120));
    assert!(limits.per_tenant.is_unlimited() && limits.per_address.is_unlimited());
    assert_eq!(
        (limits.upstream_requests_max, limits.upstream_new_shapes_max),
        (10_000, 300)
    );
}

#[test]
fn a_key_that_is_written_replaces_its_default_alone() {
    let text = "limits: { per_subject: { held_polls: 8, mints_per_minute: none }, \
                per_tenant: {}, per_address: { requests_per_minute: 600 } }\n";
    let limits = accepted(&and(text)).config.server.limits;
    let subject = Quota {
        held_polls: Some(8),
        mints_per_minute: None,
        ..Quota::SUBJECT
    };
    assert_eq!(limits.per_subject, subject);
    assert!(limits.per_tenant.is_unlimited());
    assert_eq!(limits.per_address.requests_per_minute, Some(600));
}

#[test]
fn what_is_no_number_is_refused_at_its_place() {
    let per_subject = |text: &str| and(&format!("limits: {{ per_subject: {{ {text} }} }}\n"));
    let range = "must be between 1 and 1000000";
    one(&per_subject("held_polls: 0"), range);
    one(&per_subject("held_polls: 1000001"), range);
    one(&per_subject("held_polls: -1"), "must be a whole number");
    one(&per_subject("held_polls: \"none\""), "must be a whole number");
    one(
        &per_subject("requests_per_minute: 10/s"),
        "must be a whole number",
    );
    one(&per_subject("held_polls:"), "`held_polls` has no value");
    one(&per_subject("held_poll: 3"), "did you mean `held_polls`?");
    one(
        &and("limits: { per_subject: 5 }\n"),
        "`per_subject` must be a map",
    );
    one(&and("limits: { upstream_requests_max: 0 }\n"), range);
}

#[test]
fn what_is_in_force_is_printed() {
    let printed = accepted(&and("limits: { per_tenant: { held_polls: 5000 } }\n")).print();
    for line in [
        "    held_polls: 5000",
        "    new_shapes_per_minute: 120",
        "    requests_per_minute: none",
        "  upstream_new_shapes_max: 300",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
    assert_eq!(accepted(&printed).print(), printed, "it can be read again");
}
