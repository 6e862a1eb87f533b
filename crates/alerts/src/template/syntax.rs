//! From a template's text to its tree. Everything that can be known without data is checked here:
//! brackets, names of functions and variables, numbers of arguments.

use super::functions;

/// How deep `if`, `range`, `with` and brackets may be nested.
pub(super) const DEPTH_MAX: usize = 16;

/// Where (byte offset in the template) and what.
pub(super) type Wrong = (usize, String);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Text(String),
    Show(Pipeline),
    Set { name: String, value: Pipeline },
    If { branches: Vec<(Pipeline, Vec<Part>)>, otherwise: Vec<Part> },
    With { value: Pipeline, body: Vec<Part>, otherwise: Vec<Part> },
    Range { key: Option<String>, item: Option<String>, over: Pipeline, body: Vec<Part>, otherwise: Vec<Part> },
}

/// `a | b | c`: each command gets the one before as its last argument.
pub(super) type Pipeline = Vec<Command>;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Value(Operand),
    Call { name: String, args: Vec<Operand> },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// `$name.field.field`; the name without `$`, empty for the root.
    Variable(String, Vec<String>),
    /// `.field`, or `.` alone.
    Dot(Vec<String>),
    Text(String),
    Float(f64),
    Int(i64),
    Bool(bool),
    Bracket(Pipeline, Vec<String>),
    /// A function without arguments.
    Call(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Variable(String, Vec<String>),
    Dot(Vec<String>),
    Text(String),
    Number(String),
    Open,
    Close(Vec<String>),
    Pipe,
    Declare,
    Comma,
}

/// Tokens with their places.
type Placed = Vec<(usize, Token)>;

/// A piece of the template: text, or the tokens of one action with their places.
#[derive(Debug)]
enum Piece {
    Text(String),
    Action { at: usize, tokens: Placed },
}

/// Reads a template. `known` are the variables that exist from the start.
pub(super) fn parse(text: &str, known: &[&str]) -> Result<Vec<Part>, Wrong> {
    let pieces = pieces(text)?;
    let mut reader = Reader { pieces: pieces.into_iter().peekable(), variables: Vec::new(), depth: 0, end: text.len() };
    reader.variables.extend(known.iter().map(|name| (*name).to_owned()));
    let (parts, stop) = reader.parts()?;
    match stop {
        None => Ok(parts),
        Some((at, word, _)) => Err((at, format!("{word:?} without an open if, with or range"))),
    }
}

fn pieces(text: &str) -> Result<Vec<Piece>, Wrong> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut trim_next = false;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        let mut before = &text[at..open];
        let mut inside = open + 2;
        if trim_next {
            before = before.trim_start();
        }
        if text[inside..].starts_with("- ") || text[inside..].starts_with("-\n") {
            before = before.trim_end();
            inside += 1;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let (tokens, end, trim) = action(text, open, inside)?;
        if !tokens.is_empty() {
            pieces.push(Piece::Action { at: open, tokens });
        }
        (at, trim_next) = (end, trim);
    }
    let rest = if trim_next { text[at..].trim_start() } else { &text[at..] };
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// The tokens of an action, where it ends, and whether it trims what follows.
fn action(text: &str, open: usize, from: usize) -> Result<(Placed, usize, bool), Wrong> {
    let mut tokens = Vec::new();
    let mut at = from;
    loop {
        let rest = &text[at..];
        if rest.starts_with("}}") {
            if tokens.is_empty() && !text[from..at].contains("/*") {
                return Err((open, "an empty {{ }}".to_owned()));
            }
            return Ok((tokens, at + 2, false));
        }
        if rest.starts_with(" -}}") || rest.starts_with("\n-}}") {
            return Ok((tokens, at + 4, true));
        }
        let Some(c) = rest.chars().next() else { return Err((open, "{{ is not closed by }}".to_owned())) };
        if c.is_whitespace() {
            at += c.len_utf8();
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").ok_or((at, "the comment is not closed by */".to_owned()))?;
            at += end + 2;
        } else {
            let (token, length) = token(rest).map_err(|message| (at, message))?;
            tokens.push((at, token));
            at += length;
        }
    }
}

