//! What is known about an account beside its credential.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Facts about a connected account, by name: its plan, its time zone, the scopes it granted.
///
/// Not for secrets: metadata is stored readable, shown to people, and part of lists.
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
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The fact `name`, if it is known and has this type.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0
            .get(name)
            .and_then(|value| T::deserialize(value).ok())
    }

    /// Sets the fact `name`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the value has no JSON form (a map whose keys are not text).
    pub fn insert<T: Serialize + ?Sized>(
        &mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<()> {
        let value = serde_json::to_value(value).map_err(|cause| {
            Error::new(
                ErrorKind::InvalidInput,
                "metadata.insert",
                "the value has no JSON form; use text keys in maps",
            )
            .with_source(cause)
        })?;
        self.0.insert(name.into(), value);
        Ok(())
    }

    /// Forgets the fact `name`; true if it was known.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// The names of the known facts, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON object that stores keep.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`]; no value that [`Metadata::insert`] took can cause it.
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

    /// Reads what [`Metadata::to_json`] wrote.
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
