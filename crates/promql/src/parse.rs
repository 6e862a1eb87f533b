//! Text to expression. The grammar is the `promql-parser` crate's; this file bounds what it is
//! given, never lets it panic, and finds the place of an error with a caret.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use promql_parser::parser::{self as grammar, Expr as Tree};

use crate::error::EvalError;
use crate::matcher::Matcher;
use crate::scan::{Kind, Token, place, scan};

mod checks;
mod duration;
mod locate;
mod rewrite;
mod translated;

pub(crate) use duration::QueryTimes;
pub(crate) use rewrite::{Extension, extension, is_matcher};

/// Bytes of one expression.
pub const EXPR_BYTES_MAX: usize = 65_536;
/// How deeply an expression nests: brackets, calls and chained operators. Evaluation recurses,
/// so this bounds its stack.
pub const EXPR_DEPTH_MAX: usize = 200;
/// Operators and brackets of one expression. Bounds the tree before it is built.
const MARKS_MAX: usize = 4_000;
/// Bytes of a text in which the place of an error is searched; that takes some dozens of parses.
const LOCATE_BYTES_MAX: usize = 8_192;
/// Seconds of a range or an offset: about 300 years.
const DURATION_SECONDS_MAX: f64 = 1e10;

/// A parsed expression. Cloning is cheap.
#[derive(Clone)]
pub struct Expr {
    text: Arc<str>,
    /// As the grammar's crate read it.
    tree: Arc<Tree>,
    /// Whether it read another text than was written.
    rewritten: bool,
    /// What it could not read, by number.
    places: Arc<[rewrite::Place]>,
}

impl Expr {
    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same expression in the form in which people write long ones: a part a line.
    #[must_use]
    pub fn prettified(&self) -> String {
        if self.rewritten { self.text.to_string() } else { self.tree.prettify() }
    }

    /// The tree as JSON, as Prometheus's `parse_query` shows it; `None` where a part of it is ours to evaluate:
    /// computed durations, `anchored`, `smoothed`.
    #[must_use]
    pub fn translated(&self) -> Option<serde_json::Value> {
        (!self.rewritten).then(|| translated::json_of(&self.tree))
    }

    /// As it was read: computed durations, `anchored` and `smoothed` are not in it.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// As it is to be evaluated.
    pub(crate) fn resolved(&self, times: QueryTimes) -> Result<Cow<'_, Tree>, EvalError> {
        if self.places.is_empty() {
            return Ok(Cow::Borrowed(&*self.tree));
        }
        let resolved = rewrite::resolve(&self.tree, &self.places, times);
        resolved.map(Cow::Owned).map_err(|(_, what)| EvalError::Argument { what })
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({:?})", self.text)
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The line that holds the error, shown above the caret.
    pub source_line: String,
}

impl ParseError {
    fn at(text: &str, byte: usize, message: impl Into<String>) -> Self {
        let (line, column) = place(text, byte);
        let source_line = text.lines().nth(line - 1).unwrap_or("").to_owned();
        Self { line, column, message: message.into(), source_line }
    }
}

impl fmt::Display for ParseError {
    /// The message, then the line with a caret under the column.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent: String =
            self.source_line.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        write!(f, "\n  {}\n  {indent}^", self.source_line)
    }
}

impl std::error::Error for ParseError {}

/// Reads an expression.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > EXPR_BYTES_MAX {
        let message = format!("the expression has {} bytes, at most {EXPR_BYTES_MAX} are allowed", text.len());
        return Err(ParseError { line: 1, column: 1, message, source_line: text.chars().take(60).collect() });
    }
    let tokens = scan(text);
    check_marks(text, &tokens)?;
    let Some(rewritten) = rewrite::rewrite(text, &tokens)? else {
        let tree = tree_of(text, &tokens, 0)?;
        checks::tree(text, &tokens, &tree)?;
        return Ok(Expr { text: text.into(), tree: Arc::new(tree), rewritten: false, places: Arc::default() });
    };
    let new_tokens = scan(&rewritten.text);
    let tree = tree_of(&rewritten.text, &new_tokens, rewritten.places.len()).map_err(|error| {
        let byte = byte_of(&rewritten.text, error.line, error.column);
        ParseError::at(text, rewritten.original(byte), error.message)
    })?;
    checks::tree(text, &tokens, &tree)?;
    rewrite::check(&tree, &rewritten.places).map_err(|(byte, message)| ParseError::at(text, byte, message))?;
    Ok(Expr { text: text.into(), tree: Arc::new(tree), rewritten: true, places: rewritten.places.into() })
}

/// The tree of a text that the grammar's crate can read; so many numbers of places are in it.
fn tree_of(text: &str, tokens: &[Token], places: usize) -> Result<Tree, ParseError> {
    check_durations(text, tokens, places)?;
    check_escapes(text, tokens)?;
    let tree = read(text).map_err(|message| locate::error(text, tokens, &message))?;
    let depth = depth(&tree);
    if depth > EXPR_DEPTH_MAX {
        let message = format!("the expression nests {depth} deep, at most {EXPR_DEPTH_MAX} are allowed");
        return Err(ParseError::at(text, 0, message));
    }
    Ok(tree)
}

/// The byte at a line and a column, both from 1.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let start = text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>();
    let rest = text.get(start..).unwrap_or("");
    start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
}

