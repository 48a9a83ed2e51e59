//! Tests of the connector suite: descriptions of different providers pass it, and a connector with
//! one fault fails the case of the broken rule.

mod forms;
mod plain;
mod provider;
mod tested;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::panic;
use std::sync::{Arc, Once};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::App;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::HttpTransport;
use connector_core::provider::{Connector, Description, GenericConnector};
use connector_testkit::connector::{
    AlsoSigned, ConnectorFixture, Consent, Delivery, TokenFault, applicable, names, run,
};
use url::Url;

use self::provider::{CLIENT_ID, Provider, REDIRECT_URI, hex};
use self::tested::{Tested, Wrong};

thread_local! {
    /// The fault of the connectors that this thread creates.
    static WRONG: Cell<Option<Wrong>> = const { Cell::new(None) };
    /// True while cases are expected to fail on this thread.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// A kind of provider.
trait Kind: Send + Sync + 'static {
    const DESCRIPTION: &'static str;
    /// True if the provider signs callbacks. A description cannot contain this.
    const SIGNS: bool = false;
    /// True if the provider redirects the browser after a denied consent.
    const TELLS_REFUSALS: bool = true;
}

/// Single-use refresh tokens. Everything else follows the RFCs.
struct Strict;

impl Kind for Strict {
    const DESCRIPTION: &'static str = r#"{
        "provider": "acme", "name": "Acme",
        "api": ["https://api.acme.example"],
        "authorization": {
            "endpoint": "https://login.acme.example/authorize?fixed=1",
            "issuer": "https://login.acme.example", "issuer_required": true,
            "parameters": { "prompt": "consent" }
        },
        "token": { "endpoint": "https://login.acme.example/token" },
        "revocation": { "endpoint": "https://login.acme.example/revoke", "reach": "grant" },
        "identity": { "endpoint": "https://api.acme.example/me", "account": "/id", "label": "/name" },
        "scopes": { "default": ["read", "write"], "required": ["read"] },
        "rotation": "strict",
        "refusals": [
            { "code": "token_revoked", "means": "dead_grant" },
            { "code": "invalid_request", "description": "active refresh", "status": 401,
              "means": "dead_grant" },
            { "code": "app_disabled", "means": "app_fault" },
            { "code": "app_suspended", "means": "app_fault_certain" },
            { "code": "refresh_in_progress", "means": "already_refreshed" },
            { "code": "try_later", "means": "transient" }
        ],
        "webhook": {
            "signatures": [{
                "headers": ["x-acme-signature"], "encoding": "hex", "prefix": "sha256=",
                "signed": [{ "header": "x-acme-timestamp" }, { "text": "." }, "body"],
                "timestamp": { "header": "x-acme-timestamp" }
            }],
            "secret": "webhook", "body": ["bytes"],
            "topic": [{ "header": "x-acme-topic" }],
            "delivery_id": [{ "header": "x-acme-delivery" }]
        }
    }"#;
}

/// Stable refresh tokens, JSON, the client secret in the body, a custom header, comma-separated
/// scopes.
struct Stable;

impl Kind for Stable {
    const DESCRIPTION: &'static str = r#"{
        "provider": "bolt", "name": "Bolt",
        "api": ["https://bolt.example"],
        "authorization": { "endpoint": "https://accounts.bolt.example/auth" },
        "token": {
            "endpoint": "https://accounts.bolt.example/token",
            "client_authentication": "body", "encoding": "json",
            "exchange_parameters": { "expiring": "1" }
        },
        "revocation": { "endpoint": "https://accounts.bolt.example/revoke" },
        "identity": { "endpoint": "https://bolt.example/v1/me", "account": "/id" },
        "authentication": { "header": "x-bolt-token" },
        "scopes": { "default": ["files:read", "files:write"], "separator": "," },
        "rotation": "stable"
    }"#;
}

/// Per-account hosts, signed callbacks, no PKCE, no scopes, no revocation, a grace period.
struct Hosts;

