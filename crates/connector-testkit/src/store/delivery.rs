//! The cases of `DeliveryQueue`.

use std::collections::BTreeMap;
use std::sync::Arc;

use connector_core::AppKey;
use connector_core::store::{
    AcceptOutcome, Cursor, DeliveryFilter, DeliveryKey, DeliveryLimits, DeliveryRecord,
    DeliveryState, DeliveryTurn, Direction, LeaseRequest, LeasedDelivery, NewDelivery,
};

use super::samples::{LEASE, app, name_of, provider, sealed, seconds, tenant};
use super::steps::{Handle, done, joined, open};
use crate::fixture::StoreFixture;

fn delivery_key(id: &str) -> DeliveryKey {
    DeliveryKey {
        direction: Direction::Inbound,
        provider: provider(),
        app: AppKey::default(),
        endpoint: "orders".to_owned(),
        id: id.to_owned(),
    }
}

/// Returns an inbound delivery that is due immediately and has a retention time of a week.
pub(super) fn delivery(id: &str) -> NewDelivery {
    NewDelivery {
        key: delivery_key(id),
        tenant: Some(tenant("t1")),
        sealed: sealed(id),
        delay: seconds(0),
        keep_for: seconds(604_800),
        turn: DeliveryTurn::default(),
        content: None,
        limits: DeliveryLimits::default(),
    }
}

/// Returns a delivery of the given owner and lane.
fn of(owner: &str, lane: &str, id: &str) -> NewDelivery {
    NewDelivery {
        turn: DeliveryTurn {
            owner: owner.to_owned(),
            lane: lane.to_owned(),
        },
        ..delivery(id)
    }
}

async fn accepted(store: &Handle, delivery: NewDelivery) {
    let outcome = done(store.accept(delivery).await);
    assert_eq!(outcome, AcceptOutcome::Accepted);
}

/// Leases every due inbound delivery.
async fn leased(store: &Handle) -> Vec<LeasedDelivery> {
    done(
        store
            .lease(&LeaseRequest::new(Direction::Inbound, 100, LEASE))
            .await,
    )
}

/// Leases an inbound delivery. The case fails unless exactly one is due.
pub(super) async fn leased_one(store: &Handle) -> LeasedDelivery {
    let mut leased = leased(store).await;
    match (leased.pop(), leased.is_empty()) {
        (Some(one), true) => one,
        (one, _) => panic!("expected one delivery, got {one:?} and {leased:?}"),
    }
}

async fn record(store: &Handle, id: &str) -> DeliveryRecord {
    let slice = done(
        store
            .deliveries(&DeliveryFilter::default(), None, 100)
            .await,
    );
    let mut records = slice.items.into_iter();
    match records.find(|record| record.key.id == id) {
        Some(record) => record,
        None => panic!("delivery {id} is not listed"),
    }
}

pub(super) async fn accept_twice_is_a_duplicate<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    accepted(&store, delivery("d1")).await;
    let again = async |after: &str| {
        let repeated = NewDelivery {
            sealed: sealed("other bytes"),
            tenant: None,
            ..delivery("d1")
        };
        let outcome = done(other.accept(repeated).await);
        assert_eq!(outcome, AcceptOutcome::Duplicate, "{after}");
    };
    again("waiting").await;
    let leased = leased_one(&store).await;
    assert_eq!(
        name_of(&leased.sealed),
        "d1",
        "the content of the first one remains"
    );
    again("leased").await;
    assert!(done(store.done(&leased).await));
    again("done").await;
    fixture.advance(seconds(604_799));
    done(store.purge(100).await);
    again("almost a week later").await;
    assert_eq!(super::delivery::leased(&store).await, []);

    let others = [
        DeliveryKey {
            direction: Direction::Outbound,
            ..delivery_key("d1")
        },
        DeliveryKey {
            provider: connector_core::ProviderId::from_static("other"),
            ..delivery_key("d1")
        },
        DeliveryKey {
            app: app("other"),
            ..delivery_key("d1")
        },
        DeliveryKey {
            endpoint: "products".to_owned(),
            ..delivery_key("d1")
        },
        delivery_key("D1"),
    ];
    for key in others {
        let outcome = done(
            other
                .accept(NewDelivery {
                    key,
                    ..delivery("d1")
                })
                .await,
        );
        assert_eq!(outcome, AcceptOutcome::Accepted, "another key");
    }
}

