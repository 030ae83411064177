//! Which pages' requests may use a browser's cookies.
//!
//! A browser adds cookies whoever's page asks. What it says of that page decides: `Origin`, which scripts cannot
//! set, and `Sec-Fetch-Site` (Fetch Metadata §2.4) where there is none.

use http::{HeaderMap, Method, header};

use crate::config::{Cors, Origins};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Why cookies of this request are no credentials; none where they are.
///
/// A listed origin will do, whatever the site. Without an `Origin`, reads are fine when the site is the same origin's,
/// or the user's own doing, or not told at all, as by programs and older browsers; nothing else is.
pub fn why_cookies_are_refused(cors: &Cors, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => {
            let origin = origin.to_str().unwrap_or_default();
            (!is_listed(cors, origin)).then_some("its `Origin` is not listed")
        }
        (Some(_), Some(_)) => Some("it has several `Origin`s"),
        (None, _) if method != Method::GET && method != Method::HEAD => {
            Some("it has no `Origin`, and is no read")
        }
        (None, _) => why_site_is_refused(headers),
    }
}

fn why_site_is_refused(headers: &HeaderMap) -> Option<&'static str> {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    match (sites.next().map(http::HeaderValue::as_bytes), sites.next()) {
        (None | Some(b"same-origin" | b"none"), None) => None,
        _ => Some("its `Sec-Fetch-Site` is another one, and it has no `Origin`"),
    }
}

/// Any origin is none that was listed.
fn is_listed(cors: &Cors, origin: &str) -> bool {
    cors.origins != Origins::Any && cors.origins.grant(origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OriginPattern;

    fn is_refused(listed: bool, method: &Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let pattern = OriginPattern::parse("https://app.example.com").unwrap();
        let origins = if listed {
            Origins::Listed(vec![pattern])
        } else {
            Origins::Any
        };
        let cors = Cors {
            origins,
            credentials: true,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        why_cookies_are_refused(&cors, method, &headers).is_some()
    }

    const LISTED: (&str, &str) = ("origin", "https://app.example.com");

    #[test]
    fn a_listed_origin_may_send_cookies_in_any_request_from_any_site() {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
            for site in ["same-origin", "same-site", "cross-site", "none"] {
                assert!(
                    !is_refused(true, &method, &[LISTED, ("sec-fetch-site", site)]),
                    "{method} {site}"
                );
            }
            assert!(!is_refused(true, &method, &[LISTED]), "{method}");
            assert!(
                is_refused(false, &method, &[LISTED]),
                "{method}: nothing is listed"
            );
        }
    }

    #[test]
    fn another_origin_may_not() {
        for origin in [
            "https://evil.example",
            "null",
            "",
            "http://app.example.com",
            "https://app.example.com.evil.example",
            "https://app.example.com:444",
        ] {
            assert!(is_refused(true, &Method::GET, &[("origin", origin)]), "{origin}");
            assert!(
                is_refused(
                    true,
                    &Method::GET,
                    &[("origin", origin), ("sec-fetch-site", "same-origin")]
                ),
                "{origin}"
            );
        }
        assert!(is_refused(true, &Method::GET, &[LISTED, LISTED]));
        assert!(is_refused(
            true,
            &Method::GET,
            &[LISTED, ("origin", "https://evil.example")]
        ));
    }

    #[test]
    fn without_an_origin_reads_of_the_same_origin_and_of_programs_are_fine_and_writes_are_not() {
        for method in [Method::GET, Method::HEAD] {
            assert!(!is_refused(true, &method, &[]), "{method}");
            for site in ["same-origin", "none"] {
                assert!(
                    !is_refused(true, &method, &[("sec-fetch-site", site)]),
                    "{method} {site}"
                );
            }
            for site in [
                "same-site",
                "cross-site",
                "",
                "same-origin, cross-site",
                "SAME-ORIGIN",
                "unheard-of",
            ] {
                assert!(
                    is_refused(true, &method, &[("sec-fetch-site", site)]),
                    "{method} {site}"
                );
            }
            let twice = [
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "same-origin"),
            ];
            assert!(is_refused(true, &method, &twice));
        }
        for method in [Method::POST, Method::DELETE, Method::PUT] {
            assert!(is_refused(true, &method, &[]), "{method}");
            assert!(
                is_refused(true, &method, &[("sec-fetch-site", "same-origin")]),
                "{method}"
            );
        }
    }
}
