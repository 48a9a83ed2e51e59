//! Product Pricing v0.

use std::collections::BTreeMap;

use super::{ApiError, Decimal, Other, model, texts};

model! {
    /// A pricing answer.
    PricingAnswer {
        /// The data.
        payload: Vec<Price>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// A price.
    Price ["PascalCase"] {
        /// The status.
        #[serde(rename = "status")]
        status: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
        /// The ASIN, Amazon's id of the product.
        #[serde(rename = "ASIN")]
        asin: Option<String>,
        /// The product.
        product: Option<Product>,
    }

    /// A product.
    Product ["PascalCase"] {
        /// The identifiers.
        identifiers: Option<IdentifierType>,
        /// The attribute sets.
        attribute_sets: Vec<Other>,
        /// The relationships.
        relationships: Vec<Other>,
        /// The competitive pricing.
        competitive_pricing: Option<CompetitivePricingType>,
        /// The sales rankings.
        sales_rankings: Vec<SalesRankType>,
        /// The offers.
        offers: Vec<OfferType>,
    }

    /// An identifier type.
    IdentifierType ["PascalCase"] {
        /// The marketplace ASIN.
        #[serde(rename = "MarketplaceASIN")]
        marketplace_asin: Option<AsinIdentifier>,
        /// The sku identifier.
        #[serde(rename = "SKUIdentifier")]
        sku_identifier: Option<SellerSkuIdentifier>,
    }

    /// An ASIN in a marketplace.
    AsinIdentifier ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The ASIN, Amazon's id of the product.
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

    /// A competitive pricing type.
    CompetitivePricingType ["PascalCase"] {
        /// The competitive prices.
        competitive_prices: Vec<CompetitivePriceType>,
        /// The number of offer listings.
        number_of_offer_listings: Vec<OfferListingCountType>,
        /// The trade in value.
        trade_in_value: Option<MoneyType>,
    }

    /// A competitive price type.
    CompetitivePriceType {
        /// The competitive price id.
        #[serde(rename = "CompetitivePriceId")]
        competitive_price_id: Option<String>,
        /// The price.
        #[serde(rename = "Price")]
        price: Option<PriceType>,
        /// The condition.
        condition: Option<String>,
        /// The subcondition.
        subcondition: Option<String>,
        /// The offer type.
        offer_type: Option<OfferCustomerType>,
        /// The quantity tier.
        quantity_tier: Option<i64>,
        /// The quantity discount type.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The selling partner id.
        seller_id: Option<String>,
        /// The flag `belongsToRequester`.
        belongs_to_requester: Option<bool>,
    }

    /// A price type.
    PriceType ["PascalCase"] {
        /// The price with shipping, without points.
        landed_price: Option<MoneyType>,
        /// The price without shipping.
        listing_price: Option<MoneyType>,
        /// The price of shipping.
        shipping: Option<MoneyType>,
        /// The points.
        points: Option<Points>,
    }

    /// An amount of money.
    MoneyType ["PascalCase"] {
        /// The currency (ISO 4217).
        currency_code: Option<String>,
        /// The amount, a decimal number.
        amount: Option<Decimal>,
    }

    /// Points.
    Points ["PascalCase"] {
        /// The number of Amazon Points.
        points_number: Option<i64>,
        /// Their value in money.
        points_monetary_value: Option<MoneyType>,
    }

    /// An offer listing count type.
    OfferListingCountType {
        /// The count.
        #[serde(rename = "Count")]
        count: Option<i64>,
        /// The condition.
        condition: Option<String>,
    }

    /// A sales rank type.
    SalesRankType ["PascalCase"] {
        /// The product category id.
        product_category_id: Option<String>,
        /// The rank.
        rank: Option<i64>,
    }

    /// An offer type.
    OfferType ["PascalCase"] {
        /// The offer type.
        #[serde(rename = "offerType")]
        offer_type: Option<OfferCustomerType>,
        /// The buying price.
        buying_price: Option<PriceType>,
        /// The regular price.
        regular_price: Option<MoneyType>,
        /// The business price.
        #[serde(rename = "businessPrice")]
        business_price: Option<MoneyType>,
        /// The quantity discount prices.
        #[serde(rename = "quantityDiscountPrices")]
        quantity_discount_prices: Vec<QuantityDiscountPriceType>,
        /// The fulfillment channel.
        fulfillment_channel: Option<String>,
        /// The item condition.
        item_condition: Option<String>,
        /// The item sub condition.
        item_sub_condition: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
    }

    /// A quantity discount price type.
    QuantityDiscountPriceType {
        /// The quantity tier.
        quantity_tier: Option<i64>,
        /// The quantity discount type.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The price without shipping.
        listing_price: Option<MoneyType>,
    }

    /// An offers answer.
    OffersAnswer {
        /// The data.
        payload: Option<Offers>,
        /// The errors.
        errors: Vec<ApiError>,
    }

    /// Offers.
    Offers ["PascalCase"] {
        /// The marketplace id.
        #[serde(rename = "marketplaceId")]
        marketplace_id: Option<String>,
        /// The ASIN, Amazon's id of the product.
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

    /// An item identifier.
    ItemIdentifier ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The ASIN, Amazon's id of the product.
        #[serde(rename = "ASIN")]
        asin: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
        /// The item condition.
        item_condition: Option<ItemCondition>,
    }

    /// A summary.
    Summary ["PascalCase"] {
        /// The total offer count.
        total_offer_count: Option<i64>,
        /// The number of offers.
        number_of_offers: Vec<OfferCountType>,
        /// The lowest prices.
        lowest_prices: Vec<LowestPriceType>,
        /// The buy box prices.
        buy_box_prices: Vec<BuyBoxPriceType>,
        /// The list price.
        list_price: Option<MoneyType>,
        /// The competitive price threshold.
        competitive_price_threshold: Option<MoneyType>,
        /// The suggested lower price plus shipping.
        suggested_lower_price_plus_shipping: Option<MoneyType>,
        /// The sales rankings.
        sales_rankings: Vec<SalesRankType>,
        /// The buy box eligible offers.
        buy_box_eligible_offers: Vec<OfferCountType>,
        /// The offers available time.
        offers_available_time: Option<String>,
    }

    /// An offer count type.
    OfferCountType {
        /// The condition.
        condition: Option<String>,
        /// The fulfillment channel.
        fulfillment_channel: Option<FulfillmentChannelType>,
        /// The offer count.
        #[serde(rename = "OfferCount")]
        offer_count: Option<i64>,
    }

    /// A lowest price type.
    LowestPriceType {
        /// The condition.
        condition: Option<String>,
        /// The fulfillment channel.
        fulfillment_channel: Option<String>,
        /// The offer type.
        offer_type: Option<OfferCustomerType>,
        /// The quantity tier.
        quantity_tier: Option<i64>,
        /// The quantity discount type.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The price with shipping, without points.
        #[serde(rename = "LandedPrice")]
        landed_price: Option<MoneyType>,
        /// The price without shipping.
        #[serde(rename = "ListingPrice")]
        listing_price: Option<MoneyType>,
        /// The price of shipping.
        #[serde(rename = "Shipping")]
        shipping: Option<MoneyType>,
        /// The points.
        #[serde(rename = "Points")]
        points: Option<Points>,
    }

    /// A buy box price type.
    BuyBoxPriceType {
        /// The condition.
        condition: Option<String>,
        /// The offer type.
        offer_type: Option<OfferCustomerType>,
        /// The quantity tier.
        quantity_tier: Option<i64>,
        /// The quantity discount type.
        quantity_discount_type: Option<QuantityDiscountType>,
        /// The price with shipping, without points.
        #[serde(rename = "LandedPrice")]
        landed_price: Option<MoneyType>,
        /// The price without shipping.
        #[serde(rename = "ListingPrice")]
        listing_price: Option<MoneyType>,
        /// The price of shipping.
        #[serde(rename = "Shipping")]
        shipping: Option<MoneyType>,
        /// The points.
        #[serde(rename = "Points")]
        points: Option<Points>,
        /// The selling partner id.
        seller_id: Option<String>,
    }

    /// An offer detail.
    OfferDetail ["PascalCase"] {
        /// The flag `MyOffer`.
        my_offer: Option<bool>,
        /// The offer type.
        #[serde(rename = "offerType")]
        offer_type: Option<OfferCustomerType>,
        /// The sub condition.
        sub_condition: Option<String>,
        /// The selling partner id.
        seller_id: Option<String>,
        /// The condition notes.
        condition_notes: Option<String>,
        /// The seller feedback rating.
        seller_feedback_rating: Option<SellerFeedbackType>,
        /// The shipping time.
        shipping_time: Option<DetailedShippingTimeType>,
        /// The price without shipping.
        listing_price: Option<MoneyType>,
        /// The quantity discount prices.
        #[serde(rename = "quantityDiscountPrices")]
        quantity_discount_prices: Vec<QuantityDiscountPriceType>,
        /// The points.
        points: Option<Points>,
        /// The price of shipping.
        shipping: Option<MoneyType>,
        /// The ships from.
        ships_from: Option<ShipsFromType>,
        /// True if it is fulfilled by amazon.
        is_fulfilled_by_amazon: Option<bool>,
        /// The prime information.
        prime_information: Option<PrimeInformationType>,
        /// True if it is buy box winner.
        is_buy_box_winner: Option<bool>,
        /// True if it is featured merchant.
        is_featured_merchant: Option<bool>,
    }

    /// A seller feedback type.
    SellerFeedbackType ["PascalCase"] {
        /// The seller positive feedback rating.
        seller_positive_feedback_rating: Option<Decimal>,
        /// The feedback count.
        feedback_count: Option<i64>,
    }

    /// A detailed shipping time type.
    DetailedShippingTimeType {
        /// The minimum hours.
        minimum_hours: Option<i64>,
        /// The maximum hours.
        maximum_hours: Option<i64>,
        /// The available date.
        available_date: Option<String>,
        /// The availability type.
        availability_type: Option<AvailabilityType>,
    }

    /// A ships from type.
    ShipsFromType ["PascalCase"] {
        /// The state.
        state: Option<String>,
        /// The country.
        country: Option<String>,
    }

    /// A prime information type.
    PrimeInformationType ["PascalCase"] {
        /// True if it is prime.
        is_prime: Option<bool>,
        /// True if it is national prime.
        is_national_prime: Option<bool>,
    }

    /// A get item offers batch response.
    GetItemOffersBatchResponse {
        /// The answers, one for each request; each has a status of its own.
        responses: Vec<ItemOffersResponse>,
    }

    /// An item offers response.
    ItemOffersResponse {
        /// The headers.
        headers: Option<HttpResponseHeaders>,
        /// The status.
        status: Option<HttpStatusLine>,
        /// The body.
        body: Option<OffersAnswer>,
        /// The request that it answers.
        request: Option<ItemOffersRequestParams>,
    }

    /// Http response headers.
    HttpResponseHeaders {
        /// The date.
        #[serde(rename = "Date")]
        date: Option<String>,
        /// The x amzn request id.
        #[serde(rename = "x-amzn-RequestId")]
        x_amzn_request_id: Option<String>,
    }

    /// A http status line.
    HttpStatusLine {
        /// The HTTP status of the part.
        status_code: Option<i64>,
        /// The reason of the status.
        reason_phrase: Option<String>,
    }

    /// Item offers request params.
    ItemOffersRequestParams ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The item condition.
        item_condition: Option<ItemCondition>,
        /// The customer type.
        customer_type: Option<CustomerType>,
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
    }

    /// A get item offers batch request.
    GetItemOffersBatchRequest {
        /// The requests.
        requests: Vec<ItemOffersRequest>,
    }

    /// An item offers request.
    ItemOffersRequest {
        /// The path of the single operation.
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
        /// The customer type.
        #[serde(rename = "CustomerType")]
        customer_type: Option<CustomerType>,
    }

    /// A get listing offers batch response.
    GetListingOffersBatchResponse {
        /// The answers, one for each request; each has a status of its own.
        responses: Vec<ListingOffersResponse>,
    }

    /// A listing offers response.
    ListingOffersResponse {
        /// The headers.
        headers: Option<HttpResponseHeaders>,
        /// The status.
        status: Option<HttpStatusLine>,
        /// The body.
        body: Option<OffersAnswer>,
        /// The request that it answers.
        request: Option<ListingOffersRequestParams>,
    }

    /// Listing offers request params.
    ListingOffersRequestParams ["PascalCase"] {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The item condition.
        item_condition: Option<ItemCondition>,
        /// The customer type.
        customer_type: Option<CustomerType>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
    }

    /// A get listing offers batch request.
    GetListingOffersBatchRequest {
        /// The requests.
        requests: Vec<ListingOffersRequest>,
    }

    /// A listing offers request.
    ListingOffersRequest {
        /// The path of the single operation.
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
        /// The customer type.
        #[serde(rename = "CustomerType")]
        customer_type: Option<CustomerType>,
    }
}

texts! {
    /// Values of offer customer type.
    OfferCustomerType {
        B2c = "B2C",
        B2b = "B2B",
    }

    /// Values of quantity discount type.
    QuantityDiscountType {
        QuantityDiscount = "QUANTITY_DISCOUNT",
    }

    /// Values of item type.
    ItemType {
        Asin = "Asin",
        Sku = "Sku",
    }

    /// Values of item condition.
    ItemCondition {
        New = "New",
        Used = "Used",
        Collectible = "Collectible",
        Refurbished = "Refurbished",
        Club = "Club",
    }

    /// Values of customer type.
    CustomerType {
        Consumer = "Consumer",
        Business = "Business",
    }

    /// Values of fulfillment channel type.
    FulfillmentChannelType {
        Amazon = "Amazon",
        Merchant = "Merchant",
    }

    /// Values of availability type.
    AvailabilityType {
        Now = "NOW",
        FutureWithoutDate = "FUTURE_WITHOUT_DATE",
        FutureWithDate = "FUTURE_WITH_DATE",
    }

    /// Values of http method.
    HttpMethod {
        Get = "GET",
        Put = "PUT",
        Patch = "PATCH",
        Delete = "DELETE",
        Post = "POST",
    }
}
