//! Orders v2026-01-01.

use super::{Decimal, Pagination, model, texts};

model! {
    /// A page of orders.
    Orders {
        /// The orders.
        orders: Vec<Order>,
        /// Tokens of the next and the previous page.
        pagination: Option<Pagination>,
        /// End of the last-change window covered by the results.
        last_updated_before: Option<String>,
        /// End of the creation window covered by the results.
        created_before: Option<String>,
    }

    /// An order.
    Order {
        /// The id of the order.
        order_id: Option<String>,
        /// Alternative ids of the order, for example the seller's own id.
        order_aliases: Vec<OrderAlias>,
        /// The time of creation (ISO 8601).
        created_time: Option<String>,
        /// The time of the last change (ISO 8601).
        last_updated_time: Option<String>,
        /// Programs, for example `PRIME`.
        programs: Vec<String>,
        /// Related orders, for example exchanges.
        associated_orders: Vec<AssociatedOrder>,
        /// The sales channel.
        sales_channel: Option<SalesChannel>,
        /// The buyer. Requires a role for personal data.
        buyer: Option<Buyer>,
        /// The recipient. Requires a role for personal data.
        recipient: Option<Recipient>,
        /// The seller's proceeds.
        proceeds: Option<OrderProceeds>,
        /// The payments.
        payment: Option<OrderPayment>,
        /// The taxes.
        tax: Option<OrderTax>,
        /// The fulfillment.
        fulfillment: Option<OrderFulfillment>,
        /// The items of the order.
        order_items: Vec<OrderItem>,
        /// The shipped packages.
        packages: Vec<OrderPackage>,
        /// Fulfillment orders. Amazon creates one per unit of fulfillment.
        fulfillment_orders: Vec<FulfillmentOrder>,
    }

    /// Another id of an order.
    OrderAlias {
        /// The alias.
        alias_id: Option<String>,
        /// The type of the alias, for example `SELLER_ORDER_ID`.
        alias_type: Option<String>,
    }

    /// An order related to another order.
    AssociatedOrder {
        /// The id of the order.
        order_id: Option<String>,
        /// The type of the relationship, for example `REPLACEMENT_ORIGINAL_ID` or
        /// `VALUE_ADD_SERVICE`.
        association_type: Option<String>,
    }

    /// The sales channel of an order.
    SalesChannel {
        /// The sales channel: `AMAZON` or `NON_AMAZON`.
        channel_name: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The marketplace name.
        marketplace_name: Option<String>,
    }

    /// A buyer.
    Buyer {
        /// The buyer's full name.
        buyer_name: Option<String>,
        /// The buyer's anonymized email address. Only for orders fulfilled by the seller.
        buyer_email: Option<String>,
        /// The buyer's company. Only for business orders.
        buyer_company_name: Option<String>,
        /// The purchase order number, if the buyer entered one at checkout.
        buyer_purchase_order_number: Option<String>,
    }

    /// The recipient of an order.
    Recipient {
        /// The address to which to deliver the order.
        delivery_address: Option<CustomerAddress>,
        /// The buyer's delivery instructions.
        delivery_preference: Option<DeliveryPreference>,
    }

    /// A postal address of the recipient.
    CustomerAddress {
        /// The name.
        name: Option<String>,
        /// The company name.
        company_name: Option<String>,
        /// The first line of the address.
        address_line1: Option<String>,
        /// The second line of the address.
        address_line2: Option<String>,
        /// The third line of the address.
        address_line3: Option<String>,
        /// The city.
        city: Option<String>,
        /// The district or county.
        district_or_county: Option<String>,
        /// The state or region.
        state_or_region: Option<String>,
        /// The municipality.
        municipality: Option<String>,
        /// The postal code.
        postal_code: Option<String>,
        /// The country (ISO 3166-1).
        country_code: Option<String>,
        /// The phone number.
        phone: Option<String>,
        /// Additional components of the address, used in some countries.
        extended_fields: Option<AddressExtendedFields>,
        /// The type of location: `RESIDENTIAL`, `COMMERCIAL` or `PICKUP_POINT`.
        address_type: Option<String>,
    }

    /// Address fields used in Brazil.
    AddressExtendedFields {
        /// The street name.
        street_name: Option<String>,
        /// The street number.
        street_number: Option<String>,
        /// The floor or unit number.
        complement: Option<String>,
        /// The neighborhood.
        neighborhood: Option<String>,
    }

    /// The recipient's delivery preferences.
    DeliveryPreference {
        /// The drop-off location selected by the buyer.
        drop_off_location: Option<String>,
        /// Directions to the address, for example a landmark.
        address_instruction: Option<String>,
        /// The preferred delivery times.
        delivery_time: Option<PreferredDeliveryTime>,
        /// Delivery options at the address.
        delivery_capabilities: Vec<String>,
    }

    /// Times at which delivery is possible.
    PreferredDeliveryTime {
        /// Business hours during which deliveries are possible.
        business_hours: Vec<BusinessHour>,
        /// Dates within the next 30 days with different business hours.
        exception_dates: Vec<ExceptionDate>,
    }

    /// The opening hours of a day of the week.
    BusinessHour {
        /// The day of week.
        day_of_week: Option<DayOfWeek>,
        /// The time windows.
        time_windows: Vec<TimeWindow>,
    }

    /// A part of a day.
    TimeWindow {
        /// The start time.
        start_time: Option<HourMinute>,
        /// The end time.
        end_time: Option<HourMinute>,
    }

    /// A time of day.
    HourMinute {
        /// The hour, from 0 to 23.
        hour: Option<i64>,
        /// The minute.
        minute: Option<i64>,
    }

    /// A day with different business hours.
    ExceptionDate {
        /// The date, in ISO 8601 format without a time.
        exception_date: Option<String>,
        /// The state of the business on this date: open or closed.
        exception_date_type: Option<ExceptionDateType>,
        /// The time windows.
        time_windows: Vec<TimeWindow>,
    }

    /// The seller's proceeds from an order.
    OrderProceeds {
        /// The total amount that the seller receives.
        grand_total: Option<Money>,
        /// The components of the amount.
        breakdowns: Vec<OrderProceedsBreakdown>,
    }

    /// An amount of money.
    Money {
        /// The amount, as a decimal number.
        amount: Option<String>,
        /// The currency (ISO 4217).
        currency_code: Option<String>,
    }

    /// A component of an order's proceeds.
    OrderProceedsBreakdown {
        /// The type.
        r#type: Option<String>,
        /// The status.
        status: Option<String>,
        /// The amount for this category.
        subtotal: Option<Money>,
    }

    /// The payments of an order.
    OrderPayment {
        /// The payment executions.
        payment_executions: Vec<PaymentExecution>,
    }

    /// One payment.
    PaymentExecution {
        /// The payment method, for example `CreditCard`.
        payment_method: Option<String>,
        /// The payment amount.
        payment_amount: Option<Money>,
        /// The id of the payment processor or acquiring bank. Only in Brazil.
        acquirer_id: Option<String>,
        /// The card brand, for example Visa. Only for card payments in Brazil.
        card_brand: Option<String>,
        /// The authorization code of the payment. Only in Brazil.
        authorization_code: Option<String>,
    }

    /// The taxes of an order.
    OrderTax {
        /// The tax registrations.
        tax_registrations: Vec<OrderTaxRegistration>,
        /// The tax invoicing.
        tax_invoicing: Option<OrderTaxInvoicing>,
    }

    /// A tax registration of the buyer or the seller.
    OrderTaxRegistration {
        /// The owner of the tax registration: `BUYER` or `MERCHANT`.
        entity_type: Option<String>,
        /// The legal name.
        legal_name: Option<String>,
        /// The type of the tax registration number, for example `VAT`.
        tax_registration_type: Option<String>,
        /// The tax registration number.
        tax_registration_number: Option<String>,
        /// The tax registration address.
        tax_registration_address: Option<CustomerAddress>,
        /// Additional attributes of the tax registration.
        tax_registration_attributes: Vec<TaxRegistrationAttribute>,
    }

    /// Additional information about a tax registration.
    TaxRegistrationAttribute {
        /// The key.
        key: Option<String>,
        /// The value.
        value: Option<String>,
    }

    /// The invoicing of an order.
    OrderTaxInvoicing {
        /// The buyer's choice of an individual or a business invoice. Only in Turkey.
        buyer_invoice_preference: Option<String>,
        /// The status of the invoice. Only for Easy Ship orders and in Brazil.
        invoice_status: Option<String>,
    }

    /// The fulfillment of an order.
    OrderFulfillment {
        /// The fulfillment status.
        fulfillment_status: Option<FulfillmentStatus>,
        /// The party that fulfills the order: `MERCHANT` or `AMAZON`.
        fulfilled_by: Option<String>,
        /// The shipping speed chosen by the buyer, for example `EXPEDITED`.
        fulfillment_service_level: Option<String>,
        /// The time window in which to ship the order.
        ship_by_window: Option<DateTimeRange>,
        /// The time window in which to deliver the order.
        deliver_by_window: Option<DateTimeRange>,
        /// The time from which the shipping label can be printed.
        label_printing_window: Option<DateTimeRange>,
    }

    /// A period of time.
    DateTimeRange {
        /// The beginning (ISO 8601).
        earliest_date_time: Option<String>,
        /// The end (ISO 8601).
        latest_date_time: Option<String>,
    }

    /// An item of an order.
    OrderItem {
        /// The id of the order item.
        order_item_id: Option<String>,
        /// Number of ordered units.
        quantity_ordered: Option<i64>,
        /// The measured quantity, for products sold by weight, volume or length.
        measurement: Option<Measurement>,
        /// Related items, for example an installation service.
        associated_order_items: Vec<AssociatedOrderItem>,
        /// Programs, for example `PRIME`.
        programs: Vec<String>,
        /// The product.
        product: Option<ItemProduct>,
        /// The seller's proceeds.
        proceeds: Option<ItemProceeds>,
        /// The expense.
        expense: Option<ItemExpense>,
        /// The promotion.
        promotion: Option<ItemPromotion>,
        /// The cancellation.
        cancellation: Option<ItemCancellation>,
        /// The fulfillment.
        fulfillment: Option<ItemFulfillment>,
        /// The taxes.
        tax: Option<ItemTax>,
    }

    /// A quantity with its unit.
    Measurement {
        /// The unit.
        unit: Option<MeasurementUnit>,
        /// The value.
        value: Option<Decimal>,
    }

    /// An item related to another item.
    AssociatedOrderItem {
        /// The id of the order.
        order_id: Option<String>,
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The type of the relationship, for example `REPLACEMENT_ORIGINAL_ID` or
        /// `VALUE_ADD_SERVICE`.
        association_type: Option<String>,
    }

    /// The product of an item.
    ItemProduct {
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The title.
        title: Option<String>,
        /// The seller's SKU.
        seller_sku: Option<String>,
        /// The condition.
        condition: Option<ItemCondition>,
        /// The price.
        price: Option<ItemPrice>,
        /// Serial numbers of the units.
        serial_numbers: Vec<String>,
        /// The customization.
        customization: Option<ItemCustomization>,
    }

    /// The condition of an item.
    ItemCondition {
        /// The condition.
        condition_type: Option<String>,
        /// The detailed condition.
        condition_subtype: Option<String>,
        /// The seller's description of the condition.
        condition_note: Option<String>,
    }

    /// The price of an item.
    ItemPrice {
        /// The price of one unit.
        unit_price: Option<Money>,
        /// The price designation, set for special prices of Amazon Business.
        price_designation: Option<String>,
    }

    /// The buyer's customization of an item.
    ItemCustomization {
        /// The URL of the customization data.
        customized_url: Option<String>,
    }

    /// The seller's proceeds from an item.
    ItemProceeds {
        /// The total amount for the item.
        proceeds_total: Option<Money>,
        /// The components of the amount.
        breakdowns: Vec<ItemProceedsBreakdown>,
    }

    /// A component of an item's proceeds.
    ItemProceedsBreakdown {
        /// The type.
        r#type: Option<String>,
        /// The amount for this category.
        subtotal: Option<Money>,
        /// The components of the subtotal, for taxes and discounts.
        detailed_breakdowns: Vec<ItemProceedsDetailedBreakdown>,
    }

    /// A subcomponent of an item's proceeds.
    ItemProceedsDetailedBreakdown {
        /// The subtype.
        subtype: Option<String>,
        /// The value.
        value: Option<Money>,
    }

    /// The seller's expenses for an item.
    ItemExpense {
        /// The points cost.
        points_cost: Option<ItemPointsCost>,
    }

    /// The cost of Amazon Points for an item.
    ItemPointsCost {
        /// The points granted.
        points_granted: Option<PointsGranted>,
    }

    /// Amazon Points that were granted.
    PointsGranted {
        /// The number of Amazon Points.
        points_number: Option<i64>,
        /// The monetary value of the points.
        points_monetary_value: Option<Money>,
    }

    /// The promotions of an item.
    ItemPromotion {
        /// The components of the amount.
        breakdowns: Vec<ItemPromotionBreakdown>,
    }

    /// One promotion of an item.
    ItemPromotionBreakdown {
        /// The promotion id.
        promotion_id: Option<String>,
    }

    /// The cancellation of an item.
    ItemCancellation {
        /// The cancellation request.
        cancellation_request: Option<ItemCancellationRequest>,
        /// The cancellation execution.
        cancellation_execution: Option<ItemCancellationExecution>,
    }

    /// A request to cancel an item.
    ItemCancellationRequest {
        /// The party that requested the cancellation, for example `BUYER`.
        requester: Option<String>,
        /// The reason for the cancellation.
        cancel_reason: Option<String>,
    }

    /// A completed cancellation of an item.
    ItemCancellationExecution {
        /// The party that cancelled the item.
        cancelled_by: Option<String>,
        /// The reason for the cancellation.
        cancel_reason: Option<String>,
    }

    /// The fulfillment of an item.
    ItemFulfillment {
        /// Number of fulfilled units.
        quantity_fulfilled: Option<i64>,
        /// Number of units not yet fulfilled.
        quantity_unfulfilled: Option<i64>,
        /// The picking.
        picking: Option<ItemPicking>,
        /// The packing.
        packing: Option<ItemPacking>,
        /// The shipping.
        shipping: Option<ItemShipping>,
    }

    /// Rules for picking an item.
    ItemPicking {
        /// The substitution preference.
        substitution_preference: Option<ItemSubstitutionPreference>,
    }

    /// The buyer's preference if an item is out of stock.
    ItemSubstitutionPreference {
        /// The source and type of the substitution preference.
        substitution_type: Option<SubstitutionType>,
        /// Products that may replace the item.
        substitution_options: Vec<ItemSubstitutionOption>,
    }

    /// A product that may replace an item.
    ItemSubstitutionOption {
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// Number of ordered units.
        quantity_ordered: Option<i64>,
        /// The seller's SKU.
        seller_sku: Option<String>,
        /// The title.
        title: Option<String>,
        /// The measured quantity, for products sold by weight, volume or length.
        measurement: Option<Measurement>,
    }

    /// Rules for packing an item.
    ItemPacking {
        /// The gift option.
        gift_option: Option<GiftOption>,
        /// The serial number requirement.
        serial_number_requirement: Option<SerialNumberRequirement>,
    }

    /// The gift wrap of an item.
    GiftOption {
        /// The buyer's message to include with the gift.
        gift_message: Option<String>,
        /// The type of gift wrap.
        gift_wrap_level: Option<String>,
    }

    /// A requirement for serial numbers.
    SerialNumberRequirement {
        /// The requirement, for example `REQUIRED`.
        requirement_type: Option<String>,
    }

    /// Rules for shipping an item.
    ItemShipping {
        /// The expected time of delivery.
        scheduled_delivery_window: Option<DateTimeRange>,
        /// Shipping requirements and restrictions.
        shipping_constraints: Option<ItemShippingConstraints>,
        /// Data required for cross-border shipping.
        international_shipping: Option<ItemInternationalShipping>,
    }

    /// Delivery constraints of an item.
    ItemShippingConstraints {
        /// Delivery on a pallet.
        pallet_delivery: Option<ConstraintType>,
        /// Collection of the payment on delivery.
        cash_on_delivery: Option<ConstraintType>,
        /// The recipient's signature for the delivery.
        signature_confirmation: Option<ConstraintType>,
        /// Verification of the recipient's identity by the carrier.
        recipient_identity_verification: Option<ConstraintType>,
        /// Verification of the recipient's age by the carrier.
        recipient_age_verification: Option<ConstraintType>,
    }

    /// Data for shipping an item across borders.
    ItemInternationalShipping {
        /// The Import One-Stop Shop (IOSS) number, for VAT on shipments to the EU.
        ioss_number: Option<String>,
    }

    /// The taxes of an item.
    ItemTax {
        /// The tax calculation breakdowns.
        tax_calculation_breakdowns: Vec<ItemTaxCalculationBreakdown>,
        /// The tax collections.
        tax_collections: Vec<ItemTaxCollection>,
    }

    /// The tax scheme of an item.
    ItemTaxCalculationBreakdown {
        /// The tax reporting scheme, for example `UOSS` or `IOSS`.
        reporting_scheme: Option<String>,
    }

    /// The party that collects the tax of an item.
    ItemTaxCollection {
        /// The tax collection model, for example `MARKETPLACE_FACILITATOR`.
        model: Option<String>,
        /// The party that collects and remits the tax.
        responsible_party: Option<String>,
    }

    /// A package of an order.
    OrderPackage {
        /// The reference number of the package, assigned by the seller.
        package_reference_id: Option<String>,
        /// The time of creation (ISO 8601).
        created_time: Option<String>,
        /// The package status.
        package_status: Option<PackageStatus>,
        /// The carrier.
        carrier: Option<String>,
        /// The time at which the carrier received the package (ISO 8601).
        ship_time: Option<String>,
        /// The shipping service of the carrier.
        shipping_service: Option<String>,
        /// The tracking number.
        tracking_number: Option<String>,
        /// The address from which the package was shipped.
        ship_from_address: Option<MerchantAddress>,
        /// The package items.
        package_items: Vec<PackageItem>,
    }

    /// The status of a package.
    PackageStatus {
        /// The status.
        status: Option<PackageState>,
        /// The detailed status, with location and handling of the package.
        detailed_status: Option<String>,
    }

    /// A postal address of the seller.
    MerchantAddress {
        /// The name.
        name: Option<String>,
        /// The first line of the address.
        address_line1: Option<String>,
        /// The second line of the address.
        address_line2: Option<String>,
        /// The third line of the address.
        address_line3: Option<String>,
        /// The city.
        city: Option<String>,
        /// The district or county.
        district_or_county: Option<String>,
        /// The state or region.
        state_or_region: Option<String>,
        /// The municipality.
        municipality: Option<String>,
        /// The postal code.
        postal_code: Option<String>,
        /// The country (ISO 3166-1).
        country_code: Option<String>,
    }

    /// An item in a package.
    PackageItem {
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The number of units.
        quantity: Option<i64>,
        /// Transparency codes, which prove that units are genuine.
        transparency_codes: Vec<String>,
    }

    /// A fulfillment order.
    FulfillmentOrder {
        /// The id of the fulfillment order, assigned by Amazon.
        fulfillment_order_id: Option<String>,
    }

    /// The response of `getOrder`.
    OrderResponse {
        /// The order.
        order: Option<Order>,
    }
}

