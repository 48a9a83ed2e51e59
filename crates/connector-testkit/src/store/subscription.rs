//! The cases of `SubscriptionStore`.

use std::sync::Arc;
use std::time::Duration;

use connector_core::provider::subscription::{ChannelId, Watch};
use connector_core::store::{
    BeginChannel, ChangeSubscriptionOutcome, End, EndOutcome, EndRequest, EndSubscriptionOutcome,
    Ending, EndingCredential, Fence, GrantNumber, NewSubscription, OpenedChannel,
    PutSubscriptionOutcome, SideEffects, Subscription, SubscriptionChange, SubscriptionId,
    SubscriptionKey, Version, WorkKind,
};
use connector_core::{ConnectionKey, ErrorKind};

use super::samples::{audited, key, key_of, name_of, sealed, seconds};
use super::steps::{Handle, connect, done, due, joined, loaded, open, outcome, reasons, valid};
use crate::fixture::StoreFixture;

/// Returns the channel with an id that repeats the given digit 32 times.
pub(super) fn channel(digit: char) -> ChannelId {
    valid(ChannelId::new(digit.to_string().repeat(32)))
}

fn subscription_key(connection: &ConnectionKey, number: u8) -> SubscriptionKey {
    SubscriptionKey::new(connection.clone(), SubscriptionId::from_bytes([number; 16]))
}

fn new(connection: &ConnectionKey, number: u8, watch: &str) -> NewSubscription {
    NewSubscription {
        key: subscription_key(connection, number),
        grant: GrantNumber::new(1),
        watch: valid(Watch::new(watch)),
    }
}

async fn put(store: &Handle, new: NewSubscription) -> PutSubscriptionOutcome {
    done(store.put_subscription(new, SideEffects::none()).await)
}

/// Stores the subscription `number` of a connection.
pub(super) async fn subscribed(
    store: &Handle,
    connection: &ConnectionKey,
    number: u8,
    watch: &str,
) -> SubscriptionKey {
    let new = new(connection, number, watch);
    let key = new.key.clone();
    assert_eq!(put(store, new).await, PutSubscriptionOutcome::Stored);
    key
}

/// Returns the subscription from the store.
async fn seen(store: &Handle, key: &SubscriptionKey) -> Subscription {
    let all = done(store.subscriptions(&key.connection).await);
    match all.into_iter().find(|it| it.key == *key) {
        Some(found) => found,
        None => panic!("subscription {} is not there", key.id),
    }
}

async fn change(store: &Handle, key: &SubscriptionKey, change: SubscriptionChange) -> Version {
    let at = seen(store, key).await.version;
    let changed = store.change_subscription(key, at, change, SideEffects::none());
    outcome!(done(changed.await), ChangeSubscriptionOutcome::Changed(version) => version)
}

fn begin(digit: char) -> SubscriptionChange {
    SubscriptionChange {
        begin: Some(BeginChannel {
            channel: channel(digit),
            secrets: sealed(&format!("secrets of {digit}")),
        }),
        ..SubscriptionChange::default()
    }
}

fn open_channel(digit: char, expires_in: Option<Duration>) -> SubscriptionChange {
    SubscriptionChange {
        open: Some(OpenedChannel {
            channel: channel(digit),
            resource: format!("resource {digit}"),
            expires_in,
            secrets: sealed(&format!("secrets of {digit}")),
        }),
        ..SubscriptionChange::default()
    }
}

/// Begins a channel and opens it.
pub(super) async fn opened(
    store: &Handle,
    key: &SubscriptionKey,
    digit: char,
    expires_in: Option<Duration>,
) {
    change(store, key, begin(digit)).await;
    change(store, key, open_channel(digit, expires_in)).await;
}

fn copy() -> EndingCredential {
    EndingCredential {
        grant: GrantNumber::new(1),
        fence: Fence::new(1),
        sealed: sealed("copy"),
    }
}

