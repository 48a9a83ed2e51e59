//! The inbox, which stores events until they are handled.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::provider::webhook::{AccountHint, Event, SignedField};
use connector_core::store::{
    AcceptOutcome, ConnectionRecord, DeliveryKey, DeliveryLimits, DeliveryTurn, Direction,
    NewDelivery,
};
use connector_core::{AppKey, ConnectionKey, Error, ErrorKind, ProviderId, Result, TenantId};
use ring::digest;
use secrecy::SecretString;

use super::{Receipt, Verified};
use crate::hub::Inner;

/// Retention of handled deliveries. Longer than the period in which any provider retries a
/// delivery.
const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// Limits of the inbox. `waiting` prevents one tenant from filling the queue of an endpoint.
/// `alike` prevents a sender from filling the shared queue with one body and many ids.
const LIMITS: DeliveryLimits = DeliveryLimits {
    waiting: 10_000,
    alike: 64,
    alike_within: Duration::from_secs(86_400),
};
/// Maximum length in bytes of an endpoint's name, and of an id that is stored unhashed.
const MAX_NAME: usize = 128;

/// The owner of an endpoint.
pub(super) enum Owner {
    Everybody,
    Tenant(TenantId),
    Connection(ConnectionKey, Vec<SecretString>),
}

impl Owner {
    fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Everybody => None,
            Self::Tenant(tenant) => Some(tenant),
            Self::Connection(key, _) => Some(&key.tenant),
        }
    }

    fn connection(&self) -> Option<&ConnectionKey> {
        match self {
            Self::Connection(key, _) => Some(key),
            _ => None,
        }
    }
}

impl Inner {
    /// Returns the active connection that an endpoint belongs to. The connection must belong to
    /// `provider`, and to the registration `app` if one is given.
    pub(super) async fn connection_of_endpoint(
        &self,
        operation: &'static str,
        provider: &ProviderId,
        app: Option<&AppKey>,
        key: &ConnectionKey,
    ) -> Result<ConnectionRecord> {
        let stored = self.store.load(key).await?;
        let connection = stored.map(|it| it.connection).filter(|it| {
            it.is_live() && it.provider == *provider && app.is_none_or(|app| *app == it.app)
        });
        connection.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                operation,
                "the connection of this endpoint does not exist or has ended",
            )
        })
    }
}

/// The inbox of one endpoint.
pub(super) struct Inbox<'a> {
    inner: &'a Inner,
    operation: &'static str,
    provider: &'a ProviderId,
    app: &'a AppKey,
    endpoint: String,
    owner: &'a Owner,
}

