//! Reconnects: existing connections keep their id, and nothing is lost.

use std::time::Duration;

use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, ConnectionRecord, End, EndRequest, Fence,
    Patch, SideEffects, TokenStore, UpdateOutcome,
};
use connector_core::{
    ConnectionKey, ErrorKind, Event, ReauthorizationReason, Result, Retry, Status,
};
use connector_hub::Connected;
use connector_testkit::kill::{Action, KillPoints};
use secrecy::ExposeSecret;

use crate::flows::revocations_due;
use crate::provider::Fault;
use crate::rig::{ACME, Rig, SHOP, cookie};

async fn secret(rig: &Rig, key: &ConnectionKey) -> String {
    let token = rig.other_hub().access_token(key).await.unwrap();
    token.secret().expose_secret().to_owned()
}

async fn claim(rig: &Rig, connection: &ConnectionRecord, hold: u64) -> Fence {
    let request = ClaimRequest {
        claim_id: ClaimId::from_bytes([9; 16]),
        grant: connection.grant,
        seen: connection.generation,
        kind: ClaimKind::Refresh,
        hold: Duration::from_secs(hold),
        confirmed: None,
    };
    match rig.store.claim(&connection.key, request).await.unwrap() {
        ClaimOutcome::Granted { fence, .. } => fence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reconnect_keeps_the_id_and_starts_a_new_grant() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let before = secret(&rig, &known.key).await;
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let connected = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(connected.key(), &known.key);
    let renewed = rig.stored(connected.key()).await.connection;
    assert_eq!(renewed.grant, known.grant.next());
    assert_eq!(renewed.generation, known.generation.next());
    assert_ne!(secret(&rig, &known.key).await, before);
    // Both processes return the new token, although this one had cached the old one.
    let here = rig.hub.access_token(&known.key).await.unwrap();
    assert_eq!(
        here.secret().expose_secret(),
        secret(&rig, &known.key).await
    );
    assert!(rig.stored(&known.key).await.claim.is_none());
    let account = known.account.key.clone();
    assert_eq!(
        rig.events().await.last(),
        Some(&Event::Reconnected { account })
    );
}

#[tokio::test]
async fn connecting_the_same_account_again_is_a_reconnect() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let again = rig.connect("t1", "account-1").await;
    assert_eq!(again.key, known.key);
    assert_eq!(again.grant, known.grant.next());
    let other = rig.connect("t1", "account-2").await;
    assert_ne!(other.key, known.key);
    assert_eq!(rig.connections().await.len(), 2);
    assert!(rig.stored(&known.key).await.claim.is_none());
}

#[tokio::test]
async fn another_account_is_refused_and_the_old_credential_kept() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let before = secret(&rig, &known.key).await;
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-2");
    let refused = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.retry()),
        (ErrorKind::CallbackRefused, Retry::Never)
    );
    let again = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(again.message(), refused.message());
    assert_eq!(secret(&rig, &known.key).await, before);
    assert!(rig.stored(&known.key).await.claim.is_none());
    assert_eq!(
        revocations_due(&rig).await,
        std::slice::from_ref(&known.key),
        "nobody else has account-2"
    );
    let reason = "other_account".to_owned();
    assert_eq!(
        rig.events().await.last(),
        Some(&Event::ConnectFailed { reason, code: None })
    );

    // A revocation would end another tenant's live connection to that account, so there is none.
    let theirs = rig.connect("t2", "account-3").await;
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-3");
    let _ = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(rig.store.revocations(&known.key).await.unwrap().len(), 1);
    assert!(rig.store.revocations(&theirs.key).await.unwrap().is_empty());
}

#[tokio::test]
async fn fewer_scopes_than_required_are_refused_and_the_old_credential_kept() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let before = secret(&rig, &known.key).await;
    rig.provider.grant_only("write");
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let refused = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    assert_eq!(secret(&rig, &known.key).await, before);
    assert!(
        revocations_due(&rig).await.is_empty(),
        "the old grant shares it"
    );
    assert!(rig.stored(&known.key).await.claim.is_none());
}