async fn end(store: &Handle, connection: &ConnectionKey, how: End, copied: bool) -> EndOutcome {
    let request = EndRequest {
        how,
        at: None,
        revoke: Vec::new(),
        unsubscribe: copied.then(copy),
    };
    done(store.end(connection, request, SideEffects::none()).await)
}

/// Ends a connection and stores a copy of its credential for its channels.
pub(super) async fn end_with_copy(store: &Handle, connection: &ConnectionKey) {
    let ended = end(store, connection, End::Deactivate, true).await;
    assert_eq!(ended, EndOutcome::Ended);
}

/// Returns the channels and resources of endings.
fn parts(endings: &[Ending]) -> Vec<(ChannelId, Option<&str>)> {
    endings
        .iter()
        .map(|it| (it.channel.clone(), it.resource.as_deref()))
        .collect()
}

async fn endings(store: &Handle, connection: &ConnectionKey) -> Vec<Ending> {
    done(store.endings(connection, 100).await)
}

pub(super) async fn a_subscription_is_read_back<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    let stored = connect(&store, &connection, "shop-1").await.connection;
    let first = subscribed(&store, &connection, 2, "orders").await;
    let second = subscribed(&store, &connection, 1, "products").await;
    let all = done(reader.subscriptions(&connection).await);
    let keys: Vec<_> = all.iter().map(|it| it.key.clone()).collect();
    assert_eq!(
        keys,
        [first.clone(), second],
        "in the order of their creation"
    );
    let new = &all[0];
    assert_eq!(new.watch.as_str(), "orders");
    assert_eq!((&new.provider, &new.app), (&stored.provider, &stored.app));
    assert_eq!(new.grant, stored.grant);
    assert_eq!((&new.channel, &new.candidate), (&None, &None));
    assert_eq!((&new.secrets, &new.cursor), (&None, &None));
    assert_eq!((new.notified, new.read, new.silent_reads), (0, 0, 0));
    assert_eq!((new.read_age, new.compared_age), (None, None));
    assert_eq!(new.failures, None);

    opened(&store, &first, 'a', Some(seconds(100))).await;
    let everything = SubscriptionChange {
        cursor: Some("cursor 7".to_owned()),
        read: Some(0),
        silent_reads: Some(3),
        compared: true,
        outcome: Some(Some("timeout".to_owned())),
        ..begin('b')
    };
    let version = change(&store, &first, everything).await;
    fixture.advance(seconds(30));
    let found = seen(&reader, &first).await;
    assert_eq!(found.version, version);
    let open = found.channel.as_ref();
    let open = outcome!(open, Some(open) => open);
    assert_eq!(open.granted, Some(seconds(100)));
    let (id, resource, expires) = (open.channel.clone(), open.resource.as_str(), open.expires);
    assert_eq!((id, resource), (channel('a'), "resource a"));
    let left = expires.map(connector_core::store::TimeLeft::remaining);
    assert_eq!(left, Some(seconds(70)), "by the store's clock");
    let candidate = outcome!(&found.candidate, Some(candidate) => candidate);
    assert_eq!(candidate.channel, channel('b'));
    assert_eq!(candidate.age, seconds(30));
    let secrets = found.secrets.as_ref().map(name_of);
    assert_eq!(secrets.as_deref(), Some("secrets of b"));
    assert_eq!(found.cursor.as_deref(), Some("cursor 7"));
    assert_eq!(found.read_age, Some(seconds(30)));
    assert_eq!(found.silent_reads, 3);
    assert_eq!(found.compared_age, Some(seconds(30)));
    let failures = outcome!(&found.failures, Some(failures) => failures);
    assert_eq!((failures.count, failures.age), (1, seconds(30)));
    assert_eq!(failures.error, "timeout");
}

