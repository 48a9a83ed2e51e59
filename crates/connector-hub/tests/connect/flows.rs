//! Flows that lead to a connection, for any number of page loads and any failure.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::KeyId;
use connector_core::store::{Maintenance, TokenStore, WorkKind};
use connector_core::{ConnectionKey, ErrorKind, Event, Retry, Status};
use connector_hub::Authorization;
use connector_testkit::kill::{Action, KillPoints};
use secrecy::ExposeSecret;

use crate::provider::Fault;
use crate::rig::{ACME, Rig, SHOP, cookie, parameter, tenant, user};

#[tokio::test]
async fn a_connect_leads_to_a_connection_that_is_sealed_scheduled_and_audited() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    assert_eq!(parameter(&begun, "state").len(), 43);
    assert_eq!(begun.binding().expose_secret().len(), 43);
    assert_eq!(begun.expires_in(), Duration::from_secs(600));
    assert_eq!(parameter(&begun, "scope"), "read write");
    let shown = format!("{begun:?}");
    assert!(!shown.contains(begun.binding().expose_secret()));
    assert!(!shown.contains(&parameter(&begun, "state")));

    let query = rig.provider.consent(begun.url(), "account-1");
    let connected = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(connected.key().tenant, tenant("t1"));
    assert_eq!(connected.account.key.as_str(), "account-1");
    assert_eq!(
        connected.account.label.as_deref(),
        Some("Name of account-1")
    );
    assert_eq!(connected.status, Status::Connected);
    assert_eq!(connected.return_to(), Some("/done?x=1"));
    assert_eq!(connected.scopes().granted, ["read", "write"]);
    assert!(connected.scopes().missing.is_empty());
    assert_eq!(quarantined(&rig, &begun).await, 0);

    let token = rig.hub.access_token(connected.key()).await.unwrap();
    assert!(token.secret().expose_secret().ends_with("access-2"));
    assert_eq!(rig.provider.token_calls(), 1);
    let account = connected.account.key.clone();
    assert_eq!(rig.events().await, [Event::Connected { account }]);
    let audit = rig.audit_text().await;
    assert!(audit.contains("ann") && !audit.contains("access-") && !audit.contains("refresh-"));

    let kinds = [WorkKind::Refresh, WorkKind::Metadata, WorkKind::KeepAlive];
    assert!(
        rig.store
            .take_due(&kinds, 10, Duration::from_secs(1))
            .await
            .unwrap()
            .is_empty()
    );
    rig.clock.advance(Duration::from_secs(3600));
    let due = rig
        .store
        .take_due(&kinds, 10, Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(
        due.iter().map(|due| due.kind).collect::<Vec<_>>(),
        [WorkKind::Refresh, WorkKind::Metadata]
    );
    rig.clock.advance(Duration::from_secs(864_000 / 4 * 3));
    let due = rig
        .store
        .take_due(&[WorkKind::KeepAlive], 10, Duration::from_secs(1))
        .await;
    assert_eq!(due.unwrap().len(), 1);
}

async fn quarantined(rig: &Rig, begun: &Authorization) -> usize {
    let key = rig.state_of(begun).await;
    usize::from(rig.store.quarantined(&key).await.unwrap().is_some())
}

#[tokio::test]
async fn the_browsers_cookie_is_kept_for_its_next_connect() {
    let rig = Rig::new();
    let first = rig.begin("t1").await;
    let begin = || rig.hub.authorize(&tenant("t1"), ACME).actor(user("ann"));
    let second = begin().binding(cookie(&first)).begin().await.unwrap();
    assert_eq!(cookie(&first), cookie(&second));
    let third = begin().binding("not-one-of-ours").begin().await.unwrap();
    assert_ne!(cookie(&third), "not-one-of-ours");
    assert_ne!(cookie(&third), cookie(&first));
    let query = rig.provider.consent(first.url(), "account-1");
    let _ = rig
        .hub
        .callback(ACME, &query, cookie(&second))
        .unbound()
        .await
        .unwrap();
}

