//! Tests of connect, identification and revocation with faults at the strict provider.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::{ErrorKind, Status};
use connector_testkit::proxy::Fault;

use crate::loss::{DEADLINE, Dice, Truth, kind, truth};
use crate::openid::Strict;

/// Returns faults from a seed until every kind has occurred.
fn one_of_each(seed: u64) -> Vec<Fault> {
    let dice = Dice::new(seed);
    let mut of_kind = BTreeMap::new();
    for _ in 0..2000 {
        let fault = dice.fault();
        of_kind.insert(kind(fault, DEADLINE), fault);
    }
    assert_eq!(of_kind.len(), 14);
    of_kind.into_values().collect()
}

#[tokio::test]
async fn a_code_whose_exchange_is_lost_is_not_sent_again_and_leaves_nothing_behind() {
    let Some(strict) = Strict::new().await else {
        return;
    };
    let stage = &strict.stage;
    let known = strict.connect("wire-known").await;
    let mut connected = 0;
    let mut refused = 0;
    for fault in one_of_each(7) {
        for account in ["wire-known", "wire-new"] {
            let is_known = account == "wire-known";
            let count = strict.connections().await;
            assert_eq!(count, 1, "the known one");
            let before = strict.openid.ledger(account).await.unwrap().exchanges;
            let begun = strict.begin(account).await;
            let injected = stage.proxy.inject(stage.token, fault);
            let load = strict.call_back(&begun);
            let first = stage.pace.drive(&[&injected], DEADLINE, load).await;
            stage.pace.advance(Duration::from_secs(30));
            stage
                .pace
                .drive(&[&injected], 3 * DEADLINE, injected.over())
                .await;
            let again = stage
                .pace
                .drive(&[], DEADLINE, strict.call_back(&begun))
                .await;
            let truth = truth(fault, DEADLINE);
            let after = strict.openid.ledger(account).await.unwrap().exchanges;
            let asked = (
                after.accepted - before.accepted,
                after.refused - before.refused,
            );
            let acted = u64::from(truth != Truth::Untouched);
            assert_eq!(asked, (acted, 0), "{fault:?}: the code went out once");
            let is_connected = truth == Truth::Answered;
            match (first, again) {
                (Ok(first), Ok(again)) if is_connected => {
                    assert_eq!(first.key, again.key);
                    assert_eq!(first.key == known, is_known);
                    connected += 1;
                }
                (Err(first), Err(again)) if !is_connected => {
                    // Both loads of the page have the same outcome.
                    assert_eq!(first.kind(), again.kind(), "{fault:?}");
                    assert_ne!(first.kind(), ErrorKind::Bug, "{first}");
                    refused += 1;
                }
                other => panic!("{fault:?}: {other:?}"),
            }
            // Nothing is partly stored, neither now nor after a round of the worker.
            stage.pace.advance(Duration::from_mins(10));
            stage
                .pace
                .drive(&[], DEADLINE, stage.hub.worker().tick())
                .await
                .unwrap();
            let expected = 1 + usize::from(is_connected && !is_known);
            assert_eq!(strict.connections().await, expected, "{fault:?}");
            // A previously connected account works, under either grant.
            assert_eq!(stage.connection(&known).await.status, Status::Connected);
            let refresh = stage.hub.refresh(&known, Strict::context());
            stage.pace.drive(&[], DEADLINE, refresh).await.unwrap();
            if is_connected && !is_known {
                strict.forget("wire-new").await;
            }
        }
    }
    println!("code exchanges with faults: {connected} connected, {refused} reported as refused");
    assert_eq!((connected, refused), (4, 24));
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_read_later_without_the_code() {
    let Some(strict) = Strict::new().await else {
        return;
    };
    let stage = &strict.stage;
    let (mut at_once, mut later) = (0, 0);
    for fault in one_of_each(8) {
        // The first load of the page includes three attempts.
        for faults in [1, 3] {
            let account = "wire-identify";

            let before = strict.openid.ledger(account).await.unwrap().exchanges;
            let begun = strict.begin(account).await;
            let arrives = truth(fault, DEADLINE) == Truth::Answered;
            let met = if arrives { 1 } else { faults };
            let injected: Vec<_> = (0..met).map(|_| stage.proxy.inject("/me", fault)).collect();
            let injected: Vec<_> = injected.iter().collect();
            let load = strict.call_back(&begun);
            let first = stage.pace.drive(&injected, DEADLINE, load).await;
            let key = if arrives || faults == 1 {
                at_once += 1;
                first.unwrap().key.clone()
            } else {
                first.unwrap_err();
                later += 1;
                let again = strict.call_back(&begun);
                let again = stage.pace.drive(&injected, DEADLINE, again).await;
                again.unwrap().key.clone()
            };
            assert_eq!(stage.proxy.unmet(), 0, "{fault:?}");
            let after = strict.openid.ledger(account).await.unwrap().exchanges;
            assert_eq!(after.accepted - before.accepted, 1, "{fault:?}");
            assert_eq!(after.refused, 0, "{fault:?}: the code went out once");
            let token = stage.hub.access_token(&key).await.unwrap();
            assert!(strict.openid.is_active(token.secret()).await.unwrap());
            assert_eq!(strict.connections().await, 1);
        }
    }
    println!("accounts read with faults: {at_once} at once, {later} with the second load");
    assert!(at_once > 0 && later > 0);
}

#[tokio::test]
async fn a_revocation_that_meets_a_fault_is_delivered_later() {
    let Some(strict) = Strict::new().await else {
        return;
    };
    let stage = &strict.stage;
    let (mut revoked, mut requests) = (0, 0);
    for fault in one_of_each(9) {
        if kind(fault, DEADLINE) == "truncate in the body" {
            // The response has no body.
            continue;
        }
        let account = "wire-revoke";
        let key = strict.connect(account).await;
        let token = stage.hub.access_token(&key).await.unwrap().into_secret();
        let before = strict.openid.ledger(account).await.unwrap().revocations;
        stage.hub.disconnect(&key, Strict::context()).await.unwrap();
        // The connection is unusable at once, independently of the provider.
        let refused = stage.hub.access_token(&key).await.map(drop);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
        let injected = stage.proxy.inject("/token/revocation", fault);
        for _ in 0..4 {
            let tick = stage.hub.worker();
            let tick = stage.pace.drive(&[&injected], DEADLINE, tick.tick()).await;
            tick.unwrap();
            stage.pace.advance(Duration::from_hours(1));
        }
        stage
            .pace
            .drive(&[&injected], DEADLINE, injected.over())
            .await;
        assert!(!strict.openid.is_active(&token).await.unwrap(), "{fault:?}");
        let asked = strict.openid.ledger(account).await.unwrap().revocations - before;
        // A repeated revocation is harmless; a missing revocation is not.
        let expected = match truth(fault, DEADLINE) {
            Truth::Untouched | Truth::Answered => 1,
            Truth::Lost => 2,
        };
        assert_eq!(asked, expected, "{fault:?}");
        assert_eq!(stage.connection(&key).await.status, Status::Disconnected);
        revoked += 1;
        requests += asked;
    }
    println!("revocations with faults: {revoked} delivered, in {requests} requests");
    assert_eq!(revoked, 13);
}
