//! Conformance cases for [`Connector`](connector_core::provider::Connector) implementations and
//! provider descriptions: one case per rule.
//!
//! ```ignore
//! connector_testkit::connector_suite!(Fixture);
//! ```
//!
//! expands to one `#[test]` per rule for a [`ConnectorFixture`], which provides the connector and a
//! simulated provider. Some cases do not apply to every description: for example, revocation needs
//! a revocation endpoint. A case that does not apply passes, and prints the reason. [`applicable`]
//! lists the cases that apply. In a provider's tests, compare the number of applicable cases with
//! the expected number. Otherwise, cases disappear unnoticed if a field is removed from the
//! description.

#![expect(
    clippy::panic,
    reason = "a case is the body of a test, and fails in the same way"
)]

mod authorization;
mod callback;
mod description;
mod exchange;
mod fixture;
mod identity;
mod refresh;
mod responses;
mod revocation;
mod secrecy;
mod simulated;
mod webhook;
mod wire;
mod world;

use futures_util::future::BoxFuture;

pub use self::fixture::{AlsoSigned, ConnectorFixture, Consent, Delivery, TokenFault};
pub use self::simulated::{Simulated, SimulatedProvider};
use self::world::World;
use crate::trace;

/// A feature of the provider that a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Authorization,
    Scopes,
    AccountHost,
    CallbackSignature,
    Issuer,
    Denial,
    Refresh,
    ErrorCodes,
    TestEndpoint,
    UsualTokenFields,
    BareUrls,
    Revocation,
    NoRevocation,
    Webhook,
    WebhookTime,
    SignsMore,
}

struct Case {
    name: &'static str,
    needs: &'static [Need],
    run: for<'a> fn(&'a World) -> BoxFuture<'a, ()>,
}

/// Generates one `#[test]` for every rule of [`Connector`](connector_core::provider::Connector)
/// with a [`ConnectorFixture`](crate::connector::ConnectorFixture).
#[macro_export]
macro_rules! connector_suite {
    ($fixture:ty) => {
        $crate::connector_cases! { [$crate::connector_tests] [$fixture] }
    };
}

