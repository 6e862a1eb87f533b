//! What a use case may end with, and which HTTP answer that is.

use ports::PortError;

/// Why a request could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// 400: what was wrong, and where.
    #[error("{0}")]
    Bad(String),
    /// 401: no key, or one that is not known.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 403: the key may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 405.
    #[error("method {0} is not allowed here")]
    Method(String),
    /// 409: somebody else was faster.
    #[error("{0}")]
    Conflict(String),
    /// 413.
    #[error("{bytes} bytes are too many, at most {max} are taken ({limit})")]
    TooLarge {
        /// How many there were.
        bytes: usize,
        /// The limit.
        max: usize,
        /// The limit's name.
        limit: &'static str,
    },
    /// 415: a format or an encoding that is not taken here.
    #[error("{0}")]
    Media(String),
    /// 422: understood, and cannot be evaluated or hits a named limit.
    #[error("{0}")]
    Unprocessable(String),
    /// 429.
    #[error("{0}")]
    TooMany(String),
    /// 503: it took longer than it may.
    #[error("{0}")]
    Timeout(String),
    /// 503: a port failed in a way that may pass.
    #[error("{0}")]
    Unavailable(PortError),
    /// 500: a port failed for good, or we have a bug.
    #[error("{0}")]
    Internal(String),
}

impl Fault {
    /// 400.
    pub fn bad(what: impl ToString) -> Self {
        Self::Bad(what.to_string())
    }

    /// The HTTP status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Bad(_) => 400,
            Self::Unauthorized(_) => 401,
            Self::Forbidden(_) => 403,
            Self::NotFound(_) => 404,
            Self::Method(_) => 405,
            Self::Conflict(_) => 409,
            Self::TooLarge { .. } => 413,
            Self::Media(_) => 415,
            Self::Unprocessable(_) => 422,
            Self::TooMany(_) => 429,
            Self::Internal(_) => 500,
            Self::Unavailable(_) | Self::Timeout(_) => 503,
        }
    }

    /// Prometheus's word for it.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Bad(_) | Self::Method(_) | Self::Media(_) | Self::TooLarge { .. } => "bad_data",
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Unprocessable(_) => "execution",
            Self::TooMany(_) => "too_many_requests",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout(_) => "timeout",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the same may succeed later. What cannot is kept aside, not tried for ever.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_) | Self::TooMany(_))
    }

    /// Seconds to wait, where trying again helps.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u32> {
        matches!(self, Self::TooMany(_) | Self::Unavailable(_)).then_some(5)
    }
}

impl From<PortError> for Fault {
    fn from(error: PortError) -> Self {
        match error.class {
            ports::ErrorClass::Transient => Self::Unavailable(error),
            ports::ErrorClass::Conflict => Self::Conflict(error.to_string()),
            ports::ErrorClass::Permanent => Self::Internal(error.to_string()),
        }
    }
}