pub(super) async fn one_subscription_per_watch<F: StoreFixture>(fixture: &F) {
    let handles = [open(fixture).await, open(fixture).await];
    let connection = key(1);
    connect(&handles[0], &connection, "shop-1").await;
    let tasks: Vec<_> = (0..16_u8)
        .map(|number| {
            let store = Arc::clone(&handles[usize::from(number % 2)]);
            let new = new(&connection, number, "orders");
            tokio::spawn(async move { put(&store, new).await })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match joined(task.await) {
            PutSubscriptionOutcome::Stored => stored += 1,
            PutSubscriptionOutcome::Exists(known) => assert_eq!(known.watch.as_str(), "orders"),
            other => panic!("expected Stored or Exists, got {other:?}"),
        }
    }
    assert_eq!(stored, 1);
    assert_eq!(done(handles[1].subscriptions(&connection).await).len(), 1);
    subscribed(&handles[1], &connection, 100, "products").await;
}

pub(super) async fn putting_a_subscription_twice_stores_it_once<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    for store in [&store, &other] {
        let effects = audited(&connection, "subscribed");
        let put = store.put_subscription(new(&connection, 1, "orders"), effects);
        assert_eq!(done(put.await), PutSubscriptionOutcome::Stored);
    }
    assert_eq!(done(store.subscriptions(&connection).await).len(), 1);
    assert_eq!(reasons(&store).await, ["subscribed"]);
    // An id of one subscription is invalid for another subscription.
    let again = store.put_subscription(new(&connection, 1, "products"), SideEffects::none());
    let outcome = again.await.map_err(|error| error.kind());
    assert_eq!(outcome, Err(ErrorKind::InvalidInput));
}

pub(super) async fn a_subscription_needs_a_live_connection_and_its_grant<F: StoreFixture>(
    fixture: &F,
) {
    let store = open(fixture).await;
    let connection = key(1);
    let ended = PutSubscriptionOutcome::Ended;
    let never = put(&store, new(&connection, 1, "orders")).await;
    assert_eq!(never, ended, "no such connection");
    connect(&store, &connection, "shop-1").await;
    let other_grant = NewSubscription {
        grant: GrantNumber::new(2),
        ..new(&connection, 1, "orders")
    };
    assert_eq!(put(&store, other_grant).await, ended, "another grant");
    end(&store, &connection, End::Deactivate, false).await;
    for grant in [1, 2] {
        let late = NewSubscription {
            grant: GrantNumber::new(grant),
            ..new(&connection, 1, "orders")
        };
        assert_eq!(put(&store, late).await, ended, "grant {grant} has ended");
    }
    assert_eq!(done(store.subscriptions(&connection).await), []);
}

pub(super) async fn too_many_subscriptions_are_refused<F: StoreFixture>(fixture: &F) {
    let handles = [open(fixture).await, open(fixture).await];
    let store = &handles[0];
    let connection = key(1);
    connect(store, &connection, "shop-1").await;
    connect(store, &key(2), "shop-2").await;
    let most = u8::try_from(SubscriptionId::PER_CONNECTION).unwrap_or(u8::MAX);
    for number in 3..most {
        subscribed(store, &connection, number, &format!("watch {number}")).await;
    }
    // Three more subscriptions fit. Ten tasks try concurrently.
    let tasks: Vec<_> = (0..10_u8)
        .map(|number| {
            let store = Arc::clone(&handles[usize::from(number % 2)]);
            let new = new(&connection, 200 + number, &format!("late {number}"));
            tokio::spawn(async move { put(&store, new).await })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match joined(task.await) {
            PutSubscriptionOutcome::Stored => stored += 1,
            other => assert_eq!(other, PutSubscriptionOutcome::TooMany),
        }
    }
    assert_eq!(stored, 3);
    let all = done(store.subscriptions(&connection).await);
    assert_eq!(all.len(), SubscriptionId::PER_CONNECTION);
    subscribed(store, &key(2), 1, "orders").await;
    let gone = store.end_subscription(&all[0].key, SideEffects::none());
    assert_eq!(done(gone.await), EndSubscriptionOutcome::Ended);
    subscribed(store, &connection, 250, "orders").await;
}

pub(super) async fn effects_of_a_subscription_ride_in_its_commit<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let effects = |reason: &str| {
        audited(&connection, reason).with_work(WorkKind::Subscriptions, Duration::ZERO)
    };
    let work = [(connection.clone(), WorkKind::Subscriptions)];
    let first = new(&connection, 1, "orders");
    let key = first.key.clone();
    done(store.put_subscription(first, effects("put")).await);
    assert_eq!(due(&reader).await, work);
    let version = seen(&store, &key).await.version;
    let changed = store.change_subscription(&key, version, begin('a'), effects("changed"));
    done(changed.await);
    assert_eq!(due(&reader).await, work);

    let refused = new(&connection, 2, "orders");
    done(store.put_subscription(refused, effects("exists")).await);
    let moved = store.change_subscription(&key, version, begin('b'), effects("moved"));
    done(moved.await);
    assert_eq!(
        due(&reader).await,
        [],
        "refused changes have no side effects"
    );

    done(store.end_subscription(&key, effects("ended")).await);
    assert_eq!(due(&reader).await, work);
    done(store.end_subscription(&key, effects("ended again")).await);
    let late = store.change_subscription(&key, version, begin('c'), effects("missing"));
    assert_eq!(done(late.await), ChangeSubscriptionOutcome::Missing);
    end(&store, &connection, End::Deactivate, false).await;
    let late = new(&connection, 3, "products");
    done(
        store
            .put_subscription(late, effects("ended connection"))
            .await,
    );
    assert_eq!(due(&reader).await, []);
    assert_eq!(reasons(&reader).await, ["put", "changed", "ended"]);
}