impl Kind for Hosts {
    const DESCRIPTION: &'static str = r#"{
        "provider": "crew", "name": "Crew",
        "api": ["https://{account}"],
        "authorization": { "endpoint": "https://{account}/authorize", "pkce": "refused" },
        "token": { "endpoint": "https://{account}/token" },
        "identity": { "endpoint": "https://{account}/me", "account": "/id" },
        "account_host": { "suffix": ".crew.example" },
        "rotation": { "grace": { "time": { "seconds": 60 } } },
        "webhook": {
            "signatures": [{ "headers": ["x-crew-signature"] }],
            "secret_signs_more": true,
            "topic": [{ "header": "x-crew-topic" }], "delivery_id": [{ "header": "x-crew-id" }],
            "account_host": [{ "header": "x-crew-account" }, { "pointer": "/account" }]
        }
    }"#;
    const SIGNS: bool = true;
}

/// Old refresh tokens remain valid. A denied consent leads to no callback.
struct LivingOn;

impl Kind for LivingOn {
    const DESCRIPTION: &'static str = r#"{
        "provider": "dune", "name": "Dune",
        "api": ["https://api.dune.example"],
        "authorization": { "endpoint": "https://dune.example/authorize" },
        "token": { "endpoint": "https://dune.example/token", "client_authentication": "body" },
        "identity": { "endpoint": "https://api.dune.example/me", "account": "/id" },
        "rotation": "old_tokens_live_on"
    }"#;
    const TELLS_REFUSALS: bool = false;
}

struct Fixture<K> {
    clock: ManualClock,
    provider: Provider,
    connector: Box<dyn Connector>,
    host: Option<&'static str>,
    kind: PhantomData<K>,
}

#[async_trait]
impl<K: Kind> ConnectorFixture for Fixture<K> {
    async fn start(mark: &str) -> Self {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
        let description: Description = serde_json::from_str(K::DESCRIPTION).unwrap();
        let hosted = description.account_host.is_some();
        let host = hosted.then_some("example-account.crew.example");
        let wrong = WRONG.get();
        let connector: Box<dyn Connector> = if K::SIGNS || wrong.is_some() {
            Box::new(Tested::new(description.clone(), K::SIGNS, wrong))
        } else {
            Box::new(GenericConnector::new(description.clone()).unwrap())
        };
        Self {
            provider: Provider::new(description, host, K::SIGNS, mark, clock.clone()),
            clock,
            connector,
            host,
            kind: PhantomData,
        }
    }

    fn connector(&self) -> &dyn Connector {
        &*self.connector
    }

    fn app(&self) -> App {
        App::new(CLIENT_ID)
            .with_client_secret(self.provider.client_secret())
            .with_webhook_secret(self.provider.webhook_secret())
            .with_redirect_uri(REDIRECT_URI.parse().unwrap())
    }

    fn transport(&self) -> Arc<dyn HttpTransport> {
        Arc::new(self.provider.clone())
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn account(&self) -> Option<&str> {
        self.host
    }

    async fn visit(&self, url: &Url, consent: &Consent) -> Option<String> {
        let is_told = K::TELLS_REFUSALS || *consent != Consent::Deny;
        is_told.then(|| self.provider.visit(url, consent))
    }

    fn fault(&self, fault: TokenFault) {
        self.provider.fault(fault);
    }

    fn end_grants(&self) {
        self.provider.end_grants();
    }

    fn signed_parameters(&self) -> &'static [&'static str] {
        if K::SIGNS {
            &["account", "code", "signature", "state"]
        } else {
            &[]
        }
    }

    fn delivery(&self, body: Option<Bytes>) -> Option<Delivery> {
        self.provider.delivery(body)
    }

    fn also_signed(&self, seed: u64) -> Vec<AlsoSigned> {
        self.provider.also_signed(seed)
    }

