//! Values by their Postgres type: read from text, compared, and rendered as Postgres renders them.

use std::cmp::Ordering;

/// A Postgres type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// With precision and scale when the column fixes them.
    Numeric(Option<(u32, u32)>),
    Text,
    Varchar,
    Name,
    Uuid,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Json,
    Jsonb,
}

/// Types by the names that Postgres' catalogue and SQL give them.
const NAMES: &[(&str, Kind)] = &[
    ("bool", Kind::Bool),
    ("int2", Kind::Int2),
    ("int4", Kind::Int4),
    ("int8", Kind::Int8),
    ("float4", Kind::Float4),
    ("float8", Kind::Float8),
    ("numeric", Kind::Numeric(None)),
    ("text", Kind::Text),
    ("varchar", Kind::Varchar),
    ("name", Kind::Name),
    ("uuid", Kind::Uuid),
    ("bytea", Kind::Bytea),
    ("date", Kind::Date),
    ("time", Kind::Time),
    ("timestamp", Kind::Timestamp),
    ("timestamptz", Kind::Timestamptz),
    ("interval", Kind::Interval),
    ("json", Kind::Json),
    ("jsonb", Kind::Jsonb),
    ("boolean", Kind::Bool),
    ("smallint", Kind::Int2),
    ("int", Kind::Int4),
    ("integer", Kind::Int4),
    ("bigint", Kind::Int8),
    ("real", Kind::Float4),
    ("double precision", Kind::Float8),
    ("decimal", Kind::Numeric(None)),
    ("character varying", Kind::Varchar),
    ("timestamp without time zone", Kind::Timestamp),
    ("timestamp with time zone", Kind::Timestamptz),
];

impl Kind {
    /// The type of a name, with the modifier that `numeric` may carry.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if let Some(modifier) = name
            .strip_prefix("numeric(")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            let (precision, scale) = modifier.split_once(',')?;
            let precision = precision.trim().parse().ok()?;
            return Some(Self::Numeric(Some((precision, scale.trim().parse().ok()?))));
        }
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    }

    /// The catalogue's name of the type.
    pub(crate) fn name(self) -> &'static str {
        let plain = match self {
            Self::Numeric(_) => Self::Numeric(None),
            other => other,
        };
        NAMES
            .iter()
            .find(|(_, kind)| *kind == plain)
            .map_or("text", |(name, _)| name)
    }

    /// Whether values of both types may be compared with each other.
    pub(crate) fn comparable_with(self, other: Self) -> bool {
        self.family() == other.family()
    }

    fn family(self) -> u8 {
        match self {
            Self::Bool => 0,
            Self::Int2 | Self::Int4 | Self::Int8 | Self::Float4 | Self::Float8 => 1,
            Self::Numeric(_) => 1,
            Self::Text | Self::Varchar | Self::Name => 2,
            Self::Uuid => 3,
            Self::Bytea => 4,
            Self::Date | Self::Timestamp | Self::Timestamptz => 5,
            Self::Time => 6,
            Self::Interval => 7,
            Self::Json => 8,
            Self::Jsonb => 9,
        }
    }

    /// The value that a text stands for; `None` when it is no value of the type.
    pub(crate) fn read(self, text: &str) -> Option<Datum> {
        let trimmed = text.trim();
        match self {
            Self::Bool => boolean(trimmed).map(Datum::Bool),
            Self::Int2 => trimmed.parse::<i16>().ok().map(|n| Datum::Int(n.into())),
            Self::Int4 => trimmed.parse::<i32>().ok().map(|n| Datum::Int(n.into())),
            Self::Int8 => trimmed.parse::<i64>().ok().map(Datum::Int),
            Self::Float4 | Self::Float8 | Self::Numeric(_) => trimmed.parse().ok().map(Datum::Float),
            Self::Uuid => uuid(trimmed).map(Datum::Text),
            Self::Date => moment(trimmed, false),
            Self::Timestamp | Self::Timestamptz => moment(trimmed, true),
            Self::Text | Self::Varchar | Self::Name => Some(Datum::Text(text.to_owned())),
            Self::Bytea | Self::Time | Self::Interval | Self::Json | Self::Jsonb => {
                Some(Datum::Text(trimmed.to_owned()))
            }
        }
    }

    /// How Electric writes a value of the type that came in as this text.
    pub(crate) fn rendered(self, text: &str) -> Option<String> {
        match (self, self.read(text)?) {
            (Self::Bool, Datum::Bool(value)) => Some(value.to_string()),
            (Self::Int2 | Self::Int4 | Self::Int8, Datum::Int(value)) => Some(value.to_string()),
            (Self::Uuid, Datum::Text(value)) => Some(value),
            (Self::Numeric(Some((_, scale))), _) => Some(padded(text.trim(), scale)),
            _ => Some(text.to_owned()),
        }
    }
}

