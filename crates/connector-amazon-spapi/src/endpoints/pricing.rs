//! Product Pricing v0 and v2022-05-01.

use connector_core::Result;

use super::{Arguments, SpApiOperation as _, operation, wrong};
use crate::models::data;
use crate::models::price::{
    CompetitiveSummaryBatchRequest, CompetitiveSummaryBatchResponse, CompetitiveSummaryResponse,
    FeaturedOfferExpectedPriceResponse, GetFeaturedOfferExpectedPriceBatchRequest,
    GetFeaturedOfferExpectedPriceBatchResponse,
};
use crate::models::price_v0::{
    CustomerType, GetItemOffersBatchRequest, GetItemOffersBatchResponse,
    GetListingOffersBatchRequest, GetListingOffersBatchResponse, ItemCondition, ItemOffersResponse,
    ItemType, ListingOffersResponse, OfferCustomerType, Offers, OffersResponse, Price,
    PricingResponse,
};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    GetPricing::OPERATION,
    GetCompetitivePricing::OPERATION,
    GetListingOffers::OPERATION,
    GetItemOffers::OPERATION,
    GetItemOffersBatch::OPERATION,
    GetListingOffersBatch::OPERATION,
    GetFeaturedOfferExpectedPriceBatch::OPERATION,
    GetCompetitiveSummary::OPERATION,
];

/// Maximum number of requests in a batch, and in one featured-offer operation.
const BATCH: usize = 20;
const FEATURED: usize = 40;

fn one_list(name: &'static str, it: &Arguments) -> Result<()> {
    let (wanted, other) = match it.get("ItemType") {
        Some("Asin") => ("Asins", "Skus"),
        Some("Sku") => ("Skus", "Asins"),
        _ => return Ok(()),
    };
    if it.get(wanted).is_some() && it.get(other).is_none() {
        return Ok(());
    }
    Err(wrong(
        name,
        "set either ASINs or SKUs, according to the item type",
    ))
}

fn batch(name: &'static str, it: &Arguments, most: usize) -> Result<()> {
    let count = it.value()["requests"].as_array().map_or(0, Vec::len);
    if (1..=most).contains(&count) {
        return Ok(());
    }
    Err(wrong(name, "the batch is empty or too large; split it"))
}

operation! {
    /// Returns the prices of the seller's own offers, for at most 20 ASINs or SKUs.
    ///
    /// See [Amazon docs: Product Pricing API v0](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v0-reference).
    GetPricing -> Vec<Price>, answer PricingResponse;
    "productPricingV0" GET "/products/pricing/v0/price", Safe, 0.5 / 1;
    new { marketplace_id: query String = "MarketplaceId", item_type: query ItemType = "ItemType" }
    set {
        /// Sets the ASINs, for the item type `Asin`.
        with_asins: [String] = "Asins",
        /// Sets the SKUs, for the item type `Sku`.
        with_skus: [String] = "Skus",
        /// Sets the condition of the item.
        with_item_condition: ItemCondition = "ItemCondition",
        /// Selects offers to consumers or offers to businesses.
        with_offer_type: OfferCustomerType = "OfferType",
    }
    check: |it| one_list("GetPricing", it);
    decode: |answer, _response| Ok(answer.payload);
}

operation! {
    /// Returns the prices of competing offers, for at most 20 ASINs or SKUs.
    ///
    /// See [Amazon docs: Product Pricing API v0](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v0-reference).
    GetCompetitivePricing -> Vec<Price>, answer PricingResponse;
    "productPricingV0" GET "/products/pricing/v0/competitivePrice", Safe, 0.5 / 1;
    new { marketplace_id: query String = "MarketplaceId", item_type: query ItemType = "ItemType" }
    set {
        /// Sets the ASINs, for the item type `Asin`.
        with_asins: [String] = "Asins",
        /// Sets the SKUs, for the item type `Sku`.
        with_skus: [String] = "Skus",
        /// Selects offers to consumers or offers to businesses.
        with_customer_type: CustomerType = "CustomerType",
    }
    check: |it| one_list("GetCompetitivePricing", it);
    decode: |answer, _response| Ok(answer.payload);
}