/// Generates one `#[test]` per case.
#[doc(hidden)]
#[macro_export]
macro_rules! connector_tests {
    ([$fixture:ty] $($module:ident { $($name:ident [$($need:ident)*])* })*) => {
        $($(
            #[test]
            fn $name() {
                $crate::connector::run::<$fixture>(stringify!($name));
            }
        )*)*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! connector_cases {
    ([$($then:tt)*] $with:tt) => {
        $($then)*! {
            $with
            description {
                the_description_is_valid []
                required_scopes_are_asked_for []
                an_error_code_has_one_meaning []
                an_account_host_has_one_accepted_form [AccountHost]
                hostile_account_hosts_are_refused [AccountHost]
            }
            authorization {
                the_authorization_url_is_the_described_endpoint [Authorization]
                the_authorization_url_names_the_app_and_its_redirect_uri [Authorization]
                the_authorization_url_carries_the_state_once [Authorization]
                the_authorization_url_carries_a_challenge_where_described [Authorization]
                the_authorization_url_asks_for_the_scopes [Authorization Scopes]
                the_authorization_url_holds_no_secret [Authorization]
                without_a_redirect_uri_there_is_no_authorization_url [Authorization]
                without_its_host_an_account_is_not_reached [Authorization AccountHost]
            }
            callback {
                a_right_callback_passes [Authorization]
                a_changed_callback_is_refused [Authorization CallbackSignature]
                a_missing_or_doubled_parameter_is_refused [Authorization CallbackSignature]
                a_callback_of_another_account_is_refused [Authorization CallbackSignature AccountHost]
                a_callback_under_an_old_secret_passes_while_it_is_configured [Authorization CallbackSignature]
                a_callback_of_another_issuer_is_refused [Authorization Issuer]
                a_denied_consent_is_told_as_such [Authorization Denial]
                an_error_leads_to_no_exchange [Authorization]
            }
            exchange {
                a_code_is_good_once [Authorization]
                token_requests_stay_inside_their_bounds [Authorization]
                token_requests_are_written_as_described [Authorization]
                the_client_authenticates_as_described [Authorization]
                the_verifier_is_sent_with_the_code_where_described [Authorization]
                granted_scopes_are_those_of_the_response [Authorization Scopes]
                no_request_leaves_for_another_origin [Authorization]
                hooks_run_at_the_same_time [Authorization]
            }
            responses {
                a_bad_response_to_a_code_has_its_class [Authorization]
                a_bad_response_to_a_refresh_has_its_class [Authorization Refresh]
                a_failed_token_request_is_not_repeated [Authorization]
                a_code_answered_too_late_leaves_open_what_happened [Authorization]
                a_refresh_answered_too_late_leaves_open_what_happened [Authorization Refresh]
                described_error_codes_have_their_class [Authorization ErrorCodes]
                odd_but_good_responses_are_understood [Authorization UsualTokenFields]
                redirects_are_not_followed [Authorization]
            }
            identity {
                an_account_has_one_key [Authorization]
                a_wrong_token_is_unauthorized [Authorization TestEndpoint]
                identify_tells_failures_apart [Authorization TestEndpoint]
            }
            refresh {
                a_refreshed_token_works [Authorization Refresh]
                a_refresh_token_is_kept_or_replaced_as_described [Authorization Refresh]
                a_spent_refresh_token_fares_as_described [Authorization Refresh]
                without_a_refresh_token_nothing_is_sent [Authorization]
                an_ended_grant_is_dead [Authorization Refresh]
            }
            revocation {
                revoking_twice_is_harmless [Authorization Revocation]
                revoking_is_unsupported_where_it_is_not_described [Authorization NoRevocation]
            }
            webhook {
                a_right_delivery_is_read_as_it_was_signed [Webhook]
                a_changed_bit_of_a_delivery_is_refused [Webhook]
                a_missing_or_doubled_signature_is_refused [Webhook]
                a_delivery_has_the_described_method_and_form [Webhook]
                an_old_webhook_secret_counts_while_it_is_configured [Webhook]
                a_delivery_for_one_connection_needs_its_secret [Webhook]
                without_a_secret_no_delivery_is_verified [Webhook]
                a_body_that_is_not_text_is_passed_on_or_refused_as_described [Webhook]
                a_delivery_out_of_its_time_is_refused [Webhook WebhookTime]
                what_the_signature_leaves_out_is_a_hint [Webhook]
                what_else_the_secret_signs_is_no_delivery [Webhook SignsMore]
                random_deliveries_are_refused_and_break_nothing [Webhook]
            }
            secrecy {
                secrets_stand_in_no_url [Authorization BareUrls]
                responses_and_errors_show_no_secrets [Authorization]
                refused_texts_are_not_repeated [AccountHost]
            }
        }
    };
}

macro_rules! table {
    ([] $($module:ident { $($name:ident [$($need:ident)*])* })*) => {
        &[$($(
            Case {
                name: stringify!($name),
                needs: &[$(Need::$need),*],
                run: |world| Box::pin($module::$name(world)),
            },
        )*)*]
    };
}

const CASES: &[Case] = connector_cases! { [table] [] };

/// Returns the names of all cases.
#[must_use]
pub fn names() -> Vec<&'static str> {
    CASES.iter().map(|case| case.name).collect()
}

/// Returns the names of the cases that apply to the fixture's connector.
///
/// # Panics
/// Panics if the fixture does not start.
#[must_use]
pub fn applicable<F: ConnectorFixture>() -> Vec<&'static str> {
    block_on(async {
        let world = World::start::<F>().await;
        let mut names = Vec::new();
        for case in CASES {
            if world.lacks(case.needs).await.is_none() {
                names.push(case.name);
            }
        }
        names
    })
}

/// Runs the case `name` with a new fixture. If the case does not apply, prints the reason.
///
/// # Panics
/// Panics if the connector breaks the rule, or if there is no such case.
pub fn run<F: ConnectorFixture>(name: &str) {
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        panic!("the connector suite has no case {name}");
    };
    block_on(async {
        let world = World::start::<F>().await;
        match world.lacks(case.needs).await {
            None => (case.run)(&world).await,
            Some(why) => say(&format!("{name} does not apply: {why}")),
        }
    });
}

#[expect(clippy::print_stdout, reason = "the output belongs to a test")]
fn say(line: &str) {
    println!("{line}");
}

fn block_on<T>(case: impl Future<Output = T>) -> T {
    trace::init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(case),
        Err(error) => panic!("the runtime for the case does not start: {error}"),
    }
}