/// A value, ready to be compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(Vec<Option<Datum>>),
}

impl Datum {
    /// Postgres' order of two values of one type; `None` when they have none.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Array(a), Self::Array(b)) => (a == b).then_some(Ordering::Equal).or(Some(Ordering::Less)),
            (a, b) => a.number()?.partial_cmp(&b.number()?),
        }
    }

    /// The value as a floating-point number, as Electric compares mixed numbers.
    #[expect(clippy::cast_precision_loss, reason = "what Electric does, too")]
    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn uuid(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let well_formed = text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    well_formed.then_some(text)
}

/// A date or timestamp in a form whose order as text is its order in time (ISO form, one zone).
fn moment(text: &str, with_time: bool) -> Option<Datum> {
    let looks_like_a_date = text.len() >= 10
        && text
            .bytes()
            .take(10)
            .enumerate()
            .all(|(index, byte)| match index {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
    if !looks_like_a_date {
        return None;
    }
    let mut normal = text.replacen('T', " ", 1);
    for zone in ["Z", "+00:00", "+00"] {
        if let Some(bare) = normal.strip_suffix(zone) {
            normal = bare.to_owned();
            break;
        }
    }
    if with_time && normal.len() == 10 {
        normal.push_str(" 00:00:00");
    }
    Some(Datum::Text(normal))
}

fn padded(text: &str, scale: u32) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if scale == 0 {
        return whole.to_owned();
    }
    format!("{whole}.{fraction:0<scale$}")
}

#[cfg(test)]
mod tests {
    use super::{Datum, Kind};
    use std::cmp::Ordering;

    #[test]
    fn values_are_rendered_as_postgres_renders_them() {
        for (kind, text, rendered) in [
            ("bool", "t", "true"),
            ("int4", " 007 ", "7"),
            ("numeric(20,4)", "12.5", "12.5000"),
            (
                "uuid",
                "00000000-0000-4000-8000-00000000000A",
                "00000000-0000-4000-8000-00000000000a",
            ),
            ("text", " kept ", " kept "),
        ] {
            let kind = Kind::named(kind).unwrap();
            assert_eq!(kind.rendered(text).unwrap(), rendered);
        }
        assert_eq!(Kind::Int4.rendered("2147483648"), None);
        assert_eq!(Kind::Uuid.rendered("nope"), None);
    }

    #[test]
    fn big_integers_are_compared_exactly() {
        let a = Kind::Int8.read("9007199254740993").unwrap();
        let b = Kind::Int8.read("9007199254740992").unwrap();
        assert_eq!(a.order(&b), Some(Ordering::Greater));
        assert_eq!(Datum::Int(1).order(&Datum::Float(1.5)), Some(Ordering::Less));
    }

    #[test]
    fn timestamps_are_compared_in_one_zone() {
        let read = |text| Kind::Timestamptz.read(text).unwrap();
        assert_eq!(read("2026-01-02T03:04:05Z"), read("2026-01-02 03:04:05+00"));
        assert_eq!(
            read("2026-01-02").order(&read("2026-01-02 00:00:01+00")),
            Some(Ordering::Less)
        );
    }
}