pub(super) async fn of_many_equal_deliveries_one_is_accepted<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let tasks: Vec<_> = (0..32)
        .map(|number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { done(store.accept(delivery("d1")).await) })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        match joined(task.await) {
            AcceptOutcome::Accepted => accepted += 1,
            AcceptOutcome::Duplicate => (),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 1);
    leased_one(&stores[1]).await;
}

pub(super) async fn a_delivery_is_handed_out_after_its_delay<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    let later = NewDelivery {
        delay: seconds(10),
        ..delivery("d1")
    };
    accepted(&store, later).await;
    let waiting = record(&store, "d1").await;
    assert_eq!(waiting.due_at, waiting.accepted_at.after(seconds(10)));
    fixture.advance(seconds(9));
    assert_eq!(leased(&other).await, []);
    fixture.advance(seconds(1));
    let handed_out = leased_one(&other).await;
    let expected = LeasedDelivery {
        key: delivery_key("d1"),
        tenant: Some(tenant("t1")),
        sealed: sealed("d1"),
        attempt: 1,
        accepted_at: waiting.accepted_at,
        lease: handed_out.lease,
    };
    assert_eq!(handed_out, expected);
}

pub(super) async fn the_longest_due_delivery_comes_first<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for (id, delay) in [("c", 20), ("b", 10), ("d", 30), ("a", 5)] {
        let delivery = NewDelivery {
            delay: seconds(delay),
            ..delivery(id)
        };
        accepted(&store, delivery).await;
    }
    fixture.advance(seconds(60));
    let mut order = Vec::new();
    for _ in 0..2 {
        let leased = done(
            store
                .lease(&LeaseRequest::new(Direction::Inbound, 2, LEASE))
                .await,
        );
        assert_eq!(leased.len(), 2, "the limit was two");
        order.extend(leased.into_iter().map(|leased| leased.key.id));
    }
    assert_eq!(order, ["a", "b", "c", "d"]);
}

pub(super) async fn a_leased_delivery_is_not_handed_out_again<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    for id in ["d1", "d2", "d3", "d4"] {
        accepted(&stores[0], delivery(id)).await;
    }
    let tasks: Vec<_> = (0..32)
        .map(|number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move {
                done(
                    store
                        .lease(&LeaseRequest::new(Direction::Inbound, 1, LEASE))
                        .await,
                )
            })
        })
        .collect();
    let mut handed_out = Vec::new();
    for task in tasks {
        let leased = joined(task.await);
        handed_out.extend(leased.into_iter().map(|leased| leased.key.id));
    }
    handed_out.sort();
    assert_eq!(handed_out, ["d1", "d2", "d3", "d4"]);
    fixture.advance(seconds(29));
    assert_eq!(leased(&stores[0]).await, []);
}

pub(super) async fn an_expired_delivery_lease_is_handed_out_again<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    accepted(&store, delivery("d1")).await;
    let first = leased_one(&store).await;
    fixture.advance(LEASE);
    let second = leased_one(&other).await;
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert!(
        second.lease > first.lease,
        "a later lease has a higher number"
    );
    assert_eq!(second.accepted_at, first.accepted_at);
}

pub(super) async fn directions_do_not_mix<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    accepted(&store, delivery("in")).await;
    let outbound = NewDelivery {
        key: DeliveryKey {
            direction: Direction::Outbound,
            ..delivery_key("out")
        },
        tenant: None,
        ..delivery("out")
    };
    accepted(&store, outbound).await;
    for (direction, id) in [(Direction::Outbound, "out"), (Direction::Inbound, "in")] {
        let leased = done(store.lease(&LeaseRequest::new(direction, 100, LEASE)).await);
        let ids: Vec<_> = leased.into_iter().map(|leased| leased.key.id).collect();
        assert_eq!(ids, [id], "{direction:?}");
    }
}

