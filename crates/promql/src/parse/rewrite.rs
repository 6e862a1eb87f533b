//! What PromQL has and the grammar's crate does not, taken out of the text before it is read: computed
//! durations, and the modifiers `anchored` and `smoothed`; and one thing put in, so that `info(x, {a=~".*"})` is
//! not refused for its matchers; and underscores taken out of numbers. In the place of a duration stands a plain duration beyond all
//! that are allowed, whose number leads back to what was taken out ([`Place`]).
//!
//! Texts that have neither are not touched.

use promql_parser::label::{MatchOp, Matcher as Parsed};
use promql_parser::parser::{Expr as Tree, Offset, VectorSelector};
use std::time::Duration;

use super::ParseError;
use super::duration::{DurationExpr, QueryTimes, Reader};
use crate::scan::{Kind, Token};

/// Durations in seconds from here on are numbers of places; true ones end far below.
const PLACES_FROM: u64 = 20_000_000_000;
/// A label that no series can have. A selector's matcher of that name is its extension.
const EXTENSION_LABEL: &str = "\0extension";
/// The label of a matcher that keeps the labels given to `info` from being refused as matching everything.
const NOT_EMPTY: &str = "__labels_of_info__";
/// Counts of a duration's unit beyond which the grammar's crate reads something else.
const COUNT_MAX: f64 = 4e9;

/// Whether a number of seconds stands for one of so many places.
pub(super) fn is_place(seconds: f64, places: usize) -> bool {
    seconds >= PLACES_FROM as f64 && seconds < (PLACES_FROM + places as u64) as f64
}

/// How a selector looks beyond its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    /// From the newest sample before the window on.
    Anchored,
    /// Interpolated at both ends.
    Smoothed,
}

impl Extension {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}

/// What was taken out of the text at one place.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    duration: DurationExpr,
    extension: Option<Extension>,
    is_offset: bool,
    /// Bytes of the text.
    from: usize,
    to: usize,
}

/// The extension of a selector.
pub(crate) fn extension(selector: &VectorSelector) -> Option<Extension> {
    let mark = selector.matchers.matchers.iter().find(|matcher| matcher.name == EXTENSION_LABEL)?;
    Some(if mark.value == Extension::Anchored.name() { Extension::Anchored } else { Extension::Smoothed })
}

/// Whether a matcher is a true one.
pub(crate) fn is_matcher(matcher: &Parsed) -> bool {
    matcher.name != EXTENSION_LABEL && matcher.name != NOT_EMPTY
}

/// A text that the grammar's crate can read, and what is not in it any more.
pub(super) struct Rewritten {
    pub(super) text: String,
    pub(super) places: Vec<Place>,
    /// Where pieces were put in: their end in the new text, and the end of what they stand for.
    ends: Vec<(usize, usize)>,
}

impl Rewritten {
    /// The byte in the text as it was written that an error at `byte` of the new text is about.
    pub(super) fn original(&self, byte: usize) -> usize {
        let before = self.ends.iter().rev().find(|(end, _)| *end <= byte);
        before.map_or(byte, |(end, original)| original + (byte - end))
    }
}

