//! A revocation as all gateways know it: what is denied, or that it is no longer, and since when that is so.
//!
//! Of two records of one name the later one counts. One that takes a revocation back is kept for a while as well:
//! an entry that is merely missing was lost, and whoever knows it writes it again.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shapegate_core::time::UnixMillis;

use crate::revocation::{Entry, Name, Written};

/// Longest record in Redis, in bytes: the longest ids in JSON, each of their characters escaped.
pub const RECORD_BYTES_MAX: usize = 8 * 1024;
/// How long it is remembered that a revocation was taken back. A gateway that was away for longer may bring it back.
pub const TAKEN_BACK_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long what has expired is left for those whose clocks are behind.
const EXPIRED_FOR: Duration = Duration::from_secs(60);
/// The latest moment of a record, in milliseconds: what Lua can count to.
const AT_MAX: i64 = 1 << 53;

/// What a record is found by: a digest of the name that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field(Arc<str>);

/// Characters of a field.
const FIELD_CHARS: usize = 43;

impl Field {
    /// The field of a name.
    pub fn of(name: &Name) -> Self {
        let mut bytes = Vec::with_capacity(128);
        let mut part = |text: Option<&str>| match text {
            Some(text) => {
                bytes.push(1);
                bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
            None => bytes.push(0),
        };
        part(Some(name.kind.as_str()));
        part(Some(&name.value));
        part(name.tenant.as_deref());
        part(name.issuer.as_deref());
        let digest = digest::digest(&digest::SHA256, &bytes);
        Self(URL_SAFE_NO_PAD.encode(digest.as_ref()).into())
    }

    /// A field as it is in Redis; none where that is nobody's.
    pub fn read(text: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let text = std::str::from_utf8(text).ok()?;
        (text.len() == FIELD_CHARS && text.as_bytes().iter().all(plain)).then(|| Self(text.into()))
    }

    /// As it is in Redis.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is known of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Since when, in milliseconds since 1970; later than whatever was known before.
    pub at: i64,
    /// What is denied; none: it was taken back.
    pub entry: Option<Arc<Entry>>,
}

impl Record {
    /// As it is in Redis: `<at> +<entry>` or `<at> -`.
    pub fn write(&self) -> String {
        let mut text = format!("{} ", self.at);
        match &self.entry {
            Some(entry) => {
                text.push('+');
                text.push_str(&serde_json::to_string(&Written::of(entry)).unwrap_or_default());
            }
            None => text.push('-'),
        }
        text
    }

    /// Reads what is in Redis; none where it is no record, or one of another name.
    pub fn read(field: &Field, text: &[u8]) -> Option<Self> {
        if text.len() > RECORD_BYTES_MAX {
            return None;
        }
        let at = moment(text)?;
        let (_, rest) = std::str::from_utf8(text).ok()?.split_once(' ')?;
        if rest == "-" {
            return Some(Self { at, entry: None });
        }
        let written: Written = serde_json::from_str(rest.strip_prefix('+')?).ok()?;
        let entry = written.entry()?;
        (Field::of(&entry.name) == *field).then(|| Self {
            at,
            entry: Some(Arc::new(entry)),
        })
    }

    /// Whether this one counts rather than the other. Of the same moment, the one that denies.
    pub fn outdoes(&self, other: &Self) -> bool {
        let rank = |record: &Self| (record.at, record.entry.is_some());
        rank(self) > rank(other)
    }

