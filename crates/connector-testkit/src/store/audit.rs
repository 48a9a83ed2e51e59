//! The cases of `AuditLog`.

use connector_core::store::{AuditFilter, AuditRecord, Change, Cursor, Generation};
use connector_core::{Actor, AuditClass, AuditEntry, CorrelationId, Event, RequestContext, Status};

use super::samples::{LEASE, audit_entry, key, key_of, reason_of, seconds, tenant};
use super::steps::{Handle, done, open, reasons, valid};
use crate::fixture::StoreFixture;

/// Returns an entry that is passed to handlers.
fn notable(reason: &str) -> AuditEntry {
    AuditEntry {
        notify: true,
        ..audit_entry(&key(1), reason)
    }
}

async fn read(store: &Handle, filter: &AuditFilter) -> Vec<AuditRecord> {
    let slice = done(store.audit(filter, None, 100).await);
    assert_eq!(slice.next, None, "everything fits");
    slice.items
}

pub(super) async fn audit_entries_are_read_back_in_order<F: StoreFixture>(fixture: &F) {
    let (store, reader) = (open(fixture).await, open(fixture).await);
    let plain = audit_entry(&key(1), "first");
    let entries = [
        plain.clone(),
        AuditEntry {
            class: AuditClass::Credential,
            connection: None,
            context: RequestContext::new(
                Actor::User("ann@example.com".to_owned()),
                valid(CorrelationId::new("request-2")),
            ),
            event: Event::Refreshed {
                generation: Generation::new(7),
            },
            notify: true,
            ..plain.clone()
        },
        AuditEntry {
            class: AuditClass::Administration,
            event: Event::StatusChanged {
                from: Status::Connected,
                to: Status::AppMisconfigured,
            },
            ..plain
        },
    ];
    for entry in &entries {
        done(store.append(entry.clone()).await);
        fixture.advance(seconds(1));
    }
    let records = read(&reader, &AuditFilter::default()).await;
    let read_back: Vec<_> = records.iter().map(|record| &record.entry).collect();
    assert_eq!(read_back, entries.iter().collect::<Vec<_>>());
    for pair in records.windows(2) {
        assert!(pair[1].number > pair[0].number, "{pair:?}");
        assert_eq!(pair[1].at, pair[0].at.after(seconds(1)));
    }
}

pub(super) async fn audit_filters_leave_out_other_tenants<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    let entries = [
        audit_entry(&key_of("t1", 1), "a"),
        audit_entry(&key_of("t2", 1), "b"),
        audit_entry(&key_of("t1", 2), "c"),
        AuditEntry {
            class: AuditClass::Credential,
            connection: None,
            ..audit_entry(&key_of("t1", 1), "d")
        },
        audit_entry(&key_of("t10", 3), "e"),
    ];
    for entry in entries {
        done(store.append(entry).await);
    }
    let read = async |change: &(dyn Fn(&mut AuditFilter) + Sync)| {
        let mut filter = AuditFilter::default();
        change(&mut filter);
        let records = read(&store, &filter).await;
        let reasons: Vec<_> = records
            .iter()
            .map(|found| reason_of(&found.entry))
            .collect();
        reasons.join(" ")
    };
    assert_eq!(
        read(&|filter| filter.tenant = Some(tenant("t1"))).await,
        "a c d"
    );
    let one = read(&|filter| {
        filter.tenant = Some(tenant("t1"));
        filter.connection = Some(key(1).id);
    });
    assert_eq!(one.await, "a");
    let class = read(&|filter| filter.class = Some(AuditClass::Credential));
    assert_eq!(class.await, "d");
    assert_eq!(read(&|_| ()).await, "a b c d e");
    assert_eq!(read(&|filter| filter.tenant = Some(tenant("t3"))).await, "");
}

pub(super) async fn audit_pages_meet_each_entry_once<F: StoreFixture>(fixture: &F) {
    let stores = [open(fixture).await, open(fixture).await];
    let recorded: Vec<String> = (0..7).map(|number| format!("entry {number}")).collect();
    for reason in &recorded {
        done(stores[0].append(audit_entry(&key(1), reason)).await);
    }
    let mut met = Vec::new();
    let mut after: Option<Cursor> = None;
    for turn in 0.. {
        let filter = AuditFilter::default();
        let slice = done(stores[turn % 2].audit(&filter, after.as_ref(), 2).await);
        assert!(slice.items.len() <= 2, "the limit was two");
        met.extend(slice.items.iter().map(|record| reason_of(&record.entry)));
        match slice.next {
            Some(next) => after = Some(next),
            None => break,
        }
        if turn < 2 {
            let reason = format!("meanwhile {turn}");
            done(stores[1].append(audit_entry(&key(1), &reason)).await);
        }
    }
    // If entries are not committed in the order of their numbers, a listing may miss an entry that
    // was recorded during the listing.
    let (before, meanwhile) = met.split_at(recorded.len().min(met.len()));
    assert_eq!(before, recorded);
    let distinct: std::collections::BTreeSet<_> = meanwhile.iter().collect();
    assert_eq!(
        distinct.len(),
        meanwhile.len(),
        "at most once: {meanwhile:?}"
    );
    assert!(meanwhile.iter().all(|it| it.starts_with("meanwhile")));
}

pub(super) async fn audit_until_leaves_out_later_entries<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for reason in ["first", "second", "third"] {
        done(store.append(audit_entry(&key(1), reason)).await);
        fixture.advance(seconds(1));
    }
    let all = read(&store, &AuditFilter::default()).await;
    let mut filter = AuditFilter::default();
    for (until, expected) in [(0, ""), (1, "first"), (2, "first second")] {
        filter.until = Some(all[until].at);
        let found = read(&store, &filter).await;
        let reasons: Vec<_> = found.iter().map(|it| reason_of(&it.entry)).collect();
        assert_eq!(reasons.join(" "), expected, "{until}");
    }
}