/// Takes out what the grammar's crate does not know; `None` where there is nothing of that kind.
pub(super) fn rewrite(text: &str, tokens: &[Token]) -> Result<Option<Rewritten>, ParseError> {
    let mut rewriter = Rewriter { text, tokens, done: 0, new: String::new(), places: Vec::new(), ends: Vec::new() };
    let (mut at, mut braces) = (0, 0_usize);
    // The closing braces of the labels that `info` is given.
    let mut labels_of_info = Vec::new();
    while let Some(token) = tokens.get(at) {
        match token.of(text) {
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if labels_of_info.contains(&at) {
                    let comma = if matches!(tokens[at - 1].of(text), "{" | ",") { "" } else { "," };
                    rewriter.put(token.start, token.start, &format!("{comma}{NOT_EMPTY}!=\"\""));
                }
            }
            "info" if braces == 0 => labels_of_info.extend(second_braces(text, tokens, at)),
            "[" if braces == 0 => at = rewriter.brackets(at),
            word if token.kind == Kind::Number && has_groups(word) => {
                rewriter.put(token.start, token.end, &word.replace('_', ""));
            }
            word if braces == 0 && is_modifier(word) && at > 0 && ends_operand(tokens[at - 1], text) => {
                at = rewriter.modifiers(at)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    if rewriter.ends.is_empty() {
        return Ok(None);
    }
    let rest = &text[rewriter.done..];
    rewriter.new.push_str(rest);
    Ok(Some(Rewritten { text: rewriter.new, places: rewriter.places, ends: rewriter.ends }))
}

/// Whether a number has underscores between its digits: `1_000`, `0x_ff`.
fn has_groups(word: &str) -> bool {
    let hexadecimal = word.starts_with("0x") || word.starts_with("0X");
    let plain = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
    let plain = if hexadecimal { plain.strip_prefix('_').unwrap_or(plain) } else { plain };
    let alone = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_hexdigit()) && part.ends_with(|c: char| c.is_ascii_hexdigit())
    };
    let plain = plain.strip_prefix('.').unwrap_or(plain);
    // An exponent's letter is no digit.
    let exponent = |part: &str| !hexadecimal && (part.starts_with(['e', 'E']) || part.ends_with(['e', 'E']));
    word.contains('_') && plain.split('_').all(|part| alone(part) && !exponent(part))
}

/// The token that closes the braces which are the second argument of the call at token `call`.
fn second_braces(text: &str, tokens: &[Token], call: usize) -> Option<usize> {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.of(text));
    let mut depth = 0_usize;
    let comma = (call + 1..tokens.len()).find(|at| {
        match word(*at) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 || (depth == 1 && word(*at) == ",")
    })?;
    if word(comma) != "," || word(comma + 1) != "{" {
        return None;
    }
    (comma + 2..tokens.len()).find(|at| word(*at) == "}")
}

fn is_modifier(word: &str) -> bool {
    ["offset", "@", "anchored", "smoothed"].iter().any(|one| word.eq_ignore_ascii_case(one))
}

fn ends_operand(token: Token, text: &str) -> bool {
    match token.kind {
        Kind::Word => !["by", "without", "on", "ignoring", "bool", "and", "or", "unless", "atan2", "offset"]
            .iter()
            .any(|word| token.of(text).eq_ignore_ascii_case(word)),
        Kind::Text | Kind::Number => false,
        Kind::Mark => matches!(token.of(text), ")" | "]" | "}"),
    }
}

struct Rewriter<'a> {
    text: &'a str,
    tokens: &'a [Token],
    /// Bytes of the text that are in `new` already.
    done: usize,
    new: String,
    places: Vec<Place>,
    ends: Vec<(usize, usize)>,
}

