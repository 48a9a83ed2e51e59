//! Kill points, for tests in which the process is killed or a response is lost before or after any
//! call.
//!
//! [`KillPoints`] counts the calls to the stores, ciphers and transports that it wraps. Each call
//! has two points, one before the call and one after it. The points are numbered from 1 in the
//! order of execution. At one chosen point, the process is aborted or the result of the call is
//! lost.
//!
//! A test runs its scenario once to count the points, and then once for each point:
//!
//! ```
//! use std::sync::Arc;
//! use connector_core::clock::{ManualClock, Timestamp};
//! use connector_core::store::{MemoryStore, Maintenance};
//! use connector_testkit::kill::{Action, KillPoints};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! async fn scenario(points: &KillPoints) -> connector_core::Result<u32> {
//!     let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
//!     let store = points.wrap(Arc::new(MemoryStore::new(clock)));
//!     store.purge(10).await
//! }
//!
//! let counting = KillPoints::counting();
//! scenario(&counting).await.unwrap();
//! for point in 1..=counting.passed() {
//!     assert!(scenario(&KillPoints::at(point, Action::Fail)).await.is_err());
//! }
//! # }
//! ```
//!
//! The order of the points differs between runs if calls run concurrently. A scenario that selects
//! points by number must therefore make its calls sequentially.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::cipher::{CredentialCipher, KeyId, Plaintext, SealContext, Sealed};
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::outbound::MessageId;
use connector_core::provider::subscription::ChannelId;
use connector_core::store::{
    AcceptOutcome, AccountRef, AttemptRecord, AuditFilter, AuditLog, AuditRecord, BeginOutcome,
    Change, ChangeEndpointOutcome, ChangeSubscriptionOutcome, ClaimOutcome, ClaimRequest, Commit,
    CommitOutcome, ConnectOutcome, ConnectionRecord, Cursor, DeliveryFilter, DeliveryKey,
    DeliveryQueue, DeliveryRecord, Due, EndOutcome, EndRequest, EndSubscriptionOutcome, Ending,
    Endpoint, EndpointChange, EndpointFilter, EndpointKey, Enqueued, FailOutcome, Failure, Fence,
    Filter, Generation, LeaseRequest, LeasedDelivery, LeasedMessage, Maintenance, MessageLease,
    NewDelivery, NewEndpoint, NewMessage, NewQuarantine, NewState, NewSubscription, OutboundFilter,
    OutboundRecord, OutboundStore, Page, Patch, PutEndpointOutcome, PutGrant, PutOutcome,
    PutStateOutcome, PutSubscriptionOutcome, Quarantined, Revocation, RowRef, SealedRow, Settled,
    Settlement, SideEffects, StateKey, StateStore, Stored, StoredState, Subscription,
    SubscriptionChange, SubscriptionKey, SubscriptionStore, TokenStore, UpdateOutcome, Version,
    WorkKind,
};
use connector_core::{
    AccountKey, AppKey, AuditEntry, ConnectionKey, Error, ErrorKind, ProviderId, Result,
};
use futures_core::stream::BoxStream;

/// Position of a point relative to its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Before the call is made.
    Before,
    /// After the call, before its caller gets the result.
    After,
}

/// The action at the chosen point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Aborts the process immediately, without unwinding, as if the process were killed.
    Abort,
    /// Returns an error to the caller. Before a call, the call is not made. After a call, its
    /// result is dropped. Stores and ciphers return [`ErrorKind::StoreUnavailable`]; transports
    /// return [`Sent::No`] and [`Sent::Maybe`].
    Fail,
    /// Never returns from the call, nor from any later one, as if the process had stopped. The test
    /// then drops the tasks of the process. Works only with [`KillPoints::at`].
    Hang,
}

/// A point that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// The number of the point, from 1; 0 with [`KillPoints::deciding`].
    pub number: u64,
    /// The trait and method of the call, for example `token.claim`.
    pub operation: &'static str,
    /// The position of the point relative to its call.
    pub side: Side,
}

/// Counts points, and performs the action at one of the points. Clones share one counter.
#[derive(Clone)]
pub struct KillPoints {
    chosen: Option<(u64, Action)>,
    passed: Arc<Mutex<Vec<Point>>>,
    observer: Option<Arc<dyn Fn(Point) + Send + Sync>>,
    decider: Option<Arc<dyn Fn(Point) -> Option<Action> + Send + Sync>>,
}

