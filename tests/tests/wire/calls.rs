//! Tests of API calls with faults in requests and responses.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::{ErrorKind, Retry};
use connector_shopify::ShopifyClient;
use connector_shopify::endpoints::{CreateWebhookSubscription, GetShop, ListWebhookSubscriptions};
use connector_shopify::sim::Route;
use futures_util::TryStreamExt;

use crate::loss::{Dice, Truth, kind, truth};
use crate::shopify::Shop;

const GRAPHQL: &str = "/admin/api/2026-10/graphql.json";
/// The deadline of a call.
const DEADLINE: Duration = Duration::from_secs(30);

async fn subscriptions(client: &ShopifyClient) -> usize {
    let all = client.pages(ListWebhookSubscriptions::new()).items();
    all.try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test]
async fn a_mutation_whose_response_is_lost_is_not_repeated() {
    const CASES: u64 = 60;
    let shop = Shop::new().await;
    let stage = &shop.stage;
    let key = shop.connect().await;
    let client: ShopifyClient = stage.hub.client(&key).await.unwrap();
    let mut rows = BTreeMap::<_, usize>::new();
    let mut expected = 0;
    for seed in 5_000_000..5_000_000 + CASES {
        let fault = Dice::new(seed).fault();
        let injected = stage.proxy.inject(GRAPHQL, fault);
        let before = shop.sim.count(Route::Graphql);
        let uri = format!("https://service.example/{seed}");
        let create = CreateWebhookSubscription::new("PRODUCTS_UPDATE", uri);
        let call = client.send(&create);
        let outcome = stage.pace.drive(&[&injected], DEADLINE, call).await;
        // A delayed response arrives when its time has come.
        stage
            .pace
            .drive(&[&injected], DEADLINE, injected.over())
            .await;
        let truth = truth(fault, DEADLINE);
        let acted = usize::from(truth != Truth::Untouched);
        assert_eq!(shop.sim.count(Route::Graphql) - before, acted, "{fault:?}");
        match outcome {
            Ok(_) => assert_eq!(truth, Truth::Answered, "{fault:?}"),
            Err(error) => {
                assert_ne!(truth, Truth::Answered, "{fault:?}: {error}");
                // The outcome is unknown, and the error tells the caller so.
                assert_eq!(error.retry(), Retry::Never, "{fault:?}: {error}");
            }
        }
        expected += acted;
        assert_eq!(subscriptions(&client).await, expected, "{fault:?}");
        *rows.entry((kind(fault, DEADLINE), truth)).or_default() += 1;
        stage.pace.advance(Duration::from_secs(30));
    }
    for ((fault, truth), count) in &rows {
        println!("mutation: {fault}: {count} {truth:?}, none repeated");
    }
    println!("mutations: {CASES}, {expected} carried out, each once");
    assert!(rows.len() >= 10 && expected > 0);
}

#[tokio::test]
async fn a_query_is_repeated_within_its_attempts() {
    const CASES: u64 = 40;
    /// Maximum number of attempts per call by default.
    const ATTEMPTS: usize = 4;
    let (mut answered, mut exhausted, mut sent) = (0, 0, 0);
    for seed in 6_000_000..6_000_000 + CASES {
        // A separate shop, because all calls of a shop share the retry budget.
        let shop = Shop::new().await;
        let stage = &shop.stage;
        let key = shop.connect().await;
        let client: ShopifyClient = stage.hub.client(&key).await.unwrap();
        let dice = Dice::new(seed);
        let count = usize::try_from(dice.within(1, 5)).unwrap();
        let faults: Vec<_> = (0..count).map(|_| dice.fault()).collect();
        let arrives = |fault| truth(fault, DEADLINE) == Truth::Answered;
        let attempt = faults.iter().position(|fault| arrives(*fault));
        let attempt = attempt.unwrap_or(count) + 1;
        let faults = &faults[..attempt.min(ATTEMPTS).min(count)];
        let injected: Vec<_> = faults
            .iter()
            .map(|fault| stage.proxy.inject(GRAPHQL, *fault))
            .collect();
        let injected: Vec<_> = injected.iter().collect();
        let call = async { client.send(&GetShop::new()).await };
        let outcome = stage.pace.drive(&injected, DEADLINE, call).await;
        match outcome {
            Ok(_) => {
                assert!(attempt <= ATTEMPTS, "case {seed}: {faults:?}");
                answered += 1;
            }
            Err(error) => {
                assert!(attempt > ATTEMPTS, "case {seed}: {faults:?}: {error}");
                assert_eq!(error.retry(), Retry::Exhausted, "{error}");
                assert!(
                    matches!(error.kind(), ErrorKind::Network | ErrorKind::Timeout),
                    "{error}"
                );
                exhausted += 1;
            }
        }
        sent += attempt.min(ATTEMPTS);
        // The call met all faults, so the number of attempts is right. A remaining fault would
        // affect this call.
        assert_eq!(stage.proxy.unmet(), 0, "case {seed}");
        for injected in injected {
            stage
                .pace
                .drive(&[injected], DEADLINE, injected.over())
                .await;
        }
    }
    println!("queries: {CASES} sent {sent} times, {answered} answered, {exhausted} gave up");
    assert!(answered > 0 && exhausted > 0);
}