impl Rewriter<'_> {
    /// Puts `piece` in the place of the bytes from `from` to `to`.
    fn put(&mut self, from: usize, to: usize, piece: &str) {
        let before = &self.text[self.done..from];
        self.new.push_str(before);
        self.new.push_str(piece);
        self.done = to;
        self.ends.push((self.new.len(), to));
    }

    fn place(&mut self, place: Place) -> String {
        self.places.push(place);
        (PLACES_FROM + self.places.len() as u64 - 1).to_string()
    }

    /// The durations in brackets that open at token `at`; gives the token after which to go on.
    fn brackets(&mut self, at: usize) -> usize {
        let mut next = at + 1;
        loop {
            let mut reader = Reader { text: self.text, tokens: self.tokens, at: next };
            let Some(duration) = reader.arithmetic() else { return at };
            let end = reader.at;
            if !matches!(self.tokens.get(end).map(|token| token.of(self.text)), Some("]" | ":")) {
                return at;
            }
            let (from, to) = (self.tokens[next].start, self.tokens[end - 1].end);
            if !self.is_plain(&self.tokens[next..end]) {
                let place = self.place(Place { duration, extension: None, is_offset: false, from, to });
                self.put(from, to, &place);
            }
            if self.tokens[end].of(self.text) == "]" || self.tokens.get(end + 1).is_some_and(|t| t.of(self.text) == "]")
            {
                return end;
            }
            next = end + 1;
        }
    }

    /// Whether the grammar's crate reads these tokens as they are meant.
    fn is_plain(&self, tokens: &[Token]) -> bool {
        let [token] = tokens else { return false };
        let small = token
            .of(self.text)
            .split(|c: char| c.is_ascii_alphabetic())
            .all(|digits| digits.parse::<f64>().map_or(true, |count| count < COUNT_MAX));
        token.kind == Kind::Number && small && !token.of(self.text).contains('_')
    }

    /// The modifiers behind a selector, which may come in any order; gives the next token.
    fn modifiers(&mut self, first: usize) -> Result<usize, ParseError> {
        let (mut at, mut kept) = (first, String::new());
        let mut offset: Option<DurationExpr> = None;
        let (mut extension, mut needed) = (None, false);
        while let Some(token) = self.tokens.get(at) {
            let word = token.of(self.text).to_ascii_lowercase();
            let wrong = |message: &str| ParseError::at(self.text, token.start, message);
            match word.as_str() {
                "offset" => {
                    let mut reader = Reader { text: self.text, tokens: self.tokens, at: at + 1 };
                    let Some(duration) = reader.offset() else { return Ok(at.max(first + 1)) };
                    if offset.replace(duration).is_some() {
                        return Err(wrong("offset may not be set multiple times"));
                    }
                    let read = &self.tokens[at + 1..reader.at];
                    let unsigned = read.strip_prefix(&read[..usize::from(matches!(read[0].of(self.text), "+" | "-"))]);
                    needed |= !unsigned.is_some_and(|read| self.is_plain(read));
                    at = reader.at;
                }
                "@" => {
                    let words = |ahead: usize| self.tokens.get(at + ahead).map_or("", |token| token.of(self.text));
                    let count = match (words(1), words(2)) {
                        ("+" | "-", _) => 3,
                        (_, "(") => 4,
                        _ => 2,
                    };
                    let Some(last) = self.tokens.get(at + count - 1) else { return Ok(at.max(first + 1)) };
                    kept.push_str(&self.text[token.start..last.end]);
                    kept.push(' ');
                    at += count;
                }
                "anchored" | "smoothed" => {
                    let new = if word == "anchored" { Extension::Anchored } else { Extension::Smoothed };
                    if extension.replace(new).is_some_and(|old| old != new) {
                        return Err(wrong("anchored and smoothed modifiers cannot be used together"));
                    }
                    needed = true;
                    at += 1;
                }
                _ => break,
            }
        }
        if needed {
            let (from, to) = (self.tokens[first].start, self.tokens[at - 1].end);
            let duration = offset.unwrap_or(DurationExpr::Number(0.0));
            let place = self.place(Place { duration, extension, is_offset: true, from, to });
            self.put(from, to, &format!("{kept}offset {place} "));
        }
        Ok(at)
    }
}

/// What is wrong whatever the query's times are, and at which byte.
pub(super) fn check(tree: &Tree, places: &[Place]) -> Result<(), (usize, String)> {
    let some_times = QueryTimes { step: 1.0, range: 1.0 };
    for place in places.iter().filter(|place| place.duration.is_constant()) {
        computed(place, some_times)?;
    }
    let all_constant = places.iter().all(|place| place.duration.is_constant());
    let misplaced = |place: &Place| place.extension.is_some();
    if all_constant || places.iter().any(misplaced) {
        let resolved = resolve(tree, places, some_times);
        return resolved.map(|_| ()).or_else(|(at, message)| {
            // What hangs on the step is said when the step is known.
            if all_constant || message.contains("subqueries") { Err((at, message)) } else { Ok(()) }
        });
    }
    Ok(())
}