#[tokio::test]
async fn optional_scopes_that_are_missing_are_reported() {
    let rig = Rig::new();
    rig.provider.grant_only("read");
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let connected = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(connected.scopes().granted, ["read"]);
    assert_eq!(connected.scopes().missing, ["write"]);
}

#[tokio::test]
async fn required_scopes_that_are_missing_refuse_a_new_connection() {
    let rig = Rig::new();
    rig.provider.grant_only("write");
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let refused = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert_eq!(refused.retry(), Retry::Never);
    assert!(rig.connections().await.is_empty());
    // No other connection shares the grant, so it is revoked at the provider.
    assert_eq!(revocations_due(&rig).await.len(), 1);
    assert_eq!(quarantined(&rig, &begun).await, 0);
}

pub(crate) async fn revocations_due(rig: &Rig) -> Vec<ConnectionKey> {
    let due = rig
        .store
        .take_due(&[WorkKind::Revocation], 100, Duration::from_secs(1))
        .await;
    let mut keys = Vec::new();
    for due in due.unwrap() {
        for revocation in rig.store.revocations(&due.key).await.unwrap() {
            assert_eq!(revocation.key, due.key);
            keys.push(revocation.key);
        }
    }
    keys
}

#[tokio::test]
async fn thirty_two_loads_of_one_callback_are_one_exchange() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    rig.provider.close_token();
    let hubs = [rig.hub.clone(), rig.other_hub()];
    let loads: Vec<_> = (0..32)
        .map(|number: usize| {
            tokio::spawn(
                hubs[number % 2]
                    .callback(ACME, &query, cookie(&begun))
                    .unbound()
                    .into_future(),
            )
        })
        .collect();
    rig.provider.token_requests(1).await;
    rig.clock.wait_for_sleepers(31).await;
    rig.provider.open();
    let mut keys = Vec::new();
    for load in loads {
        keys.push(rig.run(load).await.unwrap().unwrap().key().clone());
    }
    keys.dedup();
    assert_eq!(keys.len(), 1, "one connection for all");
    assert_eq!(rig.connections().await.len(), 1);
    println!(
        "loads of one callback: 32, token calls: {}",
        rig.provider.token_calls()
    );
    assert_eq!(rig.provider.token_calls(), 1);
}

#[tokio::test]
async fn a_cancelled_caller_does_not_cancel_the_refresh() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    rig.provider.close_token();
    let load = tokio::spawn(
        rig.hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .into_future(),
    );
    rig.provider.token_requests(1).await;
    load.abort();
    assert!(load.await.unwrap_err().is_cancelled());
    rig.provider.open();
    let connected = rig
        .run(
            rig.hub
                .callback(ACME, &query, cookie(&begun))
                .unbound()
                .into_future(),
        )
        .await;
    assert_eq!(connected.unwrap().account.key.as_str(), "account-1");
    assert_eq!(rig.provider.token_calls(), 1);
}

/// Runs `until` beside a callback in a separate process, which then dies.
fn die<F: Future<Output = ()>>(rig: &Rig, begun: &Authorization, query: &str, until: F) {
    let process = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    process.block_on(async {
        let load = tokio::spawn(
            rig.other_hub()
                .callback(ACME, query, cookie(begun))
                .unbound()
                .into_future(),
        );
        until.await;
        assert!(!load.is_finished());
    });
}

#[test]
fn a_crash_before_the_account_is_known_is_made_up_for_from_quarantine() {
    let rig = Rig::new();
    let test = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let begun = test.block_on(rig.begin("t1"));
    let query = rig.provider.consent(begun.url(), "account-1");
    rig.provider.close_identity();
    die(&rig, &begun, &query, rig.provider.identity_requests(1));
    rig.provider.open();
    test.block_on(async {
        assert_eq!(quarantined(&rig, &begun).await, 1);
        assert!(rig.connections().await.is_empty());
        let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
        let connected = rig.run(load.into_future()).await.unwrap();
        assert_eq!(connected.account.key.as_str(), "account-1");
        assert_eq!(connected.return_to(), Some("/done?x=1"));
        assert_eq!(rig.provider.token_calls(), 1, "the code was not sent again");
        assert_eq!(quarantined(&rig, &begun).await, 0);
        let again = rig
            .hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .await
            .unwrap();
        assert_eq!(again.key(), connected.key());
    });
}

