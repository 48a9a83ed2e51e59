#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod authority;
mod builder;
mod fault;
mod message;
mod secrets;
mod server;
mod transport;

pub use self::authority::{Account, Authority, AuthorityBuilder, Grant, NewGrant, Provider};
pub use self::fault::{Consent, Fault};
pub use self::message::{Request, Response};
pub use self::secrets::Secrets;
pub use self::server::{Server, Service};
