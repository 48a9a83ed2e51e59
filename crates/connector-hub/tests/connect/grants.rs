//! Grants with more than one access token: regions, siblings, pasted refresh tokens, and accounts
//! that are only in the token response or in the callback.

use std::fmt::Write as _;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::Clock;
use connector_core::http::Origin;
use connector_core::provider::oauth;
use connector_core::provider::oauth::{CodeExchange, ExchangeError, Identity, TokenResponse};
use connector_core::provider::{Connector, Context, Description, GenericConnector};
use connector_core::store::{TokenStore, WorkKind};
use connector_core::{
    Account, AccountKey, AppSource, CorrelationId, Credential, CredentialKind, ErrorKind, Event,
    RequestContext, Retry,
};
use connector_hub::{Authorization, Hub};
use connector_testkit::kill::KillPoints;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::provider::{Fault, query};
use crate::rig::{ACME, Rig, SHOP, TEAM, acme, cookie, parameter, tenant, user};

/// The deviations of Slack and Amazon combined: a user's grant beside the bot's, a region, and a
/// seller that is only in the callback.
#[derive(Debug)]
pub(crate) struct Team(GenericConnector);

impl Team {
    pub(crate) fn new(plain: GenericConnector) -> Self {
        Self(plain)
    }
}

#[async_trait]
impl Connector for Team {
    fn description(&self) -> &Description {
        self.0.description()
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        self.0.app_source()
    }

    async fn exchange_code(
        &self,
        cx: &Context<'_>,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        let mut answer = oauth::exchange_code(self.description(), cx, exchange).await?;
        if exchange.parameters.get("marketplace").map(String::as_str) == Some("DE") {
            answer = answer.with_origin(Origin::parse("https://eu.team.example").unwrap());
        }
        let seller = exchange.callback.and_then(|it| it.get("seller"));
        if let Some(seller) = seller {
            let account = Account::asserted(AccountKey::new(seller).unwrap());
            answer = answer.with_identity(Identity::new(account));
        }
        if let Some(token) = answer.pointer::<String>("/authed_user/access_token") {
            let id: String = answer.pointer("/authed_user/id").unwrap();
            let account = Account::identified(AccountKey::new(format!("user-{id}")).unwrap());
            let user = TokenResponse::new(token)
                .with_scopes(vec!["search".to_owned()])
                .with_identity(Identity::new(account));
            answer = answer.with_sibling(user);
        }
        if let Some(url) = answer.pointer::<String>("/incoming_webhook/url") {
            let account = Account::identified(AccountKey::new("hook-1").unwrap());
            let hook = TokenResponse::new(url)
                .with_kind(CredentialKind::SecretUrl)
                .with_identity(Identity::new(account));
            answer = answer.with_sibling(hook);
        }
        Ok(answer)
    }
}

fn response() -> serde_json::Value {
    json!({
        "app_id": "A1", "team": { "id": "T1", "name": "Acme" },
        "authed_user": { "id": "U1", "access_token": "user-token-1" },
        "incoming_webhook": { "url": "https://na.team.example/hook/secret" },
    })
}

async fn begin(rig: &Rig) -> Authorization {
    let begin = rig.hub.authorize(&tenant("t1"), TEAM).actor(user("ann"));
    begin.begin().await.unwrap()
}

/// Returns the callback's query, with the code under this provider's parameter name.
fn callback_query(rig: &Rig, begun: &Authorization, more: &str) -> String {
    let query = rig.provider.consent(begun.url(), "T1");
    query.replace("code=", "team_code=") + more
}

async fn finish(hub: &Hub, rig: &Rig, query: &str, begun: &Authorization) -> Vec<String> {
    let load = hub.callback(TEAM, query, cookie(begun)).unbound();
    let connected = rig.run(load.into_future()).await;
    drop(connected);
    let mut accounts: Vec<String> = rig
        .connections()
        .await
        .into_iter()
        .map(|it| it.account.key.as_str().to_owned())
        .collect();
    accounts.sort();
    accounts
}

