//! x
pub mod cipher;
