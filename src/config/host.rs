//! Host names, as URLs and origins may have them.

/// Whether a text is a DNS name or an IPv4 address: lower-case labels of letters, digits and `-`.
pub(super) fn is_host_name(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.split('.').all(is_label)
}

/// Whether a text is one label of a host name.
pub fn is_label(label: &str) -> bool {
    let inner = label
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_');
    (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
}

/// Splits `host`, `host:80` or `[::1]:80`. The port is none where none is written; all of it none where it is wrong.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rfind(']') {
        Some(end) => match authority.split_at_checked(end + 1)? {
            (host, "") => (host, None),
            (host, rest) => (host, Some(rest.strip_prefix(':')?)),
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else {
        return Some((host, None));
    };
    let port = super::scalar::decimal(port)
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)?;
    Some((host, Some(port)))
}

/// Whether a text is `[…]` around an IPv6 address.
pub(super) fn is_bracketed_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}
