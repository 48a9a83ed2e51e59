//! Ids, which consist of a prefix of three letters for the type, and 14 letters or digits. Ids are
//! validated before they are used in a path.

use std::fmt;

use connector_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// The error for a string that is not an id of the expected type. The error does not contain the
/// text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId(&'static str);

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidId {}

impl From<InvalidId> for Error {
    fn from(invalid: InvalidId) -> Self {
        Self::new(ErrorKind::InvalidInput, "airtable.id", invalid.0)
            .with_provider(crate::Airtable::ID.as_str().to_owned())
    }
}

fn is_id(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 14 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Validates an id.
            ///
            /// # Errors
            /// [`InvalidId`] for any other text.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if is_id($prefix, &text) {
                    Ok(Self(text))
                } else {
                    let form = concat!(
                        "the id is not `", $prefix, "` and 14 letters or digits; copy it from the API"
                    );
                    Err(InvalidId(form))
                }
            }

            /// Returns the id as text.
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

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id! {
    /// The id of a base: `app…`.
    BaseId, "app"
}
id! {
    /// The id of a table: `tbl…`.
    TableId, "tbl"
}
id! {
    /// The id of a field: `fld…`.
    FieldId, "fld"
}
id! {
    /// The id of a record: `rec…`.
    RecordId, "rec"
}
id! {
    /// The id of a comment: `com…`.
    CommentId, "com"
}
id! {
    /// The id of a webhook: `ach…`.
    WebhookId, "ach"
}

/// The id or the name of a table, for use in paths. Prefer the id, because names can change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableKey(String);

impl TableKey {
    /// Selects a table by its name, which is percent-encoded in the path.
    ///
    /// # Errors
    /// [`InvalidId`] if the name is empty, consists only of dots, contains a control character, or
    /// has more than 255 bytes.
    pub fn named(name: impl Into<String>) -> Result<Self, InvalidId> {
        let name = name.into();
        let is_path = name.bytes().any(|b| b != b'.');
        if is_path && name.len() <= 255 && !name.chars().any(char::is_control) {
            return Ok(Self(name));
        }
        Err(InvalidId(
            "the table's name is empty, consists only of dots, is too long, or has a control \
             character; use its id",
        ))
    }

    /// Returns the id or name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<TableId> for TableKey {
    fn from(id: TableId) -> Self {
        Self(id.0)
    }
}
