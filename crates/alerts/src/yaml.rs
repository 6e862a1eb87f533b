//! YAML as a tree that keeps each word's place in the file, so that an error can point at it.
//!
//! It knows nothing of rules or routes. Anchors and aliases are refused (they can blow a small
//! file up), and so is a second document.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use crate::problem::{Place, Problems};

/// Bytes of one file.
pub(crate) const FILE_BYTES_MAX: usize = 1024 * 1024;
/// How deep lists and maps may be nested.
pub(crate) const DEPTH_MAX: usize = 32;

/// A node and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Its first character.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A scalar.
    Text {
        /// Its text, unescaped.
        text: String,
        /// How it is written.
        style: ScalarStyle,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The scalar's text; an empty plain scalar (`key:`) is `None`.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Whether it is nothing: `key:`, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Text { text, style: ScalarStyle::Plain } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What it is, for a message.
    pub(crate) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Text { .. } if self.is_null() => "nothing",
            Kind::Text { .. } => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Where in the file the character is that stands at `line` and `column` (from 1) of this
    /// scalar's text. Exact for plain and quoted one-line scalars and for `|` and `>` blocks whose
    /// lines were not folded; otherwise the scalar's start.
    pub(crate) fn place_inside(&self, file: &str, line: usize, column: usize) -> Place {
        let Kind::Text { text, style } = &self.kind else { return self.place };
        let at = |line: usize, column: usize| Place { line, column };
        match style {
            ScalarStyle::Plain if line == 1 => at(self.place.line, self.place.column + column - 1),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if line == 1 => {
                let doubled = escapes_before(text, *style, column);
                at(self.place.line, self.place.column + column + doubled)
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                // The block's text starts on the line after its indicator, wherever the parser
                // puts the span; the first line's indentation is taken off every line.
                let indicator = self.place.line.saturating_sub(1);
                let lines: Vec<&str> = file.lines().collect();
                let header = lines.get(indicator).copied().unwrap_or_default();
                let first = if header.trim_end().ends_with(['|', '>', '-', '+']) { indicator + 1 } else { indicator };
                let Some(source) = lines.get(first) else { return self.place };
                let indent = source.chars().take_while(|c| *c == ' ').count();
                at(first + line, indent + column)
            }
            _ => self.place,
        }
    }
}

/// How many more characters the file has than the text, before `column`.
fn escapes_before(text: &str, style: ScalarStyle, column: usize) -> usize {
    let special = |c: &char| match style {
        ScalarStyle::SingleQuoted => *c == '\'',
        _ => matches!(c, '"' | '\\' | '\n' | '\t'),
    };
    text.chars().take(column.saturating_sub(1)).filter(special).count()
}

/// Reads one document. `None` where the text is empty or a problem was noted.
pub(crate) fn parse(problems: &mut Problems<'_>) -> Option<Node> {
    let text = problems.text();
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {FILE_BYTES_MAX} are allowed", text.len());
        problems.add(Place { line: 1, column: 1 }, message);
        return None;
    }
    match Builder::default().build(text) {
        Ok(node) => node.filter(|node| !node.is_null()),
        Err((place, message)) => {
            problems.add(place, message);
            None
        }
    }
}

type Refused = (Place, String);

/// A list or a map that is not closed yet.
#[derive(Debug)]
struct Open {
    place: Place,
    is_map: bool,
    children: Vec<Node>,
}