pub(super) async fn another_tenants_subscriptions_are_not_found<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let (own, other) = (key_of("t1", 1), key_of("t2", 1));
    connect(&store, &own, "shop-1").await;
    let key = subscribed(&store, &own, 1, "orders").await;
    opened(&store, &key, 'a', None).await;
    assert_eq!(done(store.subscriptions(&other).await), []);
    let foreign = SubscriptionKey::new(other.clone(), key.id);
    let version = seen(&store, &key).await.version;
    let changed = store.change_subscription(&foreign, version, begin('b'), SideEffects::none());
    assert_eq!(done(changed.await), ChangeSubscriptionOutcome::Missing);
    let ended = store.end_subscription(&foreign, SideEffects::none());
    assert_eq!(done(ended.await), EndSubscriptionOutcome::Missing);
    change(&store, &key, begin('b')).await;
    change(&store, &key, begin('c')).await;
    assert_eq!(endings(&store, &own).await.len(), 1);
    assert_eq!(endings(&store, &other).await, []);
    let b = channel('b');
    assert_eq!(done(store.ending_failed(&other, &b).await), None);
    assert!(!done(store.ending_done(&other, &b).await));
    assert_eq!(endings(&store, &own).await.len(), 1);
}

pub(super) async fn a_subscription_is_found_by_its_channels<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    let other = subscribed(&store, &connection, 2, "products").await;
    let found = async || {
        let mut found = String::new();
        for digit in ['a', 'b', 'c', 'd', 'e'] {
            let by_channel = done(reader.subscription_by_channel(&channel(digit)).await);
            if let Some(subscription) = by_channel {
                assert_eq!(subscription, seen(&reader, &subscription.key).await);
                let expected = if digit == 'e' { &other } else { &key };
                assert_eq!(&subscription.key, expected, "{digit}");
                found.push(digit);
            }
        }
        found
    };
    assert_eq!(found().await, "");
    opened(&store, &other, 'e', None).await;
    change(&store, &key, begin('a')).await;
    assert_eq!(found().await, "ae", "the provider may already use it");
    change(&store, &key, open_channel('a', None)).await;
    assert_eq!(found().await, "ae");
    change(&store, &key, begin('b')).await;
    assert_eq!(found().await, "abe", "both, during a replacement");
    change(&store, &key, begin('c')).await;
    assert_eq!(found().await, "ace");
    change(&store, &key, open_channel('c', None)).await;
    assert_eq!(found().await, "ce");
    let drop_channel = SubscriptionChange {
        drop_channel: true,
        ..begin('d')
    };
    change(&store, &key, drop_channel).await;
    assert_eq!(found().await, "de");
    done(store.end_subscription(&key, SideEffects::none()).await);
    assert_eq!(found().await, "e");
    end(&store, &connection, End::Forget, true).await;
    assert_eq!(found().await, "");
}

