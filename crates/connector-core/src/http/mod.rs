//! HTTP as this library uses it: origins, and the one door to the network.

mod address;
mod answer;
mod bulkhead;
mod client;
mod guard;
pub mod limit;
mod origin;
mod resolve;
mod transport;

pub use self::client::{HttpClient, HttpClientBuilder};
pub use self::guard::LoopbackOpening;
pub use self::origin::Origin;
pub use self::resolve::{Resolver, SystemResolver};
pub use self::transport::{
    HttpTransport, Lane, LastCheck, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
