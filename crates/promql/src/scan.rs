//! A light scan of PromQL text into words with their places. The parser keeps no positions in
//! its tree, so carets and columns are found here. Total: any text gives tokens.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Number,
    Text,
    Mark,
}

/// One token, by byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    pub(crate) fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start..self.end).unwrap_or("")
    }
}

/// All tokens; white space and comments are left out.
pub(crate) fn scan(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut brackets = 0_usize;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = match first {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '#' => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '"' | '\'' | '`' => (Kind::Text, quoted(rest, first)),
            c if c.is_ascii_digit() => (Kind::Number, number(rest)),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (Kind::Number, number(rest)),
            c if c.is_alphabetic() || c == '_' || (c == ':' && brackets == 0) => {
                (Kind::Word, rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len()))
            }
            _ => (Kind::Mark, mark(rest, first)),
        };
        match first {
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token { kind, start: at, end: at + length });
        at += length;
    }
    tokens
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

fn number(rest: &str) -> usize {
    let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
    let mut before = ' ';
    for (at, c) in rest.char_indices() {
        let sign = (c == '+' || c == '-') && (before == 'e' || before == 'E') && !hexadecimal;
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
            return at;
        }
        before = c;
    }
    rest.len()
}

fn mark(rest: &str, first: char) -> usize {
    let two = ["==", "!=", ">=", "<=", "=~", "!~"];
    if two.iter().any(|pair| rest.starts_with(pair)) { 2 } else { first.len_utf8() }
}

/// Line and column of a byte offset, both from 1; columns count characters.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Line and column of the argument number `index`, from 0, of the first call of `function`.
pub(crate) fn place_of_argument(text: &str, function: &str, index: usize) -> (usize, usize) {
    let tokens = scan(text);
    let word = |at: usize| tokens.get(at).map_or("", |token| token.of(text));
    let called = (0..tokens.len()).filter(|at| word(*at) == function).find_map(|at| {
        let mut open = at + 1;
        if matches!(word(open), "by" | "without") {
            open += (open..tokens.len()).take_while(|at| word(*at) != ")").count() + 1;
        }
        (word(open) == "(").then_some(open + 1)
    });
    let Some(first) = called else { return place_of(text, function) };
    let (mut at, mut depth, mut left) = (first, 0_usize, index);
    while left > 0 && at < tokens.len() {
        match word(at) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => left -= 1,
            _ => {}
        }
        at += 1;
    }
    place(text, tokens.get(at).map_or(0, |token| token.start))
}

/// Line and column of the first token that reads `word`; the beginning where there is none.
pub(crate) fn place_of(text: &str, word: &str) -> (usize, usize) {
    let found = scan(text).into_iter().find(|token| token.of(text) == word);
    place(text, found.map_or(0, |token| token.start))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let words: Vec<&str> = scan(text).iter().map(|token| token.of(text)).collect();
        assert_eq!(words, expected, "{text}");
    }

    #[test]
    fn words_numbers_texts_and_marks() {
        check(
            "sum by(a) (x:y{b!=\"c\\\"d\"}[5m:1m]) # end",
            &[
                "sum",
                "by",
                "(",
                "a",
                ")",
                "(",
                "x:y",
                "{",
                "b",
                "!=",
                "\"c\\\"d\"",
                "}",
                "[",
                "5m",
                ":",
                "1m",
                "]",
                ")",
            ],
        );
        check("-1e-3+.5 >= bool 0x1F", &["-", "1e-3", "+", ".5", ">=", "bool", "0x1F"]);
        check("'a' `b\\` \"open", &["'a'", "`b\\`", "\"open"]);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(place("é + x\n  y", 5), (1, 5));
        assert_eq!(place_of("é + x\n  y", "y"), (2, 3));
    }

    proptest! {
        #[test]
        fn any_text_is_scanned(text in "\\PC{0,40}") {
            let mut end = 0;
            for token in scan(&text) {
                prop_assert!(token.start >= end && token.end > token.start);
                prop_assert!(text.get(token.start..token.end).is_some());
                end = token.end;
            }
        }
    }
}
