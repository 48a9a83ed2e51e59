//! Credentials: kept fresh, never lost.

pub mod machine;
