//! Messages.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::name::InvalidName;
use crate::random::Random;

/// Maximum length of a payload in bytes.
///
/// Standard Webhooks recommends payloads below 20 KB. Send a link to larger data.
pub const MAX_PAYLOAD: usize = 1_048_576;
/// Maximum length of a resource key in bytes.
const MAX_RESOURCE: usize = 255;

/// Defines a text type with a limited set of characters.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $form:literal, $extra:pat) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("Creates the ", $what, " from ", $form, ".")]
            ///
            /// # Errors
            /// [`InvalidName`] if the text has another form.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, $extra);
                if (1..=$max).contains(&text.len()) && text.bytes().all(fits) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName::Form { what: $what, form: $form })
                }
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }
    };
}

token! {
    /// The id of a message, sent as `webhook-id`. All attempts to deliver the message to any
    /// endpoint have the same id, with which receivers detect duplicates.
    MessageId, "message id", 64, "1 to 64 letters, digits, hyphens and underscores", b'-' | b'_'
}

token! {
    /// The type of an event, for example `order.created`. Endpoints choose the types that they
    /// receive.
    EventType, "event type", 128, "1 to 128 letters, digits, dots, hyphens and underscores", b'.' | b'-' | b'_'
}

impl MessageId {
    /// Generates an id from 128 random bits.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Ok(Self(format!("msg_{text}").into()))
    }
}

/// A message for all endpoints of a tenant that receive its event type.
///
/// `Debug` does not show the payload.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The id. Publishing a message again with the same id has no effect.
    pub id: MessageId,
    /// The type of the event.
    pub event_type: EventType,
    /// The time of the event. It is stored in the delivery log. The header `webhook-timestamp`
    /// contains the time of the attempt instead.
    pub at: Timestamp,
    /// The body, sent unchanged as `application/json`.
    pub payload: Bytes,
    /// The changed resource. Endpoints with order per resource receive the messages of one resource
    /// in the order in which they were published.
    pub resource: Option<String>,
}

impl Message {
    /// Creates a message with a JSON body that the caller has serialized.
    #[must_use]
    pub fn new(
        id: MessageId,
        event_type: EventType,
        at: Timestamp,
        payload: impl Into<Bytes>,
    ) -> Self {
        Self {
            id,
            event_type,
            at,
            payload: payload.into(),
            resource: None,
        }
    }

    /// Creates a message whose body is `{"type": …, "timestamp": …, "data": …}`, as recommended by
    /// Standard Webhooks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `data` cannot be represented as JSON.
    pub fn json<T: Serialize + ?Sized>(
        id: MessageId,
        event_type: EventType,
        at: Timestamp,
        data: &T,
    ) -> Result<Self> {
        #[derive(Serialize)]
        struct Body<'a, T: ?Sized> {
            r#type: &'a str,
            timestamp: String,
            data: &'a T,
        }
        let body = Body {
            r#type: event_type.as_str(),
            timestamp: at.to_string(),
            data,
        };
        let payload = serde_json::to_vec(&body).map_err(|_| {
            invalid("the data of the message cannot be represented as JSON; use text keys")
        })?;
        Ok(Self::new(id, event_type, at, payload))
    }

    /// Sets the changed resource, for example `order/4711`: 1 to 255 bytes.
    #[must_use]
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Checks the lengths of the payload and of the resource.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the payload is longer than [`MAX_PAYLOAD`], or if the resource
    /// is empty, too long or contains a control character.
    pub fn check(&self) -> Result<()> {
        if self.payload.len() > MAX_PAYLOAD {
            return Err(invalid(
                "the payload is longer than 1 MiB; send a link to the data instead",
            ));
        }
        let fits = |it: &str| {
            (1..=MAX_RESOURCE).contains(&it.len()) && !it.contains(|c: char| c.is_control())
        };
        if self.resource.as_deref().is_some_and(|it| !fits(it)) {
            return Err(invalid(
                "the resource must have 1 to 255 bytes without control characters",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("at", &self.at)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, "outbound.message", message)
}
