//! The watchdog over thirty days: channels whose notifications stop to arrive, and others.

use std::collections::BTreeMap;

use connector_core::store::{AuditFilter, AuditLog};
use connector_core::{ConnectionId, ConnectionKey, Event, ProviderId};

use crate::provider::{Live, all_rules};
use crate::{STEPS_PER_HOUR, World, channels_of, context, watch};

/// The behaviour of an account and of its notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No notification arrives from day 5 to day 20.
    Silent,
    /// Every sixth notification is lost.
    Lossy,
    /// Nothing changes, so there is nothing to notify.
    Quiet,
    /// One change a week. The first two notifications are lost.
    Rare,
}

const KINDS: [Kind; 4] = [Kind::Silent, Kind::Lossy, Kind::Quiet, Kind::Rare];
const SILENCE: std::ops::Range<usize> = 5 * 24..20 * 24;

struct Watched {
    provider: ProviderId,
    account: String,
    key: ConnectionKey,
    kind: Kind,
}

/// Returns the number of reports of missing and of resumed notifications, by connection.
async fn reports(world: &World) -> BTreeMap<ConnectionId, (usize, usize)> {
    let filter = AuditFilter::default();
    let log = world.store.audit(&filter, None, u16::MAX);
    let mut reports: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for record in log.await.unwrap().items {
        let Some(connection) = record.entry.connection else {
            continue;
        };
        let counts = reports.entry(connection).or_default();
        match record.entry.event {
            Event::NotificationsMissing { .. } => {
                assert!(record.entry.notify, "the application is told");
                counts.0 += 1;
            }
            Event::NotificationsResumed { .. } => counts.1 += 1,
            _ => {}
        }
    }
    reports
}

fn latest(world: &World, it: &Watched) -> Option<usize> {
    let place = (it.provider.clone(), it.account.clone());
    world
        .providers
        .state()
        .changes
        .get(&place)
        .copied()?
        .checked_sub(1)
}

#[tokio::test]
async fn a_silent_receiver_is_reported_once_and_its_changes_are_read_more_often() {
    let world = World::new();
    let mut watched = Vec::new();
    for rules in all_rules() {
        for kind in KINDS {
            let account = format!("{kind:?}").to_lowercase();
            let key = world.connect(&rules.provider, &account).await;
            world
                .hub
                .subscribe(&key, watch("items"), context())
                .await
                .unwrap();
            let provider = rules.provider.clone();
            watched.push(Watched {
                provider,
                account,
                key,
                kind,
            });
        }
    }
    world.steps(2).await;
    let (mut notifications, mut lost, mut changes) = (0, 0, 0);
    let mut detected: BTreeMap<ConnectionId, usize> = BTreeMap::new();
    let mut longest_wait = 0;
    let mut recreated = 0;
    for hour in 0..30 * 24 {
        let silent = SILENCE.contains(&hour);
        for step in 0..STEPS_PER_HOUR {
            for (place, it) in watched.iter().enumerate() {
                // One change every hour in a step of its own, or one a week.
                let changes_now = match it.kind {
                    Kind::Quiet => false,
                    Kind::Rare => hour % (7 * 24) == 20 && step == 0,
                    _ => step == place % STEPS_PER_HOUR,
                };
                if !changes_now {
                    continue;
                }
                changes += 1;
                let account = (it.provider.clone(), it.account.clone());
                *world.providers.state().changes.entry(account).or_default() += 1;
                let live: Vec<Live> = {
                    let state = world.providers.state();
                    let own =
                        |live: &&Live| live.provider == it.provider && live.account == it.account;
                    state.channels.values().filter(own).cloned().collect()
                };
                for live in live {
                    let is_lost = match it.kind {
                        Kind::Silent => silent,
                        Kind::Lossy => hour % 6 == 0,
                        _ => hour < 14 * 24,
                    };
                    if is_lost {
                        lost += 1;
                    } else {
                        assert!(world.receive(&live).await);
                        notifications += 1;
                    }
                }
            }
            world.steps(1).await;
            // While notifications are missing, a change waits for at most a quarter of an hour and
            // the two steps around it.
            for it in &watched {
                let info = &world.hub.subscriptions(&it.key).await.unwrap()[0];
                let is_new = info.is_silent && !detected.contains_key(&it.key.id);
                if is_new {
                    detected.insert(it.key.id, hour - SILENCE.start);
                    recreated += channels_of(&world, &it.provider, &it.account).len();
                }
                if info.is_silent {
                    assert_eq!(it.kind, Kind::Silent, "{}", it.provider);
                    longest_wait = longest_wait.max(info.read_age.unwrap().as_secs());
                }
            }
        }
    }
    let reports = reports(&world).await;
    let (mut missing, mut resumed, mut false_alarms) = (0, 0, 0);
    for it in &watched {
        let counts = reports.get(&it.key.id).copied().unwrap_or_default();
        // A polled provider has no channel that could be silent.
        let expected = usize::from(it.kind == Kind::Silent && it.provider.as_str() != "feed");
        if expected == 1 {
            missing += counts.0;
            resumed += counts.1;
        } else {
            false_alarms += counts.0 + counts.1;
        }
        assert_eq!(
            counts,
            (expected, expected),
            "{} {:?}",
            it.provider,
            it.kind
        );
        let handled = world.handled.changes.lock().unwrap();
        if let Some(latest) = latest(&world, it) {
            for change in 0..latest {
                let name = format!("items-{change}");
                assert!(
                    handled.contains_key(&(it.key.clone(), name)),
                    "{change} lost"
                );
            }
        }
    }
    let slowest = detected.values().max().copied().unwrap_or(usize::MAX);
    println!(
        "30 days, {} subscriptions, {changes} changes: {notifications} notifications, {lost} lost; \
         reported {missing} silences after at most {slowest} hours, {resumed} ends, {false_alarms} \
         false alarms; longest time without a read in silence: {longest_wait} s",
        watched.len()
    );
    assert_eq!((missing, resumed, false_alarms), (3, 3, 0));
    assert!(slowest <= 4, "hours: {slowest}");
    assert!(longest_wait <= 15 * 60 + 600, "{longest_wait}");
    // Google's channels can be neither listed nor extended, so the silent one was replaced.
    assert_eq!(recreated, 3, "one channel each");
    assert!(lost > 1000 && notifications > 1000);
}