    /// Whether nobody needs it any more.
    pub fn is_over(&self, now: UnixMillis) -> bool {
        match &self.entry {
            Some(entry) => entry
                .expires
                .is_some_and(|expires| expires.plus(EXPIRED_FOR) <= now),
            None => UnixMillis(self.at).plus(TAKEN_BACK_FOR) <= now,
        }
    }
}

/// The moment that something begins with which may be a record.
pub fn moment(text: &[u8]) -> Option<i64> {
    let digits: Vec<u8> = text.iter().copied().take_while(u8::is_ascii_digit).collect();
    let at: i64 = std::str::from_utf8(&digits).ok()?.parse().ok()?;
    (text.get(digits.len()) == Some(&b' ') && at < AT_MAX).then_some(at)
}

/// The name of a rate in Redis: a digest of its parts, which may be anybody's ids.
pub fn digest_of(parts: &[&str]) -> String {
    let mut bytes = Vec::with_capacity(128);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let digest = digest::digest(&digest::SHA256, &bytes);
    let mut text = String::with_capacity(32);
    for byte in digest.as_ref().iter().take(16) {
        _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::{Kind, REASON_BYTES_MAX, VALUE_BYTES_MAX};

    fn entry(value: &str) -> Entry {
        Entry {
            name: Name {
                kind: Kind::Subject,
                value: value.into(),
                tenant: Some("acme".into()),
                issuer: None,
            },
            expires: Some(UnixMillis(1_000_123)),
            issued_before: Some(UnixMillis(999_877)),
            reason: Some("\"left\" \\".into()),
        }
    }

    fn record(at: i64, value: &str) -> Record {
        let entry = Some(Arc::new(entry(value)));
        Record { at, entry }
    }

    #[test]
    fn a_record_reads_back_to_the_millisecond() {
        let record = record(42, "user \u{2028} 17");
        let field = Field::of(&record.entry.as_ref().unwrap().name);
        assert_eq!(Record::read(&field, record.write().as_bytes()), Some(record));
        let gone = Record { at: 43, entry: None };
        assert_eq!(gone.write(), "43 -");
        assert_eq!(Record::read(&field, b"43 -"), Some(gone));
        assert_eq!(Field::read(field.as_str().as_bytes()), Some(field));
    }

    #[test]
    fn the_longest_entry_fits() {
        let most = "\"".repeat(VALUE_BYTES_MAX);
        let mut entry = entry(&most);
        entry.name.tenant = Some(most.as_str().into());
        entry.name.issuer = Some(most.as_str().into());
        entry.reason = Some("\\".repeat(REASON_BYTES_MAX).into());
        let field = Field::of(&entry.name);
        let record = Record {
            at: AT_MAX - 1,
            entry: Some(Arc::new(entry)),
        };
        let written = record.write();
        assert!(written.len() <= RECORD_BYTES_MAX, "{}", written.len());
        assert_eq!(Record::read(&field, written.as_bytes()), Some(record));
    }

    #[test]
    fn what_is_no_record_of_its_field_is_not_read() {
        let field = Field::of(&entry("a").name);
        let good = record(1, "a").write();
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        for wrong in [
            String::new(),
            "1".to_owned(),
            "1 ".to_owned(),
            "1 +".to_owned(),
            "1 + ".to_owned(),
            "x -".to_owned(),
            "-1 -".to_owned(),
            "1  -".to_owned(),
            "1 -x".to_owned(),
            "9007199254740992 -".to_owned(),
            "99999999999999999999 -".to_owned(),
            "1 +{\"kind\":\"tenant\",\"value\":\"acme\"}".to_owned(),
            "1 +{\"kind\":\"nobody\",\"value\":\"a\",\"tenant\":\"acme\"}".to_owned(),
            "1 +{\"kind\":\"subject\",\"value\":\"a\",\"value\":\"a\",\"tenant\":\"acme\"}".to_owned(),
            "1 +{\"kind\":\"subject\",\"value\":7,\"tenant\":\"acme\"}".to_owned(),
            format!("1 +{{\"kind\":\"subject\",\"value\":\"{long}\",\"tenant\":\"acme\"}}"),
            format!("{good}x"),
            format!("{good}{}", " ".repeat(RECORD_BYTES_MAX)),
        ] {
            assert_eq!(Record::read(&field, wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Record::read(&field, b"1 +\xff"), None);
        assert!(Record::read(&field, good.as_bytes()).is_some());
        let later = good.replace("\"kind\"", "\"later\":1,\"kind\"");
        assert!(
            Record::read(&field, later.as_bytes()).is_some(),
            "of a later version"
        );
        for wrong in ["", "short", &"x".repeat(44), &"é".repeat(22), &"/".repeat(43)] {
            assert_eq!(Field::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn every_part_of_a_name_tells_fields_apart() {
        let name = |value: &str, tenant: Option<&str>, issuer: Option<&str>| Name {
            kind: Kind::Subject,
            value: value.into(),
            tenant: tenant.map(Into::into),
            issuer: issuer.map(Into::into),
        };
        let names = [
            name("a", None, None),
            name("a", Some(""), None),
            name("a", None, Some("")),
            name("a", Some("b"), None),
            name("a", None, Some("b")),
            name("ab", None, None),
            Name {
                kind: Kind::KeyId,
                ..name("a", None, None)
            },
        ];
        let fields: std::collections::HashSet<Field> = names.iter().map(Field::of).collect();
        assert_eq!(fields.len(), names.len());
    }

    #[test]
    fn the_later_record_counts_and_of_one_moment_the_one_that_denies() {
        let gone = |at| Record { at, entry: None };
        assert!(record(2, "a").outdoes(&record(1, "a")));
        assert!(gone(2).outdoes(&record(1, "a")) && !record(1, "a").outdoes(&gone(2)));
        assert!(record(1, "a").outdoes(&gone(1)) && !gone(1).outdoes(&record(1, "a")));
        assert!(!record(1, "a").outdoes(&record(1, "a")));
    }
}
