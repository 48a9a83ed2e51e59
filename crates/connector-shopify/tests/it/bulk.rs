//! Bulk operations: their rules, progress, results and failures.

use std::cell::RefCell;
use std::time::Duration;

use connector_core::ErrorKind;
use connector_core::provider::ProviderClient as _;
use connector_shopify::endpoints::{GetProduct, ListBulkOperations};
use connector_shopify::models::{BulkOperation, BulkStatus, ProductId};
use connector_shopify::sim::{Fault, Route};
use connector_shopify::{BulkOptions, Group, ShopifyClient};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::operations::{SCOPES, connected};
use crate::world::World;

const QUERY: &str = "{ products { edges { node { id title \
                     variants { edges { node { id sku price } } } } } } }";

#[derive(Debug, Deserialize)]
struct Product {
    id: String,
    title: String,
}

#[derive(Debug, Deserialize)]
struct Variant {
    #[serde(rename = "__parentId")]
    parent: String,
    sku: Option<String>,
}

impl World {
    fn run<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        connector_testkit::drive(&self.clock, Duration::from_millis(250), future)
    }

    async fn ended(&self, client: &ShopifyClient, query: &str) -> BulkOperation {
        let bulk = client.bulk();
        self.run(async {
            let started = bulk.query(query).await.unwrap();
            bulk.wait(started.id, |_| {}).await.unwrap()
        })
        .await
    }
}

#[tokio::test]
async fn a_query_is_followed_and_its_children_join_their_parents() {
    let (world, client) = connected(&SCOPES).await;
    let bulk = client.bulk();
    let states = RefCell::new(Vec::new());
    let ended = world
        .run(async {
            let started = bulk.query(QUERY).await.unwrap();
            assert_eq!(started.status, BulkStatus::Created);
            bulk.wait(started.id, |now| {
                states.borrow_mut().push(now.status.clone());
            })
            .await
            .unwrap()
        })
        .await;
    assert!(states.borrow().contains(&BulkStatus::Running), "{states:?}");
    assert_eq!(
        (ended.status.clone(), ended.root_object_count),
        (BulkStatus::Completed, 60)
    );
    let result = bulk.result(&ended).await.unwrap();
    let groups: Vec<Group<Product, Variant>> = result.groups().try_collect().await.unwrap();
    assert_eq!(groups.len(), 60);
    for Group {
        parent, children, ..
    } in &groups
    {
        assert_eq!(children.len(), 2, "{}", parent.title);
        assert!(
            children
                .iter()
                .all(|it| it.parent == parent.id && it.sku.is_some())
        );
    }
    let rows = bulk.result(&ended).await.unwrap().rows::<Value>();
    let rows: Vec<Value> = rows.try_collect().await.unwrap();
    assert_eq!(rows.len(), 180);
    let again = client.send(&ListBulkOperations::new()).await.unwrap().items;
    assert_eq!(again, [ended]);
}

#[tokio::test]
async fn queries_that_would_lose_data_are_refused_before_they_are_sent() {
    let (world, client) = connected(&SCOPES).await;
    let sent = world.sim.count(Route::Graphql);
    let edges = |inner: &str| format!("{{ edges {{ node {{ id {inner} }} }} }}");
    let deep = edges(&format!(
        "variants {}",
        edges(&format!("media {}", edges("")))
    ));
    let many: Vec<String> = (0..6)
        .map(|at| format!("a{at}: media {}", edges("")))
        .collect();
    let many = many.join(" ");
    let bad = [
        format!("{{ products {deep} }}"),
        format!("{{ products {} }}", edges(&many)),
        format!("{{ products {0} orders {0} }}", edges("")),
        "{ shop { name } }".to_owned(),
        "mutation { tagsAdd(id: \"x\", tags: []) { node { id } } }".to_owned(),
        "{ products { edges { node { id }".to_owned(),
    ];
    for query in &bad {
        let error = client.bulk().query(query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{query}");
    }
    let inputs = [json!({})];
    for mutation in [
        "{ shop { name } }",
        "mutation { a { b } c { d } }",
        "mutation {",
    ] {
        let error = client.bulk().mutation(mutation, &inputs).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{mutation}");
    }
    assert_eq!(world.sim.count(Route::Graphql), sent, "nothing was sent");
    println!(
        "bulk operations refused before they are sent: {}",
        bad.len() + 3
    );
}

#[tokio::test]
async fn five_run_at_once_and_the_sixth_waits() {
    let (world, client) = connected(&SCOPES).await;
    let bulk = client.bulk();
    for _ in 0..5 {
        bulk.query(QUERY).await.unwrap();
    }
    let impatient = bulk.clone().with_patience(Duration::ZERO);
    let error = impatient.query(QUERY).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.code(), Some("OPERATION_IN_PROGRESS"));
    let sixth = world.run(bulk.query(QUERY)).await.unwrap();
    let ended = world.run(bulk.wait(sixth.id, |_| {})).await.unwrap();
    assert_eq!(ended.status, BulkStatus::Completed);
}

