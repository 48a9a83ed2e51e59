//! Marker type for verified data.

use std::ops::Deref;

/// A value whose signature the hub has verified. Only the hub can create values of this type, so
/// your code does not need to check the source again.
///
/// The signature may not cover all fields: see
/// [`Event::is_signed`](connector_core::webhook::Event::is_signed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(super) const fn new(it: T) -> Self {
        Self(it)
    }

    /// Returns the value without the marker.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