fn token(rest: &str) -> Result<(Token, usize), String> {
    let simple =
        [("(", Token::Open), ("|", Token::Pipe), (":=", Token::Declare), ("=", Token::Declare), (",", Token::Comma)];
    if let Some((text, token)) = simple.into_iter().find(|(text, _)| rest.starts_with(text)) {
        return Ok((token, text.len()));
    }
    match rest.as_bytes()[0] {
        b')' => {
            let (fields, length) = fields(&rest[1..]);
            Ok((Token::Close(fields), 1 + length))
        }
        b'$' => {
            let name = word(&rest[1..]);
            let (fields, length) = fields(&rest[1 + name.len()..]);
            Ok((Token::Variable(name.to_owned(), fields), 1 + name.len() + length))
        }
        b'.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            let (fields, length) = fields(rest);
            Ok((Token::Dot(fields), length.max(1)))
        }
        b'"' => quoted(rest),
        b'`' => {
            let end = rest[1..].find('`').ok_or("the text is not closed by `")?;
            Ok((Token::Text(rest[1..=end].to_owned()), end + 2))
        }
        b'0'..=b'9' | b'-' | b'+' | b'.' => {
            let length = rest
                .bytes()
                .enumerate()
                .take_while(|(i, b)| b.is_ascii_alphanumeric() || *b == b'.' || (*i == 0 && matches!(b, b'-' | b'+')))
                .count();
            Ok((Token::Number(rest[..length].to_owned()), length))
        }
        _ => match word(rest) {
            "" => Err(format!("unexpected {:?}", rest.chars().next().unwrap_or(' '))),
            word => Ok((Token::Word(word.to_owned()), word.len())),
        },
    }
}

fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    if rest.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &rest[..end] }
}

fn fields(rest: &str) -> (Vec<String>, usize) {
    let mut fields = Vec::new();
    let mut at = 0;
    while rest[at..].starts_with('.') {
        let name = word(&rest[at + 1..]);
        if name.is_empty() {
            break;
        }
        fields.push(name.to_owned());
        at += 1 + name.len();
    }
    (fields, at)
}

fn quoted(rest: &str) -> Result<(Token, usize), String> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(out), at + 1)),
            '\n' => break,
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(c @ ('"' | '\\' | '\'')) => out.push(c),
                other => return Err(format!("unknown escape \\{}", other.unwrap_or(' '))),
            },
            c => out.push(c),
        }
    }
    Err("the text is not closed by \"".to_owned())
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<(usize, Token)>>;
/// `else`, `else if …` or `end`: where, the word, and what follows it.
type Stop = (usize, String, Tokens);

struct Reader {
    pieces: std::iter::Peekable<std::vec::IntoIter<Piece>>,
    variables: Vec<String>,
    depth: usize,
    end: usize,
}

