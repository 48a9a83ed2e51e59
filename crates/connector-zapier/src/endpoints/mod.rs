//! Typed operations on a hook.

use bytes::Bytes;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::provider::Endpoint;
use connector_core::{Error, ErrorKind, Result};
use http::{HeaderValue, Method};

use crate::ZapierClient;
use crate::models::{Accepted, ZapEvent};

/// Default maximum length of a body, in bytes.
const LENGTH: usize = 1_000_000;
/// Maximum length of a body that Zapier accepts, in bytes. See
/// [Zapier docs: Operating constraints](https://docs.zapier.com/integrations/build/operating-constraints).
const MAX_LEN: usize = 10_000_000;
/// Length above which a warning is logged, in bytes.
const LARGE: usize = 256_000;

/// Defines an operation that posts a body to the hook.
macro_rules! posts {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name {
            body: Body,
        }

        impl $name {
            /// Sets the maximum length of the body in bytes, at most 10,000,000. Default: 1,000,000. A
            /// "Catch Raw Hook" accepts 2 MB.
            pub fn with_longest_body(mut self, bytes: usize) -> Self {
                self.body.longest = bytes.min(MAX_LEN);
                self
            }
        }

        impl Endpoint for $name {
            type Client = ZapierClient;
            type Output = Accepted;
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: Idempotency = Idempotency::Safe;

            fn validate(&self) -> Result<()> {
                self.body.check(Self::NAME)
            }

            fn request(&self) -> Result<Request> {
                self.body.request()
            }

            fn decode(&self, response: &mut Response) -> Result<Accepted> {
                Ok(accepted(response))
            }
        }
    };
}

posts! {
    /// Sends one event. The Zap runs once.
    ///
    /// Delivery is at least once: if the response is lost, the event is sent again with the same id, with
    /// which Zapier can detect the duplicate. A catch hook accepts the event even if its Zap is off, so do
    /// not report to a user that the Zap is on. See
    /// [Zapier: Trigger Zaps from webhooks](https://help.zapier.com/hc/en-us/articles/8496288690317-Trigger-Zaps-from-webhooks).
    SendEvent
}

impl SendEvent {
    /// Creates the operation for this event.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the id of the event is empty.
    pub fn new(event: &ZapEvent) -> Result<Self> {
        let body = Body::of(event, std::slice::from_ref(event))?;
        Ok(Self { body })
    }
}

posts! {
    /// Sends several events to a catch hook in one request. The Zap runs once per event.
    ///
    /// Only catch hooks split an array into runs, and Zapier does not document this behaviour. The target of
    /// a REST Hook treats the array as one event. Prefer [`SendEvent`].
    SendEvents
}

impl SendEvents {
    /// Creates the operation for these events, for a catch hook.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no event, or if an id is empty or not unique.
    pub fn to_catch_hook(events: &[ZapEvent]) -> Result<Self> {
        let body = Body::of(events, events)?;
        Ok(Self { body })
    }
}

/// Unsubscribes a REST Hook from the application's side, for example because its user left. Zapier then
/// pauses the Zap. Use this operation only for the target of a REST Hook. If the target no longer exists,
/// [`is_gone`](crate::is_gone) returns true for the error.
///
/// See [Zapier docs: REST Hook triggers](https://docs.zapier.com/platform/build/hook-trigger).
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct ReverseUnsubscribe;

impl ReverseUnsubscribe {
    /// Creates the operation.
    pub const fn new() -> Self {
        Self
    }
}

impl Endpoint for ReverseUnsubscribe {
    type Client = ZapierClient;
    type Output = ();
    const NAME: &'static str = "ReverseUnsubscribe";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        at_hook(Method::DELETE)
    }

    fn decode(&self, _: &mut Response) -> Result<()> {
        Ok(())
    }
}

/// A JSON body, serialized once.
#[derive(Debug, Clone)]
struct Body {
    bytes: Bytes,
    longest: usize,
}

impl Body {
    fn of<T: serde::Serialize + ?Sized>(value: &T, events: &[ZapEvent]) -> Result<Self> {
        const OPERATION: &str = "zapier.send";
        let wrong = |message| Error::new(ErrorKind::InvalidInput, OPERATION, message);
        let mut ids: Vec<&str> = events.iter().map(ZapEvent::id).collect();
        ids.sort_unstable();
        let is_duplicated = ids.windows(2).any(|pair| pair[0] == pair[1]);
        if ids.is_empty() || ids[0].is_empty() || is_duplicated {
            return Err(wrong(
                "there is no event, or an event's id is empty or not unique; give each event a unique id",
            ));
        }
        let bytes = serde_json::to_vec(value)
            .map_err(|_| wrong("the event cannot be represented as JSON"))?;
        Ok(Self {
            bytes: Bytes::from(bytes),
            longest: LENGTH,
        })
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        if self.bytes.len() <= self.longest {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            operation,
            "the body exceeds the length limit; send less data, for example a link to the data, or \
             raise the limit",
        ))
    }

    fn request(&self) -> Result<Request> {
        let bytes = self.bytes.len();
        if bytes > LARGE {
            tracing::warn!(connector = "zapier", bytes, "large request body for a hook");
        }
        let json = HeaderValue::from_static("application/json");
        Ok(at_hook(Method::POST)?.body(json, self.bytes.clone()))
    }
}

/// Creates a request without a path. The session sends the request to the hook's address.
fn at_hook(method: Method) -> Result<Request> {
    Request::new(method, [] as [&str; 0])
}

/// Decodes the response to an event. An unreadable body is not an error, because the status shows that
/// Zapier accepted the event.
fn accepted(response: &Response) -> Accepted {
    response.json().unwrap_or_default()
}

/// Name and method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Name in errors, logs and metrics.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
}

/// All operations on a hook. Their requests go to the hook's address.
pub const OPERATIONS: &[Operation] = &[
    listed::<SendEvent>("POST"),
    listed::<SendEvents>("POST"),
    listed::<ReverseUnsubscribe>("DELETE"),
];

const fn listed<E: Endpoint>(method: &'static str) -> Operation {
    Operation {
        name: E::NAME,
        method,
    }
}
