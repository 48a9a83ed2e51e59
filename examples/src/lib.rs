//! Example programs under `src/bin`. This library compiles the Rust code of the book as doctests.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(doctest)]
#[doc = include_str!("../../docs/getting-started.md")]
struct GettingStarted;

#[cfg(doctest)]
#[doc = include_str!("../../docs/any-oauth-provider.md")]
struct AnyOAuthProvider;

#[cfg(doctest)]
#[doc = include_str!("../../docs/stores.md")]
struct Stores;
