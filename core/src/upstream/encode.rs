//! Names and values as they stand in a query.

use std::fmt::{Display, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 is escaped, a space as `%20`.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Writes `name=value`, both escaped.
pub(super) fn pair(query: &mut String, name: &str, value: &str) {
    query.extend(utf8_percent_encode(name, &ESCAPED));
    query.push('=');
    query.extend(utf8_percent_encode(value, &ESCAPED));
}

/// Writes `name=value&` of a value that holds unreserved characters alone.
pub(super) fn word(query: &mut String, name: &str, value: &str) {
    query.push_str(name);
    query.push('=');
    query.push_str(value);
    query.push('&');
}

/// Writes `name=value&` of a number or an offset.
pub(super) fn number(query: &mut String, name: &str, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = write!(query, "{name}={value}&");
}