pub(super) async fn a_done_delivery_stays_done<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    accepted(&store, delivery("d1")).await;
    let leased_delivery = leased_one(&store).await;
    assert!(done(other.done(&leased_delivery).await));
    fixture.advance(seconds(100_000));
    assert_eq!(leased(&store).await, []);
    let record = record(&store, "d1").await;
    assert_eq!(record.state, DeliveryState::Done);
    assert_eq!(record.attempts, 1);
}

pub(super) async fn a_lost_delivery_lease_changes_nothing<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    accepted(&store, delivery("d1")).await;
    let lost = leased_one(&store).await;
    fixture.advance(LEASE);
    let held = leased_one(&other).await;
    let before = record(&store, "d1").await;
    assert!(!done(store.done(&lost).await));
    assert!(!done(store.retry(&lost, seconds(0), "late").await));
    assert!(!done(store.park(&lost, "late").await));
    assert_eq!(record(&store, "d1").await, before);
    assert_eq!(
        leased(&store).await,
        [],
        "the lease of the other one remains"
    );
    assert!(done(other.done(&held).await));
    assert!(!done(store.done(&lost).await));
}

pub(super) async fn a_retried_delivery_waits<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    accepted(&store, delivery("d1")).await;
    let first = leased_one(&store).await;
    assert!(done(
        other
            .retry(&first, seconds(120), "the subscriber answered 503")
            .await
    ));
    let waiting = record(&other, "d1").await;
    assert_eq!(waiting.state, DeliveryState::Waiting);
    assert_eq!(
        waiting.error.as_deref(),
        Some("the subscriber answered 503")
    );
    assert_eq!(waiting.due_at, waiting.accepted_at.after(seconds(120)));
    fixture.advance(seconds(119));
    assert_eq!(leased(&store).await, [], "one second too early");
    fixture.advance(seconds(1));
    assert_eq!(leased_one(&store).await.attempt, 2);
}

pub(super) async fn a_parked_delivery_waits_for_replay<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    accepted(&store, delivery("d1")).await;
    let first = leased_one(&store).await;
    assert!(done(other.park(&first, "gave up").await));
    fixture.advance(seconds(100_000));
    assert_eq!(leased(&store).await, []);
    let parked = record(&other, "d1").await;
    assert_eq!(parked.state, DeliveryState::Parked);
    assert_eq!(parked.error.as_deref(), Some("gave up"));
    assert!(done(store.replay(&delivery_key("d1"), None).await));
    assert_eq!(leased_one(&other).await.attempt, 2);
}

pub(super) async fn listing_deliveries_meets_each_once<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    for number in 0..7 {
        let mut delivery = delivery(&format!("d{}", 9 - number));
        if number == 3 {
            delivery.tenant = Some(tenant("t2"));
        }
        if number == 4 {
            delivery.tenant = None;
        }
        accepted(&stores[0], delivery).await;
        fixture.advance(seconds(1));
    }
    let one = done(
        stores[0]
            .lease(&LeaseRequest::new(Direction::Inbound, 1, LEASE))
            .await,
    );
    assert!(done(stores[0].done(&one[0]).await));
    let met = async |change: &(dyn Fn(&mut DeliveryFilter) + Sync)| {
        let mut filter = DeliveryFilter::default();
        change(&mut filter);
        let mut met: BTreeMap<String, u32> = BTreeMap::new();
        let mut after: Option<Cursor> = None;
        for turn in 0.. {
            let slice = stores[turn % 2].deliveries(&filter, after.as_ref(), 2);
            let slice = done(slice.await);
            assert!(slice.items.len() <= 2, "the limit was two");
            for record in slice.items {
                *met.entry(record.key.id).or_default() += 1;
            }
            match slice.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert!(met.values().all(|times| *times == 1), "{met:?}");
        met.into_keys().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(met(&|_| ()).await, "d3 d4 d5 d6 d7 d8 d9");
    let ours = met(&|filter| filter.tenant = Some(tenant("t1"))).await;
    assert_eq!(ours, "d3 d4 d7 d8 d9");
    let finished = met(&|filter| filter.state = Some(DeliveryState::Done)).await;
    assert_eq!(finished, "d9");
    let outbound = met(&|filter| filter.direction = Some(Direction::Outbound)).await;
    assert_eq!(outbound, "");
    let acme = met(&|filter| filter.provider = Some(provider())).await;
    assert_eq!(acme, "d3 d4 d5 d6 d7 d8 d9");
}

pub(super) async fn a_replayed_delivery_is_handed_out<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    assert!(
        !done(store.replay(&delivery_key("d1"), None).await),
        "there is no content"
    );
    accepted(&store, delivery("d1")).await;
    assert!(
        !done(store.replay(&delivery_key("d1"), None).await),
        "it waits"
    );
    let first = leased_one(&store).await;
    assert!(done(store.done(&first).await));
    assert!(done(other.replay(&delivery_key("d1"), None).await));
    let second = leased_one(&store).await;
    assert_eq!(second.attempt, 2, "the count continues");
    assert_eq!(second.sealed, sealed("d1"));
}

