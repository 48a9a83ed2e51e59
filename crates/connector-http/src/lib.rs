#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod address;
mod body;
mod bulkhead;
mod client;
mod guard;
mod resolve;
mod stream;

pub use self::client::{HttpClient, HttpClientBuilder};
pub use self::resolve::{Resolver, SystemResolver};