#[derive(Debug, Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder {
    fn build(mut self, text: &str) -> Result<Option<Node>, Refused> {
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| (place(error.marker()), format!("YAML: {}", error.info())))?;
            let here = start(span);
            match event {
                Event::DocumentStart(_) if documents > 0 => {
                    return Err((here, "a second document; only one is read".to_owned()));
                }
                Event::DocumentStart(_) => documents += 1,
                Event::Alias(_) => return Err((here, "aliases are not supported".to_owned())),
                Event::Scalar(text, style, _, _) => {
                    self.add(Node { place: here, kind: Kind::Text { text: text.into_owned(), style } });
                }
                Event::SequenceStart(..) => self.open(here, false)?,
                Event::MappingStart(..) => self.open(here, true)?,
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                _ => {}
            }
        }
        Ok(self.root)
    }

    fn open(&mut self, place: Place, is_map: bool) -> Result<(), Refused> {
        if self.open.len() >= DEPTH_MAX {
            return Err((place, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(Open { place, is_map, children: Vec::new() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refused> {
        let Some(done) = self.open.pop() else { return Ok(()) };
        let kind = if done.is_map { Kind::Map(pairs(done.children)?) } else { Kind::List(done.children) };
        self.add(Node { place: done.place, kind });
        Ok(())
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
    }
}

/// Keys and values come one after the other.
fn pairs(children: Vec<Node>) -> Result<Vec<(Node, Node)>, Refused> {
    let mut pairs: Vec<(Node, Node)> = Vec::with_capacity(children.len() / 2);
    let mut children = children.into_iter();
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        if let Some((first, _)) = pairs.iter().find(|(known, _)| known.kind == key.kind) {
            let name = key.text().unwrap_or_default();
            return Err((key.place, format!("{name:?} is given twice, first in line {}", first.place.line)));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn start(span: Span) -> Place {
    place(&span.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Node, String> {
        let mut problems = Problems::new("f.yml", text);
        let node = parse(&mut problems);
        problems.into_result(()).map_err(|p| p[0].to_string().lines().next().unwrap_or_default().to_owned())?;
        node.ok_or_else(|| "empty".to_owned())
    }

    fn value<'a>(node: &'a Node, key: &str) -> &'a Node {
        let Kind::Map(pairs) = &node.kind else { panic!("not a map: {node:?}") };
        &pairs.iter().find(|(k, _)| k.text() == Some(key)).unwrap().1
    }

    #[track_caller]
    fn check(text: &str, line: usize, column: usize, expected: (usize, usize)) {
        let place = value(&tree(text).unwrap(), "e").place_inside(text, line, column);
        assert_eq!((place.line, place.column), expected);
        let found = text.lines().nth(place.line - 1).unwrap().chars().nth(place.column - 1);
        assert_eq!(found, Some('X'), "{place:?}");
    }

    #[test]
    fn a_place_inside_a_scalar_is_a_place_in_the_file() {
        check("a: 1\ne: upX", 1, 3, (2, 6));
        check("e: 'uXp'", 1, 2, (1, 6));
        check("e: \"a\\\"X\"", 1, 3, (1, 8));
        check("e: 'it''sX'", 1, 5, (1, 10));
        check("e: |\n  sum(\n    X\n  )\n", 2, 3, (3, 5));
        check("e: >-\n    fooX\n", 1, 4, (2, 8));
    }

    #[test]
    fn nothing_is_told_from_text() {
        let node = tree("a:\nb: ''\nc: ~\nd: x").unwrap();
        assert!(value(&node, "a").is_null());
        assert_eq!(value(&node, "b").text(), Some(""));
        assert!(value(&node, "c").is_null());
        assert_eq!(value(&node, "d").text(), Some("x"));
    }

    #[test]
    fn what_is_not_taken_says_where() {
        assert_eq!(tree("a: 1\na: 2").unwrap_err(), "f.yml:2:1: \"a\" is given twice, first in line 1");
        assert_eq!(tree("a: &x 1\nb: *x").unwrap_err(), "f.yml:2:4: aliases are not supported");
        assert_eq!(tree("a: 1\n---\nb: 2\n").unwrap_err(), "f.yml:2:1: a second document; only one is read");
        assert!(tree("a: [1, 2").unwrap_err().contains("YAML: "));
        assert_eq!(tree("# nothing\n").unwrap_err(), "empty");
    }

    #[test]
    fn depth_and_size_at_the_limit_and_one_past_it() {
        let deep = |n: usize| tree(&format!("{}x{}", "[".repeat(n), "]".repeat(n)));
        assert!(deep(DEPTH_MAX).is_ok());
        assert!(deep(DEPTH_MAX + 1).unwrap_err().contains("nested deeper"));
        let long = |n: usize| tree(&format!("a: {}", "x".repeat(n - 3)));
        assert!(long(FILE_BYTES_MAX).is_ok());
        assert!(long(FILE_BYTES_MAX + 1).unwrap_err().contains("bytes"));
    }
}
