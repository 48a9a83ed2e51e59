//! The operations of this family.

/// The operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[];
