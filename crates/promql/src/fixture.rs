//! Series written as text, for tests: a label set, then values a step apart. `1+2x3` counts up
//! (1 3 5 7), `1x3` repeats, `_` is a gap, `_x3` three gaps, `stale` the stale marker.

use std::iter::Peekable;
use std::str::Chars;

use series::{Labels, METRIC_NAME, stale_marker};

/// A label set at the beginning of `text`, and what follows it.
pub(crate) fn labels(text: &str) -> Result<(Labels, &str), String> {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut pairs = Vec::new();
    if !name.is_empty() {
        pairs.push((METRIC_NAME.to_owned(), name.to_owned()));
    }
    let rest = match rest.strip_prefix('{') {
        Some(inside) => pairs_inside(inside, &mut pairs)?,
        None => rest,
    };
    Ok((Labels::from_pairs(pairs).map_err(|error| error.to_string())?, rest))
}

fn pairs_inside<'a>(text: &'a str, pairs: &mut Vec<(String, String)>) -> Result<&'a str, String> {
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok(after);
        }
        let name = if rest.starts_with('"') {
            let (name, after) = quoted(rest)?;
            rest = after.trim_start();
            name
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let name = rest[..end].to_owned();
            rest = rest[end..].trim_start();
            name
        };
        if let Some(after) = rest.strip_prefix('=') {
            let (value, after) = quoted(after.trim_start())?;
            pairs.push((name, value));
            rest = after.trim_start();
        } else {
            pairs.push((METRIC_NAME.to_owned(), name));
        }
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        if rest.is_empty() {
            return Err(format!("the label set is not closed: {text}"));
        }
    }
}

/// A text in quotes at the beginning of `text`, and what follows it.
pub(crate) fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut chars: Peekable<Chars> = text.chars().peekable();
    let quote = chars.next().filter(|c| matches!(c, '"' | '\'' | '`')).ok_or(format!("no quoted text: {text}"))?;
    let mut value = String::new();
    let mut used = 1;
    while let Some(c) = chars.next() {
        used += c.len_utf8();
        if c == quote {
            return Ok((value, &text[used..]));
        }
        if c != '\\' || quote == '`' {
            value.push(c);
            continue;
        }
        let escaped = chars.next().ok_or("the text ends in a backslash")?;
        used += escaped.len_utf8();
        value.push(match escaped {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            other => other,
        });
    }
    Err(format!("the text is not closed: {text}"))
}

/// Values a step apart.
pub(crate) fn values(text: &str) -> Result<Vec<Option<f64>>, String> {
    let mut values = Vec::new();
    for word in text.split_whitespace() {
        let word = word.replace("inf", "Inf").replace("Inf", "inf");
        if let Some(count) = word.strip_prefix('_') {
            let count = if count.is_empty() { 1 } else { repeat(count.strip_prefix('x').unwrap_or(count))? };
            values.extend(std::iter::repeat_n(None, count));
            continue;
        }
        let (body, times) = match word.rsplit_once('x') {
            Some((body, times)) if times.bytes().all(|b| b.is_ascii_digit()) => (body, Some(repeat(times)?)),
            _ => (word.as_str(), None),
        };
        let (first, step) = match times {
            Some(_) => first_and_step(body)?,
            None => (one(body)?, 0.0),
        };
        values.push(Some(first));
        let mut value = first;
        for _ in 0..times.unwrap_or(0) {
            value += step;
            values.push(Some(value));
        }
    }
    Ok(values)
}

fn repeat(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("no number of repeats: {text}"))
}

/// `1+2`, `1-2`, `-1`, `1e-3+5`.
fn first_and_step(text: &str) -> Result<(f64, f64), String> {
    if let Ok(value) = one(text) {
        return Ok((value, 0.0));
    }
    let signs = text.char_indices().skip(1).filter(|(_, c)| matches!(c, '+' | '-'));
    for (at, _) in signs {
        if let (Ok(first), Ok(step)) = (one(&text[..at]), one(text[at..].strip_prefix('+').unwrap_or(&text[at..]))) {
            return Ok((first, step));
        }
    }
    Err(format!("no value: {text}"))
}

/// One value: a number, or `stale`.
pub(crate) fn one(text: &str) -> Result<f64, String> {
    if text == "stale" {
        return Ok(stale_marker());
    }
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).map(|n| n as f64).map_err(|_| format!("no value: {text}")),
        None => text.parse().map_err(|_| format!("no value: {text}")),
    }
}
