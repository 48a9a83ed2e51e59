//! What an OAuth 2.0 provider does, as data.

mod rotation;

pub use self::rotation::{Grace, RotationClass};
