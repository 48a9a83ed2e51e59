//! Connecting, refreshing, migrating and uninstalling with the real connector and transport.
//!
//! The tests print the number of tested cases. To see it, run `cargo test -- --nocapture`.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::clock::{Clock as _, Timestamp};
use connector_core::http::Sent;
use connector_core::provider::Connector;
use connector_core::provider::oauth::{Callback, CallbackProblem, ExchangeClass};
use connector_core::{App, ErrorKind};
use connector_shopify::sim::{Consent, Fault, Route};
use connector_shopify::{Shopify, ShopifyConfig};
use serde_json::json;
use url::Url;

use crate::world::{World, text};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_shop_is_connected_identified_and_refreshed() {
    let world = World::new().await;
    let credential = world.connect().await;
    assert_eq!(credential.scopes(), ["read_products"]);
    let identity = world
        .shopify
        .identify(&world.cx(), &credential)
        .await
        .unwrap();
    assert_eq!(
        identity.account.key.as_str(),
        "gid://shopify/Shop/60000000001"
    );
    assert_eq!(identity.account.host.as_deref(), Some(world.shop.as_str()));
    assert!(!identity.account.asserted);
    let metadata = identity.metadata;
    assert_eq!(metadata.get::<String>("plan").as_deref(), Some("Basic"));
    assert_eq!(metadata.get::<f64>("cost_limit"), Some(2000.0));
    assert_eq!(
        metadata.get::<String>("api_version").as_deref(),
        Some("2026-10")
    );
    assert_eq!(
        metadata.get::<Vec<String>>("scopes").unwrap(),
        ["read_products"]
    );

    world.clock.advance(HOUR);
    let error = world
        .shopify
        .identify(&world.cx(), &credential)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let renewed = world.refresh(&credential).await.unwrap();
    assert_ne!(text(renewed.secret()), text(credential.secret()));
    world.shopify.identify(&world.cx(), &renewed).await.unwrap();
}

#[tokio::test]
async fn the_authorization_url_has_what_shopify_knows_and_nothing_else() {
    let world = World::new().await;
    let url = world.authorization_url("abc");
    assert_eq!(url.host_str(), Some(world.shop.as_str()));
    assert_eq!(url.path(), "/admin/oauth/authorize");
    let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let wanted = [
        ("client_id", world.app.client_id()),
        ("scope", "read_products"),
        ("redirect_uri", "https://app.example/callback"),
        ("state", "abc"),
    ];
    assert_eq!(
        pairs,
        wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
}

#[tokio::test]
async fn a_callback_is_good_for_90_seconds_in_both_directions() {
    let world = World::new().await;
    let callback = world.callback();
    world.clock.advance(Duration::from_secs(90));
    assert_eq!(world.check(&callback), Ok(()));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.check(&callback), Err(CallbackProblem::Stale));
    world
        .clock
        .set_wall(world.now().before(Duration::from_secs(91 + 90)));
    assert_eq!(world.check(&callback), Ok(()));
    world
        .clock
        .set_wall(world.now().before(Duration::from_secs(1)));
    assert_eq!(world.check(&callback), Err(CallbackProblem::Stale));
}

#[tokio::test]
async fn after_a_rotation_the_simulator_signs_with_the_new_secret() {
    let world = World::new().await;
    let _ = world.sim.authority().rotate_client_secret();
    let callback = world.callback();
    assert_eq!(
        world.check(&callback),
        Err(CallbackProblem::SignatureMismatch)
    );
    let app = world.sim.authority().app();
    let cx = connector_core::provider::Context::new(&app, &*world.transport, &world.clock);
    let shop = Some(world.shop.as_str());
    assert_eq!(world.shopify.check_callback(&cx, shop, &callback), Ok(()));
}

#[tokio::test]
async fn an_unsigned_denial_is_reported() {
    let world = World::new().await;
    let unsigned = Callback::parse("error=access_denied&state=state-1").unwrap();
    assert_eq!(world.check(&unsigned), Err(CallbackProblem::ConsentDenied));
    let unsigned = Callback::parse("code=c&state=state-1").unwrap();
    assert_eq!(
        world.check(&unsigned),
        Err(CallbackProblem::SignatureMismatch)
    );
}

#[tokio::test]
async fn the_app_url_is_verified_like_a_callback() {
    let world = World::new().await;
    let app_url = Url::parse("https://app.example/shopify/app").unwrap();
    let opened = world.sim.open_app(&world.shop, &app_url).unwrap();
    assert_eq!(opened.path(), "/shopify/app");
    let query = opened.query().unwrap().to_owned();
    let verify = |query: &str| world.shopify.verify_app_url(&world.app, world.now(), query);
    assert_eq!(verify(&query).unwrap(), world.shop);
    let error = verify(&query.replace("demo-shop", "other-shop")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallbackRefused);
    world.clock.advance(Duration::from_secs(91));
    let error = world
        .shopify
        .verify_app_url(&world.app, world.now(), &query)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CallbackRefused);
}

