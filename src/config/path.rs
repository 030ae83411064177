//! Paths of routes: literal segments and typed captures.

use shapegate_core::request::DeclaredType;
use std::fmt;
use std::sync::Arc;

/// Longest path of a route, in bytes.
pub const PATH_BYTES_MAX: usize = 512;
/// Most segments of a path.
pub const SEGMENTS_MAX: usize = 16;
/// Longest text that a capture takes, in bytes.
pub const CAPTURE_BYTES_MAX: usize = 128;

/// A path such as `/api/projects/{project_id:uuid}/issues`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Exactly this.
    Literal(Box<str>),
    /// Anything of a type, under a name.
    Capture {
        /// The name that rules read as `request.path.<name>`.
        name: Arc<str>,
        /// What it must look like.
        kind: DeclaredType,
    },
}

/// Why a path is refused; ends a sentence about the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("does not begin with `/`")]
    Relative,
    /// Over [`PATH_BYTES_MAX`] or [`SEGMENTS_MAX`].
    #[error("is longer than {PATH_BYTES_MAX} bytes or {SEGMENTS_MAX} segments")]
    TooLong,
    /// A trailing or double slash, `.` or `..`.
    #[error("has an empty segment, `.` or `..`")]
    EmptySegment,
    /// A character that URLs may spell in two ways.
    #[error("has the character `{0}`; letters, digits, `-`, `_`, `.` and `~` may be used")]
    Character(char),
    /// A capture that is not `{name:type}`.
    #[error("has the capture `{0}`, which is not `{{name:type}}` with a type of uuid, int or text")]
    Capture(String),
    /// One name, two captures.
    #[error("captures `{0}` twice")]
    Twice(String),
}

impl PathPattern {
    /// Reads a path.
    ///
    /// # Errors
    /// Whatever could be spelled in two ways, or means nothing.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix('/').ok_or(PathError::Relative)?;
        if text.len() > PATH_BYTES_MAX || rest.split('/').count() > SEGMENTS_MAX {
            return Err(PathError::TooLong);
        }
        let segments = rest
            .split('/')
            .map(Segment::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let pattern = Self { segments };
        let names: Vec<_> = pattern.names().collect();
        let twice = names
            .iter()
            .enumerate()
            .find(|(index, name)| names.iter().take(*index).any(|before| before == *name));
        match twice {
            Some((_, name)) => Err(PathError::Twice(name.to_string())),
            None => Ok(pattern),
        }
    }

    /// The segments, one at least.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of the captures, in order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Capture { name, .. } => Some(name),
        })
    }

    /// Whether some path would be taken by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let pairs = || self.segments.iter().zip(&other.segments);
        self.segments.len() == other.segments.len() && pairs().all(|(one, two)| one.overlaps(two))
    }

    /// The same path with another last segment; none where the last one is a capture.
    pub fn with_last(&self, last: &str, replaced: &str) -> Option<Self> {
        let mut segments = self.segments.clone();
        match segments.last_mut() {
            Some(Segment::Literal(text)) if &**text == last => *text = replaced.into(),
            _ => return None,
        }
        Some(Self { segments })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PathError> {
        if let Some(inner) = text.strip_prefix('{') {
            return Self::parse_capture(inner).ok_or_else(|| PathError::Capture(text.to_owned()));
        }
        if matches!(text, "" | "." | "..") {
            return Err(PathError::EmptySegment);
        }
        match text.chars().find(|char| !is_plain(*char)) {
            Some(char) => Err(PathError::Character(char)),
            None => Ok(Self::Literal(text.into())),
        }
    }

    fn parse_capture(inner: &str) -> Option<Self> {
        let (name, kind) = inner.strip_suffix('}')?.split_once(':')?;
        let mut chars = name.chars();
        let starts = chars
            .next()
            .is_some_and(|char| char.is_ascii_lowercase() || char == '_');
        let named =
            starts && chars.all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_');
        let kind = DeclaredType::named(kind).filter(|kind| *kind != DeclaredType::Bool)?;
        (named && name.len() <= 64).then(|| Self::Capture {
            name: name.into(),
            kind,
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(one), Self::Literal(two)) => one == two,
            (Self::Literal(text), Self::Capture { kind, .. })
            | (Self::Capture { kind, .. }, Self::Literal(text)) => {
                is_capture_text(text) && kind.read(text).is_some()
            }
            (Self::Capture { kind: one, .. }, Self::Capture { kind: two, .. }) => {
                one == two || *one == DeclaredType::Text || *two == DeclaredType::Text
            }
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(formatter, "/{text}"),
            Segment::Capture { name, kind } => write!(formatter, "/{{{name}:{kind}}}"),
        })
    }
}

/// Whether a raw segment may be captured at all: nothing that another spelling could stand for.
pub fn is_capture_text(segment: &str) -> bool {
    (1..=CAPTURE_BYTES_MAX).contains(&segment.len())
        && !matches!(segment, "." | "..")
        && segment.chars().all(is_plain)
}

/// RFC 3986's unreserved characters, which have one spelling only.
fn is_plain(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.' | '~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn a_path_prints_as_it_was_written() {
        for text in [
            "/v1/shape",
            "/api/projects/{project_id:uuid}/issues",
            "/a/{n:int}",
            "/a/{t:text}",
        ] {
            assert_eq!(path(text).to_string(), text);
        }
    }

    #[test]
    fn a_path_with_two_spellings_or_none_is_refused() {
        for text in [
            "",
            "api",
            "/",
            "/a/",
            "//a",
            "/a//b",
            "/a/./b",
            "/a/../b",
            "/a%20b",
            "/a?b",
            "/a#b",
            "/a b",
            "/ä",
            "/{x}",
            "/{x:bool}",
            "/{x:date}",
            "/{X:int}",
            "/{x:int",
            "/a{x:int}",
            "/{x:int}b",
            "/{:int}",
            "/{x:int}/{x:int}",
            "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn two_paths_overlap_when_one_request_could_mean_both() {
        assert!(path("/a/{x:text}").overlaps(&path("/a/b")));
        assert!(path("/a/{x:int}").overlaps(&path("/a/{y:text}")));
        assert!(path("/a/{x:int}").overlaps(&path("/a/7")));
        assert!(!path("/a/{x:int}").overlaps(&path("/a/b")));
        assert!(!path("/a/{x:int}").overlaps(&path("/a/{x:uuid}")));
        assert!(!path("/a/{x:text}").overlaps(&path("/a/b/c")));
    }
}
