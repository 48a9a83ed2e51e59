//! The id of a provider.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::InvalidName;

/// The id of a provider: 1 to 64 lower-case letters, digits and hyphens, starting with a letter.
///
/// ```
/// use connector_core::ProviderId;
/// const ACME: ProviderId = ProviderId::from_static("acme");
/// assert_eq!(ACME, ProviderId::new("acme")?);
/// # Ok::<(), connector_core::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ProviderId(Cow<'static, str>);

impl ProviderId {
    /// Creates an id for a constant. In a constant, an invalid id is a compile error.
    ///
    /// # Panics
    /// Panics outside a constant if the id is invalid. Use [`ProviderId::new`] at run time.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(
            is_valid(text),
            "a provider id has 1 to 64 lower-case letters, digits and hyphens"
        );
        Self(Cow::Borrowed(text))
    }

    /// Creates an id from a string that is known only at run time.
    ///
    /// # Errors
    /// [`InvalidName`] if the id is invalid.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        if is_valid(&text) {
            Ok(Self(Cow::Owned(text)))
        } else {
            Err(InvalidName::Form {
                what: "provider id",
                form: "1 to 64 lower-case letters, digits and hyphens, starting with a letter",
            })
        }
    }

    /// Returns the id as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 1;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || bytes[at] == b'-') {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Debug for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderId({:?})", self.as_str())
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<ProviderId> for String {
    fn from(id: ProviderId) -> Self {
        id.0.into_owned()
    }
}

impl TryFrom<String> for ProviderId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl std::str::FromStr for ProviderId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_lower_case_names_are_provider_ids() {
        for good in ["shopify", "amazon-spapi", "a", "x2"] {
            assert_eq!(ProviderId::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "2x",
            "Shopify",
            "a_b",
            "a b",
            "ä",
            &"a".repeat(65),
        ] {
            assert!(ProviderId::new(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<ProviderId>("\"../etc\"").is_err());
    }
}
