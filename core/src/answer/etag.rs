//! Entity tags hold the handle, so they are rewritten where handles are.
//!
//! Electric's are `"{handle}:{offset asked}:{offset answered}"`, with a further number where they must never
//! match again.

use crate::handle::{ClientHandle, HandleBinding, UpstreamHandle};
use crate::limits::ENTITY_TAGS_MAX;

/// An upstream's `etag` as the client gets it; `None` when it is not one of Electric's.
#[must_use]
pub fn for_client(etag: &str, binding: &HandleBinding) -> Option<String> {
    let (handle, rest) = split(etag)?;
    let handle = binding.tag(&UpstreamHandle::parse(handle)?);
    Some(format!("\"{}:{rest}\"", handle.as_str()))
}

/// A client's `if-none-match` as the upstream gets it: strong, rebuilt from those tags that are of this
/// shape. `None` when none is, and then the request is not conditional.
#[must_use]
pub fn for_upstream(if_none_match: &str, binding: &HandleBinding) -> Option<String> {
    let tags = if_none_match.split(',').take(ENTITY_TAGS_MAX).filter_map(|tag| {
        let tag = tag.trim_matches([' ', '\t']);
        let (handle, rest) = split(tag.strip_prefix("W/").unwrap_or(tag))?;
        let handle = binding.untag(&ClientHandle::parse(handle)?).ok()?;
        Some(format!("\"{}:{rest}\"", handle.as_str()))
    });
    let tags: Vec<String> = tags.collect();
    (!tags.is_empty()).then(|| tags.join(", "))
}

/// Handle and rest of a quoted tag, the rest checked to hold what Electric writes.
fn split(tag: &str) -> Option<(&str, &str)> {
    let inner = tag.strip_prefix('"')?.strip_suffix('"')?;
    let (handle, rest) = inner.split_once(':')?;
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    (rest.len() <= 128 && rest.bytes().all(lawful)).then_some((handle, rest))
}
