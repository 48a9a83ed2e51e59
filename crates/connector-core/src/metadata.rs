//! Metadata of a connected account.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Named facts about a connected account, for example its plan, its time zone or its granted
/// scopes.
///
/// Do not store secrets in metadata. Metadata is stored unencrypted, shown to people and included
/// in lists.
///
/// ```
/// use connector_core::Metadata;
/// let mut metadata = Metadata::new();
/// metadata.insert("plan", &"basic")?;
/// assert_eq!(metadata.get::<String>("plan"), Some("basic".to_owned()));
/// assert_eq!(metadata.get::<u32>("plan"), None);
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, serde_json::Value>);

impl Metadata {
    /// Creates empty metadata.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the fact `name`, or `None` if it is unknown or does not deserialize as `T`.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0
            .get(name)
            .and_then(|value| T::deserialize(value).ok())
    }

    /// Sets the fact `name`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the value cannot be represented as JSON (a map whose keys are
    /// not text).
    pub fn insert<T: Serialize + ?Sized>(
        &mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<()> {
        let value = serde_json::to_value(value).map_err(|cause| {
            Error::new(
                ErrorKind::InvalidInput,
                "metadata.insert",
                "the value cannot be represented as JSON; use text keys in maps",
            )
            .with_source(cause)
        })?;
        self.0.insert(name.into(), value);
        Ok(())
    }

    /// Removes the fact `name`. Returns true if the fact was present.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// Returns the names of the known facts in sorted order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns true if no fact is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Serializes the metadata as the JSON object that stores save.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if serialization fails. Values that [`Metadata::insert`] accepted do not
    /// cause this error.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|cause| {
            Error::new(
                ErrorKind::Bug,
                "metadata.to_json",
                "the metadata could not be written",
            )
            .with_source(cause)
        })
    }

    /// Parses the output of [`Metadata::to_json`].
    ///
    /// # Errors
    /// [`ErrorKind::StoreIncompatible`] if the text is not a JSON object.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|cause| {
            Error::new(
                ErrorKind::StoreIncompatible,
                "metadata.from_json",
                "the stored metadata is not a JSON object; restore the row from a backup",
            )
            .with_source(cause)
        })
    }
}
