//! The store suites as lists of cases. The macros generate tests from them.
//!
//! Cases use a store only through its traits. Sealed bytes in the cases are opaque examples,
//! because a store never opens sealed bytes.

#![expect(
    clippy::panic,
    reason = "a case is the body of a test, and fails in the same way"
)]

mod audit;
mod delivery;
mod maintenance;
mod outbound;
mod samples;
mod state;
mod steps;
mod subscription;
mod token;

use futures_util::future::LocalBoxFuture;

use crate::fixture::StoreFixture;
use crate::trace;

/// Runs one case with a fresh fixture, on two threads, so that tasks run concurrently.
fn run<F: StoreFixture>(case: for<'a> fn(&'a F) -> LocalBoxFuture<'a, ()>) {
    trace::init();
    if let Some(reason) = F::skipped() {
        report_skipped(&reason);
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            let fixture = F::create().await;
            case(&fixture).await;
        }),
        Err(error) => panic!("the runtime for the case does not start: {error}"),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a test without its database says so, so that it does not look like a success"
)]
fn report_skipped(reason: &str) {
    println!("skipped: {reason}");
}

/// Generates a public module with one function per case, and a list of all cases.
macro_rules! suite_module {
    ([$(#[$doc:meta])* $module:ident of $cases:ident] $($name:ident)*) => {
        $(#[$doc])*
        pub mod $module {
            use crate::fixture::{Case, StoreFixture};

            /// Returns every case of the suite.
            #[must_use]
            pub fn cases<F: StoreFixture>() -> Vec<Case> {
                vec![$(Case::new(stringify!($name), $name::<F>)),*]
            }

            $(
                #[doc = concat!("Runs the case `", stringify!($name), "`.")]
                ///
                /// # Panics
                /// Panics if the store breaks the rule.
                pub fn $name<F: StoreFixture>() {
                    super::run::<F>(|fixture| Box::pin(super::$cases::$name(fixture)));
                }
            )*
        }
    };
}

/// Generates one `#[test]` per case.
#[doc(hidden)]
#[macro_export]
macro_rules! suite_tests {
    ([$fixture:ty, $module:ident] $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::store::$module::$name::<$fixture>();
            }
        )*
    };
}

/// Generates one `#[test]` for every rule of [`TokenStore`](connector_core::store::TokenStore) with
/// a [`StoreFixture`].
#[macro_export]
macro_rules! token_store_suite {
    ($fixture:ty) => {
        $crate::token_store_cases! { [$crate::suite_tests] [$fixture, token_store] }
    };
}

/// Generates one `#[test]` for every rule of [`StateStore`](connector_core::store::StateStore) with
/// a [`StoreFixture`].
#[macro_export]
macro_rules! state_store_suite {
    ($fixture:ty) => {
        $crate::state_store_cases! { [$crate::suite_tests] [$fixture, state_store] }
    };
}

/// Generates one `#[test]` for every rule of
/// [`DeliveryQueue`](connector_core::store::DeliveryQueue) with a [`StoreFixture`].
#[macro_export]
macro_rules! delivery_queue_suite {
    ($fixture:ty) => {
        $crate::delivery_queue_cases! { [$crate::suite_tests] [$fixture, delivery_queue] }
    };
}

/// Generates one `#[test]` for every rule of [`AuditLog`](connector_core::store::AuditLog) with a
/// [`StoreFixture`].
#[macro_export]
macro_rules! audit_log_suite {
    ($fixture:ty) => {
        $crate::audit_log_cases! { [$crate::suite_tests] [$fixture, audit_log] }
    };
}

/// Generates one `#[test]` for every rule of
/// [`SubscriptionStore`](connector_core::store::SubscriptionStore) with a [`StoreFixture`].
#[macro_export]
macro_rules! subscription_store_suite {
    ($fixture:ty) => {
        $crate::subscription_store_cases! { [$crate::suite_tests] [$fixture, subscription_store] }
    };
}

/// Generates one `#[test]` for every rule of
/// [`OutboundStore`](connector_core::store::OutboundStore) with a [`StoreFixture`].
#[macro_export]
macro_rules! outbound_store_suite {
    ($fixture:ty) => {
        $crate::outbound_store_cases! { [$crate::suite_tests] [$fixture, outbound_store] }
    };
}

/// Generates one `#[test]` for every rule of [`Maintenance`](connector_core::store::Maintenance)
/// with a [`StoreFixture`].
#[macro_export]
macro_rules! maintenance_suite {
    ($fixture:ty) => {
        $crate::maintenance_cases! { [$crate::suite_tests] [$fixture, maintenance_of_a_store] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! token_store_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            operations_on_one_connection_are_linear
            a_grant_is_read_back
            another_tenant_finds_nothing
            time_left_follows_the_stores_clock
            generation_is_what_load_says
            an_account_is_found_by_its_reference
            routing_finds_live_identified_connections_of_all_tenants
            routing_finds_connections_by_account_host
            listing_meets_each_connection_once
            listing_leaves_out_other_tenants
            one_connection_per_account
            of_many_first_grants_one_is_stored
            a_grant_over_a_moved_generation_is_refused
            a_grant_for_a_missing_connection_is_refused
            a_new_grant_ends_older_claims_and_pairs
            a_grant_whose_numbers_do_not_follow_is_refused
            a_grant_for_another_account_is_refused
            a_grant_takes_its_quarantined_response
            effects_ride_in_the_commit
            refused_changes_have_no_effects
            putting_a_grant_twice_stores_it_once
            an_update_of_a_moved_version_is_refused
            an_update_of_a_missing_connection_is_missing
            an_update_leaves_the_rest_alone
            status_since_moves_with_the_status
            confirming_the_current_generation_drops_the_previous
            an_ended_connection_keeps_its_status
            an_end_removes_secrets_claims_and_work
            an_end_at_a_moved_generation_is_refused
            a_forgotten_connection_is_gone
            revocations_are_queued_once
            a_claim_of_a_moved_generation_returns_the_row
            a_standing_claim_is_held
            of_many_claims_one_is_granted
            a_claim_past_its_hold_is_superseded
            fences_only_grow
            a_repeated_claim_returns_the_first_result
            granted_carries_the_claimed_row
            a_claim_on_an_ended_connection_ends
            a_deactivated_connection_can_be_claimed_for_exchange
            a_commit_moves_the_generation
            a_commit_clears_its_own_claim
            a_commit_leaves_a_younger_claim
            a_late_commit_is_kept_as_pending
            a_commit_of_an_ended_grant_is_refused
            a_pending_pair_becomes_current
            an_observed_rotation_is_remembered
            a_dropped_commit_is_whole
            a_repeated_commit_returns_the_first_result
            a_definite_failure_resolves_its_claim
            an_unresolved_failure_keeps_its_claim
            a_failure_of_a_moved_generation_changes_nothing
            giving_up_is_refused_while_a_pair_is_pending
            giving_up_is_refused_while_another_claim_stands
            a_failure_counts_once_per_claim
            giving_up_keeps_the_credential
            a_failure_on_an_ended_connection_ends
            work_is_handed_out_when_due
            the_longest_due_work_comes_first
            leased_work_is_not_handed_out_again
            of_many_workers_one_gets_the_work
            expired_leases_are_handed_out_again
            other_kinds_stay
            finished_work_is_gone_or_due_later
            a_change_that_schedules_ends_the_lease
            a_lost_lease_changes_nothing
            a_flow_has_one_quarantined_response
            a_quarantined_response_is_read_back
            quarantined_responses_are_handed_out_after_their_delay
            a_released_response_is_gone
            a_revocation_needs_no_connection
            revocations_outlive_their_connection
            a_finished_revocation_is_gone
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! state_store_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            too_many_open_states_are_refused
            too_many_unfinished_states_are_refused
            put_state_twice_stores_it_once
            a_state_is_read_back
            a_state_begins_once
            the_same_code_again_is_in_progress
            a_finished_state_returns_its_outcome
            another_code_is_a_conflict
            a_wrong_binding_consumes_nothing
            an_expired_state_is_unknown
            a_begun_state_is_kept
            the_first_outcome_stays
            a_finished_state_is_dropped_early
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! delivery_queue_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            accept_twice_is_a_duplicate
            of_many_equal_deliveries_one_is_accepted
            a_delivery_is_handed_out_after_its_delay
            the_longest_due_delivery_comes_first
            a_leased_delivery_is_not_handed_out_again
            an_expired_delivery_lease_is_handed_out_again
            directions_do_not_mix
            a_done_delivery_stays_done
            a_lost_delivery_lease_changes_nothing
            a_retried_delivery_waits
            a_parked_delivery_waits_for_replay
            listing_deliveries_meets_each_once
            a_replayed_delivery_is_handed_out
            a_tenant_replays_only_its_own_deliveries
            owners_and_their_lanes_take_turns
            no_owner_leases_more_than_its_cap
            waiting_deliveries_of_an_owner_are_bounded
            deliveries_of_one_content_are_bounded
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! audit_log_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            audit_entries_are_read_back_in_order
            audit_filters_leave_out_other_tenants
            audit_pages_meet_each_entry_once
            audit_until_leaves_out_later_entries
            audit_since_leaves_out_earlier_entries
            pruning_removes_only_old_entries
            pruning_keeps_unhandled_changes
            only_entries_with_notify_are_handed_out
            a_change_is_handed_out_until_it_is_handled
            a_lost_change_lease_changes_nothing
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! subscription_store_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            a_subscription_is_read_back
            one_subscription_per_watch
            putting_a_subscription_twice_stores_it_once
            a_subscription_needs_a_live_connection_and_its_grant
            too_many_subscriptions_are_refused
            effects_of_a_subscription_ride_in_its_commit
            another_tenants_subscriptions_are_not_found
            a_subscription_is_found_by_its_channels
            a_notification_is_counted_and_makes_work_due
            of_many_changes_of_a_version_one_is_written
            an_ended_subscription_cannot_be_changed
            a_change_leaves_the_rest_alone
            a_replaced_channel_becomes_an_ending
            a_dropped_channel_leaves_no_ending
            only_the_candidate_can_be_opened
            a_notification_during_a_read_stays_unread
            failures_of_a_subscription_are_counted_and_reset
            an_ended_subscription_leaves_its_channels_as_endings
            a_subscription_ends_once
            the_end_of_a_connection_ends_its_subscriptions
            an_end_without_a_credential_drops_the_channels
            failed_endings_are_counted
            a_finished_ending_is_gone
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! outbound_store_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            an_endpoint_is_read_back
            aliases_and_numbers_of_endpoints_are_limited
            listing_endpoints_meets_each_once
            of_many_changes_of_an_endpoint_one_is_written
            deliveries_of_a_disabled_endpoint_are_kept_as_skipped
            a_removed_endpoint_is_gone
            a_message_goes_to_the_matching_endpoints
            a_message_is_enqueued_once
            a_message_is_leased_to_one_worker
            endpoints_and_tenants_take_turns
            leased_messages_are_limited
            messages_of_one_resource_keep_their_order
            a_lost_message_lease_changes_nothing
            a_settled_message_waits_or_rests
            a_pause_delays_all_messages
            an_endpoint_is_disabled_once
            a_late_410_does_not_end_an_endpoint
            retries_disable_an_endpoint_too
            replayed_messages_keep_their_order
            a_success_resets_the_failures
            attempts_are_listed
            listing_messages_meets_each_once
            replayed_messages_are_leased_again
            expired_messages_are_purged
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! maintenance_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            sealed_rows_lists_every_kind
            sealed_rows_leaves_out_the_named_key
            sealed_rows_pages_meet_every_record_once
            reseal_changes_the_bytes_and_nothing_else
            reseal_of_a_changed_record_is_refused
            purge_removes_only_what_has_expired
            purge_is_bounded
        }
    };
}

token_store_cases! { [suite_module] [
    /// The rules of [`TokenStore`](connector_core::store::TokenStore).
    token_store of token
] }
state_store_cases! { [suite_module] [
    /// The rules of [`StateStore`](connector_core::store::StateStore).
    state_store of state
] }
delivery_queue_cases! { [suite_module] [
    /// The rules of [`DeliveryQueue`](connector_core::store::DeliveryQueue).
    delivery_queue of delivery
] }
audit_log_cases! { [suite_module] [
    /// The rules of [`AuditLog`](connector_core::store::AuditLog).
    audit_log of audit
] }
subscription_store_cases! { [suite_module] [
    /// The rules of [`SubscriptionStore`](connector_core::store::SubscriptionStore).
    subscription_store of subscription
] }
outbound_store_cases! { [suite_module] [
    /// The rules of [`OutboundStore`](connector_core::store::OutboundStore).
    outbound_store of outbound
] }
maintenance_cases! { [suite_module] [
    /// The rules of [`Maintenance`](connector_core::store::Maintenance).
    maintenance_of_a_store of maintenance
] }
