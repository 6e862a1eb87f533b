//! Where a parse error is. The grammar only says that a text is wrong, so the first token is
//! searched after which no continuation can make the text right; texts that cannot go on stay
//! wrong, so a binary search does.

use promql_parser::parser as grammar;

use super::{LOCATE_BYTES_MAX, ParseError, read};
use crate::scan::Token;

/// The grammar's message for anything that does not fit its rules.
const SYNTAX: &str = "invalid promql query";
/// What might come next, then closing brackets, then what might come after those.
const NEXT: [&str; 14] =
    ["", " x", " 1", " 1m", " \"x\"", "=\"x\"", "()", "(x)", "(1)", "(a) (x)", "(a) x", " 1m]", "{x=\"x\"}", " )"];
const AFTER: [&str; 4] = ["", " x", " (x)", "=\"x\"}"];
/// Texts with more tokens than this get the place of a type error only roughly.
const TYPE_SEARCH_TOKENS_MAX: usize = 400;

/// The error with its place.
pub(super) fn error(text: &str, tokens: &[Token], message: &str) -> ParseError {
    if tokens.is_empty() {
        return ParseError::at(text, 0, "the expression is empty");
    }
    if text.len() > LOCATE_BYTES_MAX {
        return ParseError::at(text, 0, message);
    }
    if fits(text) {
        return type_error(text, tokens, message);
    }
    let mut good = 0;
    let mut bad = tokens.len() + 1;
    while bad - good > 1 {
        let middle = (good + bad) / 2;
        if can_go_on(text, &tokens[..middle]) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    match tokens.get(good) {
        None => ParseError::at(text, text.trim_end().len(), "unexpected end of the expression"),
        Some(token) if message == SYNTAX => ParseError::at(text, token.start, format!("unexpected {}", token.of(text))),
        Some(token) => ParseError::at(text, token.start, message),
    }
}

/// Whether the text follows the grammar; its types may be wrong.
fn fits(text: &str) -> bool {
    grammar::lexer(text).is_ok() && read(text) != Err(SYNTAX.to_owned())
}

fn can_go_on(text: &str, tokens: &[Token]) -> bool {
    let Some(last) = tokens.last() else { return true };
    let begun = &text[..last.end];
    let closing = closing(text, tokens);
    NEXT.iter().any(|next| AFTER.iter().any(|after| fits(&format!("{begun}{next}{closing}{after}"))))
}

/// The brackets that are still open, closed.
fn closing(text: &str, tokens: &[Token]) -> String {
    let mut open = Vec::new();
    for token in tokens {
        match token.of(text) {
            "(" => open.push(')'),
            "[" => open.push(']'),
            "{" => open.push('}'),
            ")" | "]" | "}" => {
                open.pop();
            }
            _ => {}
        }
    }
    open.into_iter().rev().collect()
}

/// The text fits, but something in it has the wrong type or name. The caret stands under the word
/// which the message quotes, else under the last token of the shortest text with the same error.
fn type_error(text: &str, tokens: &[Token], message: &str) -> ParseError {
    let mut end = tokens.len();
    if tokens.len() <= TYPE_SEARCH_TOKENS_MAX {
        let begun =
            |count: usize| read(&format!("{}{}", &text[..tokens[count - 1].end], closing(text, &tokens[..count])));
        // Up to the last beginning that is right by itself, nothing is wrong.
        let right = (1..=tokens.len()).rev().find(|count| begun(*count).is_ok()).unwrap_or(0);
        let same = |count: &usize| begun(*count) == Err(message.to_owned());
        end = (right + 1..=tokens.len()).find(same).unwrap_or(end);
    }
    let quoted = message.split('\'').nth(1);
    let word = tokens[..end].iter().rev().find(|token| Some(token.of(text)) == quoted);
    ParseError::at(text, word.unwrap_or(&tokens[end - 1]).start, message)
}
