//! YAML text → a tree in which every key and value knows its place.
//!
//! The tree keeps scalars as they are written: what `010` or `no` means is decided by the key that reads
//! it, strictly, and never guessed from its look.

use super::problem::Problem;
use super::source::{SourceId, Span};
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, Span as Range};
use std::collections::HashMap;

/// Largest configuration file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most keys and values in one file, aliases counted for everything they stand for.
pub const NODES_MAX: usize = 100_000;
/// Deepest nesting of lists and maps.
pub const DEPTH_MAX: usize = 32;

/// A value as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it starts.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of YAML value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, `~` or `null` without quotes.
    Null,
    /// A scalar's text; quotes and escapes are resolved.
    Scalar {
        /// The text.
        text: String,
        /// Whether it was written in quotes or as a block: such a scalar is never a number or a boolean.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; keys are unique.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key is written.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// How many nodes hang from this one, itself included.
    fn size(&self) -> usize {
        match &self.kind {
            Kind::Null | Kind::Scalar { .. } => 1,
            Kind::List(items) => items.iter().fold(1, |sum, item| sum + item.size()),
            Kind::Map(entries) => entries.iter().fold(1, |sum, entry| sum + 1 + entry.value.size()),
        }
    }

    /// What this is called in an error message.
    pub fn described(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Scalar { .. } => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Kind::Map(entries) = &self.kind else {
            return None;
        };
        entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }
}

/// Reads one file. None for a file without content.
///
/// # Errors
/// Broken YAML, a second document, tags, merge keys, duplicate keys, recursive aliases, and whatever is over
/// [`NODES_MAX`] or [`DEPTH_MAX`].
pub fn read(source: SourceId, text: &str) -> Result<Option<Node>, Problem> {
    let mut reader = Reader {
        source,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut document = None;
    while let Some((event, range)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            _ if document.is_some() => {
                let problem = Problem::error(reader.span(&range), "a second YAML document");
                return Err(
                    problem.help("one file holds one document; give several files as `-c one -c two`")
                );
            }
            event => document = Some(reader.node(event, range, 0)?),
        }
    }
    Ok(document.filter(|node| node.kind != Kind::Null))
}

struct Reader<'a> {
    source: SourceId,
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Range)>, Problem> {
        loop {
            match self.parser.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(pair)) => return Ok(Some(pair)),
                Some(Err(error)) => {
                    let span = self.span_at(error.marker(), 1);
                    let problem = Problem::error(span, format!("this is not YAML: {}", error.info()));
                    return Err(
                        problem.help("check quotes, brackets and indentation here and in the line above")
                    );
                }
            }
        }
    }

    /// The next event inside a list or map, which the parser always closes.
    fn inside(&mut self, opened: Span) -> Result<(Event<'a>, Range), Problem> {
        self.next()?
            .ok_or_else(|| Problem::error(opened, "this is not YAML: it is never closed"))
    }

    fn node(&mut self, event: Event<'a>, range: Range, depth: usize) -> Result<Node, Problem> {
        let span = self.span(&range);
        self.charge(1, span)?;
        if depth > DEPTH_MAX {
            let problem = Problem::error(span, format!("nested deeper than {DEPTH_MAX} lists and maps"));
            return Err(problem.help("no setting is nested that deep: check the indentation"));
        }
        let (kind, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &range)?;
                (scalar(text.into_owned(), style), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &range)?;
                (self.list(span, depth)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.is_some(), &range)?;
                (self.map(span, depth)?, anchor)
            }
            _ => return Err(Problem::error(span, "this is not YAML: a value was expected")),
        };
        let node = Node { span, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, opened: Span, depth: usize) -> Result<Kind, Problem> {
        let mut items = Vec::new();
        loop {
            match self.inside(opened)? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, range) => items.push(self.node(event, range, depth + 1)?),
            }
        }
    }

    fn map(&mut self, opened: Span, depth: usize) -> Result<Kind, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, range) = self.inside(opened)?;
            if event == Event::MappingEnd {
                return Ok(Kind::Map(entries));
            }
            let (key, key_span) = self.key(event, &range)?;
            if let Some(first) = seen.insert(key.clone(), key_span) {
                let problem = Problem::error(key_span, format!("the key `{key}` is written twice"));
                return Err(problem.help(format!("it is already on line {}: keep one of them", first.line)));
            }
            let (event, range) = self.inside(opened)?;
            let value = self.node(event, range, depth + 1)?;
            entries.push(Entry { key, key_span, value });
        }
    }

    fn key(&mut self, event: Event<'a>, range: &Range) -> Result<(String, Span), Problem> {
        let span = self.span(range);
        self.charge(1, span)?;
        let Event::Scalar(text, style, _, tag) = event else {
            let problem = Problem::error(span, "a key must be a plain word");
            return Err(problem.help("write `key: value`"));
        };
        self.refuse_tag(tag.is_some(), range)?;
        if text == "<<" && style == ScalarStyle::Plain {
            let problem = Problem::error(span, "merge keys (`<<`) are not read");
            return Err(
                problem.help("put what shapes share under `defaults:`, or use an alias for a whole value")
            );
        }
        Ok((text.into_owned(), span))
    }

    /// An alias stands for a copy of its anchor, which is charged for in full.
    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Problem> {
        let Some(node) = self.anchors.get(&anchor) else {
            let problem = Problem::error(span, "this alias stands inside the value that it names");
            return Err(problem.help("a value cannot contain itself: write it out"));
        };
        let node = Node {
            span,
            kind: node.kind.clone(),
        };
        self.charge(node.size(), span)?;
        Ok(node)
    }

    fn charge(&mut self, nodes: usize, span: Span) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} keys and values, what aliases stand for included");
            return Err(Problem::error(span, message).help("split the file, or use fewer aliases"));
        }
        Ok(())
    }

    fn refuse_tag(&self, tagged: bool, range: &Range) -> Result<(), Problem> {
        if !tagged {
            return Ok(());
        }
        let span = self.span_at(range.tag_start.as_ref().unwrap_or(&range.start), 1);
        let problem = Problem::error(span, "YAML tags (`!…`) are not read");
        Err(problem.help("remove the tag: each key already says what type its value has"))
    }

    fn span(&self, range: &Range) -> Span {
        let same_line = range.start.line() == range.end.line();
        let length = if same_line {
            range.end.col().saturating_sub(range.start.col())
        } else {
            1
        };
        self.span_at(&range.start, length)
    }

    fn span_at(&self, marker: &Marker, length: usize) -> Span {
        Span {
            source: self.source,
            line: marker.line().max(1),
            column: marker.col() + 1,
            length: length.max(1),
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Kind {
    let quoted = style != ScalarStyle::Plain;
    if !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Kind::Null;
    }
    Kind::Scalar { text, quoted }
}
