//! What a line says. Requests hand over what they know; the thread that writes makes text of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use serde::{Serialize, Serializer};
use shapegate_core::clause::{Clause, Filter, ParameterText};
use shapegate_core::code::Code;
use shapegate_core::credential::Credential;
use shapegate_core::definition::ShapeDefinition;
use shapegate_core::permit::Allowed;
use shapegate_core::request::{Asked, AskedDefinition};
use shapegate_core::time::UnixMillis;

use crate::config::moment_text;

/// Longest path in a line, in characters.
pub const PATH_CHARS_MAX: usize = 512;
/// Longest detail of a denial in a line, in characters.
const DETAIL_CHARS_MAX: usize = 512;

/// A line, before it is text.
#[derive(Debug, Serialize)]
#[serde(tag = "log", rename_all = "snake_case")]
pub enum Line {
    /// A request and what became of it.
    Access(Access),
    /// What was decided, and why.
    Decision(Decision),
}

/// What both kinds of line say of a request.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// Its id, as the client is told.
    #[serde(serialize_with = "header")]
    pub request_id: HeaderValue,
    /// Whose it is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub tenant: Option<Arc<str>>,
    /// The shape whose rules decide, where it came to that.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub shape: Option<Arc<str>>,
    /// Who asks.
    #[serde(flatten, serialize_with = "who")]
    pub credential: Option<Arc<Credential>>,
    /// The client's address, behind trusted proxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The method.
    #[serde(serialize_with = "method")]
    pub method: Method,
    /// The path, without its query.
    pub path: String,
}

/// A request and what became of it.
#[derive(Debug, Serialize)]
pub struct Access {
    /// When it ended.
    #[serde(serialize_with = "moment")]
    pub time: UnixMillis,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
    /// The status; none where the client was gone before.
    pub status: Option<u16>,
    /// The public code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "code")]
    pub code: Option<Code>,
    /// Bytes of the answer's body.
    pub bytes: usize,
    /// From the request's head to the answer's end.
    #[serde(rename = "duration_ms", serialize_with = "millis")]
    pub duration: Duration,
    /// From the request's head to the answer's.
    #[serde(
        rename = "first_byte_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_millis"
    )]
    pub first_byte: Option<Duration>,
    /// What the hub made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<&'static str>,
    /// What the upstream answered, where its answer was passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
}

/// What was decided, and why.
#[derive(Debug, Serialize)]
pub struct Decision {
    /// When it was decided.
    #[serde(serialize_with = "moment")]
    pub time: UnixMillis,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
    /// What was asked for, where that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedFor>,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// From the request's head to the decision, whatever had to be asked and waited for included.
    #[serde(rename = "duration_us", serialize_with = "micros")]
    pub duration: Duration,
    /// Whether it is about one who waits, was judged anew, and is no longer permitted what was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rejudged: bool,
    /// Denials of this kind since the last line that were not written.
    #[serde(skip_serializing_if = "is_zero")]
    pub suppressed: u64,
}

/// What was decided.
#[derive(Debug, Serialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Verdict {
    /// It was allowed.
    Allow(#[serde(serialize_with = "allowed")] Arc<Allowed>),
    /// It was not.
    Deny {
        /// The public code, or `must_refetch`.
        reason: &'static str,
        /// What led to it, as the log alone is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// By what such lines are counted.
        #[serde(skip)]
        code: Option<Code>,
    },
}

/// What a request says about the shape that it wants, and not where in its log it stands.
#[derive(Debug)]
pub struct AskedFor {
    definition: AskedDefinition,
    subset: bool,
}

impl AskedFor {
    /// What `asked` says, and whether it asks for a subset of that.
    pub fn of(asked: &Asked, subset: bool) -> Self {
        Self {
            definition: asked.definition.clone(),
            subset,
        }
    }
}

impl Serialize for AskedFor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            table: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none", rename = "where")]
            filter: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            columns: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            replica: Option<&'a str>,
            #[serde(skip_serializing_if = "is_false")]
            subset: bool,
        }
        let AskedDefinition {
            table,
            where_text,
            params,
            columns,
            replica,
        } = &self.definition;
        Shown {
            table: table.as_ref().map(ToString::to_string),
            filter: where_text.as_ref().map(|text| {
                let values = params.values().map(String::as_str);
                canonical(text, values).unwrap_or_else(|| UNREADABLE.to_owned())
            }),
            columns: columns.as_ref().map(ToString::to_string),
            replica: replica.map(shapegate_core::definition::Replica::as_str),
            subset: self.subset,
        }
        .serialize(serializer)
    }
}

