//! A store that becomes unavailable and returns, with its current data or with older data.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::{KeyId, Sealed};
use connector_core::outbound::MessageId;
use connector_core::provider::subscription::ChannelId;
use connector_core::store::ConnectionRecord;
use connector_core::store::*;
use connector_core::store::{AccountRef, Fence, Generation, Version};
use connector_core::{
    AccountKey, AppKey, AuditEntry, ConnectionKey, Error, ErrorKind, ProviderId, Result, TenantId,
};

#[derive(Clone)]
pub struct Outage {
    store: Arc<Mutex<MemoryStore>>,
    gone: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
}

impl Outage {
    pub fn new(store: MemoryStore) -> Self {
        Self {
            store: Arc::new(Mutex::new(store)),
            gone: Arc::default(),
            hangs: Arc::default(),
        }
    }

    pub fn set_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::SeqCst);
    }

    /// Makes all further calls hang.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Replaces the data with another store's.
    pub fn swap(&self, store: MemoryStore) {
        *self.store.lock().unwrap() = store;
    }

    async fn there(&self) -> Result<MemoryStore> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.gone.load(Ordering::SeqCst) {
            let message = "the store is away for the test";
            return Err(Error::new(
                ErrorKind::StoreUnavailable,
                "test.store",
                message,
            ));
        }
        Ok(self.store.lock().unwrap().clone())
    }
}

macro_rules! forward {
    ($trait:ident { $(fn $method:ident($($argument:ident: $type:ty),*) -> $output:ty;)* }) => {
        #[async_trait]
        impl $trait for Outage {
            $(
                async fn $method(&self, $($argument: $type),*) -> Result<$output> {
                    self.there().await?.$method($($argument),*).await
                }
            )*
        }
    };
}

forward! {
    Maintenance {
        fn sealed_rows(not_under: &KeyId, after: Option<&Cursor>, n: u16) -> Page<SealedRow>;
        fn reseal(row: &RowRef, seen: &Sealed, new: Sealed) -> bool;
        fn purge(n: u32) -> u32;
    }
}

forward! {
    TokenStore {
        fn load(key: &ConnectionKey) -> Option<Stored>;
        fn generation(key: &ConnectionKey) -> Option<Generation>;
        fn find(account: &AccountRef) -> Option<ConnectionKey>;
        fn find_by_account(provider: &ProviderId, app: &AppKey, account: &AccountKey, after: Option<&Cursor>, n: u16) -> Page<ConnectionKey>;
        fn find_by_host(provider: &ProviderId, app: &AppKey, host: &str, after: Option<&Cursor>, n: u16) -> Page<ConnectionKey>;
        fn list(filter: &Filter, after: Option<&Cursor>, n: u16) -> Page<ConnectionRecord>;
        fn put_grant(grant: PutGrant, effects: SideEffects) -> PutOutcome;
        fn update(key: &ConnectionKey, at: Version, patch: Patch, effects: SideEffects) -> UpdateOutcome;
        fn end(key: &ConnectionKey, request: EndRequest, effects: SideEffects) -> EndOutcome;
        fn claim(key: &ConnectionKey, request: ClaimRequest) -> ClaimOutcome;
        fn commit(key: &ConnectionKey, commit: Commit, effects: SideEffects) -> CommitOutcome;
        fn fail(key: &ConnectionKey, failure: Failure, effects: SideEffects) -> FailOutcome;
        fn take_due(kinds: &[WorkKind], n: u16, lease: Duration) -> Vec<Due>;
        fn finish(due: &Due, next: Option<Duration>) -> bool;
        fn quarantine(quarantine: NewQuarantine) -> bool;
        fn quarantined(state: &StateKey) -> Option<Quarantined>;
        fn take_quarantined(n: u16, lease: Duration) -> Vec<Quarantined>;
        fn release(state: &StateKey) -> bool;
        fn queue_revocation(revocation: Revocation, effects: SideEffects) -> ();
        fn revocations(key: &ConnectionKey) -> Vec<Revocation>;
        fn revoked(key: &ConnectionKey, fence: Fence) -> bool;
    }
}

forward! {
    StateStore {
        fn put_state(state: NewState) -> PutStateOutcome;
        fn state(key: &StateKey) -> Option<StoredState>;
        fn begin(key: &StateKey, binding: &[u8; 32], code: &[u8; 32]) -> BeginOutcome;
        fn finish_state(key: &StateKey, outcome: ConnectOutcome) -> bool;
    }
}

forward! {
    DeliveryQueue {
        fn accept(delivery: NewDelivery) -> AcceptOutcome;
        fn lease(request: &LeaseRequest) -> Vec<LeasedDelivery>;
        fn done(delivery: &LeasedDelivery) -> bool;
        fn retry(delivery: &LeasedDelivery, after: Duration, error: &str) -> bool;
        fn park(delivery: &LeasedDelivery, error: &str) -> bool;
        fn deliveries(filter: &DeliveryFilter, after: Option<&Cursor>, n: u16) -> Page<DeliveryRecord>;
        fn replay(key: &DeliveryKey, tenant: Option<&TenantId>) -> bool;
    }
}

forward! {
    AuditLog {
        fn append(entry: AuditEntry) -> ();
        fn audit(filter: &AuditFilter, after: Option<&Cursor>, n: u16) -> Page<AuditRecord>;
        fn take_changes(n: u16, lease: Duration) -> Vec<Change>;
        fn change_handled(change: &Change) -> bool;
        fn prune(older_than: Duration, n: u32) -> u32;
    }
}

forward! {
    SubscriptionStore {
        fn put_subscription(new: NewSubscription, effects: SideEffects) -> PutSubscriptionOutcome;
        fn subscriptions(connection: &ConnectionKey) -> Vec<Subscription>;
        fn subscription_by_channel(channel: &ChannelId) -> Option<Subscription>;
        fn notify_subscription(channel: &ChannelId) -> bool;
        fn change_subscription(key: &SubscriptionKey, at: Version, change: SubscriptionChange, effects: SideEffects) -> ChangeSubscriptionOutcome;
        fn end_subscription(key: &SubscriptionKey, effects: SideEffects) -> EndSubscriptionOutcome;
        fn endings(connection: &ConnectionKey, n: u16) -> Vec<Ending>;
        fn ending_failed(connection: &ConnectionKey, channel: &ChannelId) -> Option<u32>;
        fn ending_done(connection: &ConnectionKey, channel: &ChannelId) -> bool;
    }
}

forward! {
    OutboundStore {
        fn put_endpoint(new: NewEndpoint, audit: Vec<AuditEntry>) -> PutEndpointOutcome;
        fn endpoint(key: &EndpointKey) -> Option<Endpoint>;
        fn endpoints(filter: &EndpointFilter, after: Option<&Cursor>, n: u16) -> Page<Endpoint>;
        fn change_endpoint(key: &EndpointKey, at: Version, change: EndpointChange, audit: Vec<AuditEntry>) -> ChangeEndpointOutcome;
        fn remove_endpoint(key: &EndpointKey, audit: Vec<AuditEntry>) -> bool;
        fn enqueue(message: NewMessage) -> Enqueued;
        fn lease_messages(request: &MessageLease) -> Vec<LeasedMessage>;
        fn settle_messages(settlements: &[Settlement]) -> Vec<Option<Settled>>;
        fn outbound(filter: &OutboundFilter, after: Option<&Cursor>, n: u16) -> Page<OutboundRecord>;
        fn attempts(endpoint: &EndpointKey, id: &MessageId) -> Vec<AttemptRecord>;
        fn replay_messages(filter: &OutboundFilter, n: u16) -> u32;
    }
}
