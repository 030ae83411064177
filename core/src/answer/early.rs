//! What a client gets whose wait ends early: what Electric itself sends when a long poll times out.
//!
//! The next request is judged anew and gets its 401, 403 or 503. A refusal in mid-wait would instead stop
//! clients that renew their token with each request.

use crate::handle::ClientHandle;
use crate::request::{Live, Offset};
use crate::time::UnixMillis;

/// 2024-10-09T00:00:00Z, from which Electric counts cursors, in seconds since 1970.
const CURSOR_EPOCH_SECONDS: i64 = 1_728_432_000;
/// Electric's long poll, in seconds: cursors are multiples of it.
const LONG_POLL_SECONDS: u64 = 20;
/// How far a cursor jumps, at most, to escape a cache that keeps answering with the one that was sent.
const CURSOR_JUMP_SECONDS: u64 = 3600;

/// The body of a 409, as Electric sends it.
pub const MUST_REFETCH_BODY: &str = r#"[{"headers":{"control":"must-refetch"}}]"#;

/// The cursor of a live answer, as Electric computes it: the end of the current window of 20 s since
/// 2024-10-09, or, when the client has that already, a random step of up to an hour beyond its own.
///
/// `random` is any number from a good source; all clients of a window get the same cursor without it.
#[must_use]
pub fn next_cursor(now: UnixMillis, asked: Option<u64>, random: u64) -> u64 {
    let since = u64::try_from(now.seconds().saturating_sub(CURSOR_EPOCH_SECONDS)).unwrap_or(0);
    let cursor = since
        .div_ceil(LONG_POLL_SECONDS)
        .saturating_mul(LONG_POLL_SECONDS);
    match asked {
        Some(asked) if cursor <= asked => asked.saturating_add(random % CURSOR_JUMP_SECONDS + 1),
        _ => cursor,
    }
}

/// An answer made here, in Electric's own form: status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyAnswer {
    /// Names in lower case, and values; `cache-control` among them, CORS not.
    pub headers: Vec<(&'static str, String)>,
    /// The whole body.
    pub body: String,
}

/// Up to date, at the handle and offset that were asked with. For a stream that has not begun; one that has
/// simply ends at an event boundary.
#[must_use]
pub fn nothing_new(live: Live, handle: &ClientHandle, offset: Offset, cursor: u64) -> EarlyAnswer {
    let mut headers = vec![
        ("cache-control", "private, no-store".to_owned()),
        ("electric-cursor", cursor.to_string()),
        ("electric-handle", handle.as_str().to_owned()),
        ("electric-has-data", "false".to_owned()),
        ("electric-offset", offset.to_string()),
        ("electric-up-to-date", String::new()),
    ];
    let (content_type, body) = match live {
        // An up-to-date event would move a client's offset, and back at that: it begins a transaction anew.
        Live::Sse => ("text/event-stream", ": keep-alive\n\n".to_owned()),
        Live::Poll | Live::No => ("application/json; charset=utf-8", up_to_date(offset)),
    };
    headers.insert(1, ("content-type", content_type.to_owned()));
    EarlyAnswer { headers, body }
}

/// The position in the write-ahead log that the client has certainly seen is that of its own offset.
fn up_to_date(offset: Offset) -> String {
    let seen = match offset {
        Offset::At { transaction, .. } => transaction,
        Offset::Beginning | Offset::Now => 0,
    };
    format!(r#"[{{"headers":{{"control":"up-to-date","global_last_seen_lsn":"{seen}"}}}}]"#)
}