/// Reads a plain selector, as `match[]` and subscriptions have it: no range, offset or `@`.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let expr = parse(text)?;
    match expr.tree() {
        Tree::VectorSelector(selector)
            if selector.offset.is_none() && selector.at.is_none() && selector.matchers.or_matchers.is_empty() =>
        {
            Ok(matchers_of(selector))
        }
        _ => Err(ParseError::at(text, 0, "a selector like up{job=\"node\"} is expected, without range, offset or @")),
    }
}

/// The compiled matchers of a selector, its metric name included.
pub(crate) fn matchers_of(selector: &grammar::VectorSelector) -> Vec<Matcher> {
    let name = selector.name.as_deref().map(Matcher::metric);
    let matchers = selector.matchers.matchers.iter().filter(|matcher| is_matcher(matcher));
    name.into_iter().chain(matchers.map(Matcher::from_parsed)).collect()
}

/// The grammar's answer; a panic inside of it is an error like any other.
fn read(text: &str) -> Result<Tree, String> {
    std::panic::catch_unwind(|| grammar::parse(text))
        .unwrap_or_else(|_| Err("the expression cannot be read: the parser failed on it".to_owned()))
}

/// Opening brackets and operators deepen the tree, so they are counted before it is built.
fn check_marks(text: &str, tokens: &[Token]) -> Result<(), ParseError> {
    let deepens = |token: &&Token| match token.of(text) {
        "and" | "or" | "unless" | "atan2" => true,
        word => token.kind == Kind::Mark && !matches!(word, "," | ")" | "}" | "]" | "=" | "=~" | "!~" | "{"),
    };
    match tokens.iter().filter(deepens).nth(MARKS_MAX) {
        Some(token) => {
            let message = format!("the expression has more than {MARKS_MAX} operators and brackets");
            Err(ParseError::at(text, token.start, message))
        }
        None => Ok(()),
    }
}

/// The grammar turns numbers in the place of a duration into a duration and panics where that is
/// not possible; zero is no range either.
fn check_durations(text: &str, tokens: &[Token], places: usize) -> Result<(), ParseError> {
    let mut in_brackets = false;
    let mut after_offset = false;
    for token in tokens {
        let word = token.of(text);
        match word {
            "[" => in_brackets = true,
            "]" => in_brackets = false,
            _ => {}
        }
        if in_brackets || after_offset {
            let plain = word.to_ascii_lowercase();
            let number = match plain.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok().map(|n| n as f64),
                None => plain.parse::<f64>().ok(),
            };
            if token.kind != Kind::Mark
                && number.is_some_and(|n| !(n.is_finite() && n < DURATION_SECONDS_MAX || rewrite::is_place(n, places)))
            {
                return Err(ParseError::at(text, token.start, format!("{word} is not a duration")));
            }
            if in_brackets && number.is_some_and(|n| n < 0.001) {
                return Err(ParseError::at(text, token.start, "a range must be greater than 0"));
            }
        }
        after_offset = word.eq_ignore_ascii_case("offset") || (after_offset && matches!(word, "+" | "-"));
    }
    Ok(())
}

/// In Go's texts `\xff` is a byte, which alone is no character; the grammar would make one of it.
/// A backslash before a character of several bytes makes the grammar panic.
fn check_escapes(text: &str, tokens: &[Token]) -> Result<(), ParseError> {
    for token in tokens.iter().filter(|token| token.kind == Kind::Text && !token.of(text).starts_with('`')) {
        let mut chars = token.of(text).char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                continue;
            }
            let escape = &token.of(text)[at + 1..];
            let byte = match escape.as_bytes() {
                [b'x', ..] => escape.get(1..3).and_then(|digits| u32::from_str_radix(digits, 16).ok()),
                [b'0'..=b'7', ..] => escape.get(..3).and_then(|digits| u32::from_str_radix(digits, 8).ok()),
                _ => None,
            };
            if byte.is_some_and(|byte| byte > 0x7f) || escape.starts_with(|c: char| !c.is_ascii()) {
                let message = "this escape is no character; write the character itself";
                return Err(ParseError::at(text, token.start + at, message));
            }
            chars.next();
        }
    }
    Ok(())
}

/// Depth of the tree, found without recursion.
fn depth(tree: &Tree) -> usize {
    let mut deepest = 0;
    let mut open = vec![(tree, 1)];
    while let Some((node, level)) = open.pop() {
        deepest = deepest.max(level);
        open.extend(children(node).into_iter().map(|child| (child, level + 1)));
    }
    deepest
}

/// The nodes just below `node`.
pub(crate) fn children(node: &Tree) -> Vec<&Tree> {
    match node {
        Tree::Aggregate(aggregate) => aggregate.param.iter().map(AsRef::as_ref).chain([&*aggregate.expr]).collect(),
        Tree::Unary(unary) => vec![&*unary.expr],
        Tree::Binary(binary) => vec![&*binary.lhs, &*binary.rhs],
        Tree::Paren(paren) => vec![&*paren.expr],
        Tree::Subquery(subquery) => vec![&*subquery.expr],
        Tree::Call(call) => call.args.args.iter().map(AsRef::as_ref).collect(),
        Tree::Extension(extension) => extension.expr.children().iter().collect(),
        Tree::NumberLiteral(_) | Tree::StringLiteral(_) | Tree::VectorSelector(_) | Tree::MatrixSelector(_) => vec![],
    }
}

/// The expression inside of any number of parentheses.
pub(crate) fn without_parens(mut node: &Tree) -> &Tree {
    while let Tree::Paren(paren) = node {
        node = &paren.expr;
    }
    node
}

#[cfg(test)]
mod tests;
