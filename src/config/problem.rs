//! What is wrong with a configuration, where, and what would mend it.

use super::source::{Sources, Span};
use std::fmt::Write as _;

/// Longest part of a source line shown, in characters.
const LINE_SHOWN_MAX: usize = 160;
/// Most problems rendered at once; what follows is counted.
const PROBLEMS_SHOWN_MAX: usize = 50;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is accepted, but the operator should know.
    Warning,
}

/// One thing that is wrong, with its place and its mending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it refuses the configuration.
    pub severity: Severity,
    /// Where; none when no line is to blame (a file that cannot be read).
    pub span: Option<Span>,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that refuses the configuration.
    pub fn error(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span: span.into(),
            message: message.into(),
            help: None,
        }
    }

    /// Something that the operator should know.
    pub fn warning(span: impl Into<Option<Span>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    /// Adds the way to mend it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// As text for a terminal: message, place, the line with a caret, help.
    pub fn render(&self, sources: &Sources) -> String {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!("{kind}: {}\n", printable(&self.message));
        if let Some(span) = self.span {
            render_place(&mut out, span, sources);
        }
        if let Some(help) = &self.help {
            let margin = self.span.map_or(0, |span| digits(span.line));
            _ = writeln!(out, "{:margin$} = help: {}", "", printable(help));
        }
        out
    }
}

/// What came up while a configuration was read: errors, warnings, or both.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    /// The files that the places refer to.
    pub sources: Sources,
    /// In the order of the files and lines.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Whether any of them refuses the configuration.
    pub fn refuse(&self) -> bool {
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.list
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count()
    }

    /// The insecure switches among them, each with its place.
    pub fn insecure(&self) -> Vec<String> {
        let switches = self
            .list
            .iter()
            .filter(|problem| problem.message.starts_with("insecure_"));
        switches
            .map(|problem| match self.place(problem) {
                Some(place) => format!("{} ({place})", printable(&problem.message)),
                None => printable(&problem.message),
            })
            .collect()
    }

    /// The places of the errors among them.
    pub fn error_places(&self) -> Vec<String> {
        let errors = self
            .list
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        errors.filter_map(|problem| self.place(problem)).collect()
    }

    fn place(&self, problem: &Problem) -> Option<String> {
        let span = problem.span?;
        let name = self.sources.get(span.source).map_or("?", |source| source.name());
        Some(format!("{}:{}:{}", printable(name), span.line, span.column))
    }

    /// All of them as text, separated by blank lines.
    pub fn render(&self) -> String {
        let shown = self.list.iter().take(PROBLEMS_SHOWN_MAX);
        let mut parts: Vec<String> = shown.map(|problem| problem.render(&self.sources)).collect();
        if let Some(more) = self
            .list
            .len()
            .checked_sub(PROBLEMS_SHOWN_MAX)
            .filter(|more| *more > 0)
        {
            parts.push(format!("… and {more} more\n"));
        }
        parts.join("\n")
    }

    /// Adds those of another file.
    pub(crate) fn extend(&mut self, others: Self) {
        self.sources.extend(&others.sources);
        self.list.extend(others.list);
    }

    /// By file, line and column; those without a place first.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|problem| problem.span);
        self.list.dedup();
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.render())
    }
}

impl std::error::Error for Problems {}

fn render_place(out: &mut String, span: Span, sources: &Sources) {
    let name = sources.get(span.source).map_or("?", |source| source.name());
    let margin = digits(span.line);
    _ = writeln!(
        out,
        "{:margin$}--> {}:{}:{}",
        "",
        printable(name),
        span.line,
        span.column
    );
    let Some(line) = sources.line(span) else { return };
    let line = super::discreet::discreet(line);
    let start = span.column.saturating_sub(1);
    // A long line is shown from a little before the place that matters.
    let skipped = start.saturating_sub(LINE_SHOWN_MAX / 2);
    let shown: String = line.chars().skip(skipped).take(LINE_SHOWN_MAX).collect();
    let shown = printable(&shown);
    let indent = (start - skipped).min(shown.trim_end().chars().count());
    let room = shown.chars().count().saturating_sub(indent).max(1);
    let carets = "^".repeat(span.length.clamp(1, room));
    _ = writeln!(out, "{:margin$} |", "");
    _ = writeln!(out, "{} | {}", span.line, shown.trim_end());
    _ = writeln!(out, "{:margin$} | {:indent$}{carets}", "", "",);
}

/// Control characters never reach a terminal: one character stays one, so that carets fit.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| {
            if char.is_control() && char != '\n' {
                '·'
            } else {
                char
            }
        })
        .collect()
}

fn digits(line: usize) -> usize {
    line.to_string().len()
}

/// The candidate closest to `word`, if any is close enough to have been meant.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    let near = candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate));
    near.filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, where swapping two neighbours counts once (optimal string alignment).
/// Case and the difference of `-` and `_` count nothing.
fn distance(left: &str, right: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        text.chars()
            .take(64)
            .map(|char| {
                if char == '-' {
                    '_'
                } else {
                    char.to_ascii_lowercase()
                }
            })
            .collect()
    };
    let (left, right) = (fold(left), fold(right));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(a != b))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_recognised_and_a_far_one_is_not() {
        let known = ["table", "columns", "rules", "access", "when", "path"];
        assert_eq!(did_you_mean("tabel", known), Some("table"));
        assert_eq!(did_you_mean("Colunms", known), Some("columns"));
        assert_eq!(did_you_mean("rule", known), Some("rules"));
        assert_eq!(did_you_mean("frobnicate", known), None);
        assert_eq!(did_you_mean("x", known), None);
    }
}