impl Reader {
    /// Parts up to the next `else`, `end` or the end of the text.
    fn parts(&mut self) -> Result<(Vec<Part>, Option<Stop>), Wrong> {
        let mut parts = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    parts.push(Part::Text(text));
                    continue;
                }
                Piece::Action { at, tokens } => (at, tokens),
            };
            let mut tokens = tokens.into_iter().peekable();
            let keyword = match tokens.peek() {
                Some((_, Token::Word(word))) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" | "else" => {
                    tokens.next();
                    return Ok((parts, Some((at, keyword, tokens))));
                }
                "if" | "with" | "range" => {
                    tokens.next();
                    parts.push(self.block(at, &keyword, tokens)?);
                }
                "template" | "define" | "block" | "break" | "continue" => {
                    return Err((at, format!("{keyword:?} is not supported yet")));
                }
                _ => parts.push(self.statement(at, tokens)?),
            }
        }
        Ok((parts, None))
    }

    fn block(&mut self, at: usize, keyword: &str, tokens: Tokens) -> Result<Part, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err((at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let outside = self.variables.len();
        let part = match keyword {
            "if" => self.conditional(at, tokens)?,
            "with" => {
                let value = self.whole_pipeline(at, tokens)?;
                let (body, otherwise) = self.body(at)?;
                Part::With { value, body, otherwise }
            }
            _ => {
                let (names, tokens) = declared(tokens);
                let over = self.whole_pipeline(at, tokens)?;
                self.variables.extend(names.iter().cloned());
                let (body, otherwise) = self.body(at)?;
                let mut names = names.into_iter().rev();
                let item = names.next();
                Part::Range { key: names.next(), item, over, body, otherwise }
            }
        };
        self.variables.truncate(outside);
        self.depth -= 1;
        Ok(part)
    }

    fn conditional(&mut self, at: usize, tokens: Tokens) -> Result<Part, Wrong> {
        let mut condition = self.whole_pipeline(at, tokens)?;
        let mut branches = Vec::new();
        loop {
            let (body, stop) = self.parts()?;
            branches.push((condition, body));
            let Some((else_at, word, mut rest)) = stop else { return Err((at, "if without end".to_owned())) };
            if word == "end" {
                return Ok(Part::If { branches, otherwise: Vec::new() });
            }
            if rest.next_if(|(_, token)| *token == Token::Word("if".to_owned())).is_some() {
                condition = self.whole_pipeline(else_at, rest)?;
                continue;
            }
            return Ok(Part::If { branches, otherwise: self.until_end(at)? });
        }
    }

    fn body(&mut self, at: usize) -> Result<(Vec<Part>, Vec<Part>), Wrong> {
        let (body, stop) = self.parts()?;
        match stop {
            Some((_, word, _)) if word == "end" => Ok((body, Vec::new())),
            Some(_) => Ok((body, self.until_end(at)?)),
            None => Err((at, "with or range without end".to_owned())),
        }
    }

    fn until_end(&mut self, at: usize) -> Result<Vec<Part>, Wrong> {
        match self.parts()? {
            (parts, Some((_, word, _))) if word == "end" => Ok(parts),
            (_, Some((else_at, ..))) => Err((else_at, "a second else".to_owned())),
            (_, None) => Err((at, "else without end".to_owned())),
        }
    }

    fn statement(&mut self, at: usize, tokens: Tokens) -> Result<Part, Wrong> {
        let (mut names, tokens) = declared(tokens);
        if names.len() > 1 {
            return Err((at, "only range declares two variables".to_owned()));
        }
        let value = self.whole_pipeline(at, tokens)?;
        Ok(match names.pop() {
            Some(name) => {
                self.variables.push(name.clone());
                Part::Set { name, value }
            }
            None => Part::Show(value),
        })
    }

    fn whole_pipeline(&mut self, at: usize, mut tokens: Tokens) -> Result<Pipeline, Wrong> {
        let pipeline = self.pipeline(at, &mut tokens, 0)?;
        match tokens.next() {
            None => Ok(pipeline),
            Some((at, token)) => Err((at, format!("unexpected {}", show(&token)))),
        }
    }

    fn pipeline(&self, at: usize, tokens: &mut Tokens, depth: usize) -> Result<Pipeline, Wrong> {
        if depth > DEPTH_MAX {
            return Err((at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let mut pipeline: Pipeline = Vec::new();
        loop {
            pipeline.push(self.command(at, tokens, !pipeline.is_empty(), depth)?);
            if tokens.next_if(|(_, token)| *token == Token::Pipe).is_none() {
                return Ok(pipeline);
            }
        }
    }

    fn command(&self, at: usize, tokens: &mut Tokens, piped: bool, depth: usize) -> Result<Command, Wrong> {
        let Some((first_at, first)) = tokens.next() else {
            return Err((at.min(self.end), "a value is missing".to_owned()));
        };
        let function = match &first {
            Token::Word(word) if !matches!(word.as_str(), "true" | "false" | "nil") => Some(word.clone()),
            _ => None,
        };
        let Some(name) = function else {
            let value = self.operand(first_at, first, tokens, depth)?;
            if piped {
                return Err((first_at, "only a function can follow |".to_owned()));
            }
            return match tokens.peek() {
                Some((at, token)) if !matches!(token, Token::Pipe | Token::Close(_)) => {
                    Err((*at, format!("unexpected {}; only a function takes arguments", show(token))))
                }
                _ => Ok(Command::Value(value)),
            };
        };
        let signature = functions::find(&name).map_err(|message| (first_at, message))?;
        let mut args = Vec::new();
        while let Some((at, token)) = tokens.next_if(|(_, token)| !matches!(token, Token::Pipe | Token::Close(_))) {
            args.push(self.operand(at, token, tokens, depth)?);
        }
        let count = args.len() + usize::from(piped);
        if count < signature.least || count > signature.most {
            let wanted = if signature.least == signature.most {
                signature.least.to_string()
            } else {
                format!("at least {}", signature.least)
            };
            return Err((first_at, format!("{name} takes {wanted} argument(s), not {count}")));
        }
        Ok(Command::Call { name, args })
    }

    fn operand(&self, at: usize, token: Token, tokens: &mut Tokens, depth: usize) -> Result<Operand, Wrong> {
        match token {
            Token::Variable(name, fields) => {
                if !name.is_empty() && !self.variables.contains(&name) {
                    return Err((at, format!("unknown variable ${name}")));
                }
                Ok(Operand::Variable(name, fields))
            }
            Token::Dot(fields) => Ok(Operand::Dot(fields)),
            Token::Text(text) => Ok(Operand::Text(text)),
            Token::Number(text) => number(&text).ok_or_else(|| (at, format!("{text:?} is not a number"))),
            Token::Word(word) if word == "true" || word == "false" => Ok(Operand::Bool(word == "true")),
            Token::Word(word) => {
                let signature = functions::find(&word).map_err(|message| (at, message))?;
                if signature.least > 0 {
                    return Err((
                        at,
                        format!("{word} takes at least {} argument(s); put the call in ( )", signature.least),
                    ));
                }
                Ok(Operand::Call(word))
            }
            Token::Open => {
                let inner = self.pipeline(at, tokens, depth + 1)?;
                match tokens.next() {
                    Some((_, Token::Close(fields))) => Ok(Operand::Bracket(inner, fields)),
                    _ => Err((at, "( is not closed by )".to_owned())),
                }
            }
            other => Err((at, format!("unexpected {}", show(&other)))),
        }
    }
}

/// Takes `$a :=` or `$a, $b :=` off the front.
fn declared(tokens: Tokens) -> (Vec<String>, Tokens) {
    let all: Vec<(usize, Token)> = tokens.collect();
    let kinds: Vec<&Token> = all.iter().map(|(_, token)| token).take(4).collect();
    let (names, skip) = match kinds.as_slice() {
        [Token::Variable(a, _), Token::Declare, ..] => (vec![a.clone()], 2),
        [Token::Variable(a, _), Token::Comma, Token::Variable(b, _), Token::Declare] => (vec![a.clone(), b.clone()], 4),
        _ => (Vec::new(), 0),
    };
    (names, all.into_iter().skip(skip).collect::<Vec<_>>().into_iter().peekable())
}

fn number(text: &str) -> Option<Operand> {
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(Operand::Int);
    }
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    if !numeric {
        return None;
    }
    text.parse().map(Operand::Int).or_else(|_| text.parse().map(Operand::Float)).ok()
}

fn show(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("{word:?}"),
        Token::Variable(name, _) => format!("\"${name}\""),
        Token::Dot(fields) => format!("\".{}\"", fields.join(".")),
        Token::Text(text) => format!("the text {text:?}"),
        Token::Number(text) => format!("\"{text}\""),
        Token::Open => "\"(\"".to_owned(),
        Token::Close(_) => "\")\"".to_owned(),
        Token::Pipe => "\"|\"".to_owned(),
        Token::Declare => "\":=\"".to_owned(),
        Token::Comma => "\",\"".to_owned(),
    }
}