operation! {
    /// Returns the lowest-priced offers for one of the seller's listings.
    ///
    /// See [Amazon docs: Product Pricing API v0](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v0-reference).
    GetListingOffers -> Offers, answer OffersResponse;
    "productPricingV0" GET "/products/pricing/v0/listings/{SellerSKU}/offers", Safe, 1.0 / 2;
    new {
        seller_sku: path String = "SellerSKU",
        marketplace_id: query String = "MarketplaceId",
        item_condition: query ItemCondition = "ItemCondition",
    }
    set {
        /// Selects offers to consumers or offers to businesses.
        with_customer_type: CustomerType = "CustomerType",
    }
    decode: |answer, response| data(answer.payload, response);
}

operation! {
    /// Returns the lowest-priced offers for a product.
    ///
    /// See [Amazon docs: Product Pricing API v0](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v0-reference).
    GetItemOffers -> Offers, answer OffersResponse;
    "productPricingV0" GET "/products/pricing/v0/items/{Asin}/offers", Safe, 0.5 / 1;
    new {
        asin: path String = "Asin",
        marketplace_id: query String = "MarketplaceId",
        item_condition: query ItemCondition = "ItemCondition",
    }
    set {
        /// Selects offers to consumers or offers to businesses.
        with_customer_type: CustomerType = "CustomerType",
    }
    decode: |answer, response| data(answer.payload, response);
}

operation! {
    /// Sends up to 20 [`GetItemOffers`] requests in one call. Each response in the batch has its
    /// own status.
    ///
    /// See [Amazon docs: Product Pricing API v0](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v0-reference).
    GetItemOffersBatch -> Vec<ItemOffersResponse>, answer GetItemOffersBatchResponse;
    "productPricingV0" POST "/batches/products/pricing/v0/itemOffers", Safe, 0.1 / 1;
    new { requests: body GetItemOffersBatchRequest = "getItemOffersBatchRequestBody" }
    check: |it| batch("GetItemOffersBatch", it, BATCH);
    decode: |answer, _response| Ok(answer.responses);
}

operation! {
    /// Sends up to 20 [`GetListingOffers`] requests in one call. Each response in the batch has its
    /// own status.
    ///
    /// See [Amazon docs: Product Pricing API v0](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v0-reference).
    GetListingOffersBatch -> Vec<ListingOffersResponse>, answer GetListingOffersBatchResponse;
    "productPricingV0" POST "/batches/products/pricing/v0/listingOffers", Safe, 0.5 / 1;
    new { requests: body GetListingOffersBatchRequest = "getListingOffersBatchRequestBody" }
    check: |it| batch("GetListingOffersBatch", it, BATCH);
    decode: |answer, _response| Ok(answer.responses);
}

operation! {
    /// Returns the prices at which up to 40 SKUs may become the featured offer. Each response in
    /// the batch has its own status.
    ///
    /// See [Amazon docs: Product Pricing API v2022-05-01](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v2022-05-01-reference).
    GetFeaturedOfferExpectedPriceBatch -> Vec<FeaturedOfferExpectedPriceResponse>, answer GetFeaturedOfferExpectedPriceBatchResponse;
    "productPricing_2022-05-01" POST "/batches/products/pricing/2022-05-01/offer/featuredOfferExpectedPrice", Safe, 0.033 / 1;
    new { requests: body GetFeaturedOfferExpectedPriceBatchRequest = "getFeaturedOfferExpectedPriceBatchRequestBody" }
    check: |it| batch("GetFeaturedOfferExpectedPriceBatch", it, FEATURED);
    decode: |answer, _response| Ok(answer.responses);
}

operation! {
    /// Returns featured offers, lowest prices and reference prices of up to 20 ASINs. Each response
    /// in the batch has its own status.
    ///
    /// See [Amazon docs: Product Pricing API v2022-05-01](https://developer-docs.amazon.com/sp-api/docs/product-pricing-api-v2022-05-01-reference).
    GetCompetitiveSummary -> Vec<CompetitiveSummaryResponse>, answer CompetitiveSummaryBatchResponse;
    "productPricing_2022-05-01" POST "/batches/products/pricing/2022-05-01/items/competitiveSummary", Safe, 0.033 / 1;
    new { requests: body CompetitiveSummaryBatchRequest = "requests" }
    check: |it| batch("GetCompetitiveSummary", it, BATCH);
    decode: |answer, _response| Ok(answer.responses);
}
