//! HTTP types: origins, the transport trait, and rate limits.

mod host_rule;
pub mod limit;
mod loopback;
mod origin;
mod retry_after;
mod stream;
mod transport;

pub use self::host_rule::HostRule;
pub use self::loopback::LoopbackOverride;
pub use self::origin::Origin;
pub use self::retry_after::retry_after;
pub use self::stream::{BodyError, BodyFailure, BodyStream, RequestBody, StreamRequest};
pub use self::transport::{
    HttpTransport, LastCheck, OutboundRequest, RequestClass, Sent, TransportError,
    TransportErrorKind,
};