pub(super) async fn a_notification_is_counted_and_makes_work_due<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    assert!(!done(store.notify_subscription(&channel('a')).await));
    assert_eq!(due(&store).await, []);
    change(&store, &key, begin('a')).await;
    let before = seen(&store, &key).await;
    for (store, count) in [(&store, 1), (&other, 2)] {
        assert!(done(store.notify_subscription(&channel('a')).await));
        let work = [(connection.clone(), WorkKind::Subscriptions)];
        assert_eq!(due(&other).await, work, "also while it is leased");
        let after = seen(store, &key).await;
        assert_eq!((after.notified, after.read), (count, 0));
        assert_eq!(
            after.version, before.version,
            "no change fails because of it"
        );
    }
    change(&store, &key, open_channel('a', None)).await;
    assert!(done(store.notify_subscription(&channel('a')).await));
    assert_eq!(seen(&store, &key).await.notified, 3);
}

pub(super) async fn of_many_changes_of_a_version_one_is_written<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let connection = key(1);
    connect(&stores[0], &connection, "shop-1").await;
    let key = subscribed(&stores[0], &connection, 1, "orders").await;
    let at = seen(&stores[0], &key).await.version;
    let tasks: Vec<_> = (0..16_usize)
        .map(|number| {
            let (store, key) = (Arc::clone(&stores[number % 2]), key.clone());
            let change = SubscriptionChange {
                cursor: Some(format!("cursor {number}")),
                ..SubscriptionChange::default()
            };
            let effects = audited(&key.connection, &format!("cursor {number}"));
            tokio::spawn(
                async move { done(store.change_subscription(&key, at, change, effects).await) },
            )
        })
        .collect();
    let mut changed = 0;
    let mut moved = Vec::new();
    for task in tasks {
        match joined(task.await) {
            ChangeSubscriptionOutcome::Changed(version) => {
                assert!(version > at);
                changed += 1;
            }
            ChangeSubscriptionOutcome::Moved(seen) => moved.push(*seen),
            ChangeSubscriptionOutcome::Missing => panic!("the subscription exists"),
        }
    }
    assert_eq!(changed, 1);
    let kept = seen(&stores[1], &key).await;
    assert!(
        moved.iter().all(|seen| *seen == kept),
        "the content of the store"
    );
    let cursor = kept.cursor.unwrap_or_default();
    assert_eq!(reasons(&stores[0]).await, [cursor]);
}

pub(super) async fn an_ended_subscription_cannot_be_changed<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let (first, second) = (key(1), key(2));
    connect(&store, &first, "shop-1").await;
    connect(&store, &second, "shop-2").await;
    let unsubscribed = subscribed(&store, &first, 1, "orders").await;
    let of_ended = subscribed(&store, &second, 2, "orders").await;
    done(
        store
            .end_subscription(&unsubscribed, SideEffects::none())
            .await,
    );
    end(&store, &second, End::Deactivate, true).await;
    for key in [unsubscribed, of_ended] {
        let change =
            store.change_subscription(&key, Version::new(1), begin('a'), SideEffects::none());
        assert_eq!(done(change.await), ChangeSubscriptionOutcome::Missing);
        assert_eq!(done(other.subscriptions(&key.connection).await), []);
        assert_eq!(endings(&other, &key.connection).await, []);
    }
}

