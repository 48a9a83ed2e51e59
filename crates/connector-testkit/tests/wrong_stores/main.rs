//! Tests of the store suites: each fault of a store fails the case of the broken rule.
//!
//! A program of its own, because it silences the panics of all worker threads of its process.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print their counts"
)]

mod wrong;

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::panic;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::{MemoryStore, StateKey};
use connector_testkit::store::{
    audit_log, delivery_queue, maintenance_of_a_store, outbound_store, state_store,
    subscription_store, token_store,
};
use connector_testkit::{Case, StoreFixture};

use self::wrong::{Fault, Wrong};

thread_local! {
    /// The fault of the fixtures that this thread creates.
    static FAULT: Cell<Option<Fault>> = const { Cell::new(None) };
    /// True while cases are expected to fail on this thread.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

struct Fixture {
    clock: ManualClock,
    store: MemoryStore,
    fault: Option<Fault>,
    bindings: Arc<Mutex<HashMap<StateKey, [u8; 32]>>>,
}

#[async_trait]
impl StoreFixture for Fixture {
    type Store = Wrong<MemoryStore>;

    async fn create() -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        Self {
            clock,
            store,
            fault: FAULT.get(),
            bindings: Arc::default(),
        }
    }

    async fn open(&self) -> Wrong<MemoryStore> {
        Wrong::new(self.store.clone(), self.fault, Arc::clone(&self.bindings))
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

fn all_cases() -> Vec<Case> {
    let mut cases = token_store::cases::<Fixture>();
    cases.extend(state_store::cases::<Fixture>());
    cases.extend(delivery_queue::cases::<Fixture>());
    cases.extend(audit_log::cases::<Fixture>());
    cases.extend(subscription_store::cases::<Fixture>());
    cases.extend(outbound_store::cases::<Fixture>());
    cases.extend(maintenance_of_a_store::cases::<Fixture>());
    cases
}

/// Runs every case against a store with this fault. Returns the names of the failed cases.
fn failing(fault: Option<Fault>) -> BTreeSet<&'static str> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let worker = std::thread::current().name() == Some("tokio-rt-worker");
            if !QUIET.get() && !worker {
                shown(info);
            }
        }));
    });
    FAULT.set(fault);
    QUIET.set(true);
    let failing = all_cases()
        .into_iter()
        .filter(|case| panic::catch_unwind(|| case.run()).is_err())
        .map(|case| case.name())
        .collect();
    QUIET.set(false);
    FAULT.set(None);
    failing
}

/// The other cases that a fault may fail, beside the case of the broken rule.
enum Beside {
    /// Cases that depend on the same rule.
    These(&'static [&'static str]),
    /// Any case that takes several steps on a connection before it tests its own rule.
    Connections,
}

use Beside::{Connections, These};

const LINEAR: &str = "operations_on_one_connection_are_linear";
const REFUSED: &str = "refused_changes_have_no_effects";

