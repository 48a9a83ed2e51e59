//! File ids, which are validated before they are inserted into a URL path.

use std::fmt;

use connector_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// Error for a string that is not a file id. The error does not quote the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the id is not one of 5 to 128 letters, digits, hyphens and underscores; copy it from the API",
        )
    }
}

impl std::error::Error for InvalidId {}

impl From<InvalidId> for Error {
    fn from(invalid: InvalidId) -> Self {
        Self::new(
            ErrorKind::InvalidInput,
            "google-drive.id",
            invalid.to_string(),
        )
        .with_provider(crate::GoogleDrive::ID.as_str().to_owned())
    }
}

/// Id of a file, folder, shortcut or shared drive, or one of the aliases `root` and
/// `appDataFolder`.
///
/// Google does not document the format of ids. The connector accepts 5 to 128 letters, digits,
/// hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileId(String);

impl FileId {
    /// Creates an id after validation.
    ///
    /// # Errors
    /// [`InvalidId`] if the string does not have the accepted format.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text == "root" || (5..=128).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text))
        } else {
            Err(InvalidId)
        }
    }

    /// Returns the alias of My Drive's root folder.
    #[must_use]
    pub fn root() -> Self {
        Self("root".to_owned())
    }

    /// Returns the alias of the app's hidden folder.
    #[must_use]
    pub fn app_data_folder() -> Self {
        Self("appDataFolder".to_owned())
    }

    /// Returns the id as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for FileId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for FileId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl std::str::FromStr for FileId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<&Self> for FileId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl From<FileId> for String {
    fn from(id: FileId) -> Self {
        id.0
    }
}
