//! Migration of tokens that do not expire, with a hub.

use std::time::Duration;

use connector_core::{ErrorKind, ReauthorizationReason, Status};
use connector_hub::Migration;
use connector_shopify::endpoints::GetShop;
use connector_shopify::sim::{Fault, Route, SimulatedShop};
use connector_shopify::{ShopDomain, Shopify};
use secrecy::ExposeSecret as _;

use crate::rig::{Rig, context};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_connection_is_migrated_when_asked_and_only_then() {
    let rig = Rig::new().await;
    let key = rig.adopt_without_expiry(&rig.shop).await;
    let old = rig.token(&key).await.unwrap();
    rig.clock.advance(30 * DAY);
    rig.work().await;
    let same = rig.token(&key).await.unwrap();
    assert_eq!(same.expose_secret(), old.expose_secret());
    assert_eq!(
        rig.sim.count(Route::Token),
        0,
        "adoption and refresh never migrate"
    );

    let dry = rig.hub.migrate(&key, context()).dry_run().await.unwrap();
    assert!(matches!(dry, Migration::Needed));
    assert_eq!(rig.sim.count(Route::Token), 0);

    let done = rig.hub.migrate(&key, context()).await.unwrap();
    let Migration::Migrated(connection) = done else {
        panic!("{done:?}");
    };
    assert_eq!(connection.key(), &key, "the connection keeps its id");
    assert_eq!(rig.sim.count(Route::Token), 1);
    let new = rig.token(&key).await.unwrap();
    assert_ne!(new.expose_secret(), old.expose_secret());
    rig.client(&key).await.send(&GetShop::new()).await.unwrap();

    // The new token is refreshed like any other.
    rig.clock.advance(2 * HOUR);
    rig.client(&key).await.send(&GetShop::new()).await.unwrap();
    assert_eq!(rig.sim.count(Route::Token), 2);
    let again = rig.hub.migrate(&key, context()).await.unwrap();
    assert!(matches!(again, Migration::NotNeeded));
    assert_eq!(rig.sim.count(Route::Token), 2);
}

#[tokio::test]
async fn a_lost_response_is_repeated_with_the_old_token() {
    let rig = Rig::new().await;
    let key = rig.adopt_without_expiry(&rig.shop).await;
    // One lost response: the same call repeats the request.
    rig.sim.fault(Route::Token, Fault::DropAfter);
    let done = rig.drive(async { rig.hub.migrate(&key, context()).await });
    assert!(matches!(done.await.unwrap(), Migration::Migrated(_)));
    assert_eq!(rig.sim.count(Route::Token), 2);
    rig.client(&key).await.send(&GetShop::new()).await.unwrap();
}

/// All responses of one run are lost. The connection keeps the old token, which Shopify no longer
/// accepts, and a run within seven days still succeeds.
#[tokio::test]
async fn a_migration_is_resumed_within_seven_days_and_refused_after_them() {
    let (mut resumed, mut refused) = (0, 0);
    for (wait, is_late) in [
        (Duration::ZERO, false),
        (HOUR, false),
        (6 * DAY + 23 * HOUR, false),
        (7 * DAY, true),
    ] {
        let rig = Rig::new().await;
        let key = rig.adopt_without_expiry(&rig.shop).await;
        for fault in [
            Fault::DropAfter,
            Fault::Truncate,
            Fault::answer(502, "<html>"),
        ] {
            rig.sim.fault(Route::Token, fault);
        }
        let lost = rig
            .drive(async { rig.hub.migrate(&key, context()).await })
            .await;
        assert_ne!(lost.unwrap_err().kind(), ErrorKind::NeedsReauthorization);
        rig.clock.advance(wait);
        // The hourly test notices that the old token is dead. The migration does not depend on it.
        rig.work().await;
        let outcome = rig
            .drive(async { rig.hub.migrate(&key, context()).await })
            .await;
        if is_late {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NeedsReauthorization);
            let status = rig.connection(&key).await.status;
            assert!(
                matches!(status, Status::NeedsReauthorization(_)),
                "{status:?}"
            );
            refused += 1;
        } else {
            assert!(
                matches!(outcome.unwrap(), Migration::Migrated(_)),
                "{wait:?}"
            );
            assert_eq!(rig.connection(&key).await.status, Status::Connected);
            rig.client(&key).await.send(&GetShop::new()).await.unwrap();
            resumed += 1;
        }
    }
    println!("migrations resumed: {resumed}, refused after seven days: {refused}");
    assert_eq!((resumed, refused), (3, 1));
}

#[tokio::test]
async fn a_connection_that_shopify_already_refuses_is_migrated() {
    let rig = Rig::new().await;
    let key = rig.adopt_without_expiry(&rig.shop).await;
    rig.sim.accept_non_expiring_tokens(false);
    rig.clock.advance(2 * HOUR);
    rig.work().await;
    let reason = ReauthorizationReason::NonExpiringToken;
    let status = rig.connection(&key).await.status;
    assert_eq!(status, Status::NeedsReauthorization(reason));
    let done = rig
        .drive(async { rig.hub.migrate(&key, context()).await })
        .await;
    assert!(matches!(done.unwrap(), Migration::Migrated(_)));
    assert_eq!(rig.connection(&key).await.status, Status::Connected);
    rig.client(&key).await.send(&GetShop::new()).await.unwrap();
}

#[tokio::test]
async fn all_connections_are_migrated_in_runs_that_can_stop_anywhere() {
    const SHOPS: usize = 12;
    let shop = |number: usize| ShopDomain::parse(&format!("shop-{number}")).unwrap();
    let rig = Rig::with(
        |sim| {
            (0..SHOPS).fold(sim, |sim, at| {
                sim.with_shop(SimulatedShop::new(shop(at)).with_products(1))
            })
        },
        |config| config,
    )
    .await;
    for at in 0..SHOPS {
        rig.adopt_without_expiry(&shop(at)).await;
    }
    // A shop with an expiring token, and one whose owner has removed the app.
    rig.sim.uninstall(&shop(3)).unwrap();
    let dry = rig.hub.migrate_all(Shopify::ID, context()).dry_run().await;
    let dry = dry.unwrap();
    assert_eq!((dry.checked, dry.needed.len()), (SHOPS as u64, SHOPS));
    assert_eq!(rig.sim.count(Route::Token), 0, "a dry run sends nothing");

    let (mut after, mut migrated, mut failed, mut runs) = (None, 0, 0, 0);
    loop {
        let mut run = rig.hub.migrate_all(Shopify::ID, context()).with_limit(5);
        if let Some(cursor) = after {
            run = run.after(cursor);
        }
        let report = rig.drive(async { run.await }).await.unwrap();
        migrated += report.migrated.len();
        for (_, error) in report.failed {
            assert_eq!(error.kind(), ErrorKind::NeedsReauthorization);
            failed += 1;
        }
        runs += 1;
        after = report.next;
        if after.is_none() {
            break;
        }
    }
    println!("connections migrated: {migrated}, refused: {failed}, runs: {runs}");
    assert_eq!((migrated, failed, runs), (SHOPS - 1, 1, 3));
    let rest = rig.hub.migrate_all(Shopify::ID, context()).dry_run().await;
    assert_eq!(rest.unwrap().needed.len(), 1);
}
