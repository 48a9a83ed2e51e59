//! Operations through hub, session, transport and simulator, including errors.

use std::time::Duration;

use connector_amazon_spapi::endpoints::*;
use connector_amazon_spapi::models::inventory::GranularityType;
use connector_amazon_spapi::models::listing::{
    Mode, Outcome, PatchListing, PatchOperation, PutListing, SubmissionStatus,
};
use connector_amazon_spapi::models::order::IncludedData;
use connector_amazon_spapi::models::order_v0::ConfirmShipmentBody;
use connector_amazon_spapi::models::price_v0::{
    GetItemOffersBatchRequest, ItemCondition, ItemType,
};
use connector_amazon_spapi::models::token::{RestrictedMethod, RestrictedResource};
use connector_amazon_spapi::sim::{Fault, SELLER};
use connector_amazon_spapi::{
    GrantlessClient, ListingCheck, Marketplace, Region, RestrictedClients, Verification,
};
use connector_core::ErrorKind;
use connector_core::api::Idempotency;
use connector_core::clock::Clock as _;
use futures_util::TryStreamExt as _;
use http::Method;
use serde_json::{Value, json};

use crate::rig::{Rig, tenant};

const US: &str = Marketplace::Us.id();
const ASIN: &str = "B000000001";

fn value(text: &str) -> serde_json::Map<String, Value> {
    json!({ "value": text }).as_object().unwrap().clone()
}

#[tokio::test]
async fn orders_are_searched_page_by_page_and_read_by_id() {
    let rig = Rig::new().await;
    for number in 4..=25 {
        rig.sim.add_order(
            SELLER,
            json!({
                "orderId": format!("900-0000000-{number:07}"),
                "createdTime": "2026-11-18T00:00:00Z", "lastUpdatedTime": "2026-11-19T00:00:00Z",
                "salesChannel": { "channelName": "AMAZON", "marketplaceId": US },
                "orderItems": [],
            }),
        );
    }
    let client = rig.client().await;
    let search = SearchOrders::new()
        .with_created_after("2026-11-01T00:00:00Z")
        .with_marketplace_ids([US])
        .with_max_results_per_page(10_u32);
    let whole = client.send(&Whole(search.clone())).await.unwrap();
    assert!(whole.created_before.is_some() && whole.pagination.is_some());
    let orders: Vec<_> = client.pages(search).items().try_collect().await.unwrap();
    let ids: std::collections::BTreeSet<_> = orders
        .iter()
        .filter_map(|it| it.order_id.as_ref())
        .collect();
    assert_eq!((orders.len(), ids.len()), (25, 25));
    assert!(
        orders.iter().all(|it| it.buyer.is_none()),
        "personal data is returned only on request"
    );
    let get = GetOrder::new("900-0000000-0000001").with_included_data([IncludedData::Buyer]);
    let order = client.send(&get).await.unwrap();
    assert!(order.buyer.is_some());
    // The rules of the time window are checked before a request is sent.
    let before = rig
        .sim
        .server()
        .count(&Method::GET, "/orders/2026-01-01/orders");
    for wrong in [
        SearchOrders::new(),
        SearchOrders::new()
            .with_created_after("a")
            .with_last_updated_after("b"),
        SearchOrders::new()
            .with_created_after("a")
            .with_last_updated_before("b"),
    ] {
        let error = client.send(&wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert_eq!(
        rig.sim
            .server()
            .count(&Method::GET, "/orders/2026-01-01/orders"),
        before
    );
    let error = client
        .send(&GetOrder::new("900-0000000-9999999"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::ProviderNotFound, Some("NotFound"))
    );
    assert!(error.request_id().is_some());
    println!("orders on three pages: {}", orders.len());
}

#[tokio::test]
async fn a_shipment_is_confirmed() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let body: ConfirmShipmentBody = serde_json::from_value(json!({
        "marketplaceId": US,
        "packageDetail": {
            "packageReferenceId": "1", "carrierCode": "FedEx", "trackingNumber": "T1",
            "shipDate": "2026-11-20T10:00:00Z", "orderItems": [{ "orderItemId": "1", "quantity": 1 }],
        },
    })).unwrap();
    client
        .send(&ConfirmShipment::new("900-0000000-0000001", &body))
        .await
        .unwrap();
    let get = GetOrder::new("900-0000000-0000001").with_included_data([IncludedData::Fulfillment]);
    let order = client.send(&get).await.unwrap();
    let status = order.fulfillment.unwrap().fulfillment_status.unwrap();
    assert_eq!(status.as_str(), "SHIPPED");
    let empty = ConfirmShipment::new("900-0000000-0000002", &ConfirmShipmentBody::default());
    let error = client.send(&empty).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, Some("InvalidInput"))
    );
}