/// The tree with everything back in its place, as it is for one query.
pub(super) fn resolve(tree: &Tree, places: &[Place], times: QueryTimes) -> Result<Tree, (usize, String)> {
    let mut tree = tree.clone();
    restore(&mut tree, places, times)?;
    Ok(tree)
}

fn restore(node: &mut Tree, places: &[Place], times: QueryTimes) -> Result<(), (usize, String)> {
    let visit = |child: &mut Tree| restore(child, places, times);
    match node {
        Tree::Aggregate(aggregate) => {
            if let Some(parameter) = &mut aggregate.param {
                visit(parameter)?;
            }
            visit(&mut aggregate.expr)
        }
        Tree::Unary(unary) => visit(&mut unary.expr),
        Tree::Binary(binary) => visit(&mut binary.lhs).and_then(|()| visit(&mut binary.rhs)),
        Tree::Paren(paren) => visit(&mut paren.expr),
        Tree::Call(call) => call.args.args.iter_mut().try_for_each(|arg| visit(arg)),
        Tree::Subquery(subquery) => {
            visit(&mut subquery.expr)?;
            range(&mut subquery.range, places, times)?;
            if let Some(step) = &mut subquery.step {
                range(step, places, times)?;
            }
            match offset(&mut subquery.offset, places, times)? {
                Some((extension, at)) => {
                    Err((at, format!("{} modifier is not supported for subqueries", extension.name())))
                }
                None => Ok(()),
            }
        }
        Tree::VectorSelector(one) => selector(one, places, times),
        Tree::MatrixSelector(matrix) => {
            range(&mut matrix.range, places, times)?;
            selector(&mut matrix.vs, places, times)
        }
        Tree::NumberLiteral(_) | Tree::StringLiteral(_) | Tree::Extension(_) => Ok(()),
    }
}

fn selector(one: &mut VectorSelector, places: &[Place], times: QueryTimes) -> Result<(), (usize, String)> {
    if let Some((extension, _)) = offset(&mut one.offset, places, times)? {
        one.matchers.matchers.push(Parsed::new(MatchOp::Equal, EXTENSION_LABEL, extension.name()));
    }
    Ok(())
}

fn place_of<'a>(duration: &Duration, places: &'a [Place]) -> Option<&'a Place> {
    places.get(usize::try_from(duration.as_secs().checked_sub(PLACES_FROM)?).ok()?)
}

fn range(duration: &mut Duration, places: &[Place], times: QueryTimes) -> Result<(), (usize, String)> {
    if let Some(place) = place_of(duration, places) {
        *duration = computed(place, times)?.1;
    }
    Ok(())
}

fn offset(
    offset: &mut Option<Offset>,
    places: &[Place],
    times: QueryTimes,
) -> Result<Option<(Extension, usize)>, (usize, String)> {
    let Some(Offset::Pos(duration)) = offset else { return Ok(None) };
    let Some(place) = place_of(duration, places) else { return Ok(None) };
    let (negative, by) = computed(place, times)?;
    *offset = Some(if negative { Offset::Neg(by) } else { Offset::Pos(by) });
    Ok(place.extension.map(|extension| (extension, place.from)))
}

/// The duration of a place and whether it is negative; whole milliseconds, as Prometheus cuts it.
fn computed(place: &Place, times: QueryTimes) -> Result<(bool, Duration), (usize, String)> {
    let wrong = |message: &str| (place.from, format!("{}:{}: {message}", place.from, place.to));
    let seconds = place.duration.seconds(times).map_err(wrong)?;
    if !place.is_offset && seconds <= 0.0 {
        return Err(wrong("duration must be greater than 0"));
    }
    if seconds.is_nan() || seconds.abs() >= super::DURATION_SECONDS_MAX {
        return Err(wrong("duration is out of range"));
    }
    let by = Duration::from_millis((seconds.abs() * 1_000.0) as u64);
    if !place.is_offset && by.is_zero() {
        return Err(wrong("duration must be greater than 0"));
    }
    Ok((seconds < 0.0, by))
}
