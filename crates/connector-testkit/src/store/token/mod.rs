//! Test cases for `TokenStore`, by topic.

mod claims;
mod commits;
mod ends;
mod failures;
mod grants;
mod linear;
mod quarantine;
mod reading;
mod revocations;
mod updates;
mod work;

pub(super) use self::claims::*;
pub(super) use self::commits::*;
pub(super) use self::ends::*;
pub(super) use self::failures::*;
pub(super) use self::grants::*;
pub(super) use self::linear::*;
pub(super) use self::quarantine::*;
pub(super) use self::reading::*;
pub(super) use self::revocations::*;
pub(super) use self::updates::*;
pub(super) use self::work::*;
