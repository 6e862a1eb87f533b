//! Validated names of the parties: tenant, source, epoch, and the series' 128-bit identity.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::ID_BYTES_MAX;

/// Why a name of a tenant or a source was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{kind} name is empty")]
    Empty { kind: &'static str },
    #[error("{kind} name has {bytes} bytes, at most {ID_BYTES_MAX} are allowed")]
    TooLong { kind: &'static str, bytes: usize },
    #[error("{kind} name has the character {character:?} at byte {at}; {allowed}")]
    BadCharacter { kind: &'static str, character: char, at: usize, allowed: &'static str },
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $allowed_text:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates `text`.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if text.is_empty() {
                    return Err(IdError::Empty { kind: $kind });
                }
                if text.len() > ID_BYTES_MAX {
                    return Err(IdError::TooLong { kind: $kind, bytes: text.len() });
                }
                let allowed: fn(char) -> bool = $allowed;
                match text.char_indices().find(|(_, c)| !allowed(*c)) {
                    Some((at, character)) => Err(IdError::BadCharacter {
                        kind: $kind,
                        character,
                        at,
                        allowed: $allowed_text,
                    }),
                    None => Ok(Self(text.into())),
                }
            }

            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

name_type!(
    /// Whose data it is. Always taken from the authenticated key, never from a payload.
    TenantId,
    "tenant",
    "letters, digits, `-` and `_` are allowed",
    |c| c.is_ascii_alphanumeric() || c == '-' || c == '_'
);

name_type!(
    /// One agent, or one external sender.
    SourceName,
    "source",
    "anything printable but a space is allowed",
    |c| !c.is_control() && !c.is_whitespace()
);

impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

/// Random number made together with an agent's buffer: tells two lives of one source apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

// JSON numbers above 2^53 lose bits in browsers, so an epoch travels as hexadecimal text.
impl From<Epoch> for String {
    fn from(epoch: Epoch) -> String {
        epoch.to_string()
    }
}

impl TryFrom<String> for Epoch {
    type Error = std::num::ParseIntError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Epoch)
    }
}

/// 128-bit hash of a label set's canonical form (XXH3). Where a collision would do harm, the
/// full text is compared as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u128);

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeriesId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_limit_and_one_past_it() {
        assert!(SourceName::new(&"x".repeat(ID_BYTES_MAX)).is_ok());
        assert_eq!(
            SourceName::new(&"x".repeat(ID_BYTES_MAX + 1)),
            Err(IdError::TooLong { kind: "source", bytes: ID_BYTES_MAX + 1 })
        );
        assert!(SourceName::new("").is_err());
        assert!(SourceName::new("web 1").is_err());
        assert!(SourceName::new("wéb-1.example.org").is_ok());
        assert!(TenantId::new("team/a").is_err());
    }

    #[test]
    fn an_epoch_travels_as_hexadecimal_text() {
        let epoch = Epoch(u64::MAX - 1);
        assert_eq!(Epoch::try_from(String::from(epoch)), Ok(epoch));
        assert!(Epoch::try_from("xyz".to_owned()).is_err());
    }
}