#[tokio::test]
async fn a_refresh_that_is_under_way_is_waited_for_before_the_code_is_sent() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let fence = claim(&rig, &known, 30).await;
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let load = tokio::spawn(
        rig.hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .into_future(),
    );
    rig.clock.wait_for_sleepers(1).await;
    assert_eq!(rig.provider.token_calls(), 1, "that of the first connect");
    let connected = rig.run(load).await.unwrap().unwrap();
    let renewed = rig.stored(connected.key()).await.connection;
    assert_eq!(renewed.grant, known.grant.next());
    assert!(renewed.fence > fence);
    assert_eq!(rig.provider.token_calls(), 2);
}

#[tokio::test]
async fn a_claim_that_never_comes_free_ends_the_flow_before_the_code_is_sent() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    claim(&rig, &known, 3600).await;
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let load = rig.hub.callback(ACME, &query, cookie(&begun)).unbound();
    let refused = rig.run(load.into_future()).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.retry()),
        (ErrorKind::Conflict, Retry::Never)
    );
    assert_eq!(rig.provider.token_calls(), 1);
    let again = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_failed_exchange_gives_the_claim_back_unless_it_may_have_happened() {
    let faults = [
        (Fault::NotSent, false),
        (Fault::Status(401), false),
        (Fault::ResponseLost, true),
        (Fault::Status(500), true),
    ];
    for (fault, stands) in faults {
        let rig = Rig::new();
        let known = rig.connect("t1", "account-1").await;
        let before = secret(&rig, &known.key).await;
        let begun = rig.begin_again(&known.key).await;
        let query = rig.provider.consent(begun.url(), "account-1");
        rig.provider.fail_token(fault);
        let _ = rig
            .hub
            .callback(ACME, &query, cookie(&begun))
            .unbound()
            .await
            .unwrap_err();
        let stored = rig.stored(&known.key).await;
        assert_eq!(stored.claim.is_some(), stands, "{fault:?}");
        assert_eq!(stored.connection.status, Status::Connected, "{fault:?}");
        assert_eq!(secret(&rig, &known.key).await, before, "{fault:?}");
    }
}

/// Some providers return the refresh token of the first consent for a second one.
#[tokio::test]
async fn a_known_grant_changes_only_the_account_data() {
    let rig = Rig::new();
    rig.provider
        .keep_refresh_token("account-1", "refresh-lasting");
    let known = rig.connect("t1", "account-1").await;
    let dead = Patch {
        status: Some(Status::NeedsReauthorization(
            ReauthorizationReason::GrantRevoked,
        )),
        label: Some("old".to_owned()),
        ..Patch::default()
    };
    let patched = rig
        .store
        .update(&known.key, known.version, dead, SideEffects::none())
        .await;
    assert!(matches!(patched.unwrap(), UpdateOutcome::Updated(_)));
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let connected = rig
        .hub
        .callback(ACME, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let record = rig.stored(connected.key()).await.connection;
    assert_eq!(
        (record.grant, record.generation),
        (known.grant, known.generation)
    );
    assert_eq!(
        connected.account.label.as_deref(),
        Some("Name of account-1")
    );
    assert_eq!(connected.status, Status::Connected);
    let stored = rig.stored(&known.key).await;
    assert!(stored.claim.is_none());
    let state = rig.state_of(&begun).await;
    assert!(rig.store.quarantined(&state).await.unwrap().is_none());
}

#[tokio::test]
async fn a_connection_that_was_disconnected_can_be_connected_again() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let end = EndRequest {
        how: End::Deactivate,
        at: None,
        revoke: Vec::new(),
        unsubscribe: None,
    };
    rig.store
        .end(&known.key, end, SideEffects::none())
        .await
        .unwrap();
    let again = rig.connect("t1", "account-1").await;
    assert_eq!(again.key, known.key);
    assert_eq!(again.status, Status::Connected);
}