#[tokio::test]
async fn a_mutation_runs_for_each_uploaded_input() {
    const MUTATION: &str = "mutation Tag($id: ID!, $tags: [String!]!) { \
                            tagsAdd(id: $id, tags: $tags) { userErrors { field message } } }";
    let (world, client) = connected(&SCOPES).await;
    let rows = world
        .ended(&client, "{ products { edges { node { id } } } }")
        .await;
    let rows = client.bulk().result(&rows).await.unwrap().rows::<Value>();
    let ids: Vec<String> = rows
        .map_ok(|row| row["id"].as_str().unwrap().to_owned())
        .try_collect()
        .await
        .unwrap();
    let mut inputs: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "id": id, "tags": ["mânecă / & ü", "sale"] }))
        .collect();
    inputs.push(json!({ "id": "gid://shopify/Product/1", "tags": ["x"] }));
    let bulk = client.bulk();
    let ended = world
        .run(async {
            let started = bulk.mutation(MUTATION, &inputs).await.unwrap();
            bulk.wait(started.id, |_| {}).await.unwrap()
        })
        .await;
    let lines = bulk.result(&ended).await.unwrap().rows::<Value>();
    let lines: Vec<Value> = lines.try_collect().await.unwrap();
    assert_eq!(lines.len(), 61);
    let refused = |line: &&Value| {
        let errors = line["data"]["tagsAdd"]["userErrors"].as_array();
        errors.is_some_and(|it| !it.is_empty())
    };
    assert_eq!(lines.iter().filter(refused).count(), 1);
    let id: ProductId = ids[7].parse().unwrap();
    let product = client.send(&GetProduct::new(id)).await.unwrap();
    assert!(
        product.tags.iter().any(|it| it == "mânecă / & ü"),
        "{:?}",
        product.tags
    );
    let nothing: [Value; 0] = [];
    let error = bulk.mutation(MUTATION, &nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn an_operation_is_cancelled_and_an_empty_one_has_no_objects() {
    let (world, client) = connected(&SCOPES).await;
    let bulk = client.bulk();
    let started = bulk.query(QUERY).await.unwrap();
    let error = bulk.result(&started).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "it has not ended");
    bulk.cancel(started.id).await.unwrap();
    let ended = world.run(bulk.wait(started.id, |_| {})).await.unwrap();
    assert_eq!(ended.status, BulkStatus::Canceled);
    let error = bulk.result(&ended).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Truncated, Some("CANCELED"))
    );

    let ended = world
        .ended(&client, "{ collections { edges { node { id } } } }")
        .await;
    assert_eq!(
        (ended.status.clone(), ended.url.is_none()),
        (BulkStatus::Completed, true)
    );
    let rows: Vec<Value> = bulk
        .result(&ended)
        .await
        .unwrap()
        .rows()
        .try_collect()
        .await
        .unwrap();
    assert!(rows.is_empty());
}

/// Skipping a failed operation loses data silently. The part is read, and reported as a part.
#[tokio::test]
async fn a_part_of_a_failed_result_is_read_and_reported() {
    let (world, client) = connected(&SCOPES).await;
    world
        .sim
        .fail_bulk(&world.shop, "INTERNAL_SERVER_ERROR", Some(31))
        .unwrap();
    let ended = world.ended(&client, QUERY).await;
    assert_eq!(ended.status, BulkStatus::Failed);
    let result = client.bulk().result(&ended).await.unwrap();
    let rows: Vec<_> = result.groups::<Product, Variant>().collect().await;
    let (error, groups) = rows.split_last().unwrap();
    assert_eq!(
        (groups.len(), groups.iter().filter(|it| it.is_ok()).count()),
        (11, 11)
    );
    let error = error.as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Truncated, Some("INTERNAL_SERVER_ERROR"))
    );
    world.sim.fail_bulk(&world.shop, "TIMEOUT", None).unwrap();
    let ended = world.ended(&client, QUERY).await;
    let error = client.bulk().result(&ended).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Truncated, Some("TIMEOUT"))
    );
}

#[tokio::test]
async fn a_dropped_download_is_resumed_and_bounds_hold() {
    let (world, client) = connected(&SCOPES).await;
    let ended = world.ended(&client, QUERY).await;
    let bulk = client.bulk();
    for _ in 0..3 {
        world.sim.fault(Route::BulkResult, Fault::Truncate);
        let before = world.sim.count(Route::BulkResult);
        let rows = world.run(async {
            let rows = bulk.result(&ended).await.unwrap().rows::<Value>();
            rows.try_collect::<Vec<Value>>().await.unwrap()
        });
        assert_eq!(rows.await.len(), 180, "each line once");
        assert_eq!(world.sim.count(Route::BulkResult) - before, 2);
    }
    let kind = async |options: BulkOptions| {
        let result = bulk.result_with(&ended, options).await?;
        let groups = result.groups::<Product, Variant>();
        groups.try_collect::<Vec<_>>().await.map(drop)
    };
    for options in [
        BulkOptions::new().with_longest_line(20),
        BulkOptions::new().with_longest_group(200),
        BulkOptions::new().with_longest(1000),
    ] {
        assert!(kind(options).await.is_err());
    }
    // A type that does not fit is an error without the data.
    let rows = bulk.result(&ended).await.unwrap().rows::<u64>();
    let error = rows.try_collect::<Vec<u64>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert!(!error.report().contains("Teapot"));
    assert!(client.session().link("https://evil.example/x").is_err());
}
