//! W3C Trace Context: which span a request belongs to, as headers say it.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::ids::{SpanId, TraceId};

/// The name of the header with the trace, the span and the sampled flag.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The name of the header with what vendors of tracing add.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest `traceparent`, in bytes; version 00 has exactly 55, and later ones may add to that.
const TRACEPARENT_BYTES_MAX: usize = 256;
/// The longest `tracestate` that is passed on, in bytes: what everybody must pass on at least (§3.3.1.5).
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// The most members of a `tracestate` (§3.3.1.1).
const TRACESTATE_MEMBERS_MAX: usize = 32;
/// The longest key and the longest value of a member, in bytes (§3.3.1.3).
const MEMBER_PART_BYTES_MAX: usize = 256;
/// The bit of `trace-flags` that says that whoever called has recorded (§3.2.2.5).
const SAMPLED: u128 = 1;

/// A span, as others refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub span: SpanId,
    /// Whether it is recorded.
    pub sampled: bool,
}

impl SpanContext {
    /// What the one `traceparent` says; nothing where there are none, several, or one that is none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        Self::read(value.to_str().ok()?)
    }

    /// Reads a `traceparent` (§3.2.2). Of later versions only what version 00 has is looked at.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut next = |digits| hexadecimal(parts.next()?, digits);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) || text.len() > TRACEPARENT_BYTES_MAX {
            return None;
        }
        Some(Self {
            trace: TraceId::of(trace)?,
            span: SpanId::of(u64::try_from(span).ok()?)?,
            sampled: flags & SAMPLED == SAMPLED,
        })
    }

    /// The `traceparent` that names it: version 00, and no flag but the one that every version knows.
    pub fn header(self) -> Option<HeaderValue> {
        let flags = u8::from(self.sampled);
        HeaderValue::try_from(format!("00-{}-{}-{flags:02x}", self.trace, self.span)).ok()
    }
}

/// Exactly so many digits, in lower case.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let plain = text.len() == digits && text.bytes().all(is_digit);
    plain.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// The `tracestate` to pass on with a `traceparent`; none where any of it is malformed (§3.3.1.5). Of one that is too
/// long the last members go.
pub fn tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(&TRACESTATE).iter();
    let (first, more) = (lines.next()?, lines.next());
    let members = first.to_str().ok()?.split(',').map(trimmed);
    let fits = first.len() <= TRACESTATE_BYTES_MAX && members.clone().count() <= TRACESTATE_MEMBERS_MAX;
    let is_good = |(index, member)| is_member(member) && !has_key(members.clone().take(index), member);
    if more.is_none() && fits && members.clone().enumerate().all(is_good) {
        return Some(first.clone());
    }
    joined(headers)
}

/// All lines as one, as far as there is room.
fn joined(headers: &HeaderMap) -> Option<HeaderValue> {
    let (mut kept, mut count, mut is_full) = (String::new(), 0, false);
    for line in headers.get_all(&TRACESTATE) {
        for member in line.to_str().ok()?.split(',').map(trimmed) {
            if !is_member(member) || has_key(kept.split(','), member) {
                return None;
            }
            is_full |=
                count == TRACESTATE_MEMBERS_MAX || kept.len() + 1 + member.len() > TRACESTATE_BYTES_MAX;
            if is_full || member.is_empty() {
                continue;
            }
            if !kept.is_empty() {
                kept.push(',');
            }
            kept.push_str(member);
            count += 1;
        }
    }
    (!kept.is_empty())
        .then(|| HeaderValue::try_from(kept).ok())
        .flatten()
}

/// Whether one of these has the key of `member`: each may be there once.
fn has_key<'m>(mut members: impl Iterator<Item = &'m str>, member: &str) -> bool {
    let key = member.split_once('=').map(|(key, _)| key);
    key.is_some() && members.any(|known| known.split_once('=').map(|(key, _)| key) == key)
}

