//! What is wrong with a configuration, and where: file, line, column, the line itself with a
//! caret, and a hint.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1, where it is about one place.
    pub at: Option<(usize, usize)>,
    /// The line, where it is about one place.
    pub line: String,
    /// What is wrong.
    pub text: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.at {
            None => write!(f, "{path}: {}", self.text)?,
            Some((line, column)) => {
                write!(f, "{path}:{line}:{column}: {}", self.text)?;
                write!(f, "\n  | {}\n  | {}^", self.line, " ".repeat(column - 1))?;
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The file in which something is wrong.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Place<'_> {
    /// An error about the whole file.
    pub(super) fn whole(&self, text: String) -> ConfigError {
        ConfigError { path: self.path.to_owned(), at: None, line: String::new(), text, hint: None }
    }

    /// An error about the bytes `span`.
    pub(super) fn at(&self, span: Range<usize>, text: String) -> ConfigError {
        let (line, column) = self.line_column(span.start);
        let shown = self.text.lines().nth(line - 1).unwrap_or_default().to_owned();
        ConfigError { path: self.path.to_owned(), at: Some((line, column)), line: shown, text, hint: None }
    }

    /// An error of the TOML parser.
    pub(super) fn toml(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message();
        let mut shown = match error.span() {
            Some(span) => self.at(span, message.to_owned()),
            None => self.whole(message.to_owned()),
        };
        let field = shown.line.split_once('=').map(|(field, _)| field.trim().to_owned());
        if let Some(field) = field.filter(|field| !message.contains(&format!("`{field}`"))) {
            shown.text = format!("`{field}`: {message}");
        }
        shown.hint = hint(message);
        shown
    }

    /// Line and column of a byte, from 1.
    pub(super) fn line_column(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |part| part.chars().count()) + 1;
        (line, column)
    }
}

/// For an unknown field: the known one that looks most like it. serde lists them in backticks.
fn hint(message: &str) -> Option<String> {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (wrong, known) = names.split_first()?;
    if !message.starts_with("unknown ") {
        return None;
    }
    let nearest =
        known.iter().max_by(|a, b| strsim::jaro_winkler(wrong, a).total_cmp(&strsim::jaro_winkler(wrong, b)))?;
    (strsim::jaro_winkler(wrong, nearest) > 0.7).then(|| format!("did you mean `{nearest}`?"))
}