pub(super) async fn a_tenant_replays_only_its_own_deliveries<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    accepted(&store, delivery("d1")).await;
    let nobodys = NewDelivery {
        tenant: None,
        ..delivery("d2")
    };
    accepted(&store, nobodys).await;
    for one in leased(&store).await {
        assert!(done(store.done(&one).await));
    }
    let replay = async |id: &str, by: Option<&str>| {
        let by = by.map(tenant);
        done(other.replay(&delivery_key(id), by.as_ref()).await)
    };
    for (id, by) in [("d1", "t2"), ("d2", "t1"), ("d2", "t2"), ("d1", "T1")] {
        assert!(!replay(id, Some(by)).await, "{by} replays {id}");
    }
    assert_eq!(leased(&store).await, [], "nothing was replayed");
    assert!(replay("d1", Some("t1")).await, "its own");
    assert!(replay("d2", None).await, "an operator");
    assert_eq!(leased(&store).await.len(), 2);
}

pub(super) async fn owners_and_their_lanes_take_turns<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    // The first owner has many deliveries in one lane, then one in a second lane. After that comes
    // another owner.
    for number in 0..12 {
        accepted(&store, of("a", "1", &format!("a1-{number:02}"))).await;
    }
    fixture.advance(seconds(1));
    accepted(&store, of("a", "2", "a2-00")).await;
    fixture.advance(seconds(1));
    for number in 0..3 {
        accepted(&store, of("b", "1", &format!("b1-{number:02}"))).await;
    }
    let turns = async |store: &Handle, n| {
        let request = LeaseRequest::new(Direction::Inbound, n, LEASE);
        let leased = done(store.lease(&request).await);
        let ids: Vec<_> = leased.into_iter().map(|leased| leased.key.id).collect();
        ids.join(" ")
    };
    assert_eq!(turns(&store, 4).await, "a1-00 b1-00 a2-00 b1-01");
    // Leases of other processes count, too.
    accepted(&store, of("c", "1", "c1-00")).await;
    assert_eq!(turns(&other, 3).await, "c1-00 a1-01 b1-02");
    assert_eq!(turns(&store, 100).await.split(' ').count(), 10);
}

pub(super) async fn no_owner_leases_more_than_its_cap<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    for lane in ["1", "2", "3"] {
        for number in 0..6 {
            accepted(&store, of("a", lane, &format!("a{lane}-{number}"))).await;
        }
    }
    accepted(&store, of("b", "1", "b1-0")).await;
    let request = LeaseRequest::new(Direction::Inbound, 100, LEASE).with_caps(5, 2);
    let mut held = done(store.lease(&request).await);
    let count = |held: &[LeasedDelivery], start: &str| {
        let ids = held.iter().filter(|it| it.key.id.starts_with(start));
        ids.count()
    };
    assert_eq!((count(&held, "a"), count(&held, "b")), (5, 1));
    for lane in ["a1", "a2", "a3"] {
        assert!(count(&held, lane) <= 2, "{lane} exceeds its limit");
    }
    assert_eq!(
        done(other.lease(&request).await),
        [],
        "the owner's limit is reached"
    );
    // Each delivery that is handled, returned or parked frees one slot.
    let mut ended = 0;
    while ended < 3 {
        let Some(one) = held.pop() else {
            panic!("too few were leased");
        };
        if !one.key.id.starts_with('a') {
            continue;
        }
        assert!(match ended {
            0 => done(store.done(&one).await),
            1 => done(store.retry(&one, seconds(3600), "error").await),
            _ => done(store.park(&one, "error").await),
        });
        ended += 1;
        let next = done(other.lease(&request).await);
        assert_eq!(next.len(), 1, "one slot is free");
    }
    // Expired leases do not count.
    fixture.advance(LEASE);
    assert_eq!(done(other.lease(&request).await).len(), 6);
}

