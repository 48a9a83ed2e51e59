//! The variables of a document, and input objects.

use std::fmt;
use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::{Map, Value};

/// Maximum page size, and maximum length of a list in an input.
pub(crate) const MAX_ITEMS: usize = 250;

/// The members of an input object, by name.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Variables {
    members: Map<String, Value>,
    /// The earliest time of the requested data, if the operation needs another scope for old data.
    #[serde(skip)]
    oldest: Option<Timestamp>,
}

impl Variables {
    /// Sets a member. The types of this crate always convert to JSON; a value that does not would be
    /// null, which the server refuses.
    pub(crate) fn set(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Returns the members of a JSON object; no member for any other value.
    pub(crate) fn from_value(value: Value) -> Self {
        let members = match value {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self {
            members,
            oldest: None,
        }
    }

    /// Sets the earliest time of the requested data.
    pub(crate) const fn reaching(mut self, oldest: Timestamp) -> Self {
        self.oldest = Some(oldest);
        self
    }

    /// Returns true if the data at `now` is older than `age`.
    pub(crate) fn is_older(&self, age: Duration, now: Timestamp) -> bool {
        self.oldest.is_some_and(|oldest| now.since(oldest) > age)
    }

    /// Adds a condition to the search query. All conditions must hold.
    pub(crate) fn and(self, condition: &str) -> Self {
        let query = match self.get("query").as_str() {
            Some(query) => format!("{query} AND {condition}"),
            None => condition.to_owned(),
        };
        self.set("query", query)
    }

    pub(crate) fn get(&self, name: &str) -> &Value {
        self.members.get(name).unwrap_or(&Value::Null)
    }

    /// Returns the page size, or 0 if the operation has no pages.
    pub(crate) fn first(&self) -> u32 {
        let first = self.get("first").as_u64().unwrap_or_default();
        u32::try_from(first).unwrap_or(u32::MAX)
    }

    /// Checks the length of a list.
    pub(crate) fn check_list(&self, operation: &'static str, name: &str) -> Result<()> {
        let length = self.get(name).as_array().map_or(0, Vec::len);
        if (1..=MAX_ITEMS).contains(&length) {
            return Ok(());
        }
        let message = "the list must have 1 to 250 items; divide it";
        Err(Error::new(ErrorKind::InvalidInput, operation, message))
    }
}

/// Shows only the names, because values can be personal data.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members.keys()).finish()
    }
}
