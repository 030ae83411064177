//! Whose address counts: the peer's, or, behind trusted proxies, what they say.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::config::Network;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies in a row that are looked behind.
const HOPS_MAX: usize = 32;

/// The address as it is counted: of IPv6, the /64 that one customer has (RFC 6177, RFC 7934).
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The nearest address that is no trusted proxy.
///
/// Entries are read from the right, the side on which the nearest proxy has written. What is no address, and
/// anything left of it, was not written by a proxy that is trusted: then the last that is known counts. Where
/// both headers are there and say different things, one of them is the client's own, and none is believed.
pub fn of_client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let peer = peer.to_canonical();
    let believed = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !believed(peer) {
        return peer;
    }
    let plain = headers.contains_key(&X_FORWARDED_FOR);
    let standard = headers.contains_key(FORWARDED);
    let of_plain = || nearest(peer, entries(headers, &X_FORWARDED_FOR).map(address), believed);
    let of_standard = || nearest(peer, elements(headers).map(forwarded_for), believed);
    match (plain, standard) {
        (false, false) => peer,
        (true, false) => of_plain(),
        (false, true) => of_standard(),
        (true, true) => Some(of_plain())
            .filter(|address| *address == of_standard())
            .unwrap_or(peer),
    }
}

fn nearest(
    peer: IpAddr,
    from_the_right: impl Iterator<Item = Option<IpAddr>>,
    believed: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut last = peer;
    for entry in from_the_right.take(HOPS_MAX) {
        let Some(address) = entry else { return last };
        last = address.to_canonical();
        if !believed(last) {
            return last;
        }
    }
    last
}

/// The entries of a list in a header, of all its lines, from the right; one that is no text is empty.
fn entries<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> + use<'h> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.rsplit(','))
        .map(trimmed)
}

/// The elements of `Forwarded`. A quoted comma, which none that a proxy writes has, makes both halves malformed.
fn elements(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    entries(headers, &FORWARDED)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    bracketed
        .map_or_else(
            || text.parse::<IpAddr>().ok(),
            |inner| inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        )
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

/// The one `for` of an element of `Forwarded` (RFC 7239 §4); `unknown` and obfuscated names are no addresses.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = trimmed(pair).split_once('=')?;
        if !name.eq_ignore_ascii_case("for") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        found = Some(match quoted {
            Some(inner) => address(inner)?,
            // Brackets and ports are no tokens: unquoted, an IPv4 address alone.
            None => IpAddr::V4(value.parse().ok()?),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        of_client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_peer_that_is_no_proxy_of_ours_is_the_client_whatever_it_says() {
        let said = [("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=1.1.1.1")];
        assert_eq!(behind("192.0.2.1", &said), "192.0.2.1");
        assert_eq!(behind("::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn behind_proxies_the_nearest_that_is_none_of_them_counts() {
        let plain = |value| behind("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(plain("192.0.2.1"), "192.0.2.1");
        assert_eq!(
            plain("1.1.1.1, 192.0.2.1"),
            "192.0.2.1",
            "what the client wrote is left of it"
        );
        assert_eq!(plain("1.1.1.1,192.0.2.1 ,\t10.0.0.2"), "192.0.2.1");
        assert_eq!(plain("192.0.2.1:4711"), "192.0.2.1");
        assert_eq!(plain("2001:db8::1"), "2001:db8::1");
        assert_eq!(plain("[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(plain("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(plain("10.0.0.3, 10.0.0.2"), "10.0.0.3", "all of them are proxies");
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(behind("10.0.0.1", &lines), "192.0.2.1");
        assert_eq!(behind("fd00::1", &lines), "192.0.2.1");
    }

    #[test]
    fn what_is_no_address_is_not_read_past() {
        let plain = |value: &str| behind("10.0.0.1", &[("x-forwarded-for", value)]);
        for value in [
            "",
            "unknown",
            "1.1.1.1, unknown",
            "1.1.1.1,",
            "1.1.1.1, 300.1.1.1",
            "1.1.1.1 2.2.2.2",
            "01.1.1.1",
            "[1.1.1.1]",
            "[::1",
            "1.1.1.1:",
            "1.1.1.1:99999",
            "1.1.1.1\u{7f}",
        ] {
            let line: Result<http::HeaderValue, _> = value.parse();
            if line.is_ok() {
                assert_eq!(plain(value), "10.0.0.1", "{value}");
            }
        }
        assert_eq!(plain("1.1.1.1, x, 10.0.0.9"), "10.0.0.9");
        let many = vec!["10.0.0.2"; 1000].join(",");
        assert_eq!(plain(&format!("1.1.1.1,{many}")), "10.0.0.2");
    }

    #[test]
    fn the_standard_header_is_read_as_strictly() {
        let standard = |value| behind("10.0.0.1", &[("forwarded", value)]);
        assert_eq!(standard("for=192.0.2.1"), "192.0.2.1");
        assert_eq!(standard("by=10.0.0.1;For=192.0.2.1;proto=https"), "192.0.2.1");
        assert_eq!(standard("for=1.1.1.1, for=\"[2001:db8::1]:80\""), "2001:db8::1");
        assert_eq!(standard("for=192.0.2.1, for=10.0.0.2"), "192.0.2.1");
        for value in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=1.1.1.1;for=2.2.2.2",
            "for=2001:db8::1",
            "for=\"1.1.1.1",
            "1.1.1.1",
            "for=\"1.1.1.1, for=2.2.2.2\"",
        ] {
            assert_eq!(standard(value), "10.0.0.1", "{value}");
        }
    }

    #[test]
    fn two_headers_that_disagree_are_believed_neither() {
        let both = |standard| {
            let lines = [("x-forwarded-for", "192.0.2.1"), ("forwarded", standard)];
            behind("10.0.0.1", &lines)
        };
        assert_eq!(both("for=192.0.2.1"), "192.0.2.1");
        assert_eq!(both("for=192.0.2.2"), "10.0.0.1");
        assert_eq!(both("for=unknown"), "10.0.0.1");
    }

    #[test]
    fn of_ipv6_the_network_counts() {
        let counts = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counts("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counts("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(counts("192.0.2.1"), "192.0.2.1");
    }
}
