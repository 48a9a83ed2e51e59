//! Product Pricing v0.

use std::collections::BTreeMap;

use super::{ApiError, Decimal, Other, model, texts};

model! {
    /// The response of `getPricing` and `getCompetitivePricing`.
    PricingResponse {
        /// The data.
        payload: Vec<Price>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// The prices of one ASIN or SKU.
    Price ["PascalCase"] {
        /// The status.
        #[serde(rename = "status")]
        status: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
        /// The ASIN (Amazon Standard Identification Number).
        #[serde(rename = "ASIN")]
        asin: Option<String>,
        /// The product.
        product: Option<Product>,
    }

    /// A product with its prices.
    Product ["PascalCase"] {
        /// The identifiers.
        identifiers: Option<IdentifierType>,
        /// Attributes of the product.
        attribute_sets: Vec<Other>,
        /// Variations of the product.
        relationships: Vec<Other>,
        /// Prices of competing offers.
        competitive_pricing: Option<CompetitivePricingType>,
        /// Sales ranks, by category.
        sales_rankings: Vec<SalesRankType>,
        /// The offers.
        offers: Vec<OfferType>,
    }

    /// The ids of a product.
    IdentifierType ["PascalCase"] {
        /// The marketplace ASIN.
        #[serde(rename = "MarketplaceASIN")]
        marketplace_asin: Option<AsinIdentifier>,
        /// The SKU of the seller.
        #[serde(rename = "SKUIdentifier")]
        sku_identifier: Option<SellerSkuIdentifier>,
    }

    /// An ASIN in a marketplace.
    AsinIdentifier ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The ASIN (Amazon Standard Identification Number).
        #[serde(rename = "ASIN")]
        asin: Option<String>,
    }

    /// A SKU of a seller in a marketplace.
    SellerSkuIdentifier ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The selling partner id.
        seller_id: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
    }

    /// The prices of competing offers.
    CompetitivePricingType ["PascalCase"] {
        /// The competitive prices.
        competitive_prices: Vec<CompetitivePriceType>,
        /// Numbers of offers by condition.
        number_of_offer_listings: Vec<OfferListingCountType>,
        /// The trade-in value.
        trade_in_value: Option<MoneyType>,
    }

    /// The price of a competing offer.
    CompetitivePriceType {
        /// The pricing model: `1` for new and `2` for used featured offers.
        #[serde(rename = "CompetitivePriceId")]
        competitive_price_id: Option<String>,
        /// The price.
        #[serde(rename = "Price")]
        price: Option<PriceType>,
        /// The condition.
        condition: Option<String>,
        /// The detailed condition, for example `Mint` or `Good`.
        subcondition: Option<String>,
        /// The offer type.
        offer_type: Option<OfferCustomerType>,
        /// The minimum quantity for the price.
        quantity_tier: Option<i64>,
        /// The type of the quantity discount.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The selling partner id.
        seller_id: Option<String>,
        /// True if the offer belongs to the calling seller.
        belongs_to_requester: Option<bool>,
    }

    /// A price with its parts.
    PriceType ["PascalCase"] {
        /// The price including shipping, without deducting points.
        landed_price: Option<MoneyType>,
        /// The price without shipping costs.
        listing_price: Option<MoneyType>,
        /// The shipping costs.
        shipping: Option<MoneyType>,
        /// Amazon Points granted with the offer.
        points: Option<Points>,
    }

    /// An amount of money.
    MoneyType ["PascalCase"] {
        /// The currency (ISO 4217).
        currency_code: Option<String>,
        /// The amount, as a decimal number.
        amount: Option<Decimal>,
    }

    /// Amazon Points.
    Points ["PascalCase"] {
        /// The number of Amazon Points.
        points_number: Option<i64>,
        /// The monetary value of the points.
        points_monetary_value: Option<MoneyType>,
    }

    /// The number of offers of one condition.
    OfferListingCountType {
        /// The count.
        #[serde(rename = "Count")]
        count: Option<i64>,
        /// The condition.
        condition: Option<String>,
    }

    /// A sales rank.
    SalesRankType ["PascalCase"] {
        /// The category of the rank.
        product_category_id: Option<String>,
        /// The rank.
        rank: Option<i64>,
    }

    /// An offer of the seller.
    OfferType ["PascalCase"] {
        /// The offer type.
        #[serde(rename = "offerType")]
        offer_type: Option<OfferCustomerType>,
        /// The price including promotions and shipping.
        buying_price: Option<PriceType>,
        /// The price without promotions and shipping.
        regular_price: Option<MoneyType>,
        /// The price for business customers.
        #[serde(rename = "businessPrice")]
        business_price: Option<MoneyType>,
        /// Prices for larger quantities.
        #[serde(rename = "quantityDiscountPrices")]
        quantity_discount_prices: Vec<QuantityDiscountPriceType>,
        /// The channel: `Amazon` or `Merchant`.
        fulfillment_channel: Option<String>,
        /// The item condition.
        item_condition: Option<String>,
        /// The detailed condition, for example `Mint` or `Good`.
        item_sub_condition: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
    }

    /// A price for larger quantities.
    QuantityDiscountPriceType {
        /// The minimum quantity for the price.
        quantity_tier: Option<i64>,
        /// The type of the quantity discount.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The price without shipping costs.
        listing_price: Option<MoneyType>,
    }

    /// The response of `getItemOffers` and `getListingOffers`.
    OffersResponse {
        /// The data.
        payload: Option<Offers>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// The offers of one product.
    Offers ["PascalCase"] {
        /// The marketplace id.
        #[serde(rename = "marketplaceId")]
        marketplace_id: Option<String>,
        /// The ASIN (Amazon Standard Identification Number).
        #[serde(rename = "ASIN")]
        asin: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SKU")]
        sku: Option<String>,
        /// The item condition.
        item_condition: Option<ItemCondition>,
        /// The status.
        #[serde(rename = "status")]
        status: Option<String>,
        /// The identifier.
        identifier: Option<ItemIdentifier>,
        /// The summary.
        summary: Option<Summary>,
        /// The offers.
        offers: Vec<OfferDetail>,
    }

    /// The product to which offers belong.
    ItemIdentifier ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The ASIN (Amazon Standard Identification Number).
        #[serde(rename = "ASIN")]
        asin: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
        /// The item condition.
        item_condition: Option<ItemCondition>,
    }

    /// Summary of the offers.
    Summary ["PascalCase"] {
        /// Total number of offers.
        total_offer_count: Option<i64>,
        /// Numbers of offers by condition and channel.
        number_of_offers: Vec<OfferCountType>,
        /// The lowest prices, by condition and channel.
        lowest_prices: Vec<LowestPriceType>,
        /// Prices of the featured offers.
        buy_box_prices: Vec<BuyBoxPriceType>,
        /// The manufacturer's suggested price.
        list_price: Option<MoneyType>,
        /// A threshold based on prices outside Amazon. An offer above it may be ineligible for the
        /// featured offer.
        competitive_price_threshold: Option<MoneyType>,
        /// The suggested lower price, including shipping.
        suggested_lower_price_plus_shipping: Option<MoneyType>,
        /// Sales ranks, by category.
        sales_rankings: Vec<SalesRankType>,
        /// Numbers of offers eligible for the featured offer.
        buy_box_eligible_offers: Vec<OfferCountType>,
        /// The time at which new offers will be available.
        offers_available_time: Option<String>,
    }

    /// The number of offers of one condition and channel.
    OfferCountType {
        /// The condition.
        condition: Option<String>,
        /// The channel: `Amazon` or `Merchant`.
        fulfillment_channel: Option<FulfillmentChannelType>,
        /// Number of offers.
        #[serde(rename = "OfferCount")]
        offer_count: Option<i64>,
    }

    /// A lowest price.
    LowestPriceType {
        /// The condition.
        condition: Option<String>,
        /// The channel: `Amazon` or `Merchant`.
        fulfillment_channel: Option<String>,
        /// The offer type.
        offer_type: Option<OfferCustomerType>,
        /// The minimum quantity for the price.
        quantity_tier: Option<i64>,
        /// The type of the quantity discount.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The price including shipping, without deducting points.
        #[serde(rename = "LandedPrice")]
        landed_price: Option<MoneyType>,
        /// The price without shipping costs.
        #[serde(rename = "ListingPrice")]
        listing_price: Option<MoneyType>,
        /// The shipping costs.
        #[serde(rename = "Shipping")]
        shipping: Option<MoneyType>,
        /// Amazon Points granted with the offer.
        #[serde(rename = "Points")]
        points: Option<Points>,
    }

    /// The price of the featured offer.
    BuyBoxPriceType {
        /// The condition.
        condition: Option<String>,
        /// The offer type.
        offer_type: Option<OfferCustomerType>,
        /// The minimum quantity for the price.
        quantity_tier: Option<i64>,
        /// The type of the quantity discount.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The price including shipping, without deducting points.
        #[serde(rename = "LandedPrice")]
        landed_price: Option<MoneyType>,
        /// The price without shipping costs.
        #[serde(rename = "ListingPrice")]
        listing_price: Option<MoneyType>,
        /// The shipping costs.
        #[serde(rename = "Shipping")]
        shipping: Option<MoneyType>,
        /// Amazon Points granted with the offer.
        #[serde(rename = "Points")]
        points: Option<Points>,
        /// The selling partner id.
        seller_id: Option<String>,
    }

    /// An offer for a product.
    OfferDetail ["PascalCase"] {
        /// True if the offer belongs to the calling seller.
        my_offer: Option<bool>,
        /// The offer type.
        #[serde(rename = "offerType")]
        offer_type: Option<OfferCustomerType>,
        /// The detailed condition, for example `Mint` or `Good`.
        sub_condition: Option<String>,
        /// The selling partner id.
        seller_id: Option<String>,
        /// The seller's description of the condition.
        condition_notes: Option<String>,
        /// The seller feedback rating.
        seller_feedback_rating: Option<SellerFeedbackType>,
        /// The handling time.
        shipping_time: Option<DetailedShippingTimeType>,
        /// The price without shipping costs.
        listing_price: Option<MoneyType>,
        /// Prices for larger quantities.
        #[serde(rename = "quantityDiscountPrices")]
        quantity_discount_prices: Vec<QuantityDiscountPriceType>,
        /// Amazon Points granted with the offer.
        points: Option<Points>,
        /// The shipping costs.
        shipping: Option<MoneyType>,
        /// The location from which the seller ships.
        ships_from: Option<ShipsFromType>,
        /// True if Amazon fulfills the offer.
        is_fulfilled_by_amazon: Option<bool>,
        /// The prime information.
        prime_information: Option<PrimeInformationType>,
        /// True if the offer is currently the featured offer.
        is_buy_box_winner: Option<bool>,
        /// True if the seller is eligible for the featured offer.
        is_featured_merchant: Option<bool>,
    }

    /// The feedback of a seller.
    SellerFeedbackType ["PascalCase"] {
        /// Percentage of positive feedback.
        seller_positive_feedback_rating: Option<Decimal>,
        /// Number of ratings.
        feedback_count: Option<i64>,
    }

    /// The handling time of an offer.
    DetailedShippingTimeType {
        /// The minimum handling time, in hours.
        minimum_hours: Option<i64>,
        /// The maximum handling time, in hours.
        maximum_hours: Option<i64>,
        /// The date from which the product can be shipped, if it is not available now.
        available_date: Option<String>,
        /// The availability: now, on a known date, or on an unknown date.
        availability_type: Option<AvailabilityType>,
    }

    /// The location from which an offer is shipped.
    ShipsFromType ["PascalCase"] {
        /// The state.
        state: Option<String>,
        /// The country.
        country: Option<String>,
    }

    /// The Prime eligibility of an offer.
    PrimeInformationType ["PascalCase"] {
        /// True if the offer is eligible for Prime.
        is_prime: Option<bool>,
        /// True if the offer is eligible for Prime in the whole marketplace.
        is_national_prime: Option<bool>,
    }

    /// The response of `getItemOffersBatch`.
    GetItemOffersBatchResponse {
        /// The responses, one per request. Each response has its own status.
        responses: Vec<ItemOffersResponse>,
    }

    /// The response for one ASIN, with its own status.
    ItemOffersResponse {
        /// The headers.
        headers: Option<HttpResponseHeaders>,
        /// The status.
        status: Option<HttpStatusLine>,
        /// The body.
        body: Option<OffersResponse>,
        /// The request to which the response belongs.
        request: Option<ItemOffersRequestParams>,
    }

    /// The headers of one response in a batch.
    HttpResponseHeaders {
        /// The date.
        #[serde(rename = "Date")]
        date: Option<String>,
        /// Amazon's request id.
        #[serde(rename = "x-amzn-RequestId")]
        x_amzn_request_id: Option<String>,
    }

    /// The HTTP status of one response in a batch.
    HttpStatusLine {
        /// The HTTP status code.
        status_code: Option<i64>,
        /// The reason phrase of the status.
        reason_phrase: Option<String>,
    }

    /// The request to which a response belongs.
    ItemOffersRequestParams ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The item condition.
        item_condition: Option<ItemCondition>,
        /// The intended buyers: consumers or businesses.
        customer_type: Option<CustomerType>,
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
    }

    /// The body of `getItemOffersBatch`.
    GetItemOffersBatchRequest {
        /// The requests.
        requests: Vec<ItemOffersRequest>,
    }

    /// The request for one ASIN.
    ItemOffersRequest {
        /// The path of the operation to call.
        uri: Option<String>,
        /// The HTTP method.
        method: Option<HttpMethod>,
        /// The headers.
        headers: BTreeMap<String, String>,
        /// The marketplace id.
        #[serde(rename = "MarketplaceId")]
        marketplace_id: Option<String>,
        /// The item condition.
        #[serde(rename = "ItemCondition")]
        item_condition: Option<ItemCondition>,
        /// The intended buyers: consumers or businesses.
        #[serde(rename = "CustomerType")]
        customer_type: Option<CustomerType>,
    }

    /// The response of `getListingOffersBatch`.
    GetListingOffersBatchResponse {
        /// The responses, one per request. Each response has its own status.
        responses: Vec<ListingOffersResponse>,
    }

    /// The response for one SKU, with its own status.
    ListingOffersResponse {
        /// The headers.
        headers: Option<HttpResponseHeaders>,
        /// The status.
        status: Option<HttpStatusLine>,
        /// The body.
        body: Option<OffersResponse>,
        /// The request to which the response belongs.
        request: Option<ListingOffersRequestParams>,
    }

    /// The request to which a response belongs.
    ListingOffersRequestParams ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The item condition.
        item_condition: Option<ItemCondition>,
        /// The intended buyers: consumers or businesses.
        customer_type: Option<CustomerType>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
    }

    /// The body of `getListingOffersBatch`.
    GetListingOffersBatchRequest {
        /// The requests.
        requests: Vec<ListingOffersRequest>,
    }

    /// The request for one SKU.
    ListingOffersRequest {
        /// The path of the operation to call.
        uri: Option<String>,
        /// The HTTP method.
        method: Option<HttpMethod>,
        /// The headers.
        headers: BTreeMap<String, String>,
        /// The marketplace id.
        #[serde(rename = "MarketplaceId")]
        marketplace_id: Option<String>,
        /// The item condition.
        #[serde(rename = "ItemCondition")]
        item_condition: Option<ItemCondition>,
        /// The intended buyers: consumers or businesses.
        #[serde(rename = "CustomerType")]
        customer_type: Option<CustomerType>,
    }
}

texts! {
    /// Intended buyers of an offer: consumers or businesses.
    OfferCustomerType {
        B2c = "B2C",
        B2b = "B2B",
    }

    /// A quantity discount type.
    QuantityDiscountType {
        QuantityDiscount = "QUANTITY_DISCOUNT",
    }

    /// The type of identifiers: ASINs or SKUs.
    ItemType {
        Asin = "Asin",
        Sku = "Sku",
    }

    /// The condition of an item.
    ItemCondition {
        New = "New",
        Used = "Used",
        Collectible = "Collectible",
        Refurbished = "Refurbished",
        Club = "Club",
    }

    /// The type of customers.
    CustomerType {
        Consumer = "Consumer",
        Business = "Business",
    }

    /// A fulfillment channel type.
    FulfillmentChannelType {
        Amazon = "Amazon",
        Merchant = "Merchant",
    }

    /// An availability type.
    AvailabilityType {
        Now = "NOW",
        FutureWithoutDate = "FUTURE_WITHOUT_DATE",
        FutureWithDate = "FUTURE_WITH_DATE",
    }

    /// An HTTP method.
    HttpMethod {
        Get = "GET",
        Put = "PUT",
        Patch = "PATCH",
        Delete = "DELETE",
        Post = "POST",
    }
}
