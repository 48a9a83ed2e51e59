//! Product Pricing v2022-05-01.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ApiError, Decimal, model, texts};

model! {
    /// The answer of `getFeaturedOfferExpectedPriceBatch`.
    GetFeaturedOfferExpectedPriceBatchResponse {
        /// The answers, one for each request; each has a status of its own.
        responses: Vec<FeaturedOfferExpectedPriceResponse>,
    }

    /// The answer for one SKU, with a status of its own.
    FeaturedOfferExpectedPriceResponse {
        /// The headers.
        headers: BTreeMap<String, String>,
        /// The status.
        status: Option<HttpStatusLine>,
        /// The request that it answers.
        request: Option<FeaturedOfferExpectedPriceRequestParams>,
        /// The body.
        body: Option<FeaturedOfferExpectedPriceResponseBody>,
    }

    /// The status of a part of a batch.
    HttpStatusLine {
        /// The HTTP status of the part.
        status_code: Option<i64>,
        /// The reason of the status.
        reason_phrase: Option<String>,
    }

    /// The SKU that an answer is for.
    FeaturedOfferExpectedPriceRequestParams {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The seller's SKU.
        sku: Option<String>,
        /// The segment.
        segment: Option<Segment>,
    }

    /// A segment of buyers.
    Segment {
        /// The segment details.
        segment_details: Option<SegmentDetails>,
    }

    /// The place and the weight of a segment.
    SegmentDetails {
        /// The glance view weight percentage.
        glance_view_weight_percentage: Option<Decimal>,
        /// The sample location.
        sample_location: Option<SampleLocation>,
    }

    /// A place that stands for a segment.
    SampleLocation {
        /// The postal code.
        postal_code: Option<PostalCode>,
    }

    /// A postal code.
    PostalCode {
        /// The country (ISO 3166-1).
        country_code: Option<String>,
        /// The value.
        value: Option<String>,
    }

    /// The expected prices of one SKU.
    FeaturedOfferExpectedPriceResponseBody {
        /// The offer identifier.
        offer_identifier: Option<OfferIdentifier>,
        /// The featured offer expected price results.
        featured_offer_expected_price_results: Vec<FeaturedOfferExpectedPriceResult>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// The ids of an offer.
    OfferIdentifier {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The selling partner id.
        seller_id: Option<String>,
        /// The seller's SKU.
        sku: Option<String>,
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
        /// The fulfillment type.
        fulfillment_type: Option<FulfillmentType>,
    }

    /// An expected price with the offers around it.
    FeaturedOfferExpectedPriceResult {
        /// The featured offer expected price.
        featured_offer_expected_price: Option<FeaturedOfferExpectedPrice>,
        /// The result status.
        result_status: Option<String>,
        /// The competing featured offer.
        competing_featured_offer: Option<FeaturedOffer>,
        /// The current featured offer.
        current_featured_offer: Option<FeaturedOffer>,
    }

    /// The price at which an offer may become the featured one.
    FeaturedOfferExpectedPrice {
        /// The price without shipping.
        listing_price: Option<MoneyType>,
        /// The points.
        points: Option<Points>,
    }

    /// An amount of money.
    MoneyType {
        /// The currency (ISO 4217).
        currency_code: Option<String>,
        /// The amount, a decimal number.
        amount: Option<Decimal>,
    }

    /// Amazon Points.
    Points {
        /// The number of Amazon Points.
        points_number: Option<i64>,
        /// Their value in money.
        points_monetary_value: Option<MoneyType>,
    }

    /// A featured offer.
    FeaturedOffer {
        /// The offer identifier.
        offer_identifier: Option<OfferIdentifier>,
        /// The condition.
        condition: Option<Condition>,
        /// The price.
        price: Option<Price>,
    }

    /// A price with its parts.
    Price {
        /// The price without shipping.
        listing_price: Option<MoneyType>,
        /// The price of shipping.
        shipping_price: Option<MoneyType>,
        /// The points.
        points: Option<Points>,
    }

    /// The body of `getFeaturedOfferExpectedPriceBatch`.
    GetFeaturedOfferExpectedPriceBatchRequest {
        /// The requests.
        requests: Vec<FeaturedOfferExpectedPriceRequest>,
    }

    /// The request for one SKU.
    FeaturedOfferExpectedPriceRequest {
        /// The path of the single operation.
        uri: Option<String>,
        /// The HTTP method.
        method: Option<HttpMethod>,
        /// The body.
        body: Option<Value>,
        /// The headers.
        headers: BTreeMap<String, String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The seller's SKU.
        sku: Option<String>,
        /// The segment.
        segment: Option<Segment>,
    }

    /// The answer of `getCompetitiveSummary`.
    CompetitiveSummaryBatchResponse {
        /// The answers, one for each request; each has a status of its own.
        responses: Vec<CompetitiveSummaryResponse>,
    }

    /// The answer for one ASIN, with a status of its own.
    CompetitiveSummaryResponse {
        /// The status.
        status: Option<HttpStatusLine>,
        /// The body.
        body: Option<CompetitiveSummaryResponseBody>,
    }

    /// The offers and prices of one ASIN.
    CompetitiveSummaryResponseBody {
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The featured buying options.
        featured_buying_options: Vec<FeaturedBuyingOption>,
        /// The lowest priced offers.
        lowest_priced_offers: Vec<LowestPricedOffer>,
        /// The reference prices.
        reference_prices: Vec<ReferencePrice>,
        /// The similar items.
        similar_items: Vec<SimilarItems>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// A way to buy, with the featured offers.
    FeaturedBuyingOption {
        /// The buying option type.
        buying_option_type: Option<BuyingOptionType>,
        /// The segmented featured offers.
        segmented_featured_offers: Vec<SegmentedFeaturedOffer>,
    }

    /// A featured offer for some segments.
    SegmentedFeaturedOffer {
        /// The selling partner id.
        seller_id: Option<String>,
        /// The condition.
        condition: Option<Condition>,
        /// The sub condition.
        sub_condition: Option<SubCondition>,
        /// The fulfillment type.
        fulfillment_type: Option<FulfillmentType>,
        /// The price without shipping.
        listing_price: Option<MoneyType>,
        /// The shipping options.
        shipping_options: Vec<ShippingOption>,
        /// The points.
        points: Option<Points>,
        /// The prime details.
        prime_details: Option<PrimeDetails>,
        /// The promotions.
        promotions: Vec<Promotion>,
        /// The featured offer segments.
        featured_offer_segments: Vec<FeaturedOfferSegment>,
    }

    /// A shipping option.
    ShippingOption {
        /// The shipping option type.
        shipping_option_type: Option<ShippingOptionType>,
        /// The price.
        price: Option<MoneyType>,
    }

    /// The Prime eligibility of an offer.
    PrimeDetails {
        /// The eligibility.
        eligibility: Option<PrimeEligibility>,
    }

    /// A promotion.
    Promotion {
        /// The promotion type.
        promotion_type: Option<String>,
        /// The promotion savings.
        promotion_savings: Option<PromotionSavings>,
        /// The purchase requirements.
        purchase_requirements: Option<PurchaseRequirements>,
    }

    /// The savings of a promotion.
    PromotionSavings {
        /// The discount.
        discount: Option<PromotionDiscount>,
        /// The discounted price.
        discounted_price: Option<MoneyType>,
    }

    /// A promotion discount.
    PromotionDiscount {
        /// The type.
        r#type: Option<String>,
        /// The amount off.
        amount_off: Option<MoneyType>,
        /// The percent off.
        percent_off: Option<Decimal>,
    }

    /// The purchase that a promotion needs.
    PurchaseRequirements {
        /// The condition.
        condition: Option<PurchaseCondition>,
    }

    /// A purchase condition.
    PurchaseCondition {
        /// The quantity threshold.
        quantity_threshold: Option<QuantityThreshold>,
        /// The amount threshold.
        amount_threshold: Option<AmountThreshold>,
    }

    /// A quantity threshold.
    QuantityThreshold {
        /// The type.
        r#type: Option<String>,
        /// The number of units.
        quantity: Option<i64>,
    }

    /// An amount threshold.
    AmountThreshold {
        /// The type.
        r#type: Option<String>,
        /// The currency.
        currency: Option<MoneyType>,
    }

    /// A featured offer segment.
    FeaturedOfferSegment {
        /// The customer membership.
        customer_membership: Option<CustomerMembership>,
        /// The segment details.
        segment_details: Option<SegmentDetails>,
    }

    /// The offers with the lowest prices for one question.
    LowestPricedOffer {
        /// The lowest priced offers input.
        lowest_priced_offers_input: Option<LowestPricedOffersInput>,
        /// The offers.
        offers: Vec<Offer>,
    }

    /// The condition and buyers that lowest prices are asked for.
    LowestPricedOffersInput {
        /// The item condition.
        item_condition: Option<Condition>,
        /// The offer type.
        offer_type: Option<OfferType>,
    }

    /// An offer.
    Offer {
        /// The selling partner id.
        seller_id: Option<String>,
        /// The condition.
        condition: Option<Condition>,
        /// The sub condition.
        sub_condition: Option<SubCondition>,
        /// The fulfillment type.
        fulfillment_type: Option<FulfillmentType>,
        /// The price without shipping.
        listing_price: Option<MoneyType>,
        /// The shipping options.
        shipping_options: Vec<ShippingOption>,
        /// The points.
        points: Option<Points>,
        /// The prime details.
        prime_details: Option<PrimeDetails>,
        /// The promotions.
        promotions: Vec<Promotion>,
    }

    /// A reference price.
    ReferencePrice {
        /// The name.
        name: Option<String>,
        /// The price.
        price: Option<MoneyType>,
    }

    /// Similar products.
    SimilarItems {
        /// The items.
        items: Vec<Item>,
    }

    /// A product.
    Item {
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
    }

    /// The body of `getCompetitiveSummary`.
    CompetitiveSummaryBatchRequest {
        /// The requests.
        requests: Vec<CompetitiveSummaryRequest>,
    }

    /// The request for one ASIN.
    CompetitiveSummaryRequest {
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The included data.
        included_data: Vec<CompetitiveSummaryIncludedData>,
        /// The lowest priced offers inputs.
        lowest_priced_offers_inputs: Vec<LowestPricedOffersInput>,
        /// The HTTP method.
        method: Option<HttpMethod>,
        /// The path of the single operation.
        uri: Option<String>,
    }
}

texts! {
    /// The party that fulfills an offer.
    FulfillmentType {
        Afn = "AFN",
        Mfn = "MFN",
    }

    /// The condition of an item.
    Condition {
        New = "New",
        Used = "Used",
        Collectible = "Collectible",
        Refurbished = "Refurbished",
        Club = "Club",
    }

    /// An HTTP method.
    HttpMethod {
        Get = "GET",
        Put = "PUT",
        Patch = "PATCH",
        Delete = "DELETE",
        Post = "POST",
    }

    /// A buying option type.
    BuyingOptionType {
        New = "New",
    }

    /// The condition of an item in detail.
    SubCondition {
        New = "New",
        Mint = "Mint",
        VeryGood = "VeryGood",
        Good = "Good",
        Acceptable = "Acceptable",
        Poor = "Poor",
        Club = "Club",
        Oem = "OEM",
        Warranty = "Warranty",
        RefurbishedWarranty = "RefurbishedWarranty",
        Refurbished = "Refurbished",
        OpenBox = "OpenBox",
        Other = "Other",
    }

    /// A shipping option type.
    ShippingOptionType {
        Default = "DEFAULT",
    }

    /// The extent of Prime.
    PrimeEligibility {
        National = "NATIONAL",
        Regional = "REGIONAL",
        None = "NONE",
    }

    /// A customer membership.
    CustomerMembership {
        Prime = "PRIME",
        NonPrime = "NON_PRIME",
        Default = "DEFAULT",
    }

    /// The buyers of an offer.
    OfferType {
        Consumer = "Consumer",
    }

    /// Data to include.
    CompetitiveSummaryIncludedData {
        FeaturedBuyingOptions = "featuredBuyingOptions",
        ReferencePrices = "referencePrices",
        LowestPricedOffers = "lowestPricedOffers",
        SimilarItems = "similarItems",
    }
}