impl KillPoints {
    /// Creates kill points that only count.
    #[must_use]
    pub fn counting() -> Self {
        Self {
            chosen: None,
            passed: Arc::default(),
            observer: None,
            decider: None,
        }
    }

    /// Creates kill points that perform the action once, at the point with the given number.
    #[must_use]
    pub fn at(number: u64, action: Action) -> Self {
        Self {
            chosen: Some((number, action)),
            passed: Arc::default(),
            observer: None,
            decider: None,
        }
    }

    /// Creates kill points that call `decider` at each point. Use this for long outages, and for
    /// responses that are lost at random. The points are not recorded, so that long runs need no
    /// memory.
    #[must_use]
    pub fn deciding(decider: impl Fn(Point) -> Option<Action> + Send + Sync + 'static) -> Self {
        Self {
            chosen: None,
            passed: Arc::default(),
            observer: None,
            decider: Some(Arc::new(decider)),
        }
    }

    /// Calls `observer` at each point, before the action. A process can use this to report its
    /// progress to its parent. An observer that blocks delays the call.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(Point) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Wraps a store, cipher or transport, so that its calls are counted.
    #[must_use]
    pub fn wrap<T: ?Sized>(&self, inner: Arc<T>) -> Counted<T> {
        Counted {
            inner,
            points: self.clone(),
        }
    }

    /// Returns the number of reached points.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.lock().len() as u64
    }

    /// Returns the reached points in order.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        self.lock().clone()
    }

    /// Returns the point of the action, if the point was reached.
    #[must_use]
    pub fn fired(&self) -> Option<Point> {
        let (number, _) = self.chosen?;
        self.lock()
            .iter()
            .find(|point| point.number == number)
            .copied()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Point>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass<E: Injected>(&self, operation: &'static str, side: Side) -> Result<(), E> {
        if let Some(decider) = &self.decider {
            let point = Point {
                number: 0,
                operation,
                side,
            };
            return match decider(point) {
                Some(Action::Abort) => std::process::abort(),
                Some(Action::Fail) => Err(E::injected(side)),
                Some(Action::Hang) | None => Ok(()),
            };
        }
        let point = {
            let mut passed = self.lock();
            let point = Point {
                number: passed.len() as u64 + 1,
                operation,
                side,
            };
            passed.push(point);
            point
        };
        let number = point.number;
        if let Some(observer) = &self.observer {
            observer(point);
        }
        match self.chosen {
            Some((chosen, Action::Abort)) if chosen == number => std::process::abort(),
            Some((chosen, Action::Fail)) if chosen == number => Err(E::injected(side)),
            Some((chosen, Action::Hang)) if chosen <= number => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn around<T, E: Injected, F: Future<Output = Result<T, E>>>(
        &self,
        operation: &'static str,
        call: impl FnOnce() -> F,
    ) -> Result<T, E> {
        self.pass(operation, Side::Before).await?;
        let result = call().await;
        self.pass(operation, Side::After).await?;
        result
    }
}

impl fmt::Debug for KillPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KillPoints")
            .field("chosen", &self.chosen)
            .field("passed", &self.passed())
            .finish_non_exhaustive()
    }
}

/// An error for a lost result.
trait Injected {
    fn injected(side: Side) -> Self;
}

impl Injected for Error {
    fn injected(side: Side) -> Self {
        let message = match side {
            Side::Before => "injected by a kill point; the call was not made",
            Side::After => "injected by a kill point; the call was made and its result was lost",
        };
        Self::new(ErrorKind::StoreUnavailable, "kill_point", message)
    }
}

impl Injected for TransportError {
    fn injected(side: Side) -> Self {
        match side {
            Side::Before => Self::new(TransportErrorKind::Connect, Sent::No),
            Side::After => Self::new(TransportErrorKind::Broken, Sent::Maybe),
        }
    }
}

