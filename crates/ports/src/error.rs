//! One error for all ports, classed where it arises.

/// What the caller may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Try the same again: the whole invocation fails and is delivered once more.
    Transient,
    /// Somebody else was faster: read again, then decide.
    Conflict,
    /// Trying again cannot help.
    Permanent,
}

/// A port's failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{port}: {what} ({class:?})")]
pub struct PortError {
    /// What may be done about it.
    pub class: ErrorClass,
    /// Which port, `stream`, `table`, ….
    pub port: &'static str,
    /// What happened, for a person. Never holds a key or a payload.
    pub what: String,
}

impl PortError {
    /// Worth trying again.
    pub fn transient(port: &'static str, what: impl ToString) -> Self {
        Self { class: ErrorClass::Transient, port, what: what.to_string() }
    }

    /// Not worth trying again.
    pub fn permanent(port: &'static str, what: impl ToString) -> Self {
        Self { class: ErrorClass::Permanent, port, what: what.to_string() }
    }

    /// Somebody else was faster.
    pub fn conflict(port: &'static str, what: impl ToString) -> Self {
        Self { class: ErrorClass::Conflict, port, what: what.to_string() }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.class == ErrorClass::Transient
    }
}
