//! Counterparts: programs that we did not write, for tests of the whole library.
//!
//! `cargo xtask test` installs the counterparts and sets environment variables to their
//! directories. If a counterpart is not installed, the test prints that it is skipped. If `CI` is
//! `true`, the test fails instead.

mod counterpart;
pub mod gdrive_sdk;
mod loopback;
pub mod notion_sdk;
pub mod openid;
pub mod receivers;
pub mod schemathesis;
pub mod shopify_sdk;

pub use self::counterpart::repetitions;
pub use self::loopback::Loopback;
