//! The operations on a hook.

use bytes::Bytes;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::provider::Endpoint;
use connector_core::{Error, ErrorKind, Result};
use http::{HeaderValue, Method};

use crate::ZapierClient;
use crate::models::{Accepted, ZapEvent};

/// The maximum length of a body unless the caller raises it, in bytes.
const LENGTH: usize = 1_000_000;
/// The maximum length of a body that Zapier accepts, in bytes. See
/// [Zapier docs: Operating constraints](https://docs.zapier.com/integrations/build/operating-constraints).
const LONGEST: usize = 10_000_000;
/// The length from which a warning is logged, in bytes.
const LARGE: usize = 256_000;

/// Sends one event: the Zap runs once.
///
/// An event is sent at least once. If the answer is lost, it is sent again with the same id, by which
/// Zapier recognises a repetition. A catch hook accepts the event whatever the state of its Zap: do not
/// tell a user that the Zap is on because of it. See
/// [Zapier: Trigger Zaps from webhooks](https://help.zapier.com/hc/en-us/articles/8496288690317-Trigger-Zaps-from-webhooks).
#[derive(Debug, Clone)]
#[must_use]
pub struct SendEvent {
    body: Body,
}

impl SendEvent {
    /// This event.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the id of the event is empty.
    pub fn new(event: &ZapEvent) -> Result<Self> {
        let body = Body::of(event, std::slice::from_ref(event))?;
        Ok(Self { body })
    }

    /// Sets the maximum length of the body in bytes, at most 10,000,000. Default: 1,000,000. A
    /// "Catch Raw Hook" takes 2 MB.
    pub fn with_longest_body(mut self, bytes: usize) -> Self {
        self.body.longest = bytes.min(LONGEST);
        self
    }
}

impl Endpoint for SendEvent {
    type Client = ZapierClient;
    type Output = Accepted;
    const NAME: &'static str = "SendEvent";
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

/// Sends several events to a catch hook in one request: the Zap runs once for each.
///
/// Only catch hooks divide an array, and Zapier does not document that they do. The target of a REST
/// Hook takes an array for one event. Prefer [`SendEvent`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SendEvents {
    body: Body,
}

impl SendEvents {
    /// These events, for a catch hook.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no event, or if an id is empty or occurs twice.
    pub fn to_catch_hook(events: &[ZapEvent]) -> Result<Self> {
        let body = Body::of(events, events)?;
        Ok(Self { body })
    }

    /// Sets the maximum length of the body; see [`SendEvent::with_longest_body`].
    pub fn with_longest_body(mut self, bytes: usize) -> Self {
        self.body.longest = bytes.min(LONGEST);
        self
    }
}

impl Endpoint for SendEvents {
    type Client = ZapierClient;
    type Output = Accepted;
    const NAME: &'static str = "SendEvents";
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

/// Ends a REST Hook from the application's side, for example because its user left: Zapier pauses the
/// Zap. Only for the target of a REST Hook. A target that is gone already counts as
/// [gone](crate::is_gone).
///
/// See [Zapier docs: REST Hook triggers](https://docs.zapier.com/platform/build/hook-trigger).
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct ReverseUnsubscribe;

impl ReverseUnsubscribe {
    /// The operation.
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

/// A JSON body, serialised once.
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
        let is_doubled = ids.windows(2).any(|pair| pair[0] == pair[1]);
        if ids.is_empty() || ids[0].is_empty() || is_doubled {
            return Err(wrong(
                "there is no event, or the id of an event is empty or occurs twice; give every \
                 event an id of its own",
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
            "the body is longer than the limit; send less data, for example a link to it, or raise \
             the limit",
        ))
    }

    fn request(&self) -> Result<Request> {
        let bytes = self.bytes.len();
        if bytes > LARGE {
            tracing::warn!(connector = "zapier", bytes, "the event for a hook is large");
        }
        let json = HeaderValue::from_static("application/json");
        Ok(at_hook(Method::POST)?.body(json, self.bytes.clone()))
    }
}

/// A request without a path: the session sends it to the hook's address.
fn at_hook(method: Method) -> Result<Request> {
    Request::new(method, [] as [&str; 0])
}

/// Reads what Zapier says about an event. The event is taken whatever the answer contains.
fn accepted(response: &Response) -> Accepted {
    response.json().unwrap_or_default()
}

/// An operation as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Its name in errors, logs and metrics.
    pub name: &'static str,
    /// Its method.
    pub method: &'static str,
}

/// Every operation on a hook. All of them are sent to the hook's address.
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