fn trimmed(member: &str) -> &str {
    member.trim_matches([' ', '\t'])
}

/// `key=value` (§3.3.1.3), or nothing, which a list may have.
fn is_member(member: &str) -> bool {
    let key = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let value = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'=';
    let fits = |text: &str| (1..=MEMBER_PART_BYTES_MAX).contains(&text.len());
    member.is_empty()
        || member.split_once('=').is_some_and(|(name, text)| {
            fits(name) && fits(text) && name.bytes().all(key) && text.bytes().all(value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|line| (name.clone(), HeaderValue::from_str(line).unwrap()));
        lines.collect()
    }

    fn state(lines: &[&str]) -> Option<String> {
        let passed = tracestate(&headers(&TRACESTATE, lines))?;
        Some(passed.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_traceparent_is_read_and_written_as_it_was() {
        for (flags, sampled) in [("00", false), ("01", true), ("03", true), ("fe", false)] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            let context = SpanContext::read(&text).unwrap();
            assert_eq!(context.sampled, sampled, "{flags}");
            let written = context.header().unwrap();
            let known = if sampled { "01" } else { "00" };
            assert_eq!(written, text.replace(&format!("-{flags}"), &format!("-{known}")));
        }
    }

    #[test]
    fn of_a_later_version_the_known_part_is_read() {
        let later = GOOD.replacen("00", "cc", 1);
        for text in [later.clone(), format!("{later}-what-comes"), format!("{later}-")] {
            assert_eq!(SpanContext::read(&text), SpanContext::read(GOOD), "{text}");
        }
        assert_eq!(SpanContext::read(&format!("{later}-{}", "x".repeat(256))), None);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let upper = GOOD.to_uppercase();
        for text in [
            "",
            "-",
            "---",
            upper.as_str(),
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        ] {
            assert_eq!(SpanContext::read(text), None, "{text}");
        }
        for lines in [vec![], vec![GOOD, GOOD], vec!["x", GOOD]] {
            assert_eq!(SpanContext::of(&headers(&TRACEPARENT, &lines)), None, "{lines:?}");
        }
    }

    #[test]
    fn a_tracestate_is_passed_as_it_is_and_its_lines_are_one_list() {
        for text in ["a=1", "a=1,b=2", "a=1 , fw529a3039@dt=Fwd;x", "0@a=!", "a=1,,b=2"] {
            assert_eq!(state(&[text]).as_deref(), Some(text));
        }
        assert_eq!(state(&["a=1,b=2", "c=3"]).as_deref(), Some("a=1,b=2,c=3"));
        assert_eq!(state(&[]), None);
    }

    #[test]
    fn a_tracestate_in_which_anything_is_malformed_is_not_passed() {
        for text in [
            "a",
            "A=1",
            "=1",
            "a=",
            "a=1=2",
            "a=1,b",
            "a=1,b=2,a=3",
            "a b=1",
            "a=é",
            &format!("{}=1", "a".repeat(257)),
        ] {
            assert_eq!(state(&[text]), None, "{text}");
            assert_eq!(state(&["z=0", text]), None, "{text}");
        }
        assert_eq!(state(&[&format!("a=1,{}", "b".repeat(600))]), None);
    }

    #[test]
    fn a_tracestate_that_is_too_long_loses_its_last_members() {
        let members: Vec<String> = (0..40).map(|n| format!("k{n}=v")).collect();
        let passed = state(&[&members.join(",")]);
        assert_eq!(passed, Some(members[..32].join(",")));
        let long: Vec<String> = (0..4).map(|n| format!("k{n}={}", "v".repeat(200))).collect();
        assert_eq!(state(&[&long.join(",")]), Some(long[..2].join(",")));
        assert_eq!(state(&[&"x".repeat(10 * 1024)]), None);
        assert_eq!(state(&[&"a=b,".repeat(2560)]), None);
        assert_eq!(state(&["a=1", "a=1"]), None);
    }
}
