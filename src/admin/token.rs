//! What operators show when they change anything.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::{HeaderMap, header};

/// The token that changes need. It is compared in constant time and never shown.
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

impl AdminToken {
    /// The token of the configuration.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether a request carries it as its one bearer token (RFC 6750 §2.1).
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let Some((scheme, token)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return false;
        };
        let is_same = verify_slices_are_equal(token.trim().as_bytes(), self.0.as_bytes()).is_ok();
        is_same && scheme.eq_ignore_ascii_case("bearer")
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AdminToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TOKEN: &str = "the-token-of-the-operators";

    fn is_taken(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        AdminToken::new(TOKEN).is_in(&headers)
    }

    #[test]
    fn the_token_is_taken_as_a_bearer_token_and_nothing_else_is() {
        assert!(is_taken(&[&format!("Bearer {TOKEN}")]));
        assert!(is_taken(&[&format!("bearer  {TOKEN}")]));
        let good = format!("Bearer {TOKEN}");
        for values in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &[TOKEN],
            &["Basic the-token-of-the-operators"],
            &["Bearer the-token-of-the-operator"],
            &["Bearer the-token-of-the-operatorsx"],
            &["Bearer The-token-of-the-operators"],
            &[good.as_str(), good.as_str()],
        ] {
            assert!(!is_taken(values), "{values:?}");
        }
    }

    #[test]
    fn it_is_not_shown() {
        assert!(!format!("{:?}", AdminToken::new(TOKEN)).contains("operators"));
    }
}