#[test]
fn a_published_app_url_is_verified() {
    // https://github.com/Shopify/shopify-api-js/issues/275
    let query = "hmac=c0ffe062d215a3fa772aa0985dbae97db17a4c1996dc3f94ee1ae2bb097614e8\
                 &shop=sqd-dev.myshopify.com&timestamp=1639749203";
    let at = |seconds: i64| Timestamp::from_unix_seconds(1_639_749_203 + seconds);
    let shopify = Shopify::new(ShopifyConfig::builder().build().unwrap());
    let app = App::new("client").with_client_secret("secret");
    let verify = |now, query: &str| shopify.verify_app_url(&app, now, query);
    assert_eq!(
        verify(at(0), query).unwrap().as_str(),
        "sqd-dev.myshopify.com"
    );
    let other_shop = query.replace("sqd-dev", "sqd-prod");
    let twice = format!("{query}&shop=sqd-dev.myshopify.com");
    let mut refused = 0;
    for (now, query) in [
        (at(91), query),
        (at(-91), query),
        (at(0), other_shop.as_str()),
        (at(0), twice.as_str()),
        (at(0), "shop=sqd-dev.myshopify.com&timestamp=1639749203"),
    ] {
        let error = verify(now, query).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackRefused, "{query}");
        refused += 1;
    }
    println!("published app URLs: 1 verified, {refused} changed ones refused");
}

#[tokio::test]
async fn granted_scopes_include_what_they_imply() {
    let world = World::new().await;
    let scopes = vec!["write_products".to_owned(), "read_orders".to_owned()];
    world
        .sim
        .decide(&world.shop, Consent::GrantOnly(scopes))
        .unwrap();
    let credential = world.connect().await;
    let wanted = ["write_products", "read_orders", "read_products"];
    assert_eq!(credential.scopes(), wanted);
    let renewed = world.refresh(&credential).await.unwrap();
    assert_eq!(renewed.scopes(), wanted);
}

#[tokio::test]
async fn a_code_is_good_for_a_minute() {
    let world = World::new().await;
    let late = world.callback();
    world.clock.advance(Duration::from_secs(60));
    let error = world.exchange(&late).await.unwrap_err();
    assert_eq!(
        (error.code(), error.sent()),
        (Some("invalid_request"), Sent::Answered)
    );
}

