//! Product Pricing v2022-05-01.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ApiError, Decimal, model, texts};

model! {
    /// The response of `getFeaturedOfferExpectedPriceBatch`.
    GetFeaturedOfferExpectedPriceBatchResponse {
        /// The responses, one per request. Each response has its own status.
        responses: Vec<FeaturedOfferExpectedPriceResponse>,
    }

    /// The response for one SKU, with its own status.
    FeaturedOfferExpectedPriceResponse {
        /// The headers.
        headers: BTreeMap<String, String>,
        /// The status.
        status: Option<HttpStatusLine>,
        /// The request to which the response belongs.
        request: Option<FeaturedOfferExpectedPriceRequestParams>,
        /// The body.
        body: Option<FeaturedOfferExpectedPriceResponseBody>,
    }

    /// The HTTP status of one response in a batch.
    HttpStatusLine {
        /// The HTTP status code.
        status_code: Option<i64>,
        /// The reason phrase of the status.
        reason_phrase: Option<String>,
    }

    /// The request to which a response belongs.
    FeaturedOfferExpectedPriceRequestParams {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The seller's SKU.
        sku: Option<String>,
        /// The customer segment.
        segment: Option<Segment>,
    }

    /// A segment of buyers.
    Segment {
        /// The segment details.
        segment_details: Option<SegmentDetails>,
    }

    /// The location and weight of a segment.
    SegmentDetails {
        /// Share of product page views in this segment, in percent.
        glance_view_weight_percentage: Option<Decimal>,
        /// A representative location of the segment.
        sample_location: Option<SampleLocation>,
    }

    /// A representative location of a segment.
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
        /// Expected price results for the offer.
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
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The fulfillment type.
        fulfillment_type: Option<FulfillmentType>,
    }

    /// An expected price, with the competing and current featured offers.
    FeaturedOfferExpectedPriceResult {
        /// The expected price for the featured offer.
        featured_offer_expected_price: Option<FeaturedOfferExpectedPrice>,
        /// The result status.
        result_status: Option<String>,
        /// The competing featured offer.
        competing_featured_offer: Option<FeaturedOffer>,
        /// The current featured offer.
        current_featured_offer: Option<FeaturedOffer>,
    }

    /// The price at which an offer may become the featured offer.
    FeaturedOfferExpectedPrice {
        /// The price without shipping costs.
        listing_price: Option<MoneyType>,
        /// Amazon Points granted with the offer.
        points: Option<Points>,
    }

    /// An amount of money.
    MoneyType {
        /// The currency (ISO 4217).
        currency_code: Option<String>,
        /// The amount, as a decimal number.
        amount: Option<Decimal>,
    }

    /// Amazon Points.
    Points {
        /// The number of Amazon Points.
        points_number: Option<i64>,
        /// The monetary value of the points.
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
        /// The price without shipping costs.
        listing_price: Option<MoneyType>,
        /// The shipping costs.
        shipping_price: Option<MoneyType>,
        /// Amazon Points granted with the offer.
        points: Option<Points>,
    }

    /// The body of `getFeaturedOfferExpectedPriceBatch`.
    GetFeaturedOfferExpectedPriceBatchRequest {
        /// The requests.
        requests: Vec<FeaturedOfferExpectedPriceRequest>,
    }

    /// The request for one SKU.
    FeaturedOfferExpectedPriceRequest {
        /// The path of the operation to call.
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
        /// The customer segment.
        segment: Option<Segment>,
    }

    /// The response of `getCompetitiveSummary`.
    CompetitiveSummaryBatchResponse {
        /// The responses, one per request. Each response has its own status.
        responses: Vec<CompetitiveSummaryResponse>,
    }

    /// The response for one ASIN, with its own status.
    CompetitiveSummaryResponse {
        /// The status.
        status: Option<HttpStatusLine>,
        /// The body.
        body: Option<CompetitiveSummaryResponseBody>,
    }

    /// The offers and prices of one ASIN.
    CompetitiveSummaryResponseBody {
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The featured buying options.
        featured_buying_options: Vec<FeaturedBuyingOption>,
        /// The lowest priced offers.
        lowest_priced_offers: Vec<LowestPricedOffer>,
        /// Reference prices, for example the competitive price threshold.
        reference_prices: Vec<ReferencePrice>,
        /// Similar products.
        similar_items: Vec<SimilarItems>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// A buying option with its featured offers.
    FeaturedBuyingOption {
        /// The buying option type.
        buying_option_type: Option<BuyingOptionType>,
        /// The segmented featured offers.
        segmented_featured_offers: Vec<SegmentedFeaturedOffer>,
    }

    /// A featured offer with its customer segments.
    SegmentedFeaturedOffer {
        /// The selling partner id.
        seller_id: Option<String>,
        /// The condition.
        condition: Option<Condition>,
        /// The sub condition.
        sub_condition: Option<SubCondition>,
        /// The fulfillment type.
        fulfillment_type: Option<FulfillmentType>,
        /// The price without shipping costs.
        listing_price: Option<MoneyType>,
        /// The shipping options.
        shipping_options: Vec<ShippingOption>,
        /// Amazon Points granted with the offer.
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

    /// The purchase required for a promotion.
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
        /// The membership of the customers in the segment.
        customer_membership: Option<CustomerMembership>,
        /// The segment details.
        segment_details: Option<SegmentDetails>,
    }

    /// The lowest-priced offers for one condition and offer type.
    LowestPricedOffer {
        /// The condition and offer type of the request.
        lowest_priced_offers_input: Option<LowestPricedOffersInput>,
        /// The offers.
        offers: Vec<Offer>,
    }

    /// The condition and offer type of a request for lowest-priced offers.
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
        /// The price without shipping costs.
        listing_price: Option<MoneyType>,
        /// The shipping options.
        shipping_options: Vec<ShippingOption>,
        /// Amazon Points granted with the offer.
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
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
    }

    /// The body of `getCompetitiveSummary`.
    CompetitiveSummaryBatchRequest {
        /// The requests.
        requests: Vec<CompetitiveSummaryRequest>,
    }

    /// The request for one ASIN.
    CompetitiveSummaryRequest {
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The data to return.
        included_data: Vec<CompetitiveSummaryIncludedData>,
        /// Conditions and offer types for the lowest-priced offers.
        lowest_priced_offers_inputs: Vec<LowestPricedOffersInput>,
        /// The HTTP method.
        method: Option<HttpMethod>,
        /// The path of the operation to call.
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

    /// The detailed condition of an item.
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

    /// The scope of Prime eligibility.
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

    /// Optional data to include.
    CompetitiveSummaryIncludedData {
        FeaturedBuyingOptions = "featuredBuyingOptions",
        ReferencePrices = "referencePrices",
        LowestPricedOffers = "lowestPricedOffers",
        SimilarItems = "similarItems",
    }
}