    fn callbacks_of(&self, body: &Bytes, signature: &str) -> Vec<String> {
        let Ok(tag) = STANDARD.decode(signature) else {
            return Vec::new();
        };
        let body = String::from_utf8_lossy(body);
        vec![
            format!("{body}&signature={}", hex(&tag)),
            format!("code=c&state=s&{body}&signature={}", hex(&tag)),
        ]
    }
}

mod strict {
    connector_testkit::connector_suite!(super::Fixture<super::Strict>);
}
mod stable {
    connector_testkit::connector_suite!(super::Fixture<super::Stable>);
}
mod hosts {
    connector_testkit::connector_suite!(super::Fixture<super::Hosts>);
}
mod living_on {
    connector_testkit::connector_suite!(super::Fixture<super::LivingOn>);
}

/// Runs every case against a connector with this fault. Returns the names of the failed cases.
fn failing<K: Kind>(wrong: Option<Wrong>) -> BTreeSet<&'static str> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                shown(info);
            }
        }));
    });
    WRONG.set(wrong);
    QUIET.set(true);
    let failing = names()
        .into_iter()
        .filter(|name| panic::catch_unwind(|| run::<Fixture<K>>(name)).is_err())
        .collect();
    QUIET.set(false);
    WRONG.set(None);
    failing
}