#[test]
fn a_crash_while_the_code_is_out_never_sends_it_again() {
    let rig = Rig::new();
    let test = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let begun = test.block_on(rig.begin("t1"));
    let query = rig.provider.consent(begun.url(), "account-1");
    rig.provider.close_token();
    die(&rig, &begun, &query, rig.provider.token_requests(1));
    rig.provider.open();
    test.block_on(async {
        for _ in 0..3 {
            let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
            let waiting = rig.run(load.into_future()).await.unwrap_err();
            assert_eq!(waiting.kind(), ErrorKind::Timeout);
            assert_eq!(waiting.retry(), Retry::Backoff);
        }
        // The request died with its process. Nothing was sent since.
        assert_eq!(rig.provider.token_calls(), 0);
        assert_eq!(rig.provider.reused_codes(), 0);
    });
}

#[tokio::test]
async fn an_account_that_cannot_be_read_stays_in_quarantine_for_the_next_load() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    for _ in 0..3 {
        rig.provider.fail_identity(Fault::Status(503));
    }
    let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
    let error = rig.run(load.into_future()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
    assert_eq!(error.retry(), Retry::Backoff);
    assert!(error.message().contains("load the page again"));
    assert_eq!(quarantined(&rig, &begun).await, 1);
    assert!(rig.connections().await.is_empty());
    let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
    let connected = rig.run(load.into_future()).await.unwrap();
    assert_eq!(connected.account.key.as_str(), "account-1");
    assert_eq!(rig.provider.token_calls(), 1);
    // A token that is not known to all servers yet is retried at once.
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-2");
    rig.provider.fail_identity(Fault::Status(401));
    rig.provider.fail_identity(Fault::NotSent);
    let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
    let _ = rig.run(load.into_future()).await.unwrap();
}

#[tokio::test]
async fn a_failed_exchange_ends_the_flow_and_says_why() {
    let faults = [
        (
            Fault::NotSent,
            ErrorKind::ProviderUnavailable,
            "provider_unavailable",
        ),
        (
            Fault::ResponseLost,
            ErrorKind::ProviderUnavailable,
            "exchange_unresolved",
        ),
        (
            Fault::Status(500),
            ErrorKind::ProviderUnavailable,
            "exchange_unresolved",
        ),
        (
            Fault::Status(401),
            ErrorKind::AppMisconfigured,
            "app_refused",
        ),
        (
            Fault::Status(429),
            ErrorKind::ProviderUnavailable,
            "provider_unavailable",
        ),
        (
            // An unreadable response is not a lost one.
            Fault::Status(200),
            ErrorKind::UnexpectedResponse,
            "unreadable_response",
        ),
    ];
    for (fault, kind, reason) in faults {
        let rig = Rig::new();
        let begun = rig.begin("t1").await;
        let query = rig.provider.consent(begun.url(), "account-1");
        rig.provider.fail_token(fault);
        let first = rig
            .hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .await
            .unwrap_err();
        assert_eq!(
            (first.kind(), first.retry()),
            (kind, Retry::Never),
            "{fault:?}"
        );
        let calls = rig.provider.token_calls();
        let again = rig
            .hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .await
            .unwrap_err();
        assert_eq!(again.kind(), kind, "{fault:?}");
        assert_eq!(rig.provider.token_calls(), calls, "{fault:?}");
        let reason = reason.to_owned();
        assert_eq!(
            rig.events().await,
            [Event::ConnectFailed { reason, code: None }]
        );
    }
}

