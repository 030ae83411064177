//! `from`: what carries a method's credentials.

use super::reading::{Reading, Section};
use super::yaml::{Entry, Node};
use crate::identity::Carrier;
use http::HeaderName;
use http::header;

const HELP: &str = "write `from: { cookie: name }`, `from: { header: x-session }` or `from: { header: authorization, scheme: bearer }`";
/// Longest name of a cookie, scheme or prefix, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Headers that mean something else.
const OTHERS: [HeaderName; 8] = [
    header::COOKIE,
    header::HOST,
    header::ORIGIN,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHORIZATION,
];

pub(super) fn from(reading: &mut Reading<'_>, section: &mut Section<'_>) -> Option<Carrier> {
    let entry = section.require(reading, "from", HELP)?;
    carrier(reading, &entry.value)
}

/// `{ cookie }` or `{ header, scheme, prefix }`.
pub(super) fn carrier(reading: &mut Reading<'_>, node: &Node) -> Option<Carrier> {
    let mut section = Section::open(reading, node, "from")?;
    let [cookie, named, scheme, prefix] =
        ["cookie", "header", "scheme", "prefix"].map(|key| section.get(reading, key));
    section.finish(reading);
    match (cookie, named, scheme, prefix) {
        (Some(cookie), None, None, None) => token(reading, cookie).map(Carrier::Cookie),
        (None, Some(named), scheme, prefix) => {
            let name = header_name(reading, named)?;
            if name == header::AUTHORIZATION {
                return authorization(reading, scheme, prefix);
            }
            if let Some(entry) = scheme.or(prefix) {
                let message = format!("only `authorization` has a `{}`", entry.key);
                return reading.refuse(
                    entry.key_span,
                    message,
                    "remove it, or write `header: authorization`",
                );
            }
            Some(Carrier::Header(name))
        }
        _ => reading.refuse(node.span, "`from` must name one cookie or one header", HELP),
    }
}

fn authorization(
    reading: &mut Reading<'_>,
    scheme: Option<&Entry>,
    prefix: Option<&Entry>,
) -> Option<Carrier> {
    let scheme = match scheme {
        Some(entry) => token(reading, entry)?.to_ascii_lowercase(),
        None => "bearer".to_owned(),
    };
    let prefix = match prefix {
        Some(entry) => Some(token(reading, entry)?),
        None => None,
    };
    Some(Carrier::Authorization { scheme, prefix })
}

fn header_name(reading: &mut Reading<'_>, entry: &Entry) -> Option<HeaderName> {
    let text = reading.text(&entry.value, "header")?;
    let name = HeaderName::try_from(text.value.as_str()).ok();
    let usable = |name: &HeaderName| name.as_str().len() <= NAME_BYTES_MAX && !OTHERS.contains(name);
    match name.filter(usable) {
        Some(name) => Some(name),
        None => reading.refuse(
            text.span,
            format!("`{}` cannot carry a credential", text.value),
            HELP,
        ),
    }
}

/// A token of HTTP (RFC 9110 §5.6.2).
fn token(reading: &mut Reading<'_>, entry: &Entry) -> Option<String> {
    let text = reading.text(&entry.value, &entry.key)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.value.len() <= NAME_BYTES_MAX && text.value.bytes().all(is_token) {
        return Some(text.value);
    }
    let message = format!("`{}` is no `{}`", text.value, entry.key);
    reading.refuse(text.span, message, "use letters, digits, `-`, `_` and `.`")
}
