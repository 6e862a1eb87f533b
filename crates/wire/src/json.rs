//! Frames as JSON text, with errors that name the place.
//!
//! A frame that cannot be read is an answer (`error`), never the end of the connection.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::frames::{AgentFrame, BrowserFrame, PageFrame, ServerFrame};
use crate::limits::FRAME_BYTES_MAX;

/// Why a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame has {bytes} bytes, at most {FRAME_BYTES_MAX} are allowed")]
    TooLarge { bytes: usize },
    #[error("line {line}, column {column}: the frame is not JSON: {what}")]
    Json { line: usize, column: usize, what: String },
    #[error("the frame is not a JSON object")]
    NotAnObject,
    #[error("the frame has no text field {tag:?}")]
    NoTag { tag: &'static str },
    #[error("line {line}, column {column}: field {field:?} of {frame:?}: {what}")]
    Field { line: usize, column: usize, frame: String, field: String, what: String },
    #[error("{frame:?}: {what}")]
    Incomplete { frame: String, what: String },
}

impl FrameError {
    /// The reason under which it is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "frame_too_large",
            Self::Json { .. } | Self::NotAnObject => "frame_not_json",
            Self::NoTag { .. } => "frame_without_kind",
            Self::Field { .. } | Self::Incomplete { .. } => "frame_field",
        }
    }

    /// The frame that tells the sender.
    #[must_use]
    pub fn answer(&self) -> ServerFrame {
        ServerFrame::Error { reason: self.reason().to_owned(), text: self.to_string() }
    }
}

macro_rules! json_text {
    ($frame:ty, $tag:literal, $bytes_max:expr) => {
        impl $frame {
            /// The frame's text.
            #[must_use]
            pub fn to_json(&self) -> String {
                text(self)
            }

            /// Reads a frame's text.
            pub fn from_json(text: &str) -> Result<Self, FrameError> {
                frame(text, $tag, $bytes_max)
            }
        }
    };
}

json_text!(AgentFrame, "action", FRAME_BYTES_MAX);
json_text!(BrowserFrame, "action", FRAME_BYTES_MAX);
// What a server sends is limited by the server (`ports::PUSH_BYTES_MAX`).
json_text!(ServerFrame, "kind", usize::MAX);
json_text!(PageFrame, "kind", usize::MAX);

fn text<T: Serialize>(frame: &T) -> String {
    // It cannot fail: writing to memory, and every map's keys are text.
    serde_json::to_string(frame).unwrap_or_default()
}

fn frame<T: DeserializeOwned>(text: &str, tag: &'static str, bytes_max: usize) -> Result<T, FrameError> {
    if text.len() > bytes_max {
        return Err(FrameError::TooLarge { bytes: text.len() });
    }
    let value: Value = serde_json::from_str(text).map_err(|error| FrameError::Json {
        line: error.line(),
        column: error.column(),
        what: plain(&error),
    })?;
    let Value::Object(fields) = &value else { return Err(FrameError::NotAnObject) };
    let Some(Value::String(name)) = fields.get(tag) else { return Err(FrameError::NoTag { tag }) };
    T::deserialize(&value).map_err(|error| {
        // serde does not say which field it was: it is the one without which the complaint is another.
        let complaint = error.to_string();
        let culprit = fields.keys().find(|field| {
            let mut without = fields.clone();
            without.remove(field.as_str());
            *field != tag && T::deserialize(&Value::Object(without)).err().is_none_or(|e| e.to_string() != complaint)
        });
        match culprit {
            Some(field) => {
                let (line, column) = place(text, field);
                let (frame, field) = (name.clone(), field.clone());
                FrameError::Field { line, column, frame, field, what: complaint }
            }
            None => FrameError::Incomplete { frame: name.clone(), what: complaint },
        }
    })
}

/// Line and column, from 1, of the first mention of a field.
fn place(text: &str, field: &str) -> (usize, usize) {
    let before = &text[..text.find(&format!("\"{field}\"")).unwrap_or(0)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// serde_json's complaint without its place, which stands in our own text.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

#[cfg(test)]
mod tests;
