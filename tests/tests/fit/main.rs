//! Tests of sixteen providers as data, against simulators that are built from the same data.
//!
//! Each `<provider>.json` is the description of one provider. Behaviour that data cannot express is
//! a hook of [`Connector`](connector_core::provider::Connector), which [`PROVIDERS`] and
//! `docs/providers/fit.md` name. The suite runs the cases that the description alone can pass.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a test fails by panicking and prints its counts"
)]

mod page;
mod plain;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{HttpTransport, Origin, OutboundRequest, TransportError};
use connector_core::provider::description::IdentitySource;
use connector_core::provider::webhook::{AccountHint, Incoming, SignedField, WebhookEndpoint};
use connector_core::provider::{Connector, Context, Description, GenericConnector};
use connector_core::{AccountKey, App, AppKey, Credential, CredentialKind, ErrorKind};
use connector_sim::{Authority, AuthorityBuilder};
use connector_testkit::connector::{self, Simulated, SimulatedProvider};
use ring::hmac;
use serde_json::Value;

/// One provider of the table.
struct Row {
    name: &'static str,
    text: &'static str,
    /// The hooks that a complete connector needs in addition to the description.
    hooks: &'static [&'static str],
    /// Runs the cases of the suite. Returns the applicable cases and the failed cases.
    run: fn(&[&'static str]) -> Outcome,
}

struct Outcome {
    applied: Vec<&'static str>,
    failed: Vec<&'static str>,
}

fn run<P: SimulatedProvider>(skipped: &[&'static str]) -> Outcome {
    let mut applied = connector::applicable::<Simulated<P>>();
    applied.retain(|name| !skipped.contains(name));
    let fails = |name: &&str| {
        let run = AssertUnwindSafe(|| connector::run::<Simulated<P>>(name));
        catch_unwind(run).is_err()
    };
    let failed = applied.iter().copied().filter(fails).collect();
    Outcome { applied, failed }
}

/// One line per provider: its type, its file, the settings of its simulator beyond the description,
/// and its hooks.
macro_rules! providers {
    ($($type:ident $name:literal $simulator:expr, [$($hook:literal)*];)*) => {
        $(
            struct $type;

            impl SimulatedProvider for $type {
                fn description() -> Description {
                    serde_json::from_str(include_str!(concat!($name, ".json"))).unwrap()
                }

                fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
                    let settings: fn(AuthorityBuilder) -> AuthorityBuilder = $simulator;
                    settings(builder)
                }
            }
        )*

        const PROVIDERS: &[Row] = &[$(
            Row {
                name: $name,
                text: include_str!(concat!($name, ".json")),
                hooks: &[$($hook),*],
                run: run::<$type>,
            },
        )*];
    };
}

providers! {
    Airtable "airtable" AuthorityBuilder::with_access_ended_by_refresh,
        ["classifier" "subscriptions"];
    Amazon "amazon-spapi" AuthorityBuilder::with_repeated_refresh_token,
        ["authorization_url" "exchange_code" "identify" "classifier"];
    Discord "discord" as_described, ["exchange_code" "verify_webhook"];
    GitHub "github" expiring, ["renewal" "refresh" "revoke" "classifier"];
    Drive "google-drive" as_described, ["renewal" "refresh" "classifier" "subscriptions"];
    Workspace "google-workspace" as_described,
        ["renewal" "refresh" "classifier" "verify_webhook" "subscriptions"];
    HubSpot "hubspot" AuthorityBuilder::with_repeated_refresh_token, ["revoke" "classifier"];
    Instagram "instagram" AuthorityBuilder::without_refresh_tokens,
        ["exchange_code" "renewal" "refresh" "identify" "classifier" "verify_webhook" "subscriptions"];
    Microsoft "microsoft-365" as_described, ["exchange_code" "refresh" "subscriptions"];
    Notion "notion" as_described,
        ["identify" "classifier" "verify_webhook" "subscriptions"];
    OnlyFans "onlyfans" as_described, ["identify"];
    Reddit "reddit" as_described, ["classifier" "subscriptions"];
    Slack "slack" expiring,
        ["exchange_code" "identify" "revoke" "classifier" "verify_webhook"];
    Stripe "stripe" as_described, ["classifier"];
    TikTok "tiktok" as_described, ["classifier"];
    Zapier "zapier" as_described, [];
}

fn as_described(builder: AuthorityBuilder) -> AuthorityBuilder {
    builder
}

/// Configures a provider that can issue tokens with or without expiry to issue tokens with expiry.
fn expiring(builder: AuthorityBuilder) -> AuthorityBuilder {
    builder.with_access_lifetime(Duration::from_hours(8))
}

/// The cases for deliveries. The tests of `connector-core` check the same schemes with all
/// published signatures; see [`schemes_are_those_whose_published_signatures_are_tested`].
const DELIVERIES: [&str; 12] = [
    "a_right_delivery_is_read_as_it_was_signed",
    "a_changed_bit_of_a_delivery_is_refused",
    "a_missing_or_doubled_signature_is_refused",
    "a_delivery_has_the_described_method_and_form",
    "an_old_webhook_secret_counts_while_it_is_configured",
    "a_delivery_for_one_connection_needs_its_secret",
    "without_a_secret_no_delivery_is_verified",
    "a_body_that_is_not_text_is_passed_on_or_refused_as_described",
    "a_delivery_out_of_its_time_is_refused",
    "what_the_signature_leaves_out_is_a_hint",
    "what_else_the_secret_signs_is_no_delivery",
    "random_deliveries_are_refused_and_break_nothing",
];

/// The cases for a refresh with a refresh token. They do not apply to a connector that mints tokens
/// instead.
const REFRESH: [&str; 6] = [
    "a_bad_response_to_a_refresh_has_its_class",
    "a_refresh_answered_too_late_leaves_open_what_happened",
    "a_refreshed_token_works",
    "a_refresh_token_is_kept_or_replaced_as_described",
    "a_spent_refresh_token_fares_as_described",
    "an_ended_grant_is_dead",
];

/// The providers whose grants have no refresh token at all.
const WITHOUT_REFRESH_TOKEN: [&str; 1] = ["instagram"];
/// The providers without an authorization endpoint.
const ADOPTED: [&str; 1] = ["onlyfans"];

fn description(row: &Row) -> Description {
    serde_json::from_str(row.text).unwrap_or_else(|error| panic!("{}: {error}", row.name))
}

#[test]
fn every_description_is_data_alone_and_valid() {
    for row in PROVIDERS {
        let description = description(row);
        assert_eq!(description.provider.as_str(), row.name);
        let checked = description.validate();
        checked.unwrap_or_else(|error| panic!("{}: {}", row.name, error.report()));
        assert!(!description.limits.is_empty(), "{}: no limits", row.name);
        assert!(description.identity.is_some(), "{}: no identity", row.name);
    }
    println!(
        "descriptions of providers that are valid: {}",
        PROVIDERS.len()
    );
    assert_eq!(PROVIDERS.len(), 16);
}

#[test]
fn every_description_connects_and_refreshes_as_far_as_data_goes() {
    let all = connector::names();
    for name in DELIVERIES.iter().chain(&REFRESH) {
        assert!(all.contains(name), "the suite has no case {name}");
    }
    let (mut total, mut failures) = (0, Vec::new());
    for row in PROVIDERS {
        let has_refresh = !WITHOUT_REFRESH_TOKEN.contains(&row.name);
        let mut skipped = DELIVERIES.to_vec();
        if !has_refresh {
            skipped.extend(REFRESH);
        }
        let outcome = (row.run)(&skipped);
        let refresh = outcome.applied.iter().filter(|it| REFRESH.contains(it));
        let refresh = refresh.count();
        println!(
            "{}: {} cases applied, {refresh} of them about refreshing; {} failed; hooks {:?}",
            row.name,
            outcome.applied.len(),
            outcome.failed.len(),
            row.hooks
        );
        let least = if ADOPTED.contains(&row.name) { 3 } else { 25 };
        assert!(outcome.applied.len() >= least, "{}", row.name);
        let expected = !ADOPTED.contains(&row.name) && has_refresh;
        assert_eq!(
            refresh,
            if expected { REFRESH.len() } else { 0 },
            "{}",
            row.name
        );
        total += outcome.applied.len() - outcome.failed.len();
        failures.extend(
            outcome
                .failed
                .iter()
                .map(|case| format!("{}: {case}", row.name)),
        );
    }
    println!("cases of the connector suite passed by data alone: {total}");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(total > 16 * 25);
}

#[test]
fn a_credential_from_elsewhere_leads_to_its_account() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut adopted = Vec::new();
    for row in PROVIDERS {
        let description = description(row);
        let rule = description.identity.as_ref().unwrap();
        let IdentitySource::Endpoint(_) = rule.source() else {
            continue;
        };
        runtime.block_on(async {
            let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
            let authority = Authority::of(&description)
                .start(clock.clone())
                .await
                .unwrap();
            let account = authority.accounts()[0].key().to_owned();
            let (token, _) = authority.issue(&account, &[]).unwrap();
            let origin = Origin::of(&description.api[0].url("").unwrap()).unwrap();
            let connector = GenericConnector::new(description.clone()).unwrap();
            let (app, transport) = (authority.app(), authority.server().transport());
            let cx = Context::new(&app, &*transport, &clock);
            let credential = |token: secrecy::SecretString| {
                Credential::new(CredentialKind::ApiKey, origin.clone(), token, clock.now())
            };
            let identity = connector.identify(&cx, &credential(token)).await.unwrap();
            assert_eq!(identity.account.key.as_str(), account, "{}", row.name);
            let wrong = credential("a-wrong-token".into());
            let error = connector.identify(&cx, &wrong).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized, "{}", row.name);
        });
        adopted.push(row.name);
    }
    println!(
        "adopted credentials identified: {} {adopted:?}",
        adopted.len()
    );
    assert!(ADOPTED.iter().all(|name| adopted.contains(name)));
}

