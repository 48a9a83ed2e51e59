//! Types of this family.