texts! {
    /// Days of the week.
    DayOfWeek {
        Sun = "SUN",
        Mon = "MON",
        Tue = "TUE",
        Wed = "WED",
        Thu = "THU",
        Fri = "FRI",
        Sat = "SAT",
    }

    /// The state of a business on an exception date: open or closed.
    ExceptionDateType {
        Closed = "CLOSED",
        Open = "OPEN",
    }

    /// The status of an order's fulfillment.
    FulfillmentStatus {
        PendingAvailability = "PENDING_AVAILABILITY",
        Pending = "PENDING",
        Unshipped = "UNSHIPPED",
        PartiallyShipped = "PARTIALLY_SHIPPED",
        Shipped = "SHIPPED",
        Cancelled = "CANCELLED",
        Unfulfillable = "UNFULFILLABLE",
    }

    /// A measurement unit.
    MeasurementUnit {
        Ounces = "OUNCES",
        Pounds = "POUNDS",
        Kilograms = "KILOGRAMS",
        Grams = "GRAMS",
        Milligrams = "MILLIGRAMS",
        Inches = "INCHES",
        Feet = "FEET",
        Meters = "METERS",
        Centimeters = "CENTIMETERS",
        Millimeters = "MILLIMETERS",
        SquareMeters = "SQUARE_METERS",
        SquareCentimeters = "SQUARE_CENTIMETERS",
        SquareFeet = "SQUARE_FEET",
        SquareInches = "SQUARE_INCHES",
        Gallons = "GALLONS",
        Pints = "PINTS",
        Quarts = "QUARTS",
        FluidOunces = "FLUID_OUNCES",
        Liters = "LITERS",
        CubicMeters = "CUBIC_METERS",
        CubicFeet = "CUBIC_FEET",
        CubicInches = "CUBIC_INCHES",
        CubicCentimeters = "CUBIC_CENTIMETERS",
        Count = "COUNT",
    }

    /// The type of substitution that the buyer prefers.
    SubstitutionType {
        CustomerPreference = "CUSTOMER_PREFERENCE",
        AmazonRecommended = "AMAZON_RECOMMENDED",
        DoNotSubstitute = "DO_NOT_SUBSTITUTE",
    }

    /// The obligation of a shipping constraint.
    ConstraintType {
        Mandatory = "MANDATORY",
    }

    /// The state of a package.
    PackageState {
        Pending = "PENDING",
        InTransit = "IN_TRANSIT",
        Shipped = "SHIPPED",
        Delivered = "DELIVERED",
        Cancelled = "CANCELLED",
        Undeliverable = "UNDELIVERABLE",
    }

    /// The party that fulfills an order.
    FulfilledBy {
        Merchant = "MERCHANT",
        Amazon = "AMAZON",
    }

    /// Optional data to include with the order.
    IncludedData {
        Buyer = "BUYER",
        Recipient = "RECIPIENT",
        Proceeds = "PROCEEDS",
        Expense = "EXPENSE",
        Promotion = "PROMOTION",
        Cancellation = "CANCELLATION",
        Fulfillment = "FULFILLMENT",
        Packages = "PACKAGES",
        Tax = "TAX",
        Payment = "PAYMENT",
        FulfillmentOrders = "FULFILLMENT_ORDERS",
    }
}
