//! Field masks: which fields of a resource an answer has.

use std::fmt;
use std::marker::PhantomData;

/// The fields of a resource to return (`fields`).
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
    /// No field yet.
    pub const fn new() -> Self {
        Self {
            fields: String::new(),
            of: PhantomData,
        }
    }

    /// All fields. Slower, and some fields cost Google much: prefer a list.
    pub fn everything() -> Self {
        Self::new().with("*")
    }

    /// Adds a field that has no method of its own, in Google's notation. Characters that no mask has
    /// are left out.
    pub fn with(mut self, field: &str) -> Self {
        if !self.fields.is_empty() {
            self.fields.push(',');
        }
        let is_of_mask = |c: &char| c.is_ascii_alphanumeric() || "*/(),_".contains(*c);
        self.fields.extend(field.chars().filter(is_of_mask));
        self
    }

    /// Limits the field that was added last to these fields of it.
    pub fn within<U>(mut self, inner: Mask<U>) -> Self {
        let Mask { fields, .. } = inner;
        self.fields.push('(');
        self.fields.push_str(&fields);
        self.fields.push(')');
        self
    }

    /// The mask as it is sent.
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