pub(super) async fn a_change_leaves_the_rest_alone<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    opened(&store, &key, 'a', Some(seconds(100))).await;
    let full = SubscriptionChange {
        cursor: Some("cursor".to_owned()),
        read: Some(0),
        silent_reads: Some(2),
        compared: true,
        outcome: Some(Some("timeout".to_owned())),
        ..begin('b')
    };
    change(&store, &key, full).await;
    done(store.notify_subscription(&channel('a')).await);
    let before = seen(&store, &key).await;
    let version = change(&store, &key, SubscriptionChange::default()).await;
    let mut expected = before;
    expected.version = version;
    assert_eq!(seen(&store, &key).await, expected);
    let renewed = SubscriptionChange {
        renewed: Some(Some(seconds(500))),
        ..SubscriptionChange::default()
    };
    expected.version = change(&store, &key, renewed).await;
    let after = seen(&store, &key).await;
    let left = after.channel.as_ref().and_then(|it| it.expires);
    assert_eq!(
        left.map(connector_core::store::TimeLeft::remaining),
        Some(seconds(500))
    );
    if let (Some(open), Some(seen)) = (&mut expected.channel, &after.channel) {
        assert_eq!(seen.granted, Some(seconds(500)));
        (open.expires, open.granted) = (seen.expires, seen.granted);
    }
    assert_eq!(after, expected);
    let stored = loaded(&store, &connection).await.connection;
    assert_eq!(
        stored.version,
        Version::new(1),
        "the copy of the connection remains"
    );
}

pub(super) async fn a_replaced_channel_becomes_an_ending<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    let stored = connect(&store, &connection, "shop-1").await.connection;
    let key = subscribed(&store, &connection, 1, "orders").await;
    opened(&store, &key, 'a', None).await;
    change(&store, &key, begin('b')).await;
    assert_eq!(endings(&reader, &connection).await, [], "both may exist");
    change(&store, &key, begin('c')).await;
    let lost = [(channel('b'), None)];
    assert_eq!(parts(&endings(&reader, &connection).await), lost);
    change(&store, &key, open_channel('c', None)).await;
    let all = endings(&reader, &connection).await;
    let expected = [(channel('b'), None), (channel('a'), Some("resource a"))];
    assert_eq!(parts(&all), expected, "oldest first");
    let first = done(reader.endings(&connection, 1).await);
    assert_eq!(parts(&first), expected[..1]);
    let ending = &all[1];
    assert_eq!(ending.connection, connection);
    assert_eq!(
        (&ending.provider, &ending.app),
        (&stored.provider, &stored.app)
    );
    assert_eq!(ending.account, stored.account.key);
    assert_eq!(ending.account_host, stored.account.host);
    assert_eq!(ending.watch.as_str(), "orders");
    assert_eq!((ending.attempts, &ending.credential), (0, &None));
}

pub(super) async fn a_dropped_channel_leaves_no_ending<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    opened(&store, &key, 'a', Some(seconds(100))).await;
    let drop_channel = SubscriptionChange {
        drop_channel: true,
        ..SubscriptionChange::default()
    };
    change(&store, &key, drop_channel).await;
    assert_eq!(seen(&store, &key).await.channel, None);
    assert_eq!(endings(&store, &connection).await, []);
    end(&store, &connection, End::Deactivate, true).await;
    assert_eq!(endings(&store, &connection).await, []);
}

pub(super) async fn only_the_candidate_can_be_opened<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    let refuse = async |change: SubscriptionChange| {
        let before = seen(&store, &key).await;
        let effects = audited(&connection, "refused");
        let refused = store.change_subscription(&key, before.version, change, effects);
        let refused = refused.await.map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::InvalidInput));
        assert_eq!(seen(&store, &key).await, before);
    };
    refuse(open_channel('a', None)).await;
    change(&store, &key, begin('a')).await;
    refuse(open_channel('b', None)).await;
    refuse(SubscriptionChange {
        begin: begin('b').begin,
        ..open_channel('a', None)
    })
    .await;
    change(&store, &key, open_channel('a', None)).await;
    refuse(open_channel('a', None)).await;
    assert_eq!(reasons(&store).await, Vec::<String>::new());
}