pub(super) async fn waiting_deliveries_of_an_owner_are_bounded<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let bounded = |owner: &str, id: &str| NewDelivery {
        limits: DeliveryLimits {
            waiting: 8,
            ..DeliveryLimits::default()
        },
        ..of(owner, "1", id)
    };
    let tasks: Vec<_> = (0..24)
        .map(|number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            let delivery = bounded("a", &format!("a{number}"));
            tokio::spawn(async move { done(store.accept(delivery).await) })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        match joined(task.await) {
            AcceptOutcome::Accepted => accepted += 1,
            AcceptOutcome::Full => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 8);
    let accept = async |delivery: NewDelivery| done(stores[0].accept(delivery).await);
    let known = leased(&stores[0]).await;
    let again = bounded("a", &known[0].key.id);
    assert_eq!(accept(again).await, AcceptOutcome::Duplicate);
    // In-flight deliveries count as queued; handled deliveries do not.
    assert_eq!(accept(bounded("a", "more")).await, AcceptOutcome::Full);
    assert_eq!(accept(bounded("b", "b0")).await, AcceptOutcome::Accepted);
    let elsewhere = NewDelivery {
        key: DeliveryKey {
            endpoint: "products".to_owned(),
            ..delivery_key("e0")
        },
        ..bounded("a", "e0")
    };
    assert_eq!(accept(elsewhere).await, AcceptOutcome::Accepted);
    assert!(done(stores[1].done(&known[0]).await));
    assert_eq!(accept(bounded("a", "more")).await, AcceptOutcome::Accepted);
    assert_eq!(accept(bounded("a", "most")).await, AcceptOutcome::Full);
}

pub(super) async fn deliveries_of_one_content_are_bounded<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let alike = |content: u8, id: &str| NewDelivery {
        content: Some([content; 32]),
        limits: DeliveryLimits {
            alike: 4,
            alike_within: seconds(86_400),
            ..DeliveryLimits::default()
        },
        ..delivery(id)
    };
    let accept = async |delivery: NewDelivery| done(stores[0].accept(delivery).await);
    let mut accepted = 0;
    let tasks: Vec<_> = (0..16)
        .map(|number: usize| {
            let store = Arc::clone(&stores[number % 2]);
            let delivery = alike(1, &format!("d{number}"));
            tokio::spawn(async move { done(store.accept(delivery).await) })
        })
        .collect();
    for task in tasks {
        match joined(task.await) {
            AcceptOutcome::Accepted => accepted += 1,
            AcceptOutcome::Alike => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 4);
    // Handled deliveries count, too: the limit applies to all deliveries of one body.
    for one in leased(&stores[0]).await {
        assert!(done(stores[0].done(&one).await));
        let again = alike(1, &one.key.id);
        assert_eq!(accept(again).await, AcceptOutcome::Duplicate);
    }
    assert_eq!(accept(alike(1, "more")).await, AcceptOutcome::Alike);
    assert_eq!(accept(alike(2, "other")).await, AcceptOutcome::Accepted);
    assert_eq!(accept(delivery("none")).await, AcceptOutcome::Accepted);
    let elsewhere = NewDelivery {
        key: DeliveryKey {
            endpoint: "products".to_owned(),
            ..delivery_key("e0")
        },
        ..alike(1, "e0")
    };
    assert_eq!(accept(elsewhere).await, AcceptOutcome::Accepted);
    fixture.advance(seconds(86_399));
    assert_eq!(accept(alike(1, "early")).await, AcceptOutcome::Alike);
    fixture.advance(seconds(1));
    assert_eq!(accept(alike(1, "later")).await, AcceptOutcome::Accepted);
}
