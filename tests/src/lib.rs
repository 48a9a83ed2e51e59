//! Counterparts that nobody here wrote, for tests of the whole library.
//!
//! `cargo xtask test` installs them and says in variables where they are. Without them a test says
//! that it was skipped; where `CI` is `true` it fails instead.

mod counterpart;
pub mod gdrive_sdk;
mod loopback;
pub mod openid;
pub mod shopify_sdk;

pub use self::counterpart::repetitions;
pub use self::loopback::Loopback;
