//! Webhooks: deliveries and the schemes that verify them.
//!
//! A connector's hook verifies a delivery and returns plain [`Event`]s. Only the hub converts these
//! events into the trusted events that handlers receive. The default hook follows the description's
//! [`WebhookScheme`]. If a description cannot express a provider's scheme, the connector's own code
//! verifies the delivery with [`Secrets`], [`single_header`], [`decode_base64`], [`decode_hex`] and
//! [`check_window`].

mod body;
mod event;
mod handshake;
mod read;
mod scheme;
mod signature;
mod typed;
mod validate;
mod verify;

pub use self::event::{AccountHint, Event, Incoming, SignedField, WebhookEndpoint};
pub use self::handshake::VERIFY_TOKEN;
pub use self::read::{channel, read_proved, verify, verify_with};
pub use self::scheme::{
    Answer, BodyForm, Challenge, Echo, Handshake, HeaderCondition, HeaderPair, KeyForm,
    RequiredFact, SecretHandshake, SignatureEncoding, SignatureEntries, SignedPart, SignedUri,
    TimeForm, TimestampSource, TimestampUnit, WebhookAlgorithm, WebhookFact, WebhookScheme,
    WebhookSecret, WebhookSignature, WebhookTimestamp,
};
pub use self::signature::{
    Secrets, check_window, decode_base64, decode_hex, open_signed_request, refused, single_header,
};
pub use self::typed::TypedEvent;
