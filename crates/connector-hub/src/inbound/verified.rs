//! What only the hub can vouch for.

use std::ops::Deref;

/// Something whose signature the hub has verified. Only the hub makes one, so whoever is handed one
/// need not ask where it comes from.
///
/// The signature may not cover all of it: see [`Event::is_signed`](connector_core::webhook::Event::is_signed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(super) const fn new(it: T) -> Self {
        Self(it)
    }

    /// What was verified, without the proof.
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
