//! Single values, read strictly: one spelling each, with its unit.

use super::problem::did_you_mean;
use super::reading::{Leaf, Reading};
use super::source::Spanned;
use super::yaml::Node;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Reading<'_> {
    /// Any text.
    pub(super) fn text(&mut self, node: &Node, name: &str) -> Option<Spanned<String>> {
        let leaf = self.leaf(node, name)?;
        if leaf
            .text
            .chars()
            .any(|char| char.is_control() && !matches!(char, '\n' | '\t'))
        {
            let message = format!("`{name}` has control characters in it");
            return self.refuse(leaf.span, message, "remove them");
        }
        Some(Spanned::new(leaf.text, leaf.span))
    }

    /// `true` or `false`, and nothing else.
    pub(super) fn boolean(&mut self, node: &Node, name: &str) -> Option<bool> {
        let leaf = self.leaf(node, name)?;
        match leaf.text.as_str() {
            "true" if !leaf.quoted => Some(true),
            "false" if !leaf.quoted => Some(false),
            _ => {
                let message = format!("`{name}` must be true or false, not {}", leaf.described());
                self.refuse(leaf.span, message, boolean_help(&leaf))
            }
        }
    }

    /// A whole number in decimal digits.
    pub(super) fn integer(&mut self, node: &Node, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let leaf = self.leaf(node, name)?;
        let Some(value) = decimal(&leaf.text).filter(|_| !leaf.quoted) else {
            let message = format!("`{name}` must be a whole number, not {}", leaf.described());
            return self.refuse(
                leaf.span,
                message,
                "write decimal digits, without quotes or leading zeros",
            );
        };
        if range.contains(&value) {
            return Some(value);
        }
        let message = format!("`{name}` must be between {} and {}", range.start(), range.end());
        self.refuse(leaf.span, message, "choose a value in that range")
    }

    /// A size such as `256KiB`, in bytes.
    pub(super) fn size(&mut self, node: &Node, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let leaf = self.leaf(node, name)?;
        let Some(bytes) = with_unit(&leaf.text, &SIZE_UNITS) else {
            let message = format!("`{name}` must be a size, not {}", leaf.described());
            return self.refuse(
                leaf.span,
                message,
                "write digits and a unit: B, KiB, MiB or GiB, as in `256KiB`",
            );
        };
        if range.contains(&bytes) {
            return Some(bytes);
        }
        let (low, high) = (size_text(*range.start()), size_text(*range.end()));
        self.refuse(
            leaf.span,
            format!("`{name}` must be between {low} and {high}"),
            "choose a value in that range",
        )
    }

    /// A duration such as `30s`.
    pub(super) fn duration(
        &mut self,
        node: &Node,
        name: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let leaf = self.leaf(node, name)?;
        let Some(duration) = read_duration(&leaf.text) else {
            let message = format!("`{name}` must be a duration, not {}", leaf.described());
            return self.refuse(
                leaf.span,
                message,
                "write digits and a unit: ms, s, m, h or d, as in `30s`",
            );
        };
        if range.contains(&duration) {
            return Some(duration);
        }
        let (low, high) = (duration_text(*range.start()), duration_text(*range.end()));
        self.refuse(
            leaf.span,
            format!("`{name}` must be between {low} and {high}"),
            "choose a value in that range",
        )
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, name: &str, words: &[(&str, T)]) -> Option<T> {
        let leaf = self.leaf(node, name)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == leaf.text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{name}` cannot be {}", leaf.described());
        let help = match did_you_mean(&leaf.text, known.iter().copied()) {
            Some(word) if leaf.variable.is_none() => format!("did you mean `{word}`?"),
            _ => format!("choose one of: {}", known.join(", ")),
        };
        self.refuse(leaf.span, message, help)
    }

    /// An address with a port, such as `0.0.0.0:8080` or `[::]:8080`.
    pub(super) fn address(&mut self, node: &Node, name: &str) -> Option<Spanned<SocketAddr>> {
        let leaf = self.leaf(node, name)?;
        match leaf.text.parse() {
            Ok(address) => Some(Spanned::new(address, leaf.span)),
            Err(_) => {
                let message = format!(
                    "`{name}` must be an IP address and a port, not {}",
                    leaf.described()
                );
                self.refuse(
                    leaf.span,
                    message,
                    "write it as `0.0.0.0:8080`, or `[::]:8080` for IPv6",
                )
            }
        }
    }
}

fn boolean_help(leaf: &Leaf) -> &'static str {
    match leaf.text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "1" | "true" => "write `true`, without quotes",
        "no" | "off" | "n" | "0" | "false" => "write `false`, without quotes",
        _ => "write `true` or `false`, without quotes",
    }
}

/// Decimal digits without sign or leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits {
        text.parse().ok()
    } else {
        None
    }
}

/// A duration such as `30s`, as the configuration writes it.
pub fn read_duration(text: &str) -> Option<Duration> {
    with_unit(text, &DURATION_UNITS).map(Duration::from_millis)
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    decimal(digits)?.checked_mul(factor)
}

/// Bytes in the largest unit that divides them.
pub(super) fn size_text(bytes: u64) -> String {
    unit_text(bytes, SIZE_UNITS.iter().copied())
}

/// A duration in the largest unit that divides it.
pub(super) fn duration_text(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    unit_text(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        DURATION_UNITS.iter().rev().copied(),
    )
}

fn unit_text<'a>(value: u64, largest_first: impl Iterator<Item = (&'a str, u64)>) -> String {
    let mut smallest = (String::new(), 1);
    for (unit, factor) in largest_first {
        if value > 0 && value.is_multiple_of(factor) {
            return format!("{}{unit}", value / factor);
        }
        smallest = (unit.to_owned(), factor);
    }
    format!("{}{}", value / smallest.1, smallest.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_written_with_a_unit_and_nothing_else() {
        assert_eq!(with_unit("256KiB", &SIZE_UNITS), Some(262_144));
        assert_eq!(with_unit("12B", &SIZE_UNITS), Some(12));
        assert_eq!(with_unit("24h", &DURATION_UNITS), Some(86_400_000));
        assert_eq!(with_unit("250ms", &DURATION_UNITS), Some(250));
        for wrong in [
            "256",
            "256 KiB",
            "256kb",
            "-1s",
            "1.5h",
            "010s",
            "",
            "KiB",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(
                with_unit(wrong, &SIZE_UNITS).or(with_unit(wrong, &DURATION_UNITS)),
                None,
                "{wrong}"
            );
        }
    }

    #[test]
    fn sizes_and_durations_print_as_they_are_read() {
        for text in ["256KiB", "1GiB", "1000B", "0B"] {
            assert_eq!(size_text(with_unit(text, &SIZE_UNITS).unwrap()), text);
        }
        for text in ["30s", "1d", "36h", "90s", "1500ms"] {
            assert_eq!(
                duration_text(Duration::from_millis(with_unit(text, &DURATION_UNITS).unwrap())),
                text
            );
        }
    }
}
