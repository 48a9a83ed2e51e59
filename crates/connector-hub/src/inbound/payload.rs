//! The sealed form of a delivery.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};
use connector_core::cipher::{Plaintext, SealContext, Sealed, SealedKind, open_long, seal_long};
use connector_core::clock::Timestamp;
use connector_core::provider::webhook::{AccountHint, Event, SignedField};
use connector_core::store::{DeliveryKey, Fence, GrantNumber, LeasedDelivery};
use connector_core::{AccountKey, ConnectionKey, Error, ErrorKind, Result, TenantId};
use serde::{Deserialize, Serialize};

use super::Verified;
use crate::hub::Inner;

/// The event of a delivery, and the connection whose own secret signed the delivery.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) event: Verified<Event>,
    pub(crate) connection: Option<ConnectionKey>,
}

/// Everything except the body. The body follows the head.
#[derive(Serialize, Deserialize)]
struct Head {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    triggered_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, String>,
    signed: u8,
    probes: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<ConnectionKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Account {
    Key(String),
    Host(String),
}

impl Inner {
    /// Seals an event under the key of its delivery.
    pub(crate) async fn seal_delivery(
        &self,
        key: &DeliveryKey,
        tenant: Option<&TenantId>,
        event: &Event,
        connection: Option<&ConnectionKey>,
    ) -> Result<Sealed> {
        let row = key.row_id();
        let plaintext = encode(event, connection)?;
        seal_long(&*self.cipher, &place(key, tenant, &row), plaintext.expose()).await
    }

    /// Opens a delivery that was sealed by [`Inner::seal_delivery`]. Only verified deliveries are
    /// sealed.
    pub(crate) async fn open_delivery(&self, delivery: &LeasedDelivery) -> Result<Payload> {
        let row = delivery.key.row_id();
        let place = place(&delivery.key, delivery.tenant.as_ref(), &row);
        let plaintext = open_long(&*self.cipher, &place, &delivery.sealed).await?;
        decode(&delivery.key, plaintext.expose()).ok_or_else(|| {
            Error::new(
                ErrorKind::StoreIncompatible,
                "hub.open_delivery",
                "a stored delivery is in a format that this version does not know; update this \
                 node",
            )
        })
    }
}

fn place<'a>(key: &'a DeliveryKey, tenant: Option<&'a TenantId>, row: &'a str) -> SealContext<'a> {
    SealContext {
        tenant,
        provider: &key.provider,
        app: &key.app,
        row,
        kind: SealedKind::Delivery,
        grant: GrantNumber::default(),
        fence: Fence::default(),
    }
}

fn encode(event: &Event, connection: Option<&ConnectionKey>) -> Result<Plaintext> {
    let unwritable = || {
        Error::new(
            ErrorKind::Bug,
            "hub.receive",
            "the head of a delivery could not be serialized",
        )
    };
    let head = Head {
        topic: event.topic.clone(),
        account: match &event.account {
            Some(AccountHint::Key(key)) => Some(Account::Key(key.as_str().to_owned())),
            Some(AccountHint::Host(host)) => Some(Account::Host(host.clone())),
            // This version cannot route by this kind of hint.
            _ => None,
        },
        delivery_id: event.delivery_id.clone(),
        event_id: event.event_id.clone(),
        triggered_at_ms: event.triggered_at.map(Timestamp::as_unix_millis),
        fields: event.fields.clone(),
        signed: event.signed.iter().fold(0, |all, field| all | field.bit()),
        probes: event.probes,
        connection: connection.cloned(),
    };
    let head = serde_json::to_vec(&head).map_err(|_| unwritable())?;
    let length = u32::try_from(head.len()).map_err(|_| unwritable())?;
    let mut bytes = Vec::with_capacity(4 + head.len() + event.body.len());
    bytes.put_u32(length);
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&event.body);
    Ok(Plaintext::new(bytes))
}

fn decode(key: &DeliveryKey, bytes: &[u8]) -> Option<Payload> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (head, body) = rest.split_at_checked(length)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    let body = BytesMut::from(body).freeze();
    let mut event = Event::new(key.provider.clone(), key.app.clone(), head.topic, body);
    event.account = match head.account {
        Some(Account::Key(key)) => Some(AccountHint::Key(AccountKey::new(key).ok()?)),
        Some(Account::Host(host)) => Some(AccountHint::Host(host)),
        None => None,
    };
    event.delivery_id = head.delivery_id;
    event.event_id = head.event_id;
    event.triggered_at = head.triggered_at_ms.map(Timestamp::from_unix_millis);
    event.signed = SignedField::set(head.signed);
    event.fields = head.fields;
    event.probes = head.probes;
    Some(Payload {
        event: Verified::new(event),
        connection: head.connection,
    })
}

#[cfg(test)]
mod tests {
    use connector_core::store::Direction;
    use connector_core::{AppKey, ConnectionId, ProviderId};

    use super::*;

    fn key() -> DeliveryKey {
        DeliveryKey {
            direction: Direction::Inbound,
            provider: ProviderId::from_static("acme"),
            app: AppKey::default(),
            endpoint: "default".to_owned(),
            id: "d-1".to_owned(),
        }
    }

    #[test]
    fn a_payload_reads_what_it_wrote() {
        let tenant = TenantId::new("t1").unwrap();
        let connection = ConnectionKey::new(tenant, ConnectionId::from_bytes([7; 16]));
        for bits in 0..16 {
            let key = key();
            let body = bytes::Bytes::from_static(b"\xff\x00 not text");
            let mut event = Event::new(key.provider.clone(), key.app.clone(), "t", body);
            event.account = Some(AccountHint::Host("a.example".to_owned()));
            event.delivery_id = Some("d-1".to_owned());
            event.triggered_at = Some(Timestamp::from_unix_millis(-5));
            event.signed = SignedField::set(bits);
            event.probes = bits % 2 == 0;
            event.fields = BTreeMap::from([("x-goog-changed".to_owned(), "content".to_owned())]);
            let written = encode(&event, Some(&connection)).unwrap();
            let read = decode(&key, written.expose()).unwrap();
            assert_eq!(*read.event, event);
            assert_eq!(read.event.signed.len(), bits.count_ones() as usize);
            assert_eq!(read.connection.as_ref(), Some(&connection));
            for cut in 0..4 {
                assert!(decode(&key, &written.expose()[..cut]).is_none());
            }
        }
    }
}