pub(super) async fn a_notification_during_a_read_stays_unread<F: StoreFixture>(fixture: &F) {
    let (store, provider) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    opened(&store, &key, 'a', None).await;
    done(provider.notify_subscription(&channel('a')).await);
    let before = seen(&store, &key).await;
    done(provider.notify_subscription(&channel('a')).await);
    let read = SubscriptionChange {
        cursor: Some("cursor".to_owned()),
        read: Some(before.notified),
        ..SubscriptionChange::default()
    };
    let changed = store.change_subscription(&key, before.version, read, SideEffects::none());
    let changed = done(changed.await);
    outcome!(changed, ChangeSubscriptionOutcome::Changed(_) => ());
    let after = seen(&store, &key).await;
    assert_eq!((after.notified, after.read), (2, 1));
}

pub(super) async fn failures_of_a_subscription_are_counted_and_reset<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    let outcome = |error: Option<&str>| SubscriptionChange {
        outcome: Some(error.map(str::to_owned)),
        ..SubscriptionChange::default()
    };
    for (count, error) in [(1, "timeout"), (2, "provider_unavailable")] {
        change(&store, &key, outcome(Some(error))).await;
        fixture.advance(seconds(10));
        let failures = seen(&store, &key).await.failures;
        let failures = failures.map(|it| (it.count, it.age, it.error));
        assert_eq!(failures, Some((count, seconds(10), error.to_owned())));
    }
    change(&store, &key, outcome(None)).await;
    assert_eq!(seen(&store, &key).await.failures, None);
    change(&store, &key, outcome(Some("timeout"))).await;
    let failures = seen(&store, &key).await.failures;
    assert_eq!(failures.map(|it| it.count), Some(1), "counted anew");
}

pub(super) async fn an_ended_subscription_leaves_its_channels_as_endings<F: StoreFixture>(
    fixture: &F,
) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    let other = subscribed(&store, &connection, 2, "products").await;
    opened(&store, &key, 'a', None).await;
    change(&store, &key, begin('b')).await;
    opened(&store, &other, 'c', None).await;
    let ended = store.end_subscription(&key, SideEffects::none());
    assert_eq!(done(ended.await), EndSubscriptionOutcome::Ended);
    let left = done(reader.subscriptions(&connection).await);
    let left: Vec<_> = left.into_iter().map(|it| it.key).collect();
    assert_eq!(left, [other]);
    let all = endings(&reader, &connection).await;
    let expected = [(channel('a'), Some("resource a")), (channel('b'), None)];
    assert_eq!(parts(&all), expected);
    // The watch is free again.
    subscribed(&store, &connection, 3, "orders").await;
}

pub(super) async fn a_subscription_ends_once<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    opened(&store, &key, 'a', None).await;
    let end = |store: &Handle| {
        let (store, key) = (Arc::clone(store), key.clone());
        async move {
            let effects = audited(&key.connection, "unsubscribed");
            done(store.end_subscription(&key, effects).await)
        }
    };
    assert_eq!(end(&store).await, EndSubscriptionOutcome::Ended);
    assert!(done(store.ending_done(&connection, &channel('a')).await));
    assert_eq!(end(&other).await, EndSubscriptionOutcome::Missing);
    assert_eq!(endings(&other, &connection).await, []);
    assert_eq!(reasons(&other).await, ["unsubscribed"]);
}