/// A store, cipher or transport whose calls have kill points. Created by [`KillPoints::wrap`].
///
/// Implements every store, cipher and transport trait that the wrapped value implements. Two
/// methods are not counted, because they are infallible and do not write:
/// [`CredentialCipher::sealing_key`] and [`TokenStore::changes`]. If the future of a call is
/// dropped, the call's second point is never reached.
pub struct Counted<T: ?Sized> {
    inner: Arc<T>,
    points: KillPoints,
}

impl<T: ?Sized> Counted<T> {
    /// Returns the wrapped value. Calls of this method are not counted.
    #[must_use]
    pub fn inner(&self) -> &Arc<T> {
        &self.inner
    }
}

impl<T: ?Sized> Clone for Counted<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            points: self.points.clone(),
        }
    }
}

impl<T: ?Sized> fmt::Debug for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted")
            .field("points", &self.points)
            .finish_non_exhaustive()
    }
}

/// Implements a trait by forwarding its methods. Each call has a point before and after it.
macro_rules! counted {
    (
        $trait:ident as $name:literal {
            $(fn $method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*
        }
        $($uncounted:tt)*
    ) => {
        #[async_trait]
        impl<T: $trait + ?Sized> $trait for Counted<T> {
            $(
                async fn $method(&self, $($argument: $type),*) -> $output {
                    let operation = concat!($name, ".", stringify!($method));
                    self.points
                        .around(operation, || self.inner.$method($($argument),*))
                        .await
                }
            )*
            $($uncounted)*
        }
    };
}

counted! {
    Maintenance as "maintenance" {
        fn sealed_rows(not_under: &KeyId, after: Option<&Cursor>, n: u16) -> Result<Page<SealedRow>>;
        fn reseal(row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool>;
        fn purge(n: u32) -> Result<u32>;
    }
}

counted! {
    TokenStore as "token" {
        fn load(key: &ConnectionKey) -> Result<Option<Stored>>;
        fn generation(key: &ConnectionKey) -> Result<Option<Generation>>;
        fn find(account: &AccountRef) -> Result<Option<ConnectionKey>>;
        fn find_by_account(provider: &ProviderId, app: &AppKey, account: &AccountKey, after: Option<&Cursor>, n: u16) -> Result<Page<ConnectionKey>>;
        fn find_by_host(provider: &ProviderId, app: &AppKey, host: &str, after: Option<&Cursor>, n: u16) -> Result<Page<ConnectionKey>>;
        fn list(filter: &Filter, after: Option<&Cursor>, n: u16) -> Result<Page<ConnectionRecord>>;
        fn put_grant(grant: PutGrant, effects: SideEffects) -> Result<PutOutcome>;
        fn update(key: &ConnectionKey, at: Version, patch: Patch, effects: SideEffects) -> Result<UpdateOutcome>;
        fn end(key: &ConnectionKey, request: EndRequest, effects: SideEffects) -> Result<EndOutcome>;
        fn claim(key: &ConnectionKey, request: ClaimRequest) -> Result<ClaimOutcome>;
        fn commit(key: &ConnectionKey, commit: Commit, effects: SideEffects) -> Result<CommitOutcome>;
        fn fail(key: &ConnectionKey, failure: Failure, effects: SideEffects) -> Result<FailOutcome>;
        fn take_due(kinds: &[WorkKind], n: u16, lease: Duration) -> Result<Vec<Due>>;
        fn finish(due: &Due, next: Option<Duration>) -> Result<bool>;
        fn quarantine(quarantine: NewQuarantine) -> Result<bool>;
        fn quarantined(state: &StateKey) -> Result<Option<Quarantined>>;
        fn take_quarantined(n: u16, lease: Duration) -> Result<Vec<Quarantined>>;
        fn release(state: &StateKey) -> Result<bool>;
        fn queue_revocation(revocation: Revocation, effects: SideEffects) -> Result<()>;
        fn revocations(key: &ConnectionKey) -> Result<Vec<Revocation>>;
        fn revoked(key: &ConnectionKey, fence: Fence) -> Result<bool>;
    }

    fn changes(&self) -> Option<BoxStream<'static, ConnectionKey>> {
        self.inner.changes()
    }
}

counted! {
    StateStore as "state" {
        fn put_state(state: NewState) -> Result<PutStateOutcome>;
        fn state(key: &StateKey) -> Result<Option<StoredState>>;
        fn begin(key: &StateKey, binding: &[u8; 32], code: &[u8; 32]) -> Result<BeginOutcome>;
        fn finish_state(key: &StateKey, outcome: ConnectOutcome) -> Result<bool>;
    }
}

counted! {
    DeliveryQueue as "delivery" {
        fn accept(delivery: NewDelivery) -> Result<AcceptOutcome>;
        fn lease(request: &LeaseRequest) -> Result<Vec<LeasedDelivery>>;
        fn done(delivery: &LeasedDelivery) -> Result<bool>;
        fn retry(delivery: &LeasedDelivery, after: Duration, error: &str) -> Result<bool>;
        fn park(delivery: &LeasedDelivery, error: &str) -> Result<bool>;
        fn deliveries(filter: &DeliveryFilter, after: Option<&Cursor>, n: u16) -> Result<Page<DeliveryRecord>>;
        fn replay(key: &DeliveryKey, tenant: Option<&connector_core::TenantId>) -> Result<bool>;
    }
}

counted! {
    AuditLog as "audit" {
        fn append(entry: AuditEntry) -> Result<()>;
        fn audit(filter: &AuditFilter, after: Option<&Cursor>, n: u16) -> Result<Page<AuditRecord>>;
        fn take_changes(n: u16, lease: Duration) -> Result<Vec<Change>>;
        fn change_handled(change: &Change) -> Result<bool>;
        fn prune(older_than: Duration, n: u32) -> Result<u32>;
    }
}

counted! {
    SubscriptionStore as "subscription" {
        fn put_subscription(new: NewSubscription, effects: SideEffects) -> Result<PutSubscriptionOutcome>;
        fn subscriptions(connection: &ConnectionKey) -> Result<Vec<Subscription>>;
        fn subscription_by_channel(channel: &ChannelId) -> Result<Option<Subscription>>;
        fn notify_subscription(channel: &ChannelId) -> Result<bool>;
        fn change_subscription(key: &SubscriptionKey, at: Version, change: SubscriptionChange, effects: SideEffects) -> Result<ChangeSubscriptionOutcome>;
        fn end_subscription(key: &SubscriptionKey, effects: SideEffects) -> Result<EndSubscriptionOutcome>;
        fn endings(connection: &ConnectionKey, n: u16) -> Result<Vec<Ending>>;
        fn ending_failed(connection: &ConnectionKey, channel: &ChannelId) -> Result<Option<u32>>;
        fn ending_done(connection: &ConnectionKey, channel: &ChannelId) -> Result<bool>;
    }
}

counted! {
    OutboundStore as "outbound" {
        fn put_endpoint(new: NewEndpoint, audit: Vec<AuditEntry>) -> Result<PutEndpointOutcome>;
        fn endpoint(key: &EndpointKey) -> Result<Option<Endpoint>>;
        fn endpoints(filter: &EndpointFilter, after: Option<&Cursor>, n: u16) -> Result<Page<Endpoint>>;
        fn change_endpoint(key: &EndpointKey, at: Version, change: EndpointChange, audit: Vec<AuditEntry>) -> Result<ChangeEndpointOutcome>;
        fn remove_endpoint(key: &EndpointKey, audit: Vec<AuditEntry>) -> Result<bool>;
        fn enqueue(message: NewMessage) -> Result<Enqueued>;
        fn lease_messages(request: &MessageLease) -> Result<Vec<LeasedMessage>>;
        fn settle_messages(settlements: &[Settlement]) -> Result<Vec<Option<Settled>>>;
        fn outbound(filter: &OutboundFilter, after: Option<&Cursor>, n: u16) -> Result<Page<OutboundRecord>>;
        fn attempts(endpoint: &EndpointKey, id: &MessageId) -> Result<Vec<AttemptRecord>>;
        fn replay_messages(filter: &OutboundFilter, n: u16) -> Result<u32>;
    }
}

counted! {
    CredentialCipher as "cipher" {
        fn seal(place: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed>;
        fn open(place: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext>;
    }

    fn sealing_key(&self) -> KeyId {
        self.inner.sealing_key()
    }
}

counted! {
    HttpTransport as "http" {
        fn send(request: OutboundRequest) -> Result<http::Response<Bytes>, TransportError>;
        fn check(uri: &http::Uri) -> Result<(), TransportError>;
    }
}
