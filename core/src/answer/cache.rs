//! What caches between here and the client may do with an answer.

use std::borrow::Cow;

use crate::request::{Live, Verb};

/// Who may see an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Everybody: nothing that was decided depends on who asks, so the URL alone says what the body is.
    Public,
    /// Who asked.
    Private,
}

/// The `cache-control` of an answer to a client. `upstream` is Electric's own.
///
/// Electric's headers assume that the URL is the authorisation; where it is not, a private cache alone may
/// keep the answer, and must ask again each time, which costs a conditional request and survives no logout.
#[must_use]
pub fn cache_control(
    audience: Audience,
    verb: Verb,
    status: u16,
    live: Live,
    upstream: Option<&str>,
) -> Cow<'static, str> {
    let reads = matches!(verb, Verb::Get | Verb::Head);
    match (audience, status) {
        (_, 400..=408 | 410..) => Cow::Borrowed("no-store"),
        (Audience::Private, 409) => Cow::Borrowed("private, no-store"),
        (Audience::Private, _) if live == Live::Sse => Cow::Borrowed("private, no-cache, no-transform"),
        (Audience::Private, _) => Cow::Borrowed("private, no-cache"),
        (Audience::Public, _) => match upstream.filter(|value| reads && is_lawful(value)) {
            Some(value) if live == Live::Sse => Cow::Owned(format!("{value}, no-transform")),
            Some(value) => Cow::Owned(value.to_owned()),
            None => Cow::Borrowed("no-cache"),
        },
    }
}

/// Directives as Electric writes them; anything else is not passed on.
fn is_lawful(value: &str) -> bool {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'=' | b',' | b' ');
    !value.is_empty() && value.len() <= 256 && value.bytes().all(lawful)
}

/// Which request headers decide what an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of four headers, each in it or not"
)]
pub struct Varies {
    /// `authorization`: wherever a bearer credential can decide.
    pub authorization: bool,
    /// `cookie`: where a credential may come in one.
    pub cookie: bool,
    /// `origin`: where `access-control-allow-origin` names the asker's.
    pub origin: bool,
    /// `accept-encoding`: where the gateway encodes.
    pub accept_encoding: bool,
}

impl Varies {
    /// The value of `vary`; `None` when nothing decides.
    #[must_use]
    pub const fn header(self) -> Option<&'static str> {
        let who = match (self.authorization, self.cookie) {
            (false, false) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (true, true) => 3,
        };
        Some(match (who, self.origin, self.accept_encoding) {
            (1, false, false) => "authorization",
            (2, false, false) => "cookie",
            (3, false, false) => "authorization, cookie",
            (1, true, false) => "authorization, origin",
            (2, true, false) => "cookie, origin",
            (3, true, false) => "authorization, cookie, origin",
            (1, false, true) => "authorization, accept-encoding",
            (2, false, true) => "cookie, accept-encoding",
            (3, false, true) => "authorization, cookie, accept-encoding",
            (1, true, true) => "authorization, origin, accept-encoding",
            (2, true, true) => "cookie, origin, accept-encoding",
            (3, true, true) => "authorization, cookie, origin, accept-encoding",
            (_, true, false) => "origin",
            (_, false, true) => "accept-encoding",
            (_, true, true) => "origin, accept-encoding",
            (_, false, false) => return None,
        })
    }
}
