//! The validation rule for all names that are written to a store.

use thiserror::Error;

/// Maximum length of a name in bytes. Every supported database can index a string of this length.
pub(crate) const MAX_LEN: usize = 255;

/// Error returned for an invalid name. The message never repeats the name, because the name may
/// come from an attacker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The text is empty.
    #[error("{what} is empty; give at least one character")]
    Empty {
        /// The kind of name, for example `tenant id`.
        what: &'static str,
    },
    /// The text is longer than 255 bytes.
    #[error("{what} has {bytes} bytes; at most 255 are allowed")]
    TooLong {
        /// The kind of name, for example `tenant id`.
        what: &'static str,
        /// The length of the text in bytes.
        bytes: usize,
    },
    /// The text contains a character that is not allowed in names.
    #[error("{what} has a character that is not allowed at byte {at}")]
    Character {
        /// The kind of name, for example `tenant id`.
        what: &'static str,
        /// Byte offset of the first invalid character.
        at: usize,
    },
    /// The text does not have the format of this kind of name.
    #[error("{what} has the wrong format; expected {form}")]
    Form {
        /// The kind of name, for example `provider id`.
        what: &'static str,
        /// Description of the expected format.
        form: &'static str,
    },
}

impl From<InvalidName> for crate::Error {
    fn from(invalid: InvalidName) -> Self {
        Self::new(crate::ErrorKind::InvalidInput, "name", invalid.to_string())
    }
}

/// Accepts any text of 1 to 255 bytes without control characters.
pub(crate) fn check(what: &'static str, text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty { what });
    }
    if text.len() > MAX_LEN {
        return Err(InvalidName::TooLong {
            what,
            bytes: text.len(),
        });
    }
    match text
        .char_indices()
        .find(|(_, character)| character.is_control())
    {
        Some((at, _)) => Err(InvalidName::Character { what, at }),
        None => Ok(()),
    }
}

/// Defines a string newtype that is validated in `new` and cheap to clone.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Creates the name from 1 to 255 bytes of text without control characters.
            ///
            /// # Errors
            /// [`InvalidName`](crate::InvalidName) if the text is empty, too long or contains a
            /// control character.
            pub fn new(text: impl AsRef<str>) -> Result<Self, crate::InvalidName> {
                let text = text.as_ref();
                crate::name::check($what, text)?;
                Ok(Self(text.into()))
            }

            /// Returns the name as a string slice.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl TryFrom<String> for $name {
            type Error = crate::InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }
    };
}
pub(crate) use name;