/// Each fault with the case that must fail.
const FAULTS: &[(Fault, &str, Beside)] = &[
    (
        Fault::ClaimKeptByCommit,
        "a_commit_clears_its_own_claim",
        Connections,
    ),
    (
        Fault::YoungerClaimCleared,
        "a_commit_leaves_a_younger_claim",
        These(&[LINEAR, "a_definite_failure_resolves_its_claim"]),
    ),
    (
        Fault::EffectsLost,
        "effects_ride_in_the_commit",
        These(&[
            "a_dropped_commit_is_whole",
            "a_repeated_commit_returns_the_first_result",
        ]),
    ),
    (
        Fault::CommitInTwoSteps,
        "a_dropped_commit_is_whole",
        These(&[LINEAR]),
    ),
    (Fault::EffectsOfRefused, REFUSED, These(&[])),
    (
        Fault::WrongTenant,
        "another_tenant_finds_nothing",
        These(&[]),
    ),
    (
        Fault::ListOfEverybody,
        "listing_leaves_out_other_tenants",
        These(&[]),
    ),
    (
        Fault::AuditOfEverybody,
        "audit_filters_leave_out_other_tenants",
        These(&[]),
    ),
    (
        Fault::PendingForgotten,
        "a_late_commit_is_kept_as_pending",
        Connections,
    ),
    (
        Fault::LateCommitStored,
        "a_late_commit_is_kept_as_pending",
        Connections,
    ),
    (
        Fault::PendingIgnored,
        "giving_up_is_refused_while_a_pair_is_pending",
        These(&[LINEAR, REFUSED]),
    ),
    (
        Fault::ClaimNeverExpires,
        "a_claim_past_its_hold_is_superseded",
        Connections,
    ),
    (
        Fault::SupersededUnreported,
        "a_claim_past_its_hold_is_superseded",
        These(&[LINEAR]),
    ),
    (
        Fault::StaleClaimGranted,
        "a_claim_of_a_moved_generation_returns_the_row",
        These(&[LINEAR]),
    ),
    (Fault::FenceReused, "fences_only_grow", Connections),
    (
        Fault::UpdateUnchecked,
        "an_update_of_a_moved_version_is_refused",
        These(&[LINEAR, REFUSED]),
    ),
    (Fault::StaleRead, LINEAR, Connections),
    (
        Fault::FailuresCountTwice,
        "a_failure_counts_once_per_claim",
        These(&[]),
    ),
    (
        Fault::GenerationKeptAtEnd,
        "an_end_removes_secrets_claims_and_work",
        These(&[
            LINEAR,
            "a_deactivated_connection_can_be_claimed_for_exchange",
            "a_commit_of_an_ended_grant_is_refused",
            "fences_only_grow",
        ]),
    ),
    (
        Fault::RevocationLost,
        "revocations_are_queued_once",
        These(&[
            "an_end_removes_secrets_claims_and_work",
            "revocations_outlive_their_connection",
        ]),
    ),
    (
        Fault::WorkHandedOutTwice,
        "leased_work_is_not_handed_out_again",
        These(&[
            "a_lost_lease_changes_nothing",
            "effects_of_a_subscription_ride_in_its_commit",
            "of_many_workers_one_gets_the_work",
            "other_kinds_stay",
            "the_longest_due_work_comes_first",
        ]),
    ),
    (
        Fault::StateBegunTwice,
        "a_state_begins_once",
        These(&[
            "a_finished_state_is_dropped_early",
            "a_begun_state_is_kept",
            "another_code_is_a_conflict",
            "put_state_twice_stores_it_once",
            "the_same_code_again_is_in_progress",
        ]),
    ),
    (
        Fault::WrongBindingConsumes,
        "a_wrong_binding_consumes_nothing",
        These(&[]),
    ),
    (
        Fault::DuplicateAccepted,
        "accept_twice_is_a_duplicate",
        These(&[
            "of_many_equal_deliveries_one_is_accepted",
            "deliveries_of_one_content_are_bounded",
            "waiting_deliveries_of_an_owner_are_bounded",
        ]),
    ),
    (
        Fault::LostLeaseHonoured,
        "a_lost_delivery_lease_changes_nothing",
        These(&[]),
    ),
    (
        Fault::WaitingUnbounded,
        "waiting_deliveries_of_an_owner_are_bounded",
        These(&[]),
    ),
    (
        Fault::ContentUnbounded,
        "deliveries_of_one_content_are_bounded",
        These(&[]),
    ),
    (
        Fault::OwnersForgotten,
        "owners_and_their_lanes_take_turns",
        These(&[
            "no_owner_leases_more_than_its_cap",
            "waiting_deliveries_of_an_owner_are_bounded",
        ]),
    ),
    (
        Fault::LanesForgotten,
        "owners_and_their_lanes_take_turns",
        These(&["no_owner_leases_more_than_its_cap"]),
    ),
    (
        Fault::CapsIgnored,
        "no_owner_leases_more_than_its_cap",
        These(&[]),
    ),
    (
        Fault::ReplayForEverybody,
        "a_tenant_replays_only_its_own_deliveries",
        These(&[]),
    ),
    (
        Fault::QuarantineUnlisted,
        "sealed_rows_lists_every_kind",
        Connections,
    ),
    (
        Fault::ResealUnchecked,
        "reseal_of_a_changed_record_is_refused",
        These(&["reseal_changes_the_bytes_and_nothing_else"]),
    ),
    (
        Fault::PurgeRemovesLive,
        "purge_removes_only_what_has_expired",
        These(&["purge_is_bounded", "a_finished_state_is_dropped_early"]),
    ),
    (
        Fault::PruneRemovesYoung,
        "pruning_removes_only_old_entries",
        These(&[]),
    ),
    (
        Fault::PruneRemovesUnhandled,
        "pruning_keeps_unhandled_changes",
        These(&[]),
    ),
    (
        Fault::UntilIgnored,
        "audit_until_leaves_out_later_entries",
        These(&["audit_since_leaves_out_earlier_entries"]),
    ),
    (
        Fault::SinceIgnored,
        "audit_since_leaves_out_earlier_entries",
        These(&[]),
    ),
    (
        Fault::ConflictAlwaysFirst,
        "another_code_is_a_conflict",
        These(&[]),
    ),
    (Fault::WatchTwice, "one_subscription_per_watch", These(&[])),
    (
        Fault::SubscriptionOfOldGrant,
        "a_subscription_needs_a_live_connection_and_its_grant",
        These(&[]),
    ),
    (
        Fault::SubscriptionsOfOtherTenant,
        "another_tenants_subscriptions_are_not_found",
        These(&[]),
    ),
    (
        Fault::CursorUnchecked,
        "of_many_changes_of_a_version_one_is_written",
        These(&["effects_of_a_subscription_ride_in_its_commit"]),
    ),
    (
        Fault::ReplacedChannelLost,
        "a_replaced_channel_becomes_an_ending",
        Connections,
    ),
    (
        Fault::NotificationSwallowed,
        "a_notification_during_a_read_stays_unread",
        These(&[]),
    ),
    (
        Fault::NotificationWithoutWork,
        "a_notification_is_counted_and_makes_work_due",
        These(&[]),
    ),
    (
        Fault::SubscriptionsOutliveConnection,
        "the_end_of_a_connection_ends_its_subscriptions",
        Connections,
    ),
    (
        Fault::ChannelsLostAtEnd,
        "the_end_of_a_connection_ends_its_subscriptions",
        Connections,
    ),
    (Fault::EndingKept, "a_finished_ending_is_gone", Connections),
    (
        Fault::ChannelSecretsUnlisted,
        "sealed_rows_lists_every_kind",
        Connections,
    ),
    (
        Fault::EndpointOfOtherTenant,
        "an_endpoint_is_read_back",
        These(&["attempts_are_listed"]),
    ),
    (
        Fault::EndpointUnchecked,
        "of_many_changes_of_an_endpoint_one_is_written",
        These(&[]),
    ),
    (
        Fault::MessageEnqueuedTwice,
        "a_message_is_enqueued_once",
        These(&[]),
    ),
    (
        Fault::EndpointCapsIgnored,
        "leased_messages_are_limited",
        These(&["endpoints_and_tenants_take_turns"]),
    ),
    (
        Fault::OrderIgnored,
        "messages_of_one_resource_keep_their_order",
        These(&[
            "an_endpoint_is_read_back",
            "replayed_messages_keep_their_order",
        ]),
    ),
    (
        Fault::LateGoneHonoured,
        "a_late_410_does_not_end_an_endpoint",
        These(&[]),
    ),
    (
        Fault::PauseIgnored,
        "a_pause_delays_all_messages",
        These(&[]),
    ),
    (
        Fault::LostMessageLeaseHonoured,
        "a_lost_message_lease_changes_nothing",
        These(&["a_removed_endpoint_is_gone"]),
    ),
    (
        Fault::DisabledTwice,
        "an_endpoint_is_disabled_once",
        These(&[]),
    ),
    (
        Fault::MessagesReplayedForEverybody,
        "replayed_messages_are_leased_again",
        These(&[]),
    ),
    (
        Fault::EndpointSecretsUnlisted,
        "sealed_rows_lists_every_kind",
        Connections,
    ),
];