/// Each fault of a connector with the failed cases: first the case of the broken rule, then other
/// cases that depend on it.
type Faults = &'static [(Wrong, &'static [&'static str])];

const OF_STRICT: Faults = &[
    (Wrong::NoLifetime, &["the_description_is_valid"]),
    (
        Wrong::RequiredScopeNotAsked,
        &["required_scopes_are_asked_for"],
    ),
    (
        Wrong::CodeWithTwoMeanings,
        &[
            "an_error_code_has_one_meaning",
            "described_error_codes_have_their_class",
        ],
    ),
    (
        Wrong::OtherEndpoint,
        &["the_authorization_url_is_the_described_endpoint"],
    ),
    (
        Wrong::ClientTwice,
        &["the_authorization_url_names_the_app_and_its_redirect_uri"],
    ),
    (
        Wrong::StateTwice,
        &["the_authorization_url_carries_the_state_once"],
    ),
    (
        Wrong::PlainChallenge,
        &["the_authorization_url_carries_a_challenge_where_described"],
    ),
    (
        Wrong::ScopesWithCommas,
        &["the_authorization_url_asks_for_the_scopes"],
    ),
    (
        Wrong::SecretInUrl,
        &["the_authorization_url_holds_no_secret"],
    ),
    (
        Wrong::NoRedirectUri,
        &["without_a_redirect_uri_there_is_no_authorization_url"],
    ),
    (
        Wrong::AnyIssuer,
        &["a_callback_of_another_issuer_is_refused"],
    ),
    (Wrong::DenialIsError, &["a_denied_consent_is_told_as_such"]),
    (Wrong::CodeBesideError, &["an_error_leads_to_no_exchange"]),
    (Wrong::RightRefused, &["a_right_callback_passes"]),
    (Wrong::CodeRemembered, &["a_code_is_good_once"]),
    (
        Wrong::MinuteOfPatience,
        &["token_requests_stay_inside_their_bounds"],
    ),
    (
        Wrong::OrdinaryClass,
        &["token_requests_stay_inside_their_bounds"],
    ),
    (
        Wrong::OtherContentType,
        &["token_requests_are_written_as_described"],
    ),
    (
        Wrong::AuthenticatesTwice,
        &["the_client_authenticates_as_described"],
    ),
    (
        Wrong::VerifierWithRefresh,
        &["the_verifier_is_sent_with_the_code_where_described"],
    ),
    (
        Wrong::ScopesAsAsked,
        &["granted_scopes_are_those_of_the_response"],
    ),
    (Wrong::OneAtATime, &["hooks_run_at_the_same_time"]),
    (
        Wrong::BrokenIsUnsent,
        &[
            "a_bad_response_to_a_refresh_has_its_class",
            "a_bad_response_to_a_code_has_its_class",
        ],
    ),
    (
        Wrong::DeadIsTransient,
        &[
            "an_ended_grant_is_dead",
            "a_bad_response_to_a_code_has_its_class",
            "a_bad_response_to_a_refresh_has_its_class",
            "a_code_is_good_once",
            "a_spent_refresh_token_fares_as_described",
            "described_error_codes_have_their_class",
        ],
    ),
    (
        Wrong::WaitForgotten,
        &[
            "a_bad_response_to_a_refresh_has_its_class",
            "a_bad_response_to_a_code_has_its_class",
        ],
    ),
    (
        Wrong::ServerErrorsRepeated,
        &[
            "a_failed_token_request_is_not_repeated",
            "a_bad_response_to_a_code_has_its_class",
            "a_bad_response_to_a_refresh_has_its_class",
            "responses_and_errors_show_no_secrets",
        ],
    ),
    (
        Wrong::LateIsDead,
        &[
            "a_refresh_answered_too_late_leaves_open_what_happened",
            "a_code_answered_too_late_leaves_open_what_happened",
        ],
    ),
    (
        Wrong::CodesUnknown,
        &["described_error_codes_have_their_class"],
    ),
    (
        Wrong::TextsAsSecondsUnread,
        &["odd_but_good_responses_are_understood"],
    ),
    (Wrong::RedirectsFollowed, &["redirects_are_not_followed"]),
    (Wrong::BodyQuoted, &["responses_and_errors_show_no_secrets"]),
    (Wrong::KeyIsTheToken, &["an_account_has_one_key"]),
    (
        Wrong::IdentityRemembered,
        &[
            "a_wrong_token_is_unauthorized",
            "responses_and_errors_show_no_secrets",
        ],
    ),
    (Wrong::AllUnauthorized, &["identify_tells_failures_apart"]),
    (
        Wrong::TokenInUrl,
        &[
            "secrets_stand_in_no_url",
            "responses_and_errors_show_no_secrets",
            "identify_tells_failures_apart",
        ],
    ),
    (
        Wrong::TokenSentElsewhere,
        &[
            "no_request_leaves_for_another_origin",
            "responses_and_errors_show_no_secrets",
            "identify_tells_failures_apart",
        ],
    ),
    (
        Wrong::OldTokenKept,
        &[
            "a_refreshed_token_works",
            "granted_scopes_are_those_of_the_response",
        ],
    ),
    (
        Wrong::RefreshTokenLost,
        &[
            "a_refresh_token_is_kept_or_replaced_as_described",
            "a_refreshed_token_works",
        ],
    ),
    (
        Wrong::RefreshWithoutToken,
        &["without_a_refresh_token_nothing_is_sent"],
    ),
    (
        Wrong::SecondRevocationFails,
        &["revoking_twice_is_harmless"],
    ),
    (
        Wrong::TopicLost,
        &["a_right_delivery_is_read_as_it_was_signed"],
    ),
    (
        Wrong::FirstSignatureCounts,
        &["a_missing_or_doubled_signature_is_refused"],
    ),
    (
        Wrong::AnyMethod,
        &["a_delivery_has_the_described_method_and_form"],
    ),
    (
        Wrong::FirstWebhookSecretOnly,
        &["an_old_webhook_secret_counts_while_it_is_configured"],
    ),
    (
        Wrong::WebhookSecretForever,
        &["an_old_webhook_secret_counts_while_it_is_configured"],
    ),
    (
        Wrong::ConnectionSecretIgnored,
        &["a_delivery_for_one_connection_needs_its_secret"],
    ),
    (
        Wrong::NoSecretNeeded,
        &["without_a_secret_no_delivery_is_verified"],
    ),
    (
        Wrong::BodyAsText,
        &["a_body_that_is_not_text_is_passed_on_or_refused_as_described"],
    ),
    (Wrong::AnyTime, &["a_delivery_out_of_its_time_is_refused"]),
    (
        Wrong::PanicsOnBytes,
        &[
            "a_changed_bit_of_a_delivery_is_refused",
            "random_deliveries_are_refused_and_break_nothing",
        ],
    ),
    (
        Wrong::AllSigned,
        &["what_the_signature_leaves_out_is_a_hint"],
    ),
    (
        Wrong::SignatureInAnyCase,
        &["a_changed_bit_of_a_delivery_is_refused"],
    ),
];

const OF_HOSTS: Faults = &[
    (
        Wrong::AnyBody,
        &[
            "a_body_that_is_not_text_is_passed_on_or_refused_as_described",
            "what_else_the_secret_signs_is_no_delivery",
        ],
    ),
    (
        Wrong::BlanksBeforeTheBody,
        &["what_else_the_secret_signs_is_no_delivery"],
    ),
    (
        Wrong::HostGuessed,
        &["without_its_host_an_account_is_not_reached"],
    ),
    (
        Wrong::HostAsTyped,
        &["an_account_host_has_one_accepted_form"],
    ),
    (
        Wrong::AnyHost,
        &[
            "hostile_account_hosts_are_refused",
            "refused_texts_are_not_repeated",
        ],
    ),
    (Wrong::HostQuoted, &["refused_texts_are_not_repeated"]),
    (
        Wrong::HalfTheCallbackSignature,
        &["a_changed_callback_is_refused"],
    ),
    (
        Wrong::SignatureOptional,
        &[
            "a_missing_or_doubled_parameter_is_refused",
            "a_changed_callback_is_refused",
        ],
    ),
    (
        Wrong::AnyAccount,
        &["a_callback_of_another_account_is_refused"],
    ),
    (
        Wrong::OldSecretForever,
        &["a_callback_under_an_old_secret_passes_while_it_is_configured"],
    ),
    (
        Wrong::NewestSecretOnly,
        &["a_callback_under_an_old_secret_passes_while_it_is_configured"],
    ),
    (
        Wrong::RevocationPretended,
        &["revoking_is_unsupported_where_it_is_not_described"],
    ),
];

/// Runs every case against connectors with these faults. Returns the failed cases.
fn caught<K: Kind>(faults: Faults) -> BTreeSet<&'static str> {
    faults
        .iter()
        .flat_map(|(wrong, cases)| {
            let failing = failing::<K>(Some(*wrong));
            assert_eq!(failing, cases.iter().copied().collect(), "{wrong:?}");
            failing
        })
        .collect()
}