pub(super) async fn audit_since_leaves_out_earlier_entries<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for reason in ["first", "second", "third"] {
        done(store.append(audit_entry(&key(1), reason)).await);
        fixture.advance(seconds(1));
    }
    let all = read(&store, &AuditFilter::default()).await;
    let mut filter = AuditFilter::default();
    for (since, expected) in [(0, "first second third"), (1, "second third"), (2, "third")] {
        filter.since = Some(all[since].at);
        let found = read(&store, &filter).await;
        let reasons: Vec<_> = found.iter().map(|it| reason_of(&it.entry)).collect();
        assert_eq!(reasons.join(" "), expected, "{since}");
    }
    filter.until = Some(all[2].at);
    assert!(read(&store, &filter).await.is_empty(), "both at once");
}

pub(super) async fn pruning_removes_only_old_entries<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    for number in 0..5 {
        let entry = audit_entry(&key(1), &format!("entry {number}"));
        done(store.append(entry).await);
        fixture.advance(seconds(10));
    }
    // The entries are now 50, 40, 30, 20 and 10 seconds old.
    assert_eq!(done(store.prune(seconds(50), 100).await), 0);
    assert_eq!(done(store.prune(seconds(25), 0).await), 0);
    assert_eq!(done(store.prune(seconds(25), 2).await), 2);
    assert_eq!(reasons(&other).await, ["entry 2", "entry 3", "entry 4"]);
    assert_eq!(done(other.prune(seconds(25), 2).await), 1);
    assert_eq!(done(store.prune(seconds(25), 2).await), 0);
    assert_eq!(reasons(&other).await, ["entry 3", "entry 4"]);
    let next = audit_entry(&key(1), "entry 5");
    done(store.append(next).await);
    let records = read(&other, &AuditFilter::default()).await;
    for pair in records.windows(2) {
        assert!(pair[1].number > pair[0].number, "{pair:?}");
    }
}

pub(super) async fn pruning_keeps_unhandled_changes<F: StoreFixture>(fixture: &F) {
    let store = open(fixture).await;
    for reason in ["unhandled", "handled"] {
        done(store.append(notable(reason)).await);
        done(store.append(audit_entry(&key(1), "quiet")).await);
    }
    let changes = done(store.take_changes(10, LEASE).await);
    assert_eq!(changed(&changes), ["unhandled", "handled"]);
    assert!(done(store.change_handled(&changes[1]).await));
    fixture.advance(seconds(1_000));
    assert_eq!(done(store.prune(seconds(100), 100).await), 3);
    assert_eq!(reasons(&store).await, ["unhandled"]);
    let changes = done(store.take_changes(10, LEASE).await);
    assert_eq!(changed(&changes), ["unhandled"], "it is still delivered");
    assert!(done(store.change_handled(&changes[0]).await));
    assert_eq!(done(store.prune(seconds(100), 100).await), 1);
}

fn changed(changes: &[Change]) -> Vec<String> {
    let entries = changes.iter().map(|change| &change.record.entry);
    entries.map(reason_of).collect()
}

pub(super) async fn only_entries_with_notify_are_handed_out<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.append(audit_entry(&key(1), "quiet")).await);
    for reason in ["first", "second", "third"] {
        done(store.append(notable(reason)).await);
        done(store.append(audit_entry(&key(1), "quiet")).await);
    }
    let changes = done(other.take_changes(2, LEASE).await);
    assert_eq!(changed(&changes), ["first", "second"], "the oldest two");
    let changes = done(other.take_changes(10, LEASE).await);
    assert_eq!(changed(&changes), ["third"]);
}

pub(super) async fn a_change_is_handed_out_until_it_is_handled<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.append(notable("change")).await);
    let first = done(store.take_changes(10, LEASE).await);
    assert_eq!(changed(&first), ["change"]);
    fixture.advance(seconds(29));
    assert_eq!(
        done(other.take_changes(10, LEASE).await),
        [],
        "it is leased"
    );
    fixture.advance(seconds(1));
    let second = done(other.take_changes(10, LEASE).await);
    assert_eq!(changed(&second), ["change"]);
    assert_eq!(second[0].record, first[0].record);
    assert!(
        second[0].lease > first[0].lease,
        "a later lease has a higher number"
    );
    assert!(done(store.change_handled(&second[0]).await));
    fixture.advance(seconds(100_000));
    assert_eq!(done(other.take_changes(10, LEASE).await), []);
    let kept = read(&store, &AuditFilter::default()).await;
    assert_eq!(kept.len(), 1, "the entry remains in the log");
}

pub(super) async fn a_lost_change_lease_changes_nothing<F: StoreFixture>(fixture: &F) {
    let (store, other) = (open(fixture).await, open(fixture).await);
    done(store.append(notable("change")).await);
    let lost = done(store.take_changes(10, LEASE).await);
    fixture.advance(LEASE);
    let held = done(other.take_changes(10, LEASE).await);
    assert!(!done(store.change_handled(&lost[0]).await));
    fixture.advance(LEASE);
    let again = done(store.take_changes(10, LEASE).await);
    assert_eq!(changed(&again), ["change"], "it was not handled");
    assert!(!done(other.change_handled(&held[0]).await));
    assert!(done(store.change_handled(&again[0]).await));
}
