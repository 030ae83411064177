//! How long an answer may be kept: as Electric's own `cache-control` says, and never for as long as a shape
//! that was rotated could be handed out unnoticed.

use std::time::Duration;

use http::header;
use pingora_http::ResponseHeader;
use shapegate_core::handle::UpstreamHandle;
use shapegate_core::request::{Live, Offset, Position};

/// The longest that the start of a log is fresh: Electric allows a week, but who gets the start of a rotated
/// shape learns so by his next request only. Afterwards it is revalidated, which costs a 304.
const BEGINNING_FRESH_MAX: Duration = Duration::from_secs(60);
/// The longest that anything is fresh.
const FRESH_MAX: Duration = Duration::from_secs(300);

/// How long the answer to a GET at `position` may be handed out without asking; none when it may not be kept.
///
/// Kept are the parts of a log, and 409s that name another handle, for those who ask with the old one. Never
/// kept: other errors, event streams, subsets, what was asked for past all caches, what the upstream forbids.
pub fn fresh_for(position: &Position<UpstreamHandle>, head: &ResponseHeader) -> Option<Duration> {
    let beginning = position.offset == Offset::Beginning;
    let has = |name: &str| head.headers.contains_key(name);
    let kept = match head.status.as_u16() {
        200 => has("electric-handle") && !has("electric-snapshot"),
        // Of the handle that the 200 had that it confirms.
        304 => true,
        409 => has("electric-handle") && position.handle.is_some() && !beginning,
        _ => false,
    };
    // Whoever asks for events of a shape that was rotated gets a 409 as everybody does.
    let ends = position.live != Live::Sse || head.status.as_u16() == 409;
    let shareable = ends && position.cache_buster.is_none();
    if !kept || !shareable || has("set-cookie") || !varies_by_nothing(head) {
        return None;
    }
    let limit = if beginning { BEGINNING_FRESH_MAX } else { FRESH_MAX };
    let text = head.headers.get(header::CACHE_CONTROL)?.to_str().ok()?;
    Some(allowed(text)?.min(limit)).filter(|fresh| !fresh.is_zero())
}

/// We ask for identity always, so that `accept-encoding` decides nothing.
fn varies_by_nothing(head: &ResponseHeader) -> bool {
    let mut names = head.headers.get_all(header::VARY).iter();
    names.all(|value| value.as_bytes().eq_ignore_ascii_case(b"accept-encoding"))
}

/// What a `cache-control` allows a shared cache; none when it forbids, or says nothing that is understood.
fn allowed(cache_control: &str) -> Option<Duration> {
    let (mut own, mut shared) = (None, None);
    for directive in cache_control.split(',').map(str::trim) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" | "private" => return None,
            "max-age" => own = Some(value.parse().ok()?),
            "s-maxage" => shared = Some(value.parse().ok()?),
            _ => {}
        }
    }
    shared.or(own).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn electrics_own_words_are_understood() {
        let seconds = |text| allowed(text).map(|fresh| fresh.as_secs());
        let beginning = "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746";
        assert_eq!(seconds(beginning), Some(3600));
        assert_eq!(
            seconds("public, max-age=60, stale-while-revalidate=300"),
            Some(60)
        );
        assert_eq!(seconds("public, max-age=5, stale-while-revalidate=5"), Some(5));
        assert_eq!(seconds("public, max-age=60, must-revalidate"), Some(60));
        for other in [
            "",
            "no-store",
            "no-cache",
            "max-age=60, private",
            "public",
            "max-age=-1",
            "max-age=1x",
            "max-age=60, No-Store",
        ] {
            assert_eq!(seconds(other), None, "{other}");
        }
    }
}
