//! HTTP as this library uses it: origins, the transport trait, and the limits of providers.

pub mod limit;
mod loopback;
mod origin;
mod transport;

pub use self::loopback::LoopbackOverride;
pub use self::origin::Origin;
pub use self::transport::{
    HttpTransport, LastCheck, OutboundRequest, RequestClass, Sent, TransportError,
    TransportErrorKind,
};