/// The errors for an unreadable response and for a lost response differ.
#[tokio::test]
async fn an_unreadable_response_to_the_code_is_not_called_lost() {
    let unreadable = (ErrorKind::UnexpectedResponse, "could not be read");
    let lost = (ErrorKind::ProviderUnavailable, "was lost");
    let table = [
        (Fault::Answer(200, "<html>busy</html>"), unreadable),
        (Fault::Answer(200, r#"{"access_token":"a","#), unreadable),
        (Fault::Answer(200, r#"{"token_type":"bearer"}"#), unreadable),
        (Fault::Answer(200, "[]"), unreadable),
        (Fault::Answer(302, "<html>moved</html>"), unreadable),
        (Fault::ResponseLost, lost),
        (Fault::Status(500), lost),
        (Fault::Answer(502, "<html>bad gateway</html>"), lost),
        (Fault::Status(408), lost),
    ];
    for (fault, (kind, words)) in table {
        let rig = Rig::new();
        let begun = rig.begin("t1").await;
        let query = rig.provider.consent(begun.url(), "account-1");
        rig.provider.fail_token(fault);
        let load = || {
            rig.hub
                .callback(ACME, &query, cookie(&begun))
                .unbound()
                .into_future()
        };
        // Loading the page again gives the same answer.
        for _ in 0..2 {
            let error = load().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{fault:?}: {error}");
            assert!(error.message().contains(words), "{fault:?}: {error}");
            assert!(error.message().contains("provider's"), "{fault:?}: {error}");
        }
        assert_eq!(rig.provider.token_calls(), 1, "{fault:?}");
    }
    println!("responses to a code that brought no token: {}", table.len());
}

/// An application that passes the browser's cookie again has one cookie for all tabs.
#[tokio::test]
async fn connects_that_one_browser_begins_at_once_all_finish() {
    let mut finished = 0;
    for tabs in [2, 3, 5] {
        for is_reversed in [false, true] {
            let rig = Rig::new();
            let first = rig.begin("t1").await;
            let binding = cookie(&first);
            let mut begun = vec![(ACME, first)];
            for tab in 1..tabs {
                // Every other tab connects an account of another provider.
                let provider = if tab % 2 == 0 { ACME } else { SHOP };
                let flow = rig.hub.authorize(&tenant("t1"), provider.clone());
                let mut flow = flow.actor(user("ann")).binding(binding.clone());
                if provider == SHOP {
                    flow = flow.account(format!("shop-{tab}"));
                }
                let authorization = flow.begin().await.unwrap();
                // The cookie that a later tab sets is the one that is there already.
                assert_eq!(cookie(&authorization), binding);
                begun.push((provider, authorization));
            }
            if is_reversed {
                begun.reverse();
            }
            for (tab, (provider, authorization)) in begun.into_iter().enumerate() {
                let account = format!("account-{tab}");
                let query = rig.provider.consent(authorization.url(), &account);
                let load = rig.hub.callback(provider, &query, binding.clone());
                let connected = load.actor(user("ann")).await.unwrap();
                assert!(connected.account.key.as_str().starts_with(&account));
                finished += 1;
            }
            assert_eq!(rig.connections().await.len(), tabs);
        }
    }
    println!("connects of browsers with several tabs: {finished}");
    assert_eq!(finished, 20);
}

/// The store is unavailable when the response arrives. The response is kept in memory until the
/// store returns.
#[tokio::test]
async fn a_store_that_is_down_when_the_response_comes_loses_nothing() {
    let counting = KillPoints::counting();
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let _ = rig
        .hub_at(&counting)
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let quarantine = counting
        .points()
        .iter()
        .find(|p| p.operation == "token.quarantine")
        .copied();
    let number = quarantine.unwrap().number;

    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    // Each layer fails one call: the outermost one the first call, the next one its retry.
    let layers = [(); 4].map(|()| KillPoints::at(number, Action::Fail));
    let [first, second, third, fourth] = &layers;
    let store = fourth.wrap(Arc::new(rig.store.clone()));
    let store = second.wrap(Arc::new(third.wrap(Arc::new(store))));
    let hub = rig.hub_with(first.wrap(Arc::new(store)), rig.provider.clone());
    let load = hub.callback(ACME, &query, cookie(&begun)).unbound();
    let connected = rig.run(load.into_future()).await.unwrap();
    assert_eq!(connected.account.key.as_str(), "account-1");
    assert_eq!(rig.provider.token_calls(), 1);
    let failed = layers
        .iter()
        .filter(|layer| layer.fired().is_some())
        .count();
    println!("store calls failed: {failed}");
    assert_eq!(failed, layers.len());
}

/// A single call or response is lost at any point of store, cipher or network, and the page is
/// loaded again. Then there is one connection, or the flow has ended and can be started again. The
/// code is sent once.
#[tokio::test]
async fn after_any_single_failed_call_a_reload_ends_the_flow() {
    let counting = KillPoints::counting();
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let _ = rig
        .hub_at(&counting)
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let (mut connected, mut over) = (0, 0);
    for point in 1..=counting.passed() {
        let rig = Rig::new();
        let begun = rig.begin("t1").await;
        let query = rig.provider.consent(begun.url(), "account-1");
        let points = KillPoints::at(point, Action::Fail);
        let hub = rig.hub_at(&points);
        let mut outcome = None;
        for _ in 0..3 {
            let load = rig
                .run(
                    hub.callback(ACME, &query, cookie(&begun))
                        .unbound()
                        .into_future(),
                )
                .await;
            let again = matches!(&load, Err(error) if error.retry() == Retry::Backoff);
            outcome = Some(load);
            if !again {
                break;
            }
        }
        let fired = points.fired();
        assert!(fired.is_some(), "point {point} was passed");
        assert_eq!(rig.provider.reused_codes(), 0, "{fired:?}");
        match outcome.unwrap() {
            Ok(_) => {
                connected += 1;
                assert_eq!(rig.connections().await.len(), 1, "{fired:?}");
                assert_eq!(quarantined(&rig, &begun).await, 0, "{fired:?}");
            }
            Err(error) => {
                over += 1;
                assert!(rig.connections().await.is_empty(), "{fired:?}: {error}");
                // Only the network can lose a response of the provider.
                let known = ["http.send", "state.begin"];
                let operation = fired.unwrap().operation;
                assert!(known.contains(&operation), "{fired:?}: {}", error.report());
            }
        }
    }
    println!(
        "single failures: {} points, {connected} connected, {over} over",
        connected + over
    );
    assert!(connected > over && over > 0);
}

#[tokio::test]
async fn accounts_with_hosts_are_reached_at_their_own_host_only() {
    let rig = Rig::new();
    let begun = rig.begin_shop("t1", " Acme ").await;
    assert_eq!(begun.url().host_str(), Some("acme.shop.example"));
    let query = rig.provider.consent(begun.url(), "shop-1");
    let connected = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(connected.account.host.as_deref(), Some("acme.shop.example"));
    let hosts: Vec<_> = rig.provider.hosts().into_iter().collect();
    assert_eq!(hosts, ["acme.shop.example"]);
}

/// No secret is readable in the stored data.
#[tokio::test]
async fn nothing_secret_is_readable_in_the_store() {
    let rig = Rig::new();
    let open = rig.begin("t1").await;
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    for _ in 0..3 {
        rig.provider.fail_identity(Fault::Status(503));
    }
    let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
    let _ = rig.run(load.into_future()).await.unwrap_err();
    let _ = rig.connect("t1", "account-2").await;
    let none = KeyId::from_bytes([0; 8]);
    let rows = rig
        .store
        .sealed_rows(&none, None, 1000)
        .await
        .unwrap()
        .items;
    assert!(
        rows.len() >= 5,
        "states, a quarantined answer, a credential"
    );
    for row in &rows {
        let text = String::from_utf8_lossy(row.sealed.bytes());
        for secret in ["access-", "refresh-", "verifier", &cookie(&open), "account"] {
            assert!(!text.contains(secret), "{:?}", row.row);
        }
    }
}
