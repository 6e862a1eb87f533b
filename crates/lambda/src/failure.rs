//! Why an invocation fails as a whole: AWS gives the event again, or tells the caller.

use pipeline::Fault;

/// An event that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    /// Nothing of ours sends such a thing.
    #[error("an event of no known source, with the fields {fields}: is another trigger set on this function?")]
    Unknown {
        /// Its top fields, never their content.
        fields: String,
    },
    /// The source is known, the rest is not as AWS documents it.
    #[error("an event of {source_name} that cannot be read: {what}")]
    Malformed {
        /// `Kinesis`, `SQS`, ….
        source_name: &'static str,
        /// What, and where.
        what: String,
    },
    /// Another function's.
    #[error("{function} is not woken by {source_name}: the trigger is set on the wrong function")]
    NotMine {
        /// Who got it.
        function: &'static str,
        /// From where.
        source_name: &'static str,
    },
}

impl BadEvent {
    /// Known source, unreadable rest.
    pub fn malformed(source_name: &'static str, what: impl ToString) -> Self {
        Self::Malformed { source_name, what: what.to_string() }
    }
}

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The event.
    #[error(transparent)]
    Event(#[from] BadEvent),
    /// The work.
    #[error("{0}")]
    Fault(Fault),
    /// Not done in time.
    #[error("not done {margin} ms before the invocation's end: {what}", margin = crate::deadline::MARGIN.as_millis())]
    Late {
        /// What was under way.
        what: &'static str,
    },
    /// A batch was handed back to a mapping that is known to lose what is handed back in part.
    #[error("{records} records were not done and are handed back")]
    HandedBack {
        /// How many, as far as the answer tells.
        records: usize,
    },
}

impl Failure {
    /// One word for logs and for AWS's `errorType`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Event(_) => "bad_event",
            Self::Fault(fault) => fault.error_type(),
            Self::Late { .. } => "late",
            Self::HandedBack { .. } => "handed_back",
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ports::PortError> for Failure {
    fn from(error: ports::PortError) -> Self {
        Self::Fault(error.into())
    }
}