#[tokio::test]
async fn a_spent_refresh_token_works_until_its_successor_is_used() {
    let world = World::new().await;
    let first = world.connect().await;
    let lost = world.refresh(&first).await.unwrap();
    let second = world.refresh(&first).await.unwrap();
    assert_ne!(text(lost.secret()), text(second.secret()));
    // No token of the second pair has been used yet.
    let third = world.refresh(&first).await.unwrap();
    world.shopify.identify(&world.cx(), &third).await.unwrap();
    for dead in [&first, &lost, &second] {
        let error = world.refresh(dead).await.unwrap_err();
        assert_eq!(error.class(), ExchangeClass::DeadGrant);
    }
    let fourth = world.refresh(&third).await.unwrap();
    world.clock.advance(30 * DAY);
    assert_eq!(
        world.refresh(&third).await.unwrap_err().class(),
        ExchangeClass::DeadGrant,
        "the grace is bounded"
    );
    world.refresh(&fourth).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_runs_out_after_90_days() {
    let world = World::new().await;
    let credential = world.connect().await;
    world.clock.advance(Duration::from_secs(90 * 86_400 - 1));
    let renewed = world.refresh(&credential).await.unwrap();
    world.clock.advance(90 * DAY);
    let error = world.refresh(&renewed).await.unwrap_err();
    assert_eq!(error.class(), ExchangeClass::DeadGrant);
}

#[tokio::test]
async fn connecting_again_ends_the_chain_before() {
    let world = World::new().await;
    let first = world.connect().await;
    let second = world.connect().await;
    let error = world.refresh(&first).await.unwrap_err();
    assert_eq!(error.class(), ExchangeClass::DeadGrant);
    world.refresh(&second).await.unwrap();
}

#[tokio::test]
async fn a_refresh_that_went_wrong_loses_nothing() {
    let world = World::new().await;
    let credential = world.connect().await;
    let faults = [
        Fault::answer(400, r#"{"error":"invalid_request"}"#),
        Fault::answer(502, "<html>bad gateway</html>"),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Truncate,
    ];
    let count = faults.len();
    for fault in faults {
        world.sim.fault(Route::Token, fault);
        world.refresh(&credential).await.unwrap_err();
        // Whether or not Shopify processed the request, the same refresh token works.
        world.refresh(&credential).await.unwrap();
    }
    println!("refreshes repeated: {count}");
}

#[tokio::test]
async fn a_response_with_the_same_access_token_is_accepted() {
    let world = World::new().await;
    let credential = world.connect().await;
    let same = json!({ "access_token": text(credential.secret()), "scope": "read_products" });
    world
        .sim
        .fault(Route::Token, Fault::answer(200, same.to_string()));
    let answer = world
        .shopify
        .refresh(&world.cx(), &credential)
        .await
        .unwrap();
    assert_eq!(text(answer.access_token()), text(credential.secret()));
}

#[tokio::test]
async fn a_simulator_that_is_gone_was_certainly_not_reached() {
    let World {
        sim,
        shopify,
        transport,
        app,
        clock,
        shop,
    } = World::new().await;
    let old = Shopify::expiring_credential(&shop, "a", "r", clock.now(), clock.now()).unwrap();
    drop(sim);
    let cx = connector_core::provider::Context::new(&app, &*transport, &clock);
    // The listener ends asynchronously with its task.
    let error = loop {
        let error = shopify.refresh(&cx, &old).await.unwrap_err();
        if error.sent() == Sent::No {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(error.class(), ExchangeClass::Transient { after: None });
}

#[tokio::test]
async fn a_slow_response_is_waited_for() {
    let world = World::new().await;
    let credential = world.connect().await;
    world
        .sim
        .fault(Route::Token, Fault::Slow(Duration::from_secs(10)));
    let (renewed, ()) = tokio::join!(world.refresh(&credential), async {
        world.clock.wait_for_sleepers(1).await;
        world.clock.advance(Duration::from_secs(10));
    });
    renewed.unwrap();
}

#[tokio::test]
async fn a_token_that_does_not_expire_works_until_shopify_refuses_it_and_is_migrated() {
    let world = World::new().await;
    let token = world
        .sim
        .install_without_expiry(&world.shop, &["read_products"])
        .unwrap();
    let old = Shopify::non_expiring_credential(&world.shop, token, world.now()).unwrap();
    world.clock.advance(400 * DAY);
    world.shopify.identify(&world.cx(), &old).await.unwrap();
    let error = world.refresh(&old).await.unwrap_err();
    assert_eq!(error.sent(), Sent::No, "there is nothing to refresh with");

    world.sim.accept_non_expiring_tokens(false);
    let error = world.shopify.identify(&world.cx(), &old).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsReauthorization);
    assert!(error.message().contains("Hub::migrate"), "{error}");
    assert!(error.message().contains("non_expiring_token"), "{error}");

    world.sim.fault(Route::Token, Fault::DropAfter);
    world.migrate(&old).await.unwrap_err();
    let new = world.migrate(&old).await.unwrap();
    let same = world.migrate(&old).await.unwrap();
    assert_eq!(text(new.secret()), text(same.secret()));
    assert_eq!(new.expires_at(), Some(world.now().after(HOUR)));
    assert_eq!(new.refresh_expires_at(), Some(world.now().after(90 * DAY)));
    world.shopify.identify(&world.cx(), &new).await.unwrap();
    let error = world.shopify.identify(&world.cx(), &old).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Unauthorized,
        "there is no way back"
    );
    let renewed = world.refresh(&new).await.unwrap();
    world.shopify.identify(&world.cx(), &renewed).await.unwrap();
    let error = world.migrate(&old).await.unwrap_err();
    assert_eq!(
        error.class(),
        ExchangeClass::DeadGrant,
        "the pair has moved on"
    );
}

#[tokio::test]
async fn a_migration_can_be_repeated_for_seven_days() {
    let world = World::new().await;
    let token = world
        .sim
        .install_without_expiry(&world.shop, &["read_products"])
        .unwrap();
    let old = Shopify::non_expiring_credential(&world.shop, token, world.now()).unwrap();
    world.migrate(&old).await.unwrap();
    world.clock.advance(Duration::from_secs(7 * 86_400 - 1));
    let new = world.migrate(&old).await.unwrap();
    world.shopify.identify(&world.cx(), &new).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert!(world.migrate(&old).await.is_err());
}

#[tokio::test]
async fn an_adopted_pair_is_refreshed_like_any_other() {
    let world = World::new().await;
    let first = world.connect().await;
    let adopted = Shopify::expiring_credential(
        &world.shop,
        first.secret().clone(),
        first.refresh_token().unwrap().clone(),
        world.now(),
        world.now(),
    )
    .unwrap();
    assert_eq!(adopted.expires_at(), Some(world.now()));
    world.refresh(&adopted).await.unwrap();
}

#[tokio::test]
async fn uninstalling_on_disconnect_works_with_an_expired_token_and_twice() {
    let world = World::new().await;
    let config = ShopifyConfig::builder().with_uninstall_on_disconnect();
    let shopify = Shopify::new(config.build().unwrap());
    shopify.description().validate().unwrap();
    let credential = world.connect().await;
    world.clock.advance(2 * HOUR);
    shopify.revoke(&world.cx(), &credential).await.unwrap();
    assert!(!world.sim.is_installed(&world.shop).unwrap());
    let again = shopify.revoke(&world.cx(), &credential).await.unwrap_err();
    assert_eq!(again.class(), ExchangeClass::DeadGrant, "nothing is left");
}

#[tokio::test]
async fn the_simulator_shows_no_secrets() {
    let world = World::with(|builder| builder.with_mark("tell-nobody-")).await;
    let credential = world.connect().await;
    assert!(text(credential.secret()).contains("tell-nobody"));
    let shown = format!("{:?}", world.sim);
    assert!(!shown.contains("tell-nobody"), "{shown}");
}
