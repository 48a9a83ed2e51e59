//! The rule that every name which crosses a store's boundary follows, written once.

use thiserror::Error;

/// The longest name, in bytes. Short enough for an index of any database.
pub(crate) const LONGEST: usize = 255;

/// Why a text is not usable as a name. The text itself is not repeated: it may be hostile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The text is empty.
    #[error("{what} is empty; give at least one character")]
    Empty {
        /// Which name was meant.
        what: &'static str,
    },
    /// The text is longer than 255 bytes.
    #[error("{what} has {bytes} bytes; at most 255 are allowed")]
    TooLong {
        /// Which name was meant.
        what: &'static str,
        /// The length that was given, in bytes.
        bytes: usize,
    },
    /// The text has a character that names must not have.
    #[error("{what} has a character that is not allowed at byte {at}")]
    Character {
        /// Which name was meant.
        what: &'static str,
        /// The offset of the first such character, in bytes.
        at: usize,
    },
    /// The text is not in the form that this name has.
    #[error("{what} is not in its form: {form}")]
    Form {
        /// Which name was meant.
        what: &'static str,
        /// The form it should have.
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
    if text.len() > LONGEST {
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

/// A text newtype that is checked when it is made, cheap to clone, and readable everywhere.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Takes 1 to 255 bytes of text without control characters.
            ///
            /// # Errors
            /// [`InvalidName`](crate::InvalidName) says which rule the text breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, crate::InvalidName> {
                let text = text.as_ref();
                crate::name::check($what, text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
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