#[test]
fn schemes_are_those_whose_published_signatures_are_tested() {
    let tested: Value = serde_json::from_str(include_str!(
        "../../../crates/connector-core/tests/it/schemes/schemes.json"
    ))
    .unwrap();
    let tested: Vec<&Value> = tested.as_object().unwrap().values().collect();
    let mut schemes = 0;
    for row in PROVIDERS {
        let described: Value = serde_json::from_str(row.text).unwrap();
        let Some(scheme) = described.get("webhook") else {
            continue;
        };
        // The provider's file decides the account of a delivery. The other fields decide
        // signatures.
        let deciding = |scheme: &Value| {
            let mut members = scheme.as_object().unwrap().clone();
            members.remove("account_key");
            members
        };
        let is_known = tested.iter().any(|it| deciding(it) == deciding(scheme));
        assert!(is_known, "{}: no such scheme is tested", row.name);
        schemes += 1;
    }
    println!("webhook schemes of the descriptions that are tested: {schemes}");
    assert!(schemes >= 14);
}

#[test]
fn a_delivery_names_a_composite_account_by_the_key_that_its_connection_has() {
    const SECRET: &str = "a-webhook-secret";
    let row = PROVIDERS.iter().find(|row| row.name == "stripe").unwrap();
    let connector = GenericConnector::new(description(row)).unwrap();
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    let clock = ManualClock::new(now);
    let key = AppKey::default();
    let app = App::new("client").with_webhook_secret(SECRET);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for (body, account) in [
        (
            r#"{"id":"evt_1","type":"payout.paid","account":"acct_1","livemode":true}"#,
            Some("acct_1:true"),
        ),
        (
            r#"{"id":"evt_2","type":"payout.paid","account":"acct_1","livemode":false}"#,
            Some("acct_1:false"),
        ),
        // An event of the platform, not of an account.
        (
            r#"{"id":"evt_3","type":"payout.paid","livemode":true}"#,
            None,
        ),
    ] {
        let signed = format!("{}.{body}", now.as_unix_seconds());
        let mac = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let digits = hex::encode(hmac::sign(&mac, signed.as_bytes()));
        let header = format!("t={},v1={digits}", now.as_unix_seconds());
        let request = http::Request::post("https://app.example/hooks")
            .header("stripe-signature", header)
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        let transport = NoTransport;
        let cx = Context::new(&app, &transport, &clock);
        let endpoint = WebhookEndpoint::of_app(&key);
        let incoming = runtime
            .block_on(connector.verify_webhook(&cx, &endpoint, &request))
            .unwrap();
        let Incoming::Accept { events, .. } = incoming else {
            panic!("not a delivery: {incoming:?}");
        };
        let key = account.map(|key| AccountHint::Key(AccountKey::new(key).unwrap()));
        assert_eq!(events[0].account, key);
        assert!(account.is_none() || events[0].is_signed(SignedField::Account));
    }
}

/// A transport that fails every request, because verification must not send any.
#[derive(Debug)]
struct NoTransport;

#[async_trait::async_trait]
impl HttpTransport for NoTransport {
    async fn send(&self, _: OutboundRequest) -> Result<http::Response<Bytes>, TransportError> {
        panic!("a verification sent a request")
    }
}

#[test]
fn a_plain_provider_with_its_conformance_test_has_fewer_than_sixty_lines() {
    let lines = include_str!("plain.rs").lines().count();
    println!("lines of a plain provider with its conformance test: {lines}");
    assert!((10..60).contains(&lines));
}
