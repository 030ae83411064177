//! `/status`: how the process stands, as a page without scripts.

mod cluster;
mod html;
mod tenants;

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use pingora_http::RequestHeader;

use self::html::{Fragment, filled};
use super::page::Reply;
use super::readiness::readiness;
use crate::config::moment_text;
use crate::gateway::State;
use crate::reload::Standing;

const PAGE: &str = include_str!("../../web/status.html");
/// Most insecure switches, and most places of refused changes, on the page.
const LISTED_MAX: usize = 100;

/// Nothing is loaded from anywhere, nothing is run, nothing may frame it; its one style is known by its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = PAGE
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"));
    let style = style.map_or("", |(style, _)| style);
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The page, with the tenants that are asked for.
pub(super) async fn answer(state: &State, head: &RequestHeader) -> Reply {
    let query = head.uri.query().unwrap_or_default();
    let tenants = tenants::shown(state, query).await;
    let standing = state.standing();
    let now = state.clock.now();
    let (ready, said) = readiness(state, None);
    let page = filled(PAGE, |name| match name {
        "state" => Fragment::text(said.trim()),
        "state_class" => Fragment::text(if ready == StatusCode::OK { "good" } else { "bad" }),
        "version" => Fragment::text(env!("CARGO_PKG_VERSION")),
        "process" => Fragment::text(&std::process::id().to_string()),
        "uptime" => Fragment::text(&time(now.monotonic.0)),
        "now" => Fragment::text(&moment_text(now.wall)),
        "numbers" => numbers(state),
        "insecure" => insecure(&standing),
        "configuration" => configuration(&standing),
        "cluster" => cluster::shown(&state.cluster),
        "tenants" => tenants.clone(),
        _ => Fragment::default(),
    });
    Reply::html(page)
        .with(header::CONTENT_SECURITY_POLICY, POLICY.clone())
        .with(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
        .with(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}

fn numbers(state: &State) -> Fragment {
    let metrics = &state.metrics;
    let hub = &metrics.hub;
    let sources = crate::revocation::Source::ALL;
    let revocations: usize = sources
        .iter()
        .map(|source| state.revocations.list(*source).len())
        .sum();
    metrics.unauthorized_loops.take(state.clock.now().monotonic);
    let numbers = [
        ("held polls and streams", metrics.held.get().to_string()),
        ("requests in flight", metrics.in_flight.get().to_string()),
        ("requests to Electric", hub.fetches.get().to_string()),
        ("kept answers", bytes(hub.bytes.get())),
        ("answers under way", bytes(hub.underway_bytes.get())),
        ("revocations", revocations.to_string()),
        (
            "clients that loop on 401",
            metrics.unauthorized_loops.count().to_string(),
        ),
        ("lines of logs lost", metrics.journal.lost().to_string()),
    ];
    let mut out = Fragment::default();
    for (name, number) in numbers {
        out.raw("<div><dt>").escaped(name).raw("</dt><dd>");
        out.escaped(&number).raw("</dd></div>");
    }
    out
}

fn insecure(standing: &Standing) -> Fragment {
    let switches: Vec<String> = standing
        .insecure
        .iter()
        .map(|switch| match &switch.tenant {
            Some(tenant) => format!("{tenant}: {}", switch.told),
            None => switch.told.clone(),
        })
        .collect();
    if switches.is_empty() {
        let mut none = Fragment::default();
        none.raw("<p class=\"soft\">none</p>");
        return none;
    }
    list(&switches, "warn")
}

fn list(lines: &[String], class: &'static str) -> Fragment {
    let mut out = Fragment::default();
    out.raw("<ul class=\"").raw(class).raw("\">");
    for line in lines.iter().take(LISTED_MAX) {
        out.raw("<li>").escaped(line).raw("</li>");
    }
    if let Some(more) = lines.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
        out.raw("<li>").escaped(&format!("and {more} more")).raw("</li>");
    }
    out.raw("</ul>");
    out
}

fn configuration(standing: &Standing) -> Fragment {
    let mut out = Fragment::default();
    let counts = standing.counts;
    if standing.current {
        out.raw("<p class=\"good\">everything is served as the files say</p>");
    } else if standing.taken.is_some() {
        out.raw("<p class=\"bad\">some of the files are refused, and served as they were before</p>");
    }
    let text = format!(
        "tenants: {} served, {} as before, {} not at all",
        counts.served, counts.stale, counts.unserved
    );
    out.raw("<p>").escaped(&text).raw("</p>");
    if let Some(taken) = standing.taken {
        out.raw("<p class=\"soft\">files last taken over at ")
            .escaped(&moment_text(taken))
            .raw("</p>");
    }
    if let Some((at, places)) = &standing.refused {
        out.raw("<p>a change was last refused at ")
            .escaped(&moment_text(*at))
            .raw("; the log says why:</p>");
        out.push(&list(places, "soft"));
    }
    out
}

/// A time as people say it.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    ) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

/// Bytes as people say them.
fn bytes(bytes: i64) -> String {
    match bytes {
        ..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / (1024 * 1024)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_and_runs_nothing() {
        for word in [
            "<script",
            "javascript:",
            "src=",
            "href=",
            "@import",
            "url(",
            "style=\"",
            " on",
        ] {
            let found = PAGE.matches(word).filter(|_| word != " on").count();
            assert_eq!(found, 0, "{word}");
        }
        assert_eq!(PAGE.matches("<style").count(), 1);
    }

    #[test]
    fn its_policy_names_the_hash_of_its_style() {
        let policy = POLICY.to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("sha256-47DEQpj8"),
            "{policy}"
        );
    }

    #[test]
    fn times_and_sizes_are_said_as_people_do() {
        for (seconds, said) in [
            (0, "0 s"),
            (61, "1 min 1 s"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(time(Duration::from_secs(seconds)), said);
        }
        for (size, said) in [(0, "0 B"), (20_480, "20 KiB"), (64 * 1024 * 1024, "64 MiB")] {
            assert_eq!(bytes(size), said);
        }
    }
}
