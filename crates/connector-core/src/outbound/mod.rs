//! Webhooks that the application sends to its own customers: messages and signatures.
//!
//! Messages are signed as specified by
//! [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//! The engine that stores and sends messages is in the crate `connector-hub`.

mod message;
mod signing;

pub use self::message::{EventType, MAX_PAYLOAD, Message, MessageId};
pub use self::signing::{
    SignatureAlgorithm, SigningSecret, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign,
};
