//! Webhooks: what a delivery is, and the parts from which signature checks are made.
//!
//! A connector's hook verifies a delivery and returns plain [`Event`]s; only the hub turns them into
//! something that handlers trust. The default hook follows the description's [`WebhookScheme`]; a
//! connector with a scheme of its own uses [`Secrets`], [`single_header`], [`decode_base64`],
//! [`decode_hex`] and [`check_window`].

mod event;
mod scheme;
mod signature;

pub use self::event::{AccountHint, Event, Incoming, SignedField, WebhookEndpoint};
pub use self::scheme::{SignatureEncoding, WebhookScheme, WebhookSecret, WebhookTimestamp, verify};
pub use self::signature::{
    Secrets, check_window, decode_base64, decode_hex, refused, single_header,
};