/// The owner disconnects during a reconnect. The late response is only revoked.
#[tokio::test]
async fn a_response_for_a_connection_that_ended_meanwhile_is_revoked() {
    for how in [End::Deactivate, End::Forget] {
        let rig = Rig::new();
        let known = rig.connect("t1", "account-1").await;
        let begun = rig.begin_again(&known.key).await;
        let query = rig.provider.consent(begun.url(), "account-1");
        rig.provider.close_identity();
        let load = tokio::spawn(
            rig.hub
                .callback(ACME, &query, cookie(&begun))
                .unbound()
                .into_future(),
        );
        rig.provider.identity_requests(2).await;
        let end = EndRequest {
            how,
            at: None,
            revoke: Vec::new(),
            unsubscribe: None,
        };
        rig.store
            .end(&known.key, end, SideEffects::none())
            .await
            .unwrap();
        rig.provider.open();
        let refused = rig.run(load).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{how:?}");
        assert!(
            rig.connections().await.iter().all(|it| !it.is_live()),
            "{how:?}"
        );
        assert_eq!(revocations_due(&rig).await.len(), 1, "{how:?}");
    }
}

/// A known host is claimed before the code is sent, even without `reconnect`.
#[tokio::test]
async fn an_account_that_is_known_by_its_host_is_claimed_first() {
    let rig = Rig::new();
    let begun = rig.begin_shop("t1", "acme").await;
    let query = rig.provider.consent(begun.url(), "shop-1");
    let known = rig
        .hub
        .callback(SHOP, &query, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let begun = rig.begin_shop("t1", "acme").await;
    let query = rig.provider.consent(begun.url(), "shop-1");
    rig.provider.close_token();
    let load = tokio::spawn(
        rig.hub
            .callback(SHOP, &query, cookie(&begun))
            .unbound()
            .into_future(),
    );
    rig.provider.token_requests(2).await;
    let claim = rig
        .stored(known.key())
        .await
        .claim
        .expect("the connection is claimed");
    assert_eq!(claim.kind, ClaimKind::Exchange);
    rig.provider.open();
    let again = rig.run(load).await.unwrap().unwrap();
    assert_eq!(again.key(), known.key());
    assert!(rig.stored(known.key()).await.claim.is_none());
}

/// After a single lost call or response at any point, the connection has its old or its new grant.
#[tokio::test]
async fn after_any_single_failed_call_a_reconnect_leaves_a_grant() {
    let counting = KillPoints::counting();
    let (_, outcome) = reconnect_at(&counting).await;
    assert!(outcome.is_ok());
    let (mut renewed, mut kept) = (0, 0);
    for point in 1..=counting.passed() {
        let points = KillPoints::at(point, Action::Fail);
        let (rig, outcome) = reconnect_at(&points).await;
        let fired = points.fired();
        assert!(fired.is_some(), "point {point} was passed");
        let [connection] = &rig.connections().await[..] else {
            panic!("one connection")
        };
        let stored = rig.stored(&connection.key).await;
        assert!(stored.current.is_some(), "{fired:?}");
        assert_eq!(rig.provider.reused_codes(), 0, "{fired:?}");
        if outcome.is_ok() {
            renewed += 1;
            assert_eq!(connection.grant.get(), 2, "{fired:?}");
            assert!(stored.claim.is_none(), "{fired:?}");
        } else {
            kept += 1;
            assert_eq!(connection.grant.get(), 1, "{fired:?}");
            let sent = rig.provider.token_calls() == 2;
            assert!(
                !sent || fired.unwrap().operation == "http.send",
                "{fired:?}"
            );
        }
    }
    println!(
        "single failures: {} points, {renewed} renewed, {kept} kept",
        renewed + kept
    );
    assert!(renewed > 0 && kept > 0);
}

async fn reconnect_at(points: &KillPoints) -> (Rig, Result<Connected>) {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let begun = rig.begin_again(&known.key).await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let hub = rig.hub_at(points);
    let mut loads = 0;
    loop {
        let outcome = rig
            .run(
                hub.callback(ACME, &query, cookie(&begun))
                    .unbound()
                    .into_future(),
            )
            .await;
        loads += 1;
        match outcome {
            Err(error) if error.retry() == Retry::Backoff && loads < 3 => {}
            outcome => return (rig, outcome),
        }
    }
}