pub(super) async fn the_end_of_a_connection_ends_its_subscriptions<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let ways = [
        (1, End::Deactivate, ['a', 'b', 'c']),
        (2, End::Forget, ['d', 'e', 'f']),
    ];
    for (number, how, [replaced, open_one, begun]) in ways {
        let connection = key(number);
        connect(&store, &connection, &format!("shop-{number}")).await;
        let key = subscribed(&store, &connection, number, "orders").await;
        opened(&store, &key, replaced, None).await;
        opened(&store, &key, open_one, None).await;
        change(&store, &key, begin(begun)).await;
        let polled = subscribed(&store, &connection, 100 + number, "polled").await;
        assert_eq!(endings(&reader, &connection).await.len(), 1);

        // The generation differs, so nothing ends.
        let moved = EndRequest {
            how,
            at: Some(connector_core::store::Generation::new(99)),
            revoke: Vec::new(),
            unsubscribe: Some(copy()),
        };
        let moved = done(store.end(&connection, moved, SideEffects::none()).await);
        outcome!(moved, EndOutcome::Moved(_) => ());
        assert_eq!(done(reader.subscriptions(&connection).await).len(), 2);

        let ended = end(&store, &connection, how, true).await;
        assert_eq!(ended, EndOutcome::Ended);
        for handle in [&store, &reader] {
            assert_eq!(done(handle.subscriptions(&connection).await), [], "{how:?}");
        }
        let all = endings(&reader, &connection).await;
        let open_resource = format!("resource {open_one}");
        let replaced_resource = format!("resource {replaced}");
        let expected = [
            (channel(replaced), Some(replaced_resource.as_str())),
            (channel(open_one), Some(open_resource.as_str())),
            (channel(begun), None),
        ];
        assert_eq!(parts(&all), expected, "{how:?}");
        for ending in &all {
            assert_eq!(ending.credential, Some(copy()), "{how:?}");
        }
        for key in [key, polled] {
            let ended = store.end_subscription(&key, SideEffects::none());
            assert_eq!(done(ended.await), EndSubscriptionOutcome::Missing);
        }
        end(&store, &connection, how, false).await;
        assert_eq!(
            endings(&reader, &connection).await.len(),
            3,
            "an end that comes late"
        );
    }
    // Forgetting a deactivated connection keeps its endings.
    assert_eq!(endings(&reader, &key(1)).await.len(), 3);
    end(&store, &key(1), End::Forget, false).await;
    assert_eq!(endings(&reader, &key(1)).await.len(), 3);
}

pub(super) async fn an_end_without_a_credential_drops_the_channels<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let (connection, other) = (key(1), key(2));
    for (connection, digits) in [(&connection, ['a', 'b']), (&other, ['c', 'd'])] {
        connect(&store, connection, &format!("shop of {}", digits[0])).await;
        let key = subscribed(&store, connection, 1, "orders").await;
        for digit in digits {
            opened(&store, &key, digit, None).await;
        }
    }
    end(&store, &connection, End::Deactivate, false).await;
    assert_eq!(done(reader.subscriptions(&connection).await), []);
    assert_eq!(endings(&reader, &connection).await, []);
    assert_eq!(endings(&reader, &other).await.len(), 1, "another's stay");
    assert_eq!(done(reader.subscriptions(&other).await).len(), 1);
}

pub(super) async fn failed_endings_are_counted<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    for digit in ['a', 'b', 'c'] {
        opened(&store, &key, digit, None).await;
    }
    let a = channel('a');
    assert_eq!(done(store.ending_failed(&connection, &a).await), Some(1));
    assert_eq!(done(other.ending_failed(&connection, &a).await), Some(2));
    let unknown = channel('e');
    assert_eq!(done(store.ending_failed(&connection, &unknown).await), None);
    let attempts: Vec<_> = endings(&other, &connection)
        .await
        .iter()
        .map(|it| it.attempts)
        .collect();
    assert_eq!(attempts, [2, 0]);
}

pub(super) async fn a_finished_ending_is_gone<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let connection = key(1);
    connect(&store, &connection, "shop-1").await;
    let key = subscribed(&store, &connection, 1, "orders").await;
    opened(&store, &key, 'a', None).await;
    change(&store, &key, begin('b')).await;
    end_with_copy(&store, &connection).await;
    let (a, b) = (channel('a'), channel('b'));
    assert!(done(store.ending_done(&connection, &a).await));
    assert!(!done(other.ending_done(&connection, &a).await));
    assert_eq!(
        parts(&endings(&other, &connection).await),
        [(b.clone(), None)]
    );
    assert!(done(other.ending_done(&connection, &b).await));
    assert_eq!(endings(&store, &connection).await, []);
    let rows = done(
        store
            .sealed_rows(&super::samples::OTHER_KEY, None, 100)
            .await,
    );
    assert_eq!(rows.items, [], "no copy of the credential remains");
}