#[test]
fn a_wrong_connector_fails_the_right_case() {
    let (first, second) = OF_STRICT.split_at(OF_STRICT.len() / 2);
    let mut failed = BTreeSet::new();
    std::thread::scope(|scope| {
        let others = scope.spawn(|| caught::<Strict>(second));
        failed.extend(caught::<Strict>(first));
        failed.extend(caught::<Hosts>(OF_HOSTS));
        failed.extend(others.join().unwrap());
    });
    let faults = OF_STRICT.len() + OF_HOSTS.len();
    println!("wrong connectors caught: {faults} of {faults}");
    println!("cases that bite: {} of {}", failed.len(), names().len());
    assert_eq!(failed, names().into_iter().collect());
}

#[test]
fn a_right_connector_fails_no_case() {
    // Uses the same code as the faulty connectors, not the generic connector.
    assert_eq!(failing::<Hosts>(None), BTreeSet::new());
    assert_eq!(failing::<Strict>(Some(Wrong::Nothing)), BTreeSet::new());
    println!("cases passed by right connectors: {}", 2 * names().len());
}

#[test]
fn cases_apply_as_the_descriptions_say() {
    let counts = [
        ("strict", applicable::<Fixture<Strict>>().len()),
        ("stable", applicable::<Fixture<Stable>>().len()),
        ("hosts", applicable::<Fixture<Hosts>>().len()),
        ("living_on", applicable::<Fixture<LivingOn>>().len()),
    ];
    println!("cases that apply, of {}: {counts:?}", names().len());
    assert_eq!(counts.map(|(_, count)| count), [52, 39, 56, 36]);
}
