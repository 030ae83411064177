//! What an upstream's answer must carry, and what of it a client gets.
//!
//! Pure rules: which headers pass, what makes an answer one of Electric's, what every status means to a
//! client, what a cache may do with it, whether a content coding is true, and what a client gets whose wait
//! ends early.

mod cache;
mod early;
mod encoding;
mod etag;
mod headers;
mod verdict;

pub use cache::{Audience, Varies, cache_control};
pub use early::{EarlyAnswer, MUST_REFETCH_BODY, next_cursor, nothing_new};
pub use encoding::{EncodingVerdict, encoding_verdict};
pub use etag::{for_client as etag_for_client, for_upstream as if_none_match_for_upstream};
pub use headers::{EXPOSED, HeaderRule, header_rule};
pub use verdict::{Expected, Passed, judge, rejected};
