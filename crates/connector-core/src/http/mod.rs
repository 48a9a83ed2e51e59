//! HTTP as this library uses it: origins, and the one door to the network.

mod origin;
mod transport;

pub use self::origin::Origin;
pub use self::transport::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