/// What stands for a filter that cannot be read, and so cannot be shown without its values.
const UNREADABLE: &str = "(unreadable)";

/// A filter as the gateway reads it, its values lifted out and not shown.
fn canonical<'a>(text: &str, values: impl Iterator<Item = &'a str>) -> Option<String> {
    let clause = Clause::read_client(text).ok()?;
    let values: Result<Vec<_>, _> = values.map(ParameterText::new).collect();
    let filter = Filter::client(clause, values.ok()?).ok()?;
    Some(filter.text().to_owned())
}

/// The beginning of a text.
pub fn start_of(text: &str, chars_max: usize) -> &str {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}

/// A refusal's detail, as far as a line shows it.
pub fn detail(text: Option<&str>) -> Option<String> {
    text.map(|text| start_of(text, DETAIL_CHARS_MAX).to_owned())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(is: &bool) -> bool {
    !is
}

/// UTC, to the millisecond.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn moment<S: Serializer>(moment: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    let text = moment_text(*moment);
    let seconds = text.strip_suffix('Z').unwrap_or(&text);
    serializer.collect_str(&format_args!("{seconds}.{:03}Z", moment.0.rem_euclid(1000)))
}

#[allow(clippy::ref_option, reason = "serde gives a reference")]
fn name<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_deref().unwrap_or_default())
}

fn header<S: Serializer>(value: &HeaderValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.to_str().unwrap_or_default())
}

fn method<S: Serializer>(method: &Method, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(start_of(method.as_str(), PATH_CHARS_MAX))
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[allow(clippy::ref_option, reason = "serde gives a reference")]
fn some_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    millis(&duration.unwrap_or_default(), serializer)
}

fn micros<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[allow(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde gives a reference"
)]
fn code<S: Serializer>(code: &Option<Code>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.map(Code::as_str).unwrap_or_default())
}

/// Whom a credential names. Its other names say more than lines need.
#[allow(clippy::ref_option, reason = "serde gives a reference")]
fn who<S: Serializer>(credential: &Option<Arc<Credential>>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Default, Serialize)]
    struct Who<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        issuer: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<&'a str>,
    }
    let who = credential.as_deref().map(|credential| Who {
        issuer: credential.issuer.as_deref(),
        subject: credential.subject.as_deref(),
    });
    who.unwrap_or_default().serialize(serializer)
}

/// What may be asked of Electric; the values of its parameters are counted and not shown.
fn allowed<S: Serializer>(allowed: &Arc<Allowed>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        rule: &'a str,
        permitted: &'a ShapeDefinition,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    }
    Shown {
        rule: allowed.rule(),
        permitted: allowed.definition(),
        until: allowed.until().map(|until| moment_text(until.wall)),
    }
    .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shapegate_core::request::{Declared, Verb};

    fn asked(query: &str) -> String {
        let asked = Asked::parse(Verb::Get, query, &Declared::default()).unwrap();
        serde_json::to_string(&AskedFor::of(&asked, false)).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_told_canonically_and_without_values() {
        assert_eq!(asked("offset=-1"), "{}");
        assert_eq!(
            asked("offset=-1&table=Users&columns=name,id&replica=full"),
            r#"{"table":"\"public\".\"users\"","columns":"\"id\",\"name\"","replica":"full"}"#
        );
        let told =
            asked("offset=-1&where=email%20%3D%20'a%40secret.example'%20AND%20n%20%3D%20%241&params[1]=7");
        assert!(told.contains("email") && told.contains("$1"), "{told}");
        assert!(!told.contains("secret") && !told.contains('7'), "{told}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_not_shown() {
        let told = asked("offset=-1&where=email%20%3D%3D%3D%20'secret'");
        assert_eq!(told, r#"{"where":"(unreadable)"}"#);
        let lacking = asked("offset=-1&where=a%20%3D%20%241%20AND%20b%20%3D%20'secret'");
        assert_eq!(lacking, r#"{"where":"(unreadable)"}"#);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(start_of("üüü", 2), "üü");
        assert_eq!(start_of("ü", 2), "ü");
        assert_eq!(
            detail(Some(&"ü".repeat(2000))).unwrap().chars().count(),
            DETAIL_CHARS_MAX
        );
    }
}
