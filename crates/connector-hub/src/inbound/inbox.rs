//! Keeping events until they are handled.

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

/// The time for which a delivery is remembered: longer than any provider repeats one.
const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);
/// The bounds on what is kept: one tenant's deliveries fill neither the queue of an endpoint nor,
/// sent again and again under other ids, that of everybody.
const LIMITS: DeliveryLimits = DeliveryLimits {
    waiting: 10_000,
    alike: 64,
    alike_within: Duration::from_secs(86_400),
};
/// The longest name of an endpoint and the longest id that is kept as it is, in bytes.
const LONGEST_NAME: usize = 128;

/// The party that an endpoint belongs to.
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
    /// The live connection that an endpoint belongs to: one at `provider`, and of the registration
    /// `app` if one is named.
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
                "there is no live connection for this endpoint",
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
    /// The inbox of the endpoint that the application calls `name`. What tenants and connections sign
    /// for themselves must not be taken for a repetition of what others are sent.
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
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(Error::new(
                ErrorKind::Configuration,
                operation,
                "an endpoint's name is 1 to 128 visible ASCII characters without a slash",
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

    /// Accepts the events of one delivery one by one. Whoever repeats a delivery that was cut off in
    /// the middle brings the rest. `reply` is the answer that the sender waits for.
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
                    "the connector read an event of another provider or registration",
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
            // An id that is signed is the sender's, and so is the number of its deliveries. An empty
            // body says nothing about what was sent again.
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
                    "one body arrives under ever other ids; it is not kept again for a while"
                ),
                AcceptOutcome::Full => {
                    return Err(Error::new(
                        ErrorKind::RateLimited,
                        operation,
                        "too many deliveries of this tenant or account wait at the endpoint; the \
                         provider sends it again",
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

    /// The party in whose turn the event is handed out. `last` is that of the event before it.
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
                    // Several tenants share the account, or nobody is connected to it.
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

/// The part of an event that tells which connections to probe.
fn probe_of(event: &Event) -> Event {
    let mut probe = event.clone();
    probe.body = Bytes::new();
    probe.fields.clear();
    probe
}

/// Digests of bodies. The events of a bundle may share one body, which is hashed once.
#[derive(Default)]
struct Digests {
    last: Option<(Bytes, [u8; 32])>,
    #[cfg(test)]
    computed: u32,
}

impl Digests {
    /// The digest of a body, and whether it is the very body of the event before.
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

/// The id by which an event is recognised when it is sent again.
///
/// An id that is not signed stands beside a digest of the body: else whoever can change it could
/// spend the id of a delivery that is still to come.
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
    let id = if id.len() > LONGEST_NAME || id.chars().any(char::is_control) {
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

/// The SHA-256 of the parts, each after its length.
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

/// The SHA-256 of the parts, each after its length, in hexadecimal.
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
        // Another body of the same bytes is hashed anew.
        assert!(!digests.of(&Bytes::from(vec![b'x'; 1_000_000])).1);
        assert_eq!(digests.computed, 2);
    }
}