#[tokio::test]
async fn several_grants_of_one_response_become_connections_of_their_own() {
    let rig = Rig::new();
    rig.provider.answer_with(response());
    let begun = begin(&rig).await;
    let query = callback_query(&rig, &begun, "");
    let connected = rig
        .hub
        .callback(TEAM, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(connected.account.key.as_str(), "T1");
    assert_eq!(connected.account.label.as_deref(), Some("Acme"));
    let siblings: Vec<&str> = connected
        .siblings()
        .iter()
        .map(|it| it.account.key.as_str())
        .collect();
    assert_eq!(siblings, ["user-U1", "hook-1"]);
    for (key, secret) in [
        (connected.siblings()[0].key(), "user-token-1"),
        (
            connected.siblings()[1].key(),
            "https://na.team.example/hook/secret",
        ),
    ] {
        let token = rig.hub.access_token(key).await.unwrap();
        assert_eq!(token.secret().expose_secret(), secret);
    }
    // The same grants lead to the same connections.
    let begun = begin(&rig).await;
    let query = callback_query(&rig, &begun, "");
    let again = rig
        .hub
        .callback(TEAM, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(again.key(), connected.key());
    assert_eq!(again.siblings()[0].key(), connected.siblings()[0].key());
    assert_eq!(rig.connections().await.len(), 3);
    // No request went to an identity endpoint: the response contained the accounts.
    assert_eq!(rig.provider.hosts().len(), 1);
}

/// The process dies at each call to store, cipher and network. Another process continues.
#[tokio::test]
async fn sibling_grants_survive_a_crash_between_them() {
    let counting = KillPoints::counting();
    let rig = Rig::new();
    rig.provider.answer_with(response());
    let begun = begin(&rig).await;
    let query = callback_query(&rig, &begun, "");
    finish(&rig.hub_at(&counting), &rig, &query, &begun).await;
    let points = counting.points();
    let kept = points
        .iter()
        .rposition(|it| it.operation == "token.quarantine")
        .unwrap();
    let (mut whole, mut over) = (0, 0);
    for number in 1..=counting.passed() {
        let rig = Rig::new();
        rig.provider.answer_with(response());
        let begun = begin(&rig).await;
        let query = callback_query(&rig, &begun, "");
        let dying = KillPoints::counting().with_observer(move |point| {
            assert!(point.number != number, "the process dies here");
        });
        finish(&rig.hub_at(&dying), &rig, &query, &begun).await;
        let mut accounts = Vec::new();
        for _ in 0..2 {
            accounts = finish(&rig.other_hub(), &rig, &query, &begun).await;
        }
        assert_eq!(rig.provider.reused_codes(), 0, "{number}");
        // From the quarantine on, nothing is lost. Before it, everything is lost: the code was not
        // exchanged, or its response died with the process.
        if number > kept as u64 {
            assert_eq!(
                accounts,
                ["T1", "hook-1", "user-U1"],
                "{number}: {points:?}"
            );
            whole += 1;
        } else {
            assert!(
                accounts.is_empty() || accounts.len() == 3,
                "{number}: {accounts:?}"
            );
            over += 1;
        }
    }
    println!("crashes among sibling grants: {whole} whole, {over} before the response was kept");
    assert!(whole > 10 && over > 0);
}

#[tokio::test]
async fn a_flow_has_parameters_scopes_and_a_region_of_its_own() {
    let rig = Rig::new();
    rig.provider
        .answer_with(json!({ "team": { "id": "T1" }, "app_id": "A1" }));
    let authorize = || rig.hub.authorize(&tenant("t1"), TEAM).actor(user("ann"));
    let begun = authorize()
        .parameter("marketplace", "DE")
        .scopes(["read", "orders"])
        .begin()
        .await
        .unwrap();
    assert_eq!(parameter(&begun, "marketplace"), "DE");
    assert_eq!(parameter(&begun, "scope"), "read orders");
    let query = callback_query(&rig, &begun, "&seller=A7");
    let connected = rig
        .hub
        .callback(TEAM, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let stored = rig.stored(connected.key()).await;
    assert_eq!(stored.connection.account.key.as_str(), "A7");
    assert!(
        stored.connection.account.asserted,
        "only the callback named it"
    );
    let token = rig.hub.access_token(connected.key()).await.unwrap();
    assert_eq!(token.origin().host(), "eu.team.example");
    assert_eq!(connected.scopes().granted, ["read", "orders"]);

    let mut refused = 0;
    for (name, value) in [
        ("state", "x"),
        ("redirect_uri", "https://evil.example"),
        ("unknown", "x"),
        ("marketplace", "D\nE"),
        ("marketplace", &"x".repeat(2049)),
    ] {
        let error = authorize()
            .parameter(name, value)
            .begin()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
        refused += 1;
    }
    println!("flow parameters refused: {refused}");
    // A standard provider accepts no flow parameters.
    let plain = rig.hub.authorize(&tenant("t1"), ACME).actor(user("ann"));
    assert!(plain.parameter("login_hint", "x").begin().await.is_err());
}

fn pasted(rig: &Rig, refresh_token: &str) -> Credential {
    let origin = Origin::parse("https://api.acme.example").unwrap();
    Credential::unissued(CredentialKind::OAuth, origin, rig.clock.now())
        .with_refresh_token(refresh_token.to_owned())
        .with_scopes(["read"])
}

#[tokio::test]
async fn a_pasted_refresh_token_is_renewed_identified_and_stored_and_a_wrong_one_stores_nothing() {
    for rotates in [false, true] {
        let rig = Rig::new();
        let adopt = |token: &str| {
            let credential = pasted(&rig, token);
            rig.hub
                .adopt(&tenant("t1"), ACME, credential)
                .actor(user("ann"))
        };
        let wrong = adopt("nonsense").await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Unauthorized);
        assert_eq!(wrong.code(), Some("invalid_grant"));
        assert!(wrong.to_string().contains("invalid_grant"), "{wrong}");
        assert!(rig.connections().await.is_empty());
        assert!(rig.events().await.is_empty(), "nothing is recorded");

        let token = rig.provider.refresh_token_of("account-1", rotates);
        let adopted = adopt(&token).await.unwrap();
        assert_eq!(adopted.account.key.as_str(), "account-1");
        assert_eq!(rig.provider.refreshes(), 2);
        let handed = rig.other_hub().access_token(adopted.key()).await.unwrap();
        assert!(!handed.secret().expose_secret().is_empty());
        assert_eq!(rig.provider.refreshes(), 2, "the token is good");
        rig.clock.advance(Duration::from_secs(3600));
        let renewed = rig.hub.access_token(adopted.key()).await.unwrap();
        assert_ne!(
            renewed.secret().expose_secret(),
            handed.secret().expose_secret()
        );
    }
}

/// A refresh that spends the pasted token stores its successor before anything else.
#[tokio::test]
async fn a_pasted_refresh_token_that_rotates_is_not_lost_when_the_account_cannot_be_read() {
    let rig = Rig::new();
    let token = rig.provider.refresh_token_of("account-1", true);
    for _ in 0..3 {
        rig.provider.fail_identity(Fault::Status(503));
    }
    let credential = pasted(&rig, &token);
    let adopt = rig
        .hub
        .adopt(&tenant("t1"), ACME, credential)
        .actor(user("ann"));
    let error = rig.run(adopt.into_future()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
    assert!(rig.connections().await.is_empty());
    rig.clock.advance(Duration::from_secs(121));
    let kept = rig
        .store
        .take_quarantined(10, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(kept.len(), 1, "the successor is in quarantine");
}

/// Kind 2: Google issues a refresh token only at the first consent.
#[tokio::test]
async fn a_new_grant_without_a_refresh_token_keeps_that_of_the_account() {
    let rig = Rig::new();
    let first = rig.connect("t1", "account-1").await;
    let before = rig.stored(first.key()).await;
    rig.provider.answer_with(json!({ "refresh_token": null }));
    let second = rig.connect("t1", "account-1").await;
    assert_eq!(
        (second.key(), second.grant),
        (first.key(), first.grant.next())
    );
    let stored = rig.stored(first.key()).await;
    assert!(stored.current.as_ref().unwrap().generation > before.current.unwrap().generation);
    // The refreshes of the worker and of callers need it. Otherwise the owner would have to
    // authorize again after an hour.
    let (_, kept) = rig.hub_credential(first.key()).await;
    assert!(kept.refresh_token().is_some());

    // One grant per account: the new one has ended the old one.
    let begun = rig.begin_shop("t1", "a").await;
    let query = rig.provider.consent(begun.url(), "shop-1");
    rig.provider.answer_with(json!({}));
    let shop = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    rig.provider.answer_with(json!({ "refresh_token": null }));
    let begun = rig.begin_shop("t1", "a").await;
    let query = rig.provider.consent(begun.url(), "shop-1");
    let again = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(again.key(), shop.key());
    let (_, kept) = rig.hub_credential(shop.key()).await;
    assert!(kept.refresh_token().is_none());
}

/// Values that a token response omits, in every rotation class.
#[tokio::test]
async fn what_a_new_grant_does_not_repeat_is_kept_while_the_old_one_lives_on() {
    let left_out = [
        json!({ "refresh_token": null }),
        json!({ "refresh_token": "" }),
        json!({ "refresh_token": null, "scope": null, "team": null }),
    ];
    let rotations = [
        json!("stable"),
        json!("old_tokens_live_on"),
        json!({ "grace": { "time": { "seconds": 3600 } } }),
        json!("strict"),
    ];
    let mut kept = 0;
    for rotation in rotations {
        for answer in &left_out {
            let rig = Rig::new();
            let mut described = acme();
            described.rotation = serde_json::from_value(rotation.clone()).unwrap();
            let token = described.token.as_mut().unwrap();
            token.response.keep.insert("team".into(), "/team".into());
            let hub = rig.hub_describing(described);
            let connect = async || {
                let begun = rig.begin("t1").await;
                let query = rig.provider.consent(begun.url(), "account-1");
                let load = hub.callback(ACME, &query, cookie(&begun));
                load.unbound().await.unwrap().key().clone()
            };
            rig.provider.answer_with(json!({ "team": "T1" }));
            let key = connect().await;
            let (_, before) = rig.hub_credential(&key).await;
            rig.provider.answer_with(answer.clone());
            // Twice: what was kept once is kept again.
            for _ in 0..2 {
                assert_eq!(connect().await, key);
                let (_, now) = rig.hub_credential(&key).await;
                let secrets = |it: &Credential| {
                    let text =
                        |it: Option<&SecretString>| it.map(|it| it.expose_secret().to_owned());
                    (text(it.refresh_token()), text(it.extra("team")))
                };
                assert!(secrets(&before).0.is_some() && secrets(&before).1.is_some());
                assert_eq!(secrets(&now), secrets(&before), "{rotation} {answer}");
                assert_eq!(now.scopes(), ["read", "write"]);
                assert_ne!(
                    now.secret().expose_secret(),
                    before.secret().expose_secret()
                );
                kept += 1;
            }
        }
    }
    println!("new grants that kept what their response left out: {kept}");
    assert_eq!(kept, 24);
}

/// The connection keeps no refresh token that the new grant cannot use.
#[tokio::test]
async fn the_refresh_token_of_another_client_or_of_a_dead_grant_is_not_kept() {
    let mut dropped = 0;
    for case in ["another client", "a dead grant", "a disconnected one"] {
        let rig = Rig::new();
        let first = rig.connect("t1", "account-1").await;
        let hub = match case {
            "another client" => rig.hub_of_app("client-2"),
            _ => rig.other_hub(),
        };
        match case {
            "a dead grant" => {
                // Its refresh token is unknown to the provider.
                rig.clock.advance(Duration::from_secs(3600));
                let dead = rig.run(hub.access_token(&first.key)).await;
                assert_eq!(dead.err().unwrap().kind(), ErrorKind::NeedsReauthorization);
            }
            "a disconnected one" => {
                let context = RequestContext::new(user("ann"), CorrelationId::default());
                hub.disconnect(&first.key, context).await.unwrap();
            }
            _ => {}
        }
        rig.provider.answer_with(json!({ "refresh_token": null }));
        let flow = hub.authorize(&tenant("t1"), ACME).actor(user("ann"));
        let begun = flow.begin().await.unwrap();
        let query = rig.provider.consent(begun.url(), "account-1");
        let load = hub.callback(ACME, &query, cookie(&begun)).unbound();
        let again = rig.run(load.into_future()).await.unwrap();
        let (_, credential) = rig.hub_credential(again.key()).await;
        assert!(credential.refresh_token().is_none(), "{case}");
        dropped += 1;
    }
    println!("refresh tokens that were not kept: {dropped}");
}

/// The interval between two reads of metadata is the described one.
#[tokio::test]
async fn the_described_interval_of_metadata_has_an_effect() {
    let intervals = [60, 3600, 86_400];
    for seconds in intervals {
        let rig = Rig::new();
        let mut described = acme();
        described.metadata_every = seconds;
        let hub = rig.hub_describing(described);
        let begun = rig.begin("t1").await;
        let query = rig.provider.consent(begun.url(), "account-1");
        let load = hub.callback(ACME, &query, cookie(&begun));
        let _ = load.unbound().await.unwrap();
        let due = async || {
            let kinds = [WorkKind::Metadata];
            let due = rig.store.take_due(&kinds, 10, Duration::ZERO).await;
            due.unwrap().len()
        };
        rig.clock.advance(Duration::from_secs(seconds / 2));
        assert_eq!(due().await, 0, "{seconds}");
        rig.clock.advance(Duration::from_secs(seconds));
        assert_eq!(due().await, 1, "{seconds}");
    }
    println!("intervals of metadata: {}", intervals.len());
}

/// The advice of each error fits its cause.
#[tokio::test]
async fn the_advice_about_an_account_that_cannot_be_read_can_help() {
    let page = "load the page again";
    let table = [
        (
            Fault::Status(403),
            ErrorKind::Forbidden,
            Retry::Never,
            "administrator",
        ),
        (
            Fault::Answer(403, r#"{"error":"insufficient_scope"}"#),
            ErrorKind::Forbidden,
            Retry::Never,
            "a scope",
        ),
        (
            Fault::Status(401),
            ErrorKind::Unauthorized,
            Retry::Never,
            "permissions",
        ),
        (
            Fault::Status(404),
            ErrorKind::UnexpectedResponse,
            Retry::Never,
            "description",
        ),
        (
            Fault::Answer(200, "<html>"),
            ErrorKind::UnexpectedResponse,
            Retry::Never,
            "description",
        ),
        (
            Fault::Status(429),
            ErrorKind::RateLimited,
            Retry::Backoff,
            page,
        ),
        (
            Fault::Status(503),
            ErrorKind::ProviderUnavailable,
            Retry::Backoff,
            page,
        ),
        (Fault::NotSent, ErrorKind::Network, Retry::Backoff, page),
    ];
    for (fault, kind, retry, advice) in table {
        let rig = Rig::new();
        let begun = rig.begin("t1").await;
        let query = rig.provider.consent(begun.url(), "account-1");
        for _ in 0..3 {
            rig.provider.fail_identity(fault);
        }
        let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
        let error = rig.run(load.into_future()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{fault:?}");
        assert!(error.message().contains(advice), "{fault:?}: {error}");
        let asks_to_load = error.message().contains(page);
        assert_eq!(asks_to_load, retry == Retry::Backoff, "{fault:?}: {error}");
    }
    println!("accounts that could not be read: {}", table.len());
}

/// Kind 19: loading the page again does not help.
#[tokio::test]
async fn a_forbidden_identity_ends_the_flow_and_names_who_can_correct_it() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    rig.provider.fail_identity(Fault::Status(403));
    let error = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Forbidden, Retry::Never)
    );
    assert!(error.message().contains("administrator"), "{error}");
    assert!(!error.message().contains("load the page again"));
    let reason = "identity_refused".to_owned();
    assert_eq!(
        rig.events().await,
        [Event::ConnectFailed { reason, code: None }]
    );
}

/// Kind 24: the provider's code is in the error, the log and the event. Its text is only in the
/// report.
#[tokio::test]
async fn a_callback_error_names_the_providers_code() {
    let codes = [
        ("invalid_request", Some("invalid_request")),
        ("a\"b\\c d", Some("abcd")),
        ("\u{7f}", None),
    ];
    for (code, shown) in codes {
        let rig = Rig::new();
        let begun = rig.begin("t1").await;
        let query = query(&[
            ("error", code),
            ("error_description", "Code challenge required."),
            ("state", &parameter(&begun, "state")),
            ("iss", crate::rig::ISSUER),
        ]);
        let error = rig
            .hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .await
            .unwrap_err();
        assert_eq!(error.code(), shown, "{code:?}");
        if let Some(shown) = shown {
            assert!(error.to_string().contains(shown), "{error}");
        }
        assert_eq!(
            error.report().contains("Code challenge required."),
            shown.is_some()
        );
        assert!(!format!("{error} {error:?}").contains("challenge required"));
        let again = rig.hub.callback(ACME, &query, cookie(&begun));
        let again = again.unbound().await.unwrap_err();
        assert_eq!(again.to_string(), error.to_string(), "a second load");
        let reason = "provider_error".to_owned();
        let code = shown.map(str::to_owned);
        assert_eq!(rig.events().await, [Event::ConnectFailed { reason, code }]);
    }
    println!("codes of callbacks: {}", codes.len());
}

/// Records the fields of log events.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut log = self.0.lock().unwrap();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                let _ = write!(log, "{field}={value:?} ");
            },
        );
        log.push('\n');
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// The error, the log and the event contain the provider's code. Only the report contains the
/// provider's description.
#[tokio::test]
async fn an_unknown_code_at_the_exchange_is_named() {
    let table = [
        (
            Fault::Answer(
                400,
                r#"{"error":"redirect_uri_mismatch","error_description":"It differs."}"#,
            ),
            "redirect_uri_mismatch",
        ),
        (
            Fault::Answer(
                200,
                r#"{"error":"bad_verification_code","error_description":"It differs."}"#,
            ),
            "bad_verification_code",
        ),
        (
            Fault::Answer(403, "error=consent_required&error_description=It+differs."),
            "consent_required",
        ),
        (
            Fault::Answer(
                400,
                r#"{"error":"a\"b c","error_description":"It differs."}"#,
            ),
            "abc",
        ),
    ];
    let count = table.len();
    for (fault, code) in table {
        let rig = Rig::new();
        let begun = rig.begin("t1").await;
        let query = rig.provider.consent(begun.url(), "account-1");
        rig.provider.fail_token(fault);
        let log = Log::default();
        let logging = tracing::subscriber::set_default(log.clone());
        let load = rig.hub.callback(ACME, &query, cookie(&begun));
        let error = load.unbound().await.unwrap_err();
        drop(logging);
        assert_eq!(error.code(), Some(code), "{error}");
        assert!(error.to_string().contains(code), "{error}");
        assert!(error.report().contains("It differs."), "{}", error.report());
        assert!(!format!("{error} {error:?}").contains("differs"));
        let reason = "code_refused".to_owned();
        let event = Event::ConnectFailed {
            reason,
            code: Some(code.to_owned()),
        };
        assert_eq!(rig.events().await, [event]);
        let again = rig.hub.callback(ACME, &query, cookie(&begun));
        let again = again.unbound().await.unwrap_err();
        assert_eq!(again.code(), Some(code), "a second load");
        let log = log.0.lock().unwrap().clone();
        assert!(log.contains(&format!("code=\"{code}\"")), "{log}");
        assert!(!log.contains("differs"), "{log}");
    }
    println!("codes at the exchange: {count}");
}

/// Equal account ids on two hosts are two accounts.
#[tokio::test]
async fn the_same_id_on_another_host_is_another_account() {
    let rig = Rig::new();
    let mut keys = Vec::new();
    for host in ["a", "b"] {
        let begun = rig.begin_shop("t1", host).await;
        let query = rig.provider.consent(begun.url(), "7");
        let connected = rig
            .hub
            .callback(SHOP, &query, cookie(&begun))
            .unbound()
            .await
            .unwrap();
        keys.push(connected.account.key.as_str().to_owned());
    }
    assert_eq!(keys, ["7@a.shop.example", "7@b.shop.example"]);
    assert_eq!(rig.connections().await.len(), 2);
}
