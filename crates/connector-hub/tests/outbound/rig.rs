//! A hub with receivers in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::cipher::Keyring;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{HttpTransport, OutboundRequest, TransportError};
use connector_core::outbound::{EventType, Message, MessageId};
use connector_core::store::{AuditFilter, AuditLog, MemoryStore, Store};
use connector_core::{Actor, CorrelationId, Event, RequestContext, TenantId};
use connector_hub::{Hub, HubBuilder, Outbound};
use http::{Request, Response};
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::Webhook;

pub(crate) const START: i64 = 1_700_000_000;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A request that a receiver got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) at: Timestamp,
    pub(crate) request: Request<Bytes>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.request.headers().get(name);
        value.map_or("", |it| it.to_str().unwrap())
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// Returns true if the official library makes the same signature with this key. The library's own
    /// verification reads the wall clock.
    pub(crate) fn is_signed_with(&self, key: &SecretString) -> bool {
        let official = Webhook::new(key.expose_secret()).unwrap();
        let time = self.header("webhook-timestamp").parse().unwrap();
        let signature = official.sign(self.id(), time, self.request.body()).unwrap();
        self.header("webhook-signature")
            .split(' ')
            .any(|it| it == signature)
    }
}

type Answer = Result<Response<Bytes>, TransportError>;
type Behaviour = Arc<dyn Fn(&Request<Bytes>, usize) -> Answer + Send + Sync>;

/// Receivers by host. A host without a behaviour accepts everything.
#[derive(Clone)]
pub(crate) struct Receivers {
    clock: Arc<dyn Clock>,
    got: Arc<Mutex<BTreeMap<String, Vec<Got>>>>,
    behaviours: Arc<Mutex<BTreeMap<String, Behaviour>>>,
}

impl std::fmt::Debug for Receivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receivers")
    }
}

pub(crate) fn status(code: u16) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = code.try_into().unwrap();
    response
}

impl Receivers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            got: Arc::default(),
            behaviours: Arc::default(),
        }
    }

    /// Sets how a host answers. The behaviour gets the request and the number of earlier requests.
    pub(crate) fn on(
        &self,
        host: &str,
        answer: impl Fn(&Request<Bytes>, usize) -> Answer + Send + Sync + 'static,
    ) {
        lock(&self.behaviours).insert(host.to_owned(), Arc::new(answer));
    }

    /// Lets a host answer with these statuses, the last one for ever.
    pub(crate) fn statuses(&self, host: &str, codes: &'static [u16]) {
        self.on(host, move |_, n| Ok(status(codes[n.min(codes.len() - 1)])));
    }

    pub(crate) fn got(&self, host: &str) -> Vec<Got> {
        lock(&self.got).get(host).cloned().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.got).values().map(Vec::len).sum()
    }
}

#[async_trait]
impl HttpTransport for Receivers {
    async fn send(&self, request: OutboundRequest) -> Answer {
        let request = request.request;
        let host = request.uri().host().unwrap().to_owned();
        let got = Got {
            at: self.clock.now(),
            request: request.clone(),
        };
        let earlier = {
            let mut all = lock(&self.got);
            let all = all.entry(host.clone()).or_default();
            all.push(got);
            all.len() - 1
        };
        let behaviour = lock(&self.behaviours).get(&host).cloned();
        match behaviour {
            Some(behaviour) => behaviour(&request, earlier),
            None => Ok(status(200)),
        }
    }
}

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) receivers: Receivers,
    pub(crate) hub: Hub,
    pub(crate) keys: SecretString,
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("t1").unwrap()
}

pub(crate) fn context() -> RequestContext {
    RequestContext::new(Actor::User("u1".into()), CorrelationId::new("r1").unwrap())
}

pub(crate) fn kind(name: &str) -> EventType {
    EventType::new(name).unwrap()
}

pub(crate) fn id(name: &str) -> MessageId {
    MessageId::new(name).unwrap()
}

/// A message of the type `order.created`.
pub(crate) fn message(name: &str) -> Message {
    let at = Timestamp::from_unix_seconds(START);
    let data = serde_json::json!({ "name": name });
    Message::json(id(name), kind("order.created"), at, &data).unwrap()
}

pub(crate) fn hub(
    store: impl Store,
    clock: impl Clock,
    transport: impl HttpTransport,
    keys: &SecretString,
) -> HubBuilder {
    Hub::builder()
        .store(store)
        .cipher(Keyring::parse(keys).unwrap())
        .clock(clock)
        .transport(transport)
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(configure: impl FnOnce(HubBuilder) -> HubBuilder) -> Self {
        connector_testkit::trace::init();
        let clock = ManualClock::new(Timestamp::from_unix_seconds(START));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let receivers = Receivers::new(Arc::new(clock.clone()));
        let keys = Keyring::generate().unwrap();
        let builder = hub(store.clone(), clock.clone(), receivers.clone(), &keys);
        let hub = configure(builder).build().unwrap();
        Self {
            clock,
            store,
            receivers,
            hub,
            keys,
        }
    }

    pub(crate) fn outbound(&self) -> Outbound {
        self.hub.outbound(&tenant())
    }

    /// Sends what is due now. Returns the number of delivered messages.
    pub(crate) async fn tick(&self) -> usize {
        self.hub.worker().tick().await.unwrap().outbound
    }

    /// Sends what becomes due within `time`, in steps.
    pub(crate) async fn pass(&self, time: Duration, step: Duration) -> usize {
        let mut delivered = self.tick().await;
        let steps = time.as_millis() / step.as_millis();
        for _ in 0..steps {
            self.clock.advance(step);
            delivered += self.tick().await;
        }
        delivered
    }

    /// Returns the events in the audit log.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let log = self.store.audit(&AuditFilter::default(), None, 1_000).await;
        let entries = log.unwrap().items.into_iter();
        entries.map(|it| it.entry.event).collect()
    }
}