#[test]
fn a_wrong_store_fails_the_right_case() {
    let of_connections: BTreeSet<_> = token_store::cases::<Fixture>()
        .into_iter()
        .chain(maintenance_of_a_store::cases::<Fixture>())
        .chain(subscription_store::cases::<Fixture>())
        .map(|case| case.name())
        .collect();
    let mut caught = 0;
    for (fault, case, beside) in FAULTS {
        let mut failing = failing(Some(*fault));
        let right = failing.remove(case);
        caught += usize::from(right);
        if !right {
            println!("{fault:?} passes {case}");
        }
        let unrelated: Vec<_> = match beside {
            These(cases) => failing.iter().filter(|it| !cases.contains(it)).collect(),
            Connections => failing.difference(&of_connections).collect(),
        };
        assert!(unrelated.is_empty(), "{fault:?} fails {unrelated:?} too");
    }
    println!("wrong stores caught: {caught} of {}", FAULTS.len());
    assert!(caught > 0);
    assert_eq!(caught, FAULTS.len());
}

#[test]
fn a_right_store_fails_no_case() {
    let cases = all_cases().len();
    let failing = failing(None);
    println!(
        "cases passed by a right store: {} of {cases}",
        cases - failing.len()
    );
    assert!(cases > 0);
    assert_eq!(failing, BTreeSet::new());
}