impl<'a> Inbox<'a> {
    /// Returns the inbox of the endpoint that the application calls `name`. Endpoints of tenants
    /// and connections have separate inboxes, so that their deliveries are never treated as
    /// duplicates of other deliveries.
    pub(super) fn new(
        inner: &'a Inner,
        operation: &'static str,
        provider: &'a ProviderId,
        app: &'a AppKey,
        name: Option<&str>,
        owner: &'a Owner,
    ) -> Result<Self> {
        let name = name.unwrap_or("default");
        let fits = |c: u8| c.is_ascii_graphic() && c != b'/';
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(Error::new(
                ErrorKind::Configuration,
                operation,
                "an endpoint's name must have 1 to 128 visible ASCII characters without a slash",
            ));
        }
        let endpoint = match owner {
            Owner::Everybody => name.to_owned(),
            Owner::Tenant(tenant) => {
                format!("tenant/{}/{name}", digest_of(&[tenant.as_str().as_bytes()]))
            }
            Owner::Connection(key, _) => format!("connection/{}/{name}", key.id),
        };
        Ok(Self {
            inner,
            operation,
            provider,
            app,
            endpoint,
            owner,
        })
    }

    /// Stores the events of one delivery one by one. If the process stops before all events are
    /// stored, the sender's retry adds the missing events. `reply` is the response that the sender
    /// expects.
    pub(super) async fn keep(
        &self,
        events: Vec<Event>,
        reply: Option<http::Response<Bytes>>,
    ) -> Result<Receipt> {
        let operation = self.operation;
        let is_empty = events.is_empty();
        let (mut accepted, mut ids) = (Vec::new(), BTreeSet::new());
        let (mut digests, mut turn) = (Digests::default(), None);
        for event in events {
            if event.provider != *self.provider || event.app != *self.app {
                return Err(Error::new(
                    ErrorKind::Bug,
                    operation,
                    "the connector returned an event of another provider or registration",
                ));
            }
            let (body, is_repeated) = digests.of(&event.body);
            let mut id = id_of(&event, &body);
            for number in 2_u32.. {
                if ids.insert(id.clone()) {
                    break;
                }
                id = format!("{}/{number}", id_of(&event, &body));
            }
            let turn = self.turn(&event, &mut turn).await?;
            // The sender controls a signed id, and so the number of deliveries with such ids. An
            // empty body cannot show a repetition.
            let is_counted =
                !event.is_signed(SignedField::DeliveryId) && !event.body.is_empty() && !is_repeated;
            let content = is_counted.then_some(body);
            if event.probes {
                self.accept(
                    Direction::Probe,
                    &id,
                    &probe_of(&event),
                    content,
                    turn.clone(),
                )
                .await?;
            }
            match self
                .accept(Direction::Inbound, &id, &event, content, turn)
                .await?
            {
                AcceptOutcome::Accepted => accepted.push(Verified::new(event)),
                AcceptOutcome::Duplicate => {}
                AcceptOutcome::Alike => tracing::warn!(
                    operation,
                    connector = self.provider.as_str(),
                    endpoint = self.endpoint,
                    "the same body arrives under many different ids; further copies are refused \
                     for a while"
                ),
                AcceptOutcome::Full => {
                    return Err(Error::new(
                        ErrorKind::RateLimited,
                        operation,
                        "too many deliveries of this tenant or account are queued at the endpoint; \
                         the provider sends the delivery again",
                    )
                    .with_provider(self.provider.as_str().to_owned()));
                }
            }
        }
        self.inner.arrivals.notify_one();
        Ok(if accepted.is_empty() && !is_empty {
            Receipt::Duplicate { reply }
        } else {
            Receipt::Accepted {
                events: accepted,
                reply,
            }
        })
    }

    async fn accept(
        &self,
        direction: Direction,
        id: &str,
        event: &Event,
        content: Option<[u8; 32]>,
        turn: DeliveryTurn,
    ) -> Result<AcceptOutcome> {
        let tenant = self.owner.tenant();
        let key = DeliveryKey {
            direction,
            provider: self.provider.clone(),
            app: self.app.clone(),
            endpoint: self.endpoint.clone(),
            id: id.to_owned(),
        };
        let sealed = self
            .inner
            .seal_delivery(&key, tenant, event, self.owner.connection())
            .await?;
        let delivery = NewDelivery {
            key,
            tenant: tenant.cloned(),
            sealed,
            delay: Duration::ZERO,
            keep_for: KEPT_FOR,
            turn,
            content,
            limits: LIMITS,
        };
        self.inner.store.accept(delivery).await
    }

    /// Returns the owner of the event, which determines the event's turn in the queue. `last` is
    /// the turn of the previous event.
    async fn turn(
        &self,
        event: &Event,
        last: &mut Option<(Option<AccountHint>, DeliveryTurn)>,
    ) -> Result<DeliveryTurn> {
        if let Some((account, turn)) = last
            && *account == event.account
        {
            return Ok(turn.clone());
        }
        let account = match &event.account {
            Some(AccountHint::Key(key)) => digest_of(&[b"key", key.as_str().as_bytes()]),
            Some(AccountHint::Host(host)) => digest_of(&[b"host", host.as_bytes()]),
            _ => String::new(),
        };
        let turn = match (self.owner, &event.account) {
            (Owner::Connection(key, _), _) => of_connection(key),
            (Owner::Tenant(tenant), _) => DeliveryTurn {
                owner: format!("tenant/{}", tenant.as_str()),
                lane: format!("account/{account}"),
            },
            (Owner::Everybody, Some(hint)) => {
                let found = self
                    .inner
                    .connections_of(self.provider, self.app, hint)
                    .await?;
                match &found[..] {
                    [key] => of_connection(key),
                    // Several tenants share the account, or no tenant is connected to it.
                    _ => DeliveryTurn {
                        owner: format!("account/{account}"),
                        lane: String::new(),
                    },
                }
            }
            (Owner::Everybody, None) => DeliveryTurn::default(),
        };
        *last = Some((event.account.clone(), turn.clone()));
        Ok(turn)
    }
}