#[tokio::test]
async fn a_write_is_unverified_until_it_is_read_back_and_a_preview_is_no_success() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let check = |sku: &str, name: &str| {
        ListingCheck::new(SELLER, sku, US)
            .with_attribute("item_name", vec![json!({ "value": name })])
    };
    let attributes = json!({ "item_name": [value("New name")] })
        .as_object()
        .unwrap()
        .clone();
    let put = PutListing::new("LUGGAGE", attributes);
    let preview =
        PutListingsItem::new(SELLER, "SKU-2", [US], &put).with_mode(Mode::ValidationPreview);
    let outcome = client.send(&preview).await.unwrap();
    assert!(matches!(outcome, Outcome::Previewed(_)) && !outcome.is_accepted());
    let bare = PutListing::new(
        "LUGGAGE",
        json!({ "brand": [value("x")] })
            .as_object()
            .unwrap()
            .clone(),
    );
    let outcome = client
        .send(&PutListingsItem::new(SELLER, "SKU-2", [US], &bare))
        .await
        .unwrap();
    let Outcome::Invalid(submission) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(submission.issues[0].code.as_deref(), Some("90220"));
    assert_eq!(submission.status, Some(SubmissionStatus::Invalid));
    assert_eq!(
        client
            .verify_listing(&check("SKU-2", "New name"))
            .await
            .unwrap(),
        Verification::Missing
    );
    let outcome = client
        .send(&PutListingsItem::new(SELLER, "SKU-2", [US], &put))
        .await
        .unwrap();
    assert!(outcome.is_accepted());
    assert_eq!(
        client
            .verify_listing(&check("SKU-2", "New name"))
            .await
            .unwrap(),
        Verification::Missing
    );
    rig.clock.advance(Duration::from_secs(120));
    let verified = client
        .verify_listing(&check("SKU-2", "New name"))
        .await
        .unwrap();
    assert!(
        matches!(
            verified,
            Verification::Applied {
                applied_at: Some(_)
            }
        ),
        "{verified:?}"
    );
    // A patch, and a patch of a SKU that does not exist, which Amazon accepts too.
    let patch = PatchListing::new("LUGGAGE")
        .with(PatchOperation::replace("item_name", vec![value("Third")]));
    for sku in ["SKU-2", "SKU-404"] {
        let outcome = client
            .send(&PatchListingsItem::new(SELLER, sku, [US], &patch))
            .await
            .unwrap();
        assert!(outcome.is_accepted(), "{sku}");
    }
    let unverified = client
        .verify_listing(&check("SKU-2", "Third"))
        .await
        .unwrap();
    assert!(
        matches!(unverified, Verification::Unverified { .. }),
        "{unverified:?}"
    );
    rig.clock.advance(Duration::from_secs(120));
    let verified = client
        .verify_listing(&check("SKU-2", "Third"))
        .await
        .unwrap();
    assert!(
        matches!(verified, Verification::Applied { .. }),
        "{verified:?}"
    );
    let missing = client
        .verify_listing(&check("SKU-404", "Third"))
        .await
        .unwrap();
    assert_eq!(missing, Verification::Missing);
    let nested =
        PatchListing::new("LUGGAGE").with(PatchOperation::replace("a/b", vec![value("x")]));
    for wrong in [nested, PatchListing::new("LUGGAGE")] {
        let error = client
            .send(&PatchListingsItem::new(SELLER, "SKU-2", [US], &wrong))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let outcome = client
        .send(&DeleteListingsItem::new(SELLER, "SKU-2", [US]))
        .await
        .unwrap();
    assert!(outcome.is_accepted());
    rig.clock.advance(Duration::from_secs(120));
    assert_eq!(rig.sim.skus(SELLER), ["SKU-1"]);
}

