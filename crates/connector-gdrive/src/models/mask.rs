//! Field masks, which select the fields of a resource in a response.

use std::fmt;
use std::marker::PhantomData;

/// Selection of the fields of a resource to return (the parameter `fields`).
///
/// ```
/// use connector_gdrive::models::{Capabilities, File, Mask};
/// let mask = Mask::<File>::new().id().name().capabilities();
/// let mask = mask.within(Mask::<Capabilities>::new().can_download());
/// assert_eq!(mask.as_str(), "id,name,capabilities(canDownload)");
/// ```
///
/// See [Google Drive docs: Return specific fields](https://developers.google.com/workspace/drive/api/guides/fields-parameter).
#[must_use]
pub struct Mask<T> {
    fields: String,
    of: PhantomData<fn() -> T>,
}

impl<T> Mask<T> {
    /// Creates an empty mask.
    pub const fn new() -> Self {
        Self {
            fields: String::new(),
            of: PhantomData,
        }
    }

    /// Creates a mask that selects all fields. Such requests are slower. Select the fields that you
    /// need instead.
    pub fn everything() -> Self {
        Self::new().with("*")
    }

    /// Adds a field without its own method, in Google's notation. Characters that are invalid in a
    /// mask are removed.
    pub fn with(mut self, field: &str) -> Self {
        if !self.fields.is_empty() {
            self.fields.push(',');
        }
        let is_of_mask = |c: &char| c.is_ascii_alphanumeric() || "*/(),_".contains(*c);
        self.fields.extend(field.chars().filter(is_of_mask));
        self
    }

    /// Selects only these members of the field that was added last.
    pub fn within<U>(mut self, inner: Mask<U>) -> Self {
        let Mask { fields, .. } = inner;
        self.fields.push('(');
        self.fields.push_str(&fields);
        self.fields.push(')');
        self
    }

    /// Returns the mask as sent to Google.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.fields
    }
}

impl<T> Clone for Mask<T> {
    fn clone(&self) -> Self {
        Self {
            fields: self.fields.clone(),
            of: PhantomData,
        }
    }
}

impl<T> Default for Mask<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Mask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mask").field(&self.fields).finish()
    }
}