pub(crate) fn of_connection(key: &ConnectionKey) -> DeliveryTurn {
    DeliveryTurn {
        owner: format!("tenant/{}", key.tenant.as_str()),
        lane: format!("connection/{}", key.id),
    }
}

/// Returns the fields of an event that determine which connections to probe.
fn probe_of(event: &Event) -> Event {
    let mut probe = event.clone();
    probe.body = Bytes::new();
    probe.fields.clear();
    probe
}

/// Digests of bodies. If the events of a bundle share one body, it is hashed once.
#[derive(Default)]
struct Digests {
    last: Option<(Bytes, [u8; 32])>,
    #[cfg(test)]
    computed: u32,
}

impl Digests {
    /// Returns the digest of a body, and whether the previous event has the same body.
    fn of(&mut self, body: &Bytes) -> ([u8; 32], bool) {
        if let Some((last, digest)) = &self.last
            && last.as_ptr() == body.as_ptr()
            && last.len() == body.len()
        {
            return (*digest, true);
        }
        #[cfg(test)]
        {
            self.computed += 1;
        }
        let digest = sha256(&[body]);
        self.last = Some((body.clone(), digest));
        (digest, false)
    }
}

/// Returns the id that identifies duplicates of an event.
///
/// An unsigned id is combined with a digest of the body. Without the digest, an attacker could send
/// a modified delivery with the id of a later delivery, which would then be dropped as a duplicate.
fn id_of(event: &Event, body: &[u8; 32]) -> String {
    let Some(id) = &event.delivery_id else {
        let account = match &event.account {
            Some(AccountHint::Key(key)) => key.as_str(),
            Some(AccountHint::Host(host)) => host,
            _ => "",
        };
        let at = event
            .triggered_at
            .map_or(0, Timestamp::as_unix_millis)
            .to_be_bytes();
        let event_id = event.event_id.as_deref().unwrap_or_default();
        let mut parts = vec![
            event.topic.as_bytes(),
            account.as_bytes(),
            event_id.as_bytes(),
            &at,
            body,
        ];
        for (name, value) in &event.fields {
            parts.extend([name.as_bytes(), value.as_bytes()]);
        }
        return digest_of(&parts);
    };
    let id = if id.len() > MAX_NAME || id.chars().any(char::is_control) {
        digest_of(&[id.as_bytes()])
    } else {
        id.clone()
    };
    if event.is_signed(SignedField::DeliveryId) {
        id
    } else {
        format!("{id} {}", hex::encode(body))
    }
}

/// Returns the SHA-256 of the parts, each prefixed with its length.
fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Returns the SHA-256 of the parts, each prefixed with its length, in hexadecimal.
fn digest_of(parts: &[&[u8]]) -> String {
    hex::encode(sha256(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_a_bundle_is_hashed_once() {
        let body = Bytes::from(vec![b'x'; 1_000_000]);
        let mut digests = Digests::default();
        for number in 0..1000 {
            let (digest, is_repeated) = digests.of(&body.clone());
            assert_eq!(digest, sha256(&[&body]).clone());
            assert_eq!(is_repeated, number > 0);
            if number == 2 {
                break;
            }
        }
        for _ in 0..1000 {
            digests.of(&body);
        }
        assert_eq!(digests.computed, 1);
        // A different buffer with the same bytes is hashed again.
        assert!(!digests.of(&Bytes::from(vec![b'x'; 1_000_000])).1);
        assert_eq!(digests.computed, 2);
    }
}