#[tokio::test]
async fn skus_of_every_form_stay_one_segment_of_the_path() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let attributes = json!({ "item_name": [value("x")] })
        .as_object()
        .unwrap()
        .clone();
    let put = PutListing::new("LUGGAGE", attributes);
    let skus = ["A/B", "A+B", "A B", "A&B", "A,B", "A%B", "A;B=C", "ä?#"];
    for sku in skus {
        rig.drive(client.send(&PutListingsItem::new(SELLER, sku, [US], &put)))
            .await
            .unwrap();
    }
    rig.clock.advance(Duration::from_secs(120));
    for sku in skus {
        let item = rig
            .drive(client.send(&GetListingsItem::new(SELLER, sku, [US])))
            .await
            .unwrap();
        assert_eq!(item.sku.as_deref(), Some(sku));
        // All bytes except unreserved ones are percent-encoded.
        let path = GetListingsItem::new(SELLER, sku, [US]);
        let target = connector_core::provider::Endpoint::request(&path)
            .unwrap()
            .target()
            .to_owned();
        let segment = target
            .split('?')
            .next()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        assert!(
            segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"%._~-".contains(&b)),
            "{segment}"
        );
    }
    println!("SKUs of every form: {}", skus.len());
}

#[tokio::test]
async fn catalog_types_prices_stock_and_money_are_read() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let search = SearchCatalogItems::new([US]).with_keywords(["example"]);
    let items = client.send(&search).await.unwrap().items;
    assert_eq!(items[0].asin.as_deref(), Some(ASIN));
    let item = client.send(&GetCatalogItem::new(ASIN, [US])).await.unwrap();
    assert!(!item.summaries.is_empty() && item.images.is_empty());
    let error = client
        .send(&GetCatalogItem::new("B999999999", [US]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderNotFound);
    for wrong in [
        SearchCatalogItems::new([US]),
        SearchCatalogItems::new([US]).with_identifiers(["x"]),
    ] {
        assert_eq!(
            client.send(&wrong).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    let found = client
        .send(&SearchDefinitionsProductTypes::new([US]).with_keywords(["luggage"]))
        .await;
    assert_eq!(found.unwrap().product_types.len(), 1);
    let definition = client
        .send(&GetDefinitionsProductType::new("LUGGAGE", [US]))
        .await
        .unwrap();
    assert_eq!(
        definition.property_groups["offer"].property_names,
        ["item_name"]
    );
    let prices = GetPricing::new(US, ItemType::Asin).with_asins([ASIN]);
    let prices = client.send(&prices).await.unwrap();
    let offers = &prices[0].product.as_ref().unwrap().offers;
    let price = offers[0].regular_price.as_ref().unwrap();
    assert_eq!(price.amount.as_ref().unwrap().to_string(), "17.99");
    let both = GetPricing::new(US, ItemType::Asin)
        .with_asins([ASIN])
        .with_skus(["SKU-1"]);
    assert_eq!(
        client.send(&both).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let offers = client
        .send(&GetItemOffers::new(ASIN, US, ItemCondition::New))
        .await
        .unwrap();
    assert_eq!(offers.asin.as_deref(), Some(ASIN));
    // A batch succeeds even if one of its requests fails.
    let request = |asin: &str| {
        json!({
            "uri": format!("/products/pricing/v0/items/{asin}/offers"), "method": "GET",
            "MarketplaceId": US, "ItemCondition": "New",
        })
    };
    let batch = json!({ "requests": [request(ASIN), request("B999999999")] });
    let batch: GetItemOffersBatchRequest = serde_json::from_value(batch).unwrap();
    let answers = client.send(&GetItemOffersBatch::new(&batch)).await.unwrap();
    let status = |at: usize| answers[at].status.as_ref().unwrap().status_code;
    assert_eq!((status(0), status(1)), (Some(200), Some(404)));
    let restrictions = client
        .send(&GetListingsRestrictions::new(ASIN, SELLER, [US]))
        .await
        .unwrap();
    assert!(restrictions.is_empty());
    let balances = client.send(&ListBalances::new()).await.unwrap();
    assert_eq!(balances.items.len(), 1);
    assert_eq!(
        client.send(&ListSummary::new()).await.unwrap().items.len(),
        1
    );
    let list = ListTransactions::new().with_posted_after("2026-11-01T00:00:00Z");
    assert_eq!(client.send(&list).await.unwrap().items.len(), 1);
    let error = client.send(&ListTransactions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn pages_of_stock_keep_their_arguments_and_their_token_expires_after_30_seconds() {
    let rig = Rig::new().await;
    for number in 0..120 {
        rig.sim.add_inventory(
            SELLER,
            json!({
                "sellerSku": format!("S-{number}"), "totalQuantity": number,
                "lastUpdatedTime": rig.clock.now().to_string(),
            }),
        );
    }
    let client = rig.client().await;
    let list = GetInventorySummaries::new(GranularityType::Marketplace, US, [US])
        .with_start_date_time("2026-11-01T00:00:00Z");
    let first = client.send(&list).await.unwrap();
    let all: Vec<_> = rig
        .drive(client.pages(list.clone()).items().try_collect())
        .await
        .unwrap();
    let all: Vec<connector_amazon_spapi::models::inventory::InventorySummary> = all;
    assert_eq!((first.items.len(), all.len()), (50, 121));
    rig.clock.advance(Duration::from_secs(31));
    let next = connector_core::provider::PagedEndpoint::at(&list, first.next.as_ref().unwrap());
    let error = client.send(&next).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    println!("summaries on three pages: {}", all.len());
}

#[tokio::test]
async fn restricted_tokens_are_requested_once_for_each_set_of_operations() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let info = GetOrderRegulatedInfo::new("900-0000000-0000001");
    let error = client.send(&info).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    let restricted = RestrictedClients::new(client);
    let path = "/orders/v0/orders/{orderId}/regulatedInfo";
    let resource = || RestrictedResource::new(RestrictedMethod::Get, path);
    let tokens = || {
        rig.sim
            .server()
            .count(&Method::POST, "/tokens/2021-03-01/restrictedDataToken")
    };
    for _ in 0..3 {
        let client = restricted.client([resource()]).unwrap();
        assert!(
            client
                .send(&info)
                .await
                .unwrap()
                .regulated_information
                .is_some()
        );
    }
    // The order of operations and of data elements does not matter.
    let other =
        || RestrictedResource::new(RestrictedMethod::Get, "/x").with_data_elements(["b", "a"]);
    let swapped =
        RestrictedResource::new(RestrictedMethod::Get, "/x").with_data_elements(["a", "b"]);
    restricted
        .client([resource(), other()])
        .unwrap()
        .send(&info)
        .await
        .unwrap();
    restricted
        .client([swapped, resource()])
        .unwrap()
        .send(&info)
        .await
        .unwrap();
    assert_eq!(tokens(), 2);
    rig.clock.advance(Duration::from_secs(3590));
    restricted
        .client([resource()])
        .unwrap()
        .send(&info)
        .await
        .unwrap();
    assert_eq!(tokens(), 3, "the token is replaced before it expires");
    let document = "/reports/2021-06-30/documents/{reportDocumentId}";
    for wrong in [
        vec![],
        vec![RestrictedResource::new(RestrictedMethod::Get, document)],
    ] {
        assert_eq!(
            restricted.client(wrong).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    println!(
        "restricted tokens for two sets and one renewal: {}",
        tokens()
    );
}

#[tokio::test]
async fn grantless_operations_take_a_token_of_the_app_and_sellers_tokens_are_refused() {
    let rig = Rig::new().await;
    let tenant = tenant();
    let client = rig
        .hub
        .app_client::<GrantlessClient>(&tenant)
        .scopes(["sellingpartnerapi::notifications"]);
    let client = client.await.unwrap();
    assert!(
        client
            .send(&GetDestinations::new())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        client
            .send(&GetDestinations::new())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        rig.sim.server().count(&Method::POST, "/auth/o2/token"),
        1,
        "one token for all calls"
    );
    let seller = rig.client().await;
    let raw = connector_core::api::Request::get(["notifications", "v1", "destinations"]).unwrap();
    let answer = seller.raw(raw, Idempotency::Safe).await.unwrap();
    assert_eq!(answer.status().as_u16(), 403);
    // In another region, on the host of that region.
    let eu = connector_core::http::Origin::parse(Region::Eu.endpoint()).unwrap();
    let client = rig
        .hub
        .app_client::<GrantlessClient>(&tenant)
        .scopes(["sellingpartnerapi::notifications"])
        .origin(eu);
    client
        .await
        .unwrap()
        .send(&GetDestinations::new())
        .await
        .unwrap();
}

#[tokio::test]
async fn errors_are_read_in_every_envelope() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let account = GetAccount::new();
    let table = [
        (
            400,
            r#"{"errors":[{"code":"InvalidInput","message":"m","details":""}]}"#,
            ErrorKind::Rejected,
            Some("InvalidInput"),
        ),
        (
            400,
            r#"{"payload":null,"errors":[{"code":"400","message":"m"}]}"#,
            ErrorKind::Rejected,
            Some("400"),
        ),
        (
            400,
            "<html><body>Bad Request</body></html>",
            ErrorKind::Rejected,
            None,
        ),
        (
            403,
            r#"{"errors":[{"code":"Unauthorized","message":"m","details":""}]}"#,
            ErrorKind::Forbidden,
            Some("Unauthorized"),
        ),
        (
            404,
            r#"{"errors":[{"code":"NOT_FOUND","message":"m"}]}"#,
            ErrorKind::ProviderNotFound,
            Some("NOT_FOUND"),
        ),
        (413, "", ErrorKind::Rejected, None),
        (
            400,
            r#"{"error":"invalid_request","error_description":"m"}"#,
            ErrorKind::Rejected,
            Some("invalid_request"),
        ),
    ];
    for (status, body, kind, code) in table {
        rig.sim
            .server()
            .fault("/sellers/v1/account", Fault::answer(status, body));
        let error = client.send(&account).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (kind, code),
            "{status} {body}: {error}"
        );
        assert_eq!(error.status().map(|it| it.as_u16()), Some(status));
    }
    println!("errors read: {}", table.len());
}

#[tokio::test]
async fn the_wrong_region_is_refused_and_leaves_the_connection_alone() {
    let rig = Rig::with_sellers(&[(SELLER, Region::Eu)]).await;
    // The flow specifies an American marketplace, but the seller is European: the connection test
    // fails.
    let begun = rig.begin().await;
    let query = rig.consent(&begun);
    let error = rig.finish(&begun, &query).await.unwrap_err();
    assert!(
        error.report().contains("region") || error.kind() == ErrorKind::Forbidden,
        "{error}"
    );
}
