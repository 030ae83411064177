//! Content codings, and which of them a client likes best.

/// A content coding (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Zstandard.
    Zstd,
    /// Brotli.
    Br,
    /// gzip.
    Gzip,
}

/// A client's liking in thousandths: 0 is "not acceptable".
type Quality = u16;

const BEST: Quality = 1000;

impl Coding {
    /// All there are, those first that cost least for what they save.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];

    /// Its name in `accept-encoding` and `content-encoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Its place in [`Coding::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The coding of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.as_str() == name)
    }

    /// Whether `accept-encoding` may call it that: case is nothing, and `x-gzip` is gzip (RFC 9110 §8.4.1.3).
    fn is_called(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.as_str())
            || (self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    }

    /// The one of `offered` that a client likes best by the lines of its `accept-encoding`; of those that it
    /// likes as much, the first. `None`: it gets the body as it is, which it likes better or must put up with.
    ///
    /// RFC 9110 §12.5.3. What is malformed counts as not said.
    #[must_use]
    pub fn choose<'v>(offered: &[Self], accept_encoding: impl Iterator<Item = &'v str>) -> Option<Self> {
        let liked = Liked::read(accept_encoding);
        let mut best = None;
        for coding in offered {
            let quality = liked.coding(*coding);
            let enough = best.map_or(quality > 0 && quality >= liked.plain(), |(_, least)| {
                quality > least
            });
            if enough {
                best = Some((*coding, quality));
            }
        }
        best.map(|(coding, _)| coding)
    }
}

/// What a client says of each coding, if it says anything; the first word counts.
#[derive(Default)]
struct Liked {
    codings: [Option<Quality>; Coding::ALL.len()],
    any: Option<Quality>,
    plain: Option<Quality>,
}

impl Liked {
    fn read<'v>(lines: impl Iterator<Item = &'v str>) -> Self {
        let mut liked = Self::default();
        for (name, quality) in lines.flat_map(|line| line.split(',')).filter_map(item) {
            if let Some(slot) = liked.slot(name) {
                slot.get_or_insert(quality);
            }
        }
        liked
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Quality>> {
        if name == "*" {
            Some(&mut self.any)
        } else if name.eq_ignore_ascii_case("identity") {
            Some(&mut self.plain)
        } else {
            let coding = Coding::ALL.into_iter().find(|coding| coding.is_called(name))?;
            self.codings.get_mut(coding.index())
        }
    }

    fn coding(&self, coding: Coding) -> Quality {
        let named = self.codings.get(coding.index()).copied().flatten();
        named.or(self.any).unwrap_or(0)
    }

    fn plain(&self) -> Quality {
        self.plain.unwrap_or(0)
    }
}

/// A name with its quality; `None` when it is malformed.
fn item(item: &str) -> Option<(&str, Quality)> {
    let mut parts = item.split(';').map(|part| part.trim_matches([' ', '\t']));
    let name = parts.next().filter(|name| !name.is_empty())?;
    let Some(weight) = parts.next() else {
        return Some((name, BEST));
    };
    let value = weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="))?;
    Some((name, quality(value).filter(|_| parts.next().is_none())?))
}

/// A `qvalue`: at most three digits behind the point, 1 at most.
fn quality(text: &str) -> Option<Quality> {
    let (whole, behind) = text.split_once('.').unwrap_or((text, ""));
    let digits = behind.len() <= 3 && behind.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths: Quality = format!("{behind:0<3}").parse().ok()?;
    match (whole, digits, thousandths) {
        ("0", true, thousandths) => Some(thousandths),
        ("1", true, 0) => Some(BEST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(lines: &[&str]) -> Option<&'static str> {
        Coding::choose(&Coding::ALL, lines.iter().copied()).map(Coding::as_str)
    }

    #[test]
    fn the_best_liked_is_chosen_and_of_equals_the_first_offered() {
        assert_eq!(chosen(&["gzip, deflate, br, zstd"]), Some("zstd"), "Chrome");
        assert_eq!(chosen(&["gzip, deflate, br"]), Some("br"));
        assert_eq!(chosen(&["br, gzip, deflate"]), Some("br"), "Node");
        assert_eq!(chosen(&["gzip, deflate"]), Some("gzip"), "browsers without TLS");
        assert_eq!(chosen(&["GZip"]), Some("gzip"));
        assert_eq!(chosen(&["x-gzip;q=0.1"]), Some("gzip"));
        assert_eq!(chosen(&["zstd;q=0.5, gzip;q=0.9, br;q=0.899"]), Some("gzip"));
        assert_eq!(chosen(&["zstd;q=0.5,gzip ; q=0.5"]), Some("zstd"));
        assert_eq!(
            chosen(&["gzip;q=0.5", "br"]),
            Some("br"),
            "two lines are one list"
        );
        assert_eq!(chosen(&["gzip;q=1.000"]), Some("gzip"));
        let only_gzip = Coding::choose(&[Coding::Gzip], ["zstd, br, gzip;q=0.1"].into_iter());
        assert_eq!(only_gzip, Some(Coding::Gzip));
        assert_eq!(Coding::choose(&[], ["*"].into_iter()), None);
    }

    #[test]
    fn a_star_speaks_of_those_that_are_not_named() {
        assert_eq!(chosen(&["*"]), Some("zstd"));
        assert_eq!(chosen(&["*;q=0.1, zstd;q=0"]), Some("br"));
        assert_eq!(chosen(&["*;q=0, gzip"]), Some("gzip"));
        assert_eq!(chosen(&["*;q=0"]), None);
        assert_eq!(chosen(&["identity;q=0, *"]), Some("zstd"));
    }

    #[test]
    fn who_likes_it_plain_or_says_nothing_gets_it_plain() {
        assert_eq!(chosen(&[]), None, "no header");
        assert_eq!(chosen(&[""]), None);
        assert_eq!(chosen(&["identity"]), None);
        assert_eq!(chosen(&["deflate, compress"]), None);
        assert_eq!(chosen(&["gzip;q=0.5, identity"]), None);
        assert_eq!(chosen(&["gzip, identity"]), Some("gzip"), "as much");
        assert_eq!(chosen(&["gzip;q=0"]), None);
        assert_eq!(chosen(&["gzip;q=0.000, br;q=0.0"]), None);
        assert_eq!(chosen(&["identity;q=0"]), None, "nothing else is named");
    }

    #[test]
    fn what_is_malformed_is_not_said() {
        for item in [
            "gzip;q=2",
            "gzip;q=1.1",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;q=",
            "gzip;q=.5",
            "gzip;q=0,5x",
            "gzip;q=x",
            "gzip;q=0.5;x=1",
            "gzip;level=9",
            "gzip q=1",
            ";q=1",
            "gzip\u{e9}",
        ] {
            assert_eq!(chosen(&[item]), None, "{item}");
        }
        assert_eq!(chosen(&[",, ;, br"]), Some("br"));
    }
}
