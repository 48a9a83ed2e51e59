//! Example programs under `src/bin`. This library compiles the Rust code of a page of the book as
//! doctests.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../../../docs/mount-in-your-service.md")]
struct MountInYourService;
